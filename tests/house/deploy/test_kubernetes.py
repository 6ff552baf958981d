"""What deploy/kubernetes promises: objects that a cluster takes, which name what there is."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from rowbox.cli.main import VERBS
from rowbox.mailbox.settings.config import SETTINGS, load

FOLDER: Final = Path(__file__).parents[3] / "deploy" / "kubernetes"
VERSIONS: Final = ("1.31", "1.33")
"""Of Kubernetes: the oldest that takes every field (preStop's sleep is on by default since 1.30), and a recent one."""
KUSTOMIZATION: Final[dict[str, Any]] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
Object = dict[str, Any]


def objects(kind: str = "") -> Iterator[Object]:
    """All objects that `kubectl apply -k` makes, of one kind or of all."""
    for name in KUSTOMIZATION["resources"]:
        for found in yaml.safe_load_all((FOLDER / name).read_text()):
            if kind in ("", found["kind"]):
                yield found


def named(kind: str, name: str) -> Object:
    (found,) = [one for one in objects(kind) if one["metadata"]["name"] == name]
    return found


def pods() -> Iterator[tuple[str, Object]]:
    """The templates of all pods, by the names of what makes them."""
    for one in objects():
        if "template" in one.get("spec", {}):
            yield one["metadata"]["name"], one["spec"]["template"]


def containers() -> Iterator[Object]:
    for _, pod in pods():
        yield from pod["spec"].get("initContainers", [])
        yield from pod["spec"]["containers"]


def server(name: str) -> Object:
    """The container in which a server of ours runs."""
    (container,) = dict(pods())[name]["spec"]["containers"]
    return container  # type: ignore[no-any-return]


def port(name: str, of: str) -> int:
    (found,) = [one["containerPort"] for one in server(name)["ports"] if one["name"] == of]
    return int(found)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_cluster_takes_every_object(version: str) -> None:
    assert {path.name for path in FOLDER.glob("*.yaml")} == {*KUSTOMIZATION["resources"], "kustomization.yaml"}
    for one in objects():
        kubernetes_validate.validate(one, version, strict=True)


def test_what_a_cluster_does_not_take_is_found() -> None:
    broken = copy.deepcopy(named("StatefulSet", "rowbox-cache"))
    broken["spec"]["replica"] = broken["spec"].pop("replicas")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


def environment(name: str) -> dict[str, str]:
    """The variables of a server of ours; those that the cluster fills in are given as the pod's name."""
    given = dict(named("ConfigMap", "rowbox")["data"])
    for variable in server(name).get("env", []):
        given[variable["name"]] = variable.get("value", f"{name}-0")
    expanded = {key: re.sub(r"\$\((\w+)\)", lambda match: given[match[1]], value) for key, value in given.items()}
    return {key: value for key, value in expanded.items() if key.startswith("ROWBOX_")}


@pytest.mark.parametrize("name", ["rowbox-cache", "rowbox-api"])
def test_every_variable_is_a_setting_with_a_value_that_it_takes(name: str) -> None:
    assert environment(name).keys() <= {setting.environment for setting in SETTINGS.values()}
    settings = load({}, environment(name), None).settings
    assert name == f"rowbox-{settings.server.role}"
    assert port(name, "admin") == settings.server.admin_port
    assert server(name)["args"][0] in VERBS
    drain_s = settings.server.drain_ms / 1000
    assert dict(pods())[name]["spec"]["terminationGracePeriodSeconds"] > 2 * drain_s


def test_the_ports_are_those_at_which_servers_listen() -> None:
    cache = load({}, environment("rowbox-cache"), None).settings
    api = load({}, environment("rowbox-api"), None).settings
    assert cache.cluster.peer_listen == f"0.0.0.0:{port('rowbox-cache', 'peers')}"
    assert cache.cluster.peer_address == f"rowbox-cache-0.rowbox-cache:{port('rowbox-cache', 'peers')}"
    assert (api.server.host, api.server.port) == ("0.0.0.0", port("rowbox-api", "http"))
    assert cache.cluster.redis_url == "redis://rowbox-redis:6379/0"


def test_selectors_find_their_pods_and_nobody_elses() -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in pods()}
    for one in objects():
        selector = one["spec"].get("selector") or one["spec"].get("podSelector") if "spec" in one else None
        if selector is None:
            continue
        wanted = selector.get("matchLabels", selector)
        assert [name for name, of in labels.items() if wanted.items() <= of.items()] == [one["metadata"]["name"]]


def test_pods_of_ours_run_with_nothing_that_they_do_not_need() -> None:
    for _, pod in pods():
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert pod["spec"]["automountServiceAccountToken"] is False
        # Else each service of the namespace is told to it by variables, of which ROWBOX_API_PORT is no setting of ours.
        assert pod["spec"]["enableServiceLinks"] is False
    for container in containers():
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]


def test_a_server_is_asked_whether_it_lives_and_whether_it_is_ready() -> None:
    for name in ("rowbox-cache", "rowbox-api"):
        probes = {kind: server(name)[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
        assert {kind: probe["path"] for kind, probe in probes.items()} == {
            "startup": "/healthz",
            "liveness": "/healthz",
            "readiness": "/readyz",
        }
        assert {probe["port"] for probe in probes.values()} == {"admin"}
        assert named("PodDisruptionBudget", name)["spec"]["maxUnavailable"] == 1


def test_the_peer_port_is_for_servers_of_ours_alone_and_the_admin_port_for_prometheus() -> None:
    rules = {one["metadata"]["name"]: one["spec"]["ingress"] for one in objects("NetworkPolicy")}
    peers, admin = rules["rowbox-cache"]
    assert [rule["port"] for rule in peers["ports"]] == ["peers"]
    allowed = {one["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for one in peers["from"]}
    assert allowed == {"cache", "api"}
    assert all("namespaceSelector" not in one for one in peers["from"])
    assert [rule["port"] for rule in admin["ports"]] == ["admin"]
    assert set(rules) == {name for name, pod in pods() if pod["spec"]["containers"][0].get("ports")}


def test_node_ids_are_the_names_of_pods_that_keep_them() -> None:
    stateful = named("StatefulSet", "rowbox-cache")
    assert stateful["spec"]["serviceName"] == named("Service", "rowbox-cache")["metadata"]["name"]
    assert named("Service", "rowbox-cache")["spec"]["clusterIP"] == "None"
    (variable,) = [one for one in server("rowbox-cache")["env"] if one["name"] == "ROWBOX_CLUSTER_NODE_ID"]
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"

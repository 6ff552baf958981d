"""What deploy/ promises where no HBase runs, and that the containers' files name what there is."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.hbase import cluster as cluster_module
from deploy.hbase import jars
from deploy.hbase.__main__ import main
from deploy.hbase.cluster import Cluster
from deploy.hbase.errors import ClusterError
from rowbox.cacheserver.rpc.endpoint import TcpEndpoint, parse_endpoint
from rowbox.cli.main import VERBS
from rowbox.cli.secret import read_secret
from rowbox.mailbox.settings.config import SETTINGS, Settings, hosts_of, is_loopback, load, parse_store_url
from tests.conftest import require
from tests.house.layering import folders

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [service for service in SERVICES.values() if service["image"] == "rowbox" and "entrypoint" not in service]
SERVERS = {name: service for name, service in SERVICES.items() if name.startswith(("cache-", "api-"))}
"""The servers of the cluster: those that own mailboxes, and those before them."""

# ---------------------------------------------------------------------- the cluster's command


@contextmanager
def process_in_place_of(cluster: Cluster, name: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with these arguments, and the cluster's pid file of `name` naming it."""
    idle = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", *arguments]
    with subprocess.Popen(idle, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # it runs: the kernel shows its arguments
            pid_file = cluster.folder / "pids" / f"{name}.pid"
            pid_file.parent.mkdir()
            pid_file.write_text(f"{process.pid}\n")
            yield process
        finally:
            process.kill()


def mark(cluster: Cluster, name: str) -> str:
    return f"-Drowbox.process={cluster.folder}:{name}"


@pytest.mark.parametrize("is_ours", [True, False])
def test_only_a_process_that_carries_the_mark_is_ended(tmp_path: Path, is_ours: bool) -> None:
    cluster = Cluster.make(tmp_path, {})
    with process_in_place_of(cluster, "master", mark(cluster, "master" if is_ours else "gateway-1")) as process:
        assert cluster.process("master").pid() == (process.pid if is_ours else None)
        cluster.stop(grace_s=30)
        if is_ours:
            assert process.wait(timeout=30) == -signal.SIGTERM
        else:
            assert process.poll() is None


def test_one_that_does_not_end_politely_is_killed(tmp_path: Path) -> None:
    cluster = Cluster.make(tmp_path, {})
    with process_in_place_of(cluster, "master", mark(cluster, "master")) as process:
        process.send_signal(signal.SIGSTOP)
        cluster.process("master").end(deadline=0)
        assert process.wait(timeout=30) == -signal.SIGKILL


def test_a_port_in_use_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "PORTS_DEADLINE_S", 0)
    monkeypatch.setattr(jars, "resolve", lambda: tmp_path)
    monkeypatch.setattr(jars, "require_tool", lambda *_: "java")
    cluster = Cluster.make(tmp_path, {"port_base": 0})
    gateway = cluster.process("gateway-1")
    with socket.create_server(("127.0.0.1", gateway.daemon.port)):
        expected = f"port {gateway.daemon.port}, for gateway-1, is in use; give another --port-base"
        with pytest.raises(ClusterError, match=expected):
            cluster.start(cluster.processes)


def test_what_is_not_asked_for_stays_as_it_was(tmp_path: Path) -> None:
    made = Cluster.make(tmp_path, {"region_servers": 2, "port_base": 0})
    assert Cluster.make(tmp_path, {}).layout == Cluster.make(tmp_path, {"port_base": 0}).layout == made.layout


def test_data_of_another_number_of_region_servers_are_refused(tmp_path: Path) -> None:
    Cluster.make(tmp_path, {"region_servers": 2})
    with pytest.raises(ClusterError, match=r"holds a cluster of 2 region server\(s\); give another --dir"):
        Cluster.make(tmp_path, {"region_servers": 1})


def test_one_that_runs_is_not_changed(tmp_path: Path) -> None:
    cluster = Cluster.make(tmp_path, {})
    with (
        process_in_place_of(cluster, "master", mark(cluster, "master")),
        pytest.raises(ClusterError, match="runs with other settings; take it down first"),
    ):
        Cluster.make(tmp_path, {"gateways": 2})


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pom.xml and a target folder of the test's own, and a Maven that writes its calls into the file returned."""
    calls, command = tmp_path / "calls", tmp_path / "bin" / "mvn"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\necho "$@" >> {calls}\necho "[ERROR] no route"\nexit $(cat {tmp_path}/code)\n')
    command.chmod(0o755)
    (tmp_path / "code").write_text("0")
    for name, path in (("POM", "pom.xml"), ("LIB", "target/lib"), ("STAMP", "target/pom.sha256")):
        monkeypatch.setattr(jars, name, tmp_path / path)
    (tmp_path / "pom.xml").write_text("<project/>")
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    return calls


def test_maven_runs_once_and_again_when_the_pom_changed(maven: Path) -> None:
    assert jars.resolve() == jars.resolve() == jars.LIB
    assert len(maven.read_text().splitlines()) == 1
    jars.POM.write_text("<project>other</project>")
    jars.resolve()
    assert len(maven.read_text().splitlines()) == 2


def test_a_maven_that_failed_is_quoted_and_runs_again(maven: Path) -> None:
    maven.with_name("code").write_text("1")
    with pytest.raises(ClusterError, match="no route"):
        jars.resolve()
    maven.with_name("code").write_text("0")
    jars.resolve()
    assert len(maven.read_text().splitlines()) == 2


@pytest.mark.parametrize(("tool", "package"), [("java", "openjdk-17-jre-headless"), ("mvn", "maven")])
def test_a_missing_tool_is_one_line(
    tool: str, package: str, maven: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    present = {"java": None, "mvn": "java"}[tool]
    monkeypatch.setattr(shutil, "which", lambda name: "found" if name == present else None)
    monkeypatch.setattr(sys, "argv", ["hbase", "up", "--dir", str(maven.with_name("data")), "--port-base", "0"])
    assert main() == 1
    assert capsys.readouterr().err == f"Error: HBase needs {tool} (Debian: apt-get install {package})\n"


def test_a_process_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Cluster.make(tmp_path, {})
    monkeypatch.setattr(sys, "argv", ["hbase", "pause", "gateway-2", "--dir", str(tmp_path)])
    assert main() == 1
    assert capsys.readouterr().err.endswith("has no process gateway-2; it has: master, gateway-1, thrift2\n")


# ---------------------------------------------------------------------- the containers


@pytest.mark.tools("docker-compose")
@pytest.mark.parametrize("profiles", [(), ("embedded",), ("hbase", "monitoring")], ids="-".join)
def test_compose_accepts_the_file(profiles: tuple[str, ...]) -> None:
    """By Docker's own plugin where it is, by Debian's docker-compose otherwise. Needs no engine."""
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    plugin = shutil.which("docker") is not None and _run("docker", "compose", "version").returncode == 0
    done = _run(*(("docker", "compose") if plugin else (require("docker-compose"),)), *chosen, "config", "--quiet")
    assert done.returncode == 0, done.stderr


@pytest.mark.tools("haproxy")
def test_the_proxy_accepts_its_file() -> None:
    done = _run(require("haproxy"), "-c", "-f", "deploy/proxy/haproxy.cfg")
    assert done.returncode == 0, done.stderr


def started(*profiles: str) -> dict[str, dict[str, Any]]:
    """The services of these profiles. There is none without a profile: it would start in all of them."""
    return {name: service for name, service in SERVICES.items() if set(service["profiles"]) & set(profiles)}


def test_each_profile_is_a_whole() -> None:
    assert list(started("embedded")) == ["rowbox"]
    assert list(started("hbase")) == ["hbase", "schema", "secret", *SERVERS, "proxy", "redis"]
    assert list(SERVERS) == ["cache-1", "cache-2", "cache-3", "api-1", "api-2"]
    assert list(started("monitoring")) == ["prometheus", "grafana"]
    assert len(SERVICES) == len(started("embedded", "hbase", "monitoring"))
    for profile in ("embedded", "hbase", "monitoring"):
        services = started(profile)
        assert all(set(service.get("depends_on", ())) <= services.keys() for service in services.values())


def test_without_a_profile_the_one_on_hbase_is_started() -> None:
    assert "COMPOSE_PROFILES=hbase\n" in (ROOT / ".env").read_text()


@pytest.mark.parametrize(
    ("profiles", "ports"),
    [
        (["embedded"], ["8080:8080"]),
        (["hbase"], ["8080:8080"]),
        (["hbase", "monitoring"], ["8080:8080", "9090:9090", "3000:3000"]),
    ],
)
def test_ports_are_published_once_and_only_to_this_machine(profiles: list[str], ports: list[str]) -> None:
    published = [port for service in started(*profiles).values() for port in service.get("ports", [])]
    assert published == [f"127.0.0.1:{port}" for port in ports]


def test_every_volume_and_file_that_is_mounted_is_there_and_every_image_has_a_version() -> None:
    for service in SERVICES.values():
        for source, _, _ in (volume.partition(":") for volume in service.get("volumes", [])):
            assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
        assert "build" in service or re.search(r":v?\d[\w.-]*$", service["image"])


def test_one_embedded_container_keeps_its_mailboxes_and_stops_politely() -> None:
    alone = SERVICES["rowbox"]
    assert alone["volumes"] == ["mailboxes:/var/lib/rowbox"]
    assert alone["healthcheck"]["test"] == ["CMD", "rowbox", "health", "--ready"]
    drain_s = SETTINGS["server.drain_ms"].default
    assert isinstance(drain_s, int)
    assert int(alone["stop_grace_period"].removesuffix("s")) * 1000 > drain_s


def test_no_container_of_ours_runs_as_root() -> None:
    for path in (ROOT / "deploy").glob("*/Dockerfile"):
        users = re.findall(r"^USER (\S+)$", path.read_text(), re.MULTILINE)
        assert users
        assert users[-1] != "root"
    assert "chmod 700 /var/lib/rowbox" in (ROOT / "deploy/rowbox/Dockerfile").read_text()


# ---------------------------------------------------------------------- Prometheus and Grafana beside them


def yaml_at(path: str) -> Any:
    return yaml.safe_load((ROOT / "deploy" / path).read_text())


def test_prometheus_asks_every_server_where_it_listens() -> None:
    (job,) = yaml_at("prometheus/prometheus.yml")["scrape_configs"]
    (targets,) = job["static_configs"]
    port = SETTINGS["server.admin_port"].default
    assert targets["targets"] == [f"{name}:{port}" for name in SERVERS]
    assert {service["environment"]["ROWBOX_SERVER_ADMIN_HOST"] for service in SERVERS.values()} == {"0.0.0.0"}


@pytest.mark.tools("promtool")
def test_prometheus_accepts_its_file_and_the_alerts() -> None:
    done = _run(require("promtool", "prometheus"), "check", "config", "deploy/prometheus/prometheus.yml")
    assert done.returncode == 0, done.stderr


def test_grafana_finds_its_data_source_and_the_board() -> None:
    (source,) = yaml_at("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    port = SERVICES["prometheus"]["ports"][0].rpartition(":")[2]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", f"http://prometheus:{port}", True)
    (provider,) = yaml_at("grafana/provisioning/dashboards/rowbox.yml")["providers"]
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    board = mounts["./deploy/grafana/rowbox.json"]
    assert str(Path(board).parent) == provider["options"]["path"]
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    assert json.loads((ROOT / "deploy/grafana/rowbox.json").read_text())["uid"] == "rowbox"


def test_every_command_of_ours_is_a_verb_and_every_variable_a_setting() -> None:
    known = {setting.environment for setting in SETTINGS.values()}
    for service in OURS:
        assert service["command"][0] in VERBS
        assert service.get("environment", {}).keys() <= known
    for service in started("hbase").values():
        if service in OURS:
            assert parse_store_url(service["environment"]["ROWBOX_STORE_URL"]) is not None
    image = (ROOT / "deploy" / "rowbox" / "Dockerfile").read_text()
    assert set(re.findall(r"ROWBOX_\w+", image)) <= known
    assert json.loads(re.findall(r"^CMD (.*)$", image, re.MULTILINE)[0])[0] in VERBS
    assert re.findall(r'HEALTHCHECK .* CMD \["rowbox", "(\w+)"', image) == ["health"]


@pytest.mark.parametrize("name", ["haproxy.cfg", "tls.cfg"])
def test_a_proxy_waits_for_a_long_poll(name: str) -> None:
    longest_ms = SETTINGS["poll.max_wait_ms"].default
    assert isinstance(longest_ms, int)
    text = (ROOT / "deploy" / "proxy" / name).read_text()
    for side in ("client", "server"):
        (seconds,) = re.findall(rf"^ +timeout {side} (\d+)s", text, re.MULTILINE)
        assert int(seconds) * 1000 > longest_ms


def test_the_proxy_knows_every_api_server() -> None:
    servers = re.findall(
        r"^    server (\S+) (\S+):8080$", (ROOT / "deploy/proxy/haproxy.cfg").read_text(), re.MULTILINE
    )
    assert servers == [(name, name) for name in SERVERS if name.startswith("api-")]
    assert len(servers) == 2


def settings_of(name: str) -> Settings:
    """What a server of the cluster is told by its variables."""
    return load({}, SERVERS[name]["environment"], None).settings


def test_the_servers_are_one_cluster() -> None:
    """One store, one secret, one Redis; each has its role, and each owner a name and an address of its own."""
    for name in SERVERS:
        settings = settings_of(name)
        assert name.startswith(f"{settings.server.role}-")
        assert settings.store.url == settings_of("api-1").store.url
        assert settings.cluster.redis_url == "redis://redis:6379"
        if settings.server.role == "cache":
            assert settings.cluster.node_id == name
            assert parse_endpoint(settings.cluster.peer_address) == TcpEndpoint(name, 8082)
            assert parse_endpoint(settings.cluster.peer_listen) == TcpEndpoint("0.0.0.0", 8082)


def test_the_clusters_secret_is_made_once_and_stands_in_no_file(tmp_path: Path) -> None:
    """What the container runs, run here in a folder in place of the volume."""
    made = tmp_path / Path(settings_of("api-1").cluster.secret_file).name
    making = SERVICES["secret"]
    assert all(service["volumes"] == making["volumes"] for service in SERVERS.values())
    (volume,) = making["volumes"]
    (script,) = making["command"]
    here = script.replace(volume.partition(":")[2], str(tmp_path))
    found = set[bytes]()
    for _ in range(2):
        assert _run(*making["entrypoint"], here).returncode == 0
        found.add(read_secret(made))
    assert len(found) == 1
    assert list(tmp_path.iterdir()) == [made]
    for service in SERVERS.values():
        assert service["depends_on"]["secret"] == {"condition": "service_completed_successfully"}


def test_the_proxy_reaches_what_it_asks_and_nobody_prints_tokens() -> None:
    """Its checks come from another container, so the admin port listens beyond the server's own loopback."""
    (check,) = re.findall(r"check port (\d+)", (ROOT / "deploy/proxy/haproxy.cfg").read_text())
    targets = re.findall(r"(?:cache|api)-\d:(\d+)", (ROOT / "deploy/prometheus/prometheus.yml").read_text())
    for service in SERVERS.values():
        given = service["environment"]
        environment = {name: value for name, value in given.items() if name.startswith("ROWBOX_")}
        server = load({}, environment, None).settings.server
        assert not any(map(is_loopback, hosts_of(server.admin_host)))
        assert {str(server.admin_port)} == {check, *targets}
        assert not server.demo_tokens
        assert not any(":8081" in port for port in service.get("ports", []))


def test_every_service_has_a_health_check_of_its_own_or_of_its_image() -> None:
    checked = {"rowbox", "rowbox-hbase"}
    assert all("healthcheck" in service or service["image"] in checked for service in SERVICES.values())
    assert all("\nHEALTHCHECK " in path.read_text() for path in (ROOT / "deploy").glob("*/Dockerfile"))


def test_the_image_gets_every_folder_that_the_wheel_holds() -> None:
    image = (ROOT / "deploy" / "rowbox" / "Dockerfile").read_text()
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    for folder in (*folders(), "src"):
        assert f"COPY {folder} {folder}\n" in image
        assert f"!{folder}" in sent


# ---------------------------------------------------------------------- the unit


UNIT = (ROOT / "deploy/systemd/rowbox.service").read_text()


def unit(key: str) -> str:
    (value,) = re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE)
    return str(value)


@pytest.mark.tools("systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """What it does not know it names, and goes on."""
    analyze = require("systemd-analyze", "systemd")
    for number, (theirs, said) in enumerate((("NoNewPrivileges", ""), ("NoNewPrivilege", "Unknown key"))):
        file = tmp_path / str(number) / "rowbox.service"
        file.parent.mkdir()
        here = UNIT.replace("/opt/rowbox/bin/rowbox", str(Path(sys.executable).with_name("rowbox")))
        file.write_text(here.replace("NoNewPrivileges", theirs))
        done = _run(analyze, "verify", str(file))
        assert done.returncode == 0
        assert said in done.stderr if said else done.stderr == ""


def test_the_unit_starts_our_verb_in_its_own_folder_and_stops_politely() -> None:
    _, verb, *flags = unit("ExecStart").split()
    assert verb in VERBS
    assert flags == ["--data-dir", f"/var/lib/{unit('StateDirectory')}"]
    drain_ms = SETTINGS["server.drain_ms"].default
    assert isinstance(drain_ms, int)
    assert int(unit("TimeoutStopSec")) * 1000 > drain_ms
    assert int(unit("LimitNOFILE")) >= 65_536  # docs/how-to/sizing.md


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

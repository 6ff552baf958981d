"""The operator's port: health, readiness, metrics."""

import platform
import re

import pytest

from rowbox import __version__
from rowbox.api.telemetry.samples import Sample
from rowbox.api.v1.openapi import openapi
from rowbox.api.web.pages import pages
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.owner.samples import owner_samples
from rowbox.mailbox.errors import Overloaded
from tests.http.api import SETTINGS, Api, serving
from tests.http.scripted_port import ScriptedPort


async def test_health_says_that_the_process_lives(edge: Api, scripted: ScriptedPort) -> None:
    scripted.unready = ["store"]
    assert (await edge.admin("/healthz")).json() == {"status": "ok"}


@pytest.mark.in_process
async def test_readiness_and_why_not(edge: Api, scripted: ScriptedPort) -> None:
    answer = await edge.admin("/readyz")
    assert (answer.status, answer.json()) == (200, {"ready": True})
    scripted.unready = ["the store does not answer"]
    answer = await edge.admin("/readyz")
    assert (answer.status, answer.json()) == (503, {"ready": False})
    answer = await edge.admin("/readyz?verbose")
    assert answer.json() == {"ready": False, "reasons": ["the store does not answer"]}


async def test_readiness_is_off_while_draining(api: Api, owner: Owner) -> None:
    assert (await api.admin("/readyz")).status == 200
    api.server.drain()
    answer = await api.admin("/readyz?verbose")
    assert (answer.status, answer.json()) == (503, {"ready": False, "reasons": ["draining"]})


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_they_are_not_on_the_public_port(path: str, edge: Api) -> None:
    (await edge.get(path)).problem(404, "not_found")


async def test_other_paths_of_the_admin_port_end_in_problems(edge: Api) -> None:
    (await edge.admin("/v1/fetchMessages")).problem(404, "not_found")
    (await edge.admin("/metrics", "POST")).problem(405, "method_not_allowed")


async def metrics(api: Api) -> dict[str, float]:
    answer = await api.admin("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in answer.body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_requests_are_counted_by_route_and_status(edge: Api, scripted: ScriptedPort) -> None:
    await edge.get("/v1/fetchMessages")
    await edge.get("/v1/fetchMessages")
    await edge.get("/v1/fetchMessages", None)
    scripted.error = Overloaded("x")
    await edge.send("1")
    await edge.get("/some/path")
    found = await metrics(edge)

    def count(route: str, method: str, status: int) -> float:
        return found[f'rowbox_http_requests_total{{method="{method}",route="{route}",status="{status}"}}']

    assert count("/v1/fetchMessages", "GET", 200) == 2
    assert count("/v1/fetchMessages", "GET", 401) == 1
    assert count("/v1/sendMessage", "POST", 503) == 1
    assert count("other", "any", 404) == 1
    assert found['rowbox_http_request_duration_seconds_count{method="GET",route="/v1/fetchMessages"}'] == 3
    assert found['rowbox_http_request_duration_seconds_bucket{le="+Inf",method="GET",route="/v1/fetchMessages"}'] == 3
    assert found["rowbox_http_requests_in_flight"] == 0


async def test_long_polls_are_counted_but_not_timed(edge: Api) -> None:
    await edge.get("/v1/fetchMessages?lastUpdatedTimestamp=0&wait=1")
    found = await metrics(edge)
    assert found['rowbox_http_requests_total{method="GET",route="/v1/fetchMessages",status="200"}'] == 1
    assert found['rowbox_http_request_duration_seconds_count{method="GET",route="/v1/fetchMessages"}'] == 0


async def test_the_numbers_of_others_are_exported(scripted: ScriptedPort) -> None:
    def source() -> list[Sample]:
        return [
            Sample("rowbox_cache_bytes", "gauge", "Bytes.", {}, 5),
            Sample("rowbox_loads_total", "counter", "Loads.", {"result": "found"}, 2),
            Sample("rowbox_loads_total", "counter", "Loads.", {"result": "new"}, 3),
        ]

    async with serving(scripted, sources=[source]) as api:
        found = await metrics(api)
    assert found["rowbox_cache_bytes"] == 5
    assert found['rowbox_loads_total{result="found"}'] == 2
    assert found['rowbox_loads_total{result="new"}'] == 3


async def test_no_metric_names_a_user(api: Api) -> None:
    await api.send("1", sender="somebody-special", recipient="somebody-else")
    await api.get("/v1/fetchMessages?userId=somebody-special", "somebody-special")
    assert b"somebody" not in (await api.admin("/metrics")).body


async def test_metric_names_keep_the_convention(api: Api) -> None:
    text = (await api.admin("/metrics")).body.decode()
    names = re.findall(r"^# TYPE (\S+) (\S+)", text, re.MULTILINE)
    assert names
    for name, kind in names:
        assert name.startswith(("rowbox_", "process_"))
        assert name.endswith("_total") == (kind == "counter")


async def test_the_process_and_its_build_are_named_as_prometheus_names_them(edge: Api) -> None:
    """The names that prometheus_client, Go's client and ready-made boards have for every process."""
    found = await metrics(edge)
    names = {"resident_memory_bytes", "cpu_seconds_total", "open_fds", "max_fds", "start_time_seconds"}
    assert {f"process_{name}" for name in names} <= found.keys()
    assert found[f'rowbox_build_info{{python="{platform.python_version()}",version="{__version__}"}}'] == 1
    assert not [name for name in found if name.startswith("rowbox_process_")]


async def test_all_static_files_are_one_series(api: Api) -> None:
    for path in ("/", "/chat/chat.js", "/docs", "/openapi.json"):
        assert (await api.get(path, None)).status == 200
    await api.request("POST", "/client/rowbox.js", None)
    found = await metrics(api)
    assert found['rowbox_http_requests_total{method="GET",route="static",status="200"}'] == 4
    assert found['rowbox_http_requests_total{method="other",route="static",status="405"}'] == 1
    static = {page.path for page in pages()}
    assert not [name for name in found for path in static if f'route="{path}"' in name]


async def test_the_number_of_series_does_not_grow_with_the_files_that_are_served(api: Api) -> None:
    """A route and method costs 17 series. The calls of the API have three each, one of them for calls over a socket;
    the socket, the event stream and all files together have two each.
    """
    calls = len(openapi()["paths"])
    about_routes = [name for name in await metrics(api) if "route=" in name]
    assert len(about_routes) <= 17 * (3 * calls + 2 * 3 + 1)


async def test_each_budget_is_exported_beside_its_limit(api: Api, owner: Owner) -> None:
    found = {name: value for name, _, _, _, value in owner_samples(owner)}
    found |= {name: value for name, _, _, _, value in (*api.connections.samples(), *api.bodies.samples())}
    limits = {
        "rowbox_cache_limit_bytes": SETTINGS.cache.bytes,
        "rowbox_commands_waiting_limit": SETTINGS.commit.queue_commands,
        "rowbox_commands_waiting_limit_bytes": SETTINGS.commit.queue_bytes,
        "rowbox_deliveries_pending_limit_bytes": SETTINGS.commit.delivery_bytes,
        "rowbox_waiters_limit": SETTINGS.poll.max_per_server,
        "rowbox_http_connections_limit": SETTINGS.server.max_connections,
        "rowbox_http_held_limit_bytes": SETTINGS.server.held_bytes,
        "rowbox_http_bodies_limit_bytes": SETTINGS.server.bodies_bytes,
    }
    assert {name: found[name] for name in limits} == limits
    assert {name.replace("_limit", "") for name in limits} <= found.keys()

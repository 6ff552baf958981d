"""One suite for the HTTP API over every deployment: whoever runs Rowbox, and however, gives the same answers."""

import difflib
from pathlib import Path

import pytest

from tests.conformance.deployments import (
    Deployment,
    equal_servers,
    one_server,
    three_servers_behind_two,
    with_api_processes,
)
from tests.conformance.recorded import FOLDER, path_of, played
from tests.conformance.stories import STORIES
from tests.integration.cluster.support.fleet import TOOLS as FLEET_TOOLS
from tests.integration.support.hbase_server import made_store
from tests.support.hbase_cluster import HBase

pytestmark = pytest.mark.integration


async def differences(deployment: Deployment) -> str:
    """How the deployment's answers differ from those that are recorded; "" where they do not."""
    found: list[str] = []
    for name, lines in (await played(deployment)).items():
        recorded = (FOLDER / f"{name}.json").read_text().splitlines()
        found += difflib.unified_diff(recorded, lines, f"{name}, recorded", f"{name}, answered", n=1, lineterm="")
    return "\n".join(found)


async def test_one_server_on_the_embedded_store(tmp_path: Path) -> None:
    async with one_server(tmp_path, {}) as deployment:
        assert not await differences(deployment)


async def test_one_server_on_hbase(hbase: HBase, tmp_path: Path) -> None:
    with made_store(hbase) as store:
        async with one_server(tmp_path, store) as deployment:
            assert not await differences(deployment)


async def test_api_processes_on_the_embedded_store(tmp_path: Path) -> None:
    async with with_api_processes(tmp_path, {}) as deployment:
        assert not await differences(deployment)


async def test_api_processes_on_hbase(hbase: HBase, tmp_path: Path) -> None:
    with made_store(hbase) as store:
        async with with_api_processes(tmp_path, store) as deployment:
            assert not await differences(deployment)


async def test_two_equal_servers_on_hbase(hbase: HBase, tmp_path: Path) -> None:
    with made_store(hbase) as store:
        async with equal_servers(tmp_path, store) as deployment:
            assert not await differences(deployment)


@pytest.mark.tools(*FLEET_TOOLS)
async def test_three_servers_behind_two_api_servers(hbase: HBase, tmp_path: Path) -> None:
    with made_store(hbase) as store:
        async with three_servers_behind_two(hbase, tmp_path, store) as deployment:
            assert not await differences(deployment)


def test_each_story_is_recorded_and_nothing_else() -> None:
    assert {path_of(story) for story in STORIES} == set(FOLDER.glob("*.json"))


async def test_another_answer_is_found(tmp_path: Path) -> None:
    """With another bound of a page the server gives other pages."""
    async with one_server(tmp_path, {"ROWBOX_RATE_LIMITS_ENABLED": "false"}) as deployment:
        assert "429" in await differences(deployment)

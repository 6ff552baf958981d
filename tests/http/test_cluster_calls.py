"""The operator's calls about a cluster, as its page makes them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rowbox.api.auth.operator import PAGE_LIFE_S, operator_token, page_token
from rowbox.api.operator.calls import OperatorCall
from rowbox.cacheserver.shardmap.desk import Desk
from rowbox.cli.serving.cluster.calls import cluster_calls
from tests.cli.cluster.shared_store import SHARDS, SharedStore, made_store
from tests.http.api import SECRET, Api, serving
from tests.http.scripted_port import ScriptedPort

PAGE = page_token(SECRET, time.time())


@asynccontextmanager
async def desk_of(scripted: ScriptedPort, desk: Desk | None) -> AsyncIterator[Api]:
    async with serving(scripted, calls=cluster_calls(lambda: desk)) as api:
        yield api


@pytest.fixture
async def store() -> SharedStore:
    return await made_store()


async def ask(api: Api, call: str, body: bytes = b"{}", proof: str = PAGE) -> tuple[int, dict[str, object]]:
    answer = await api.admin(f"/operator/{call}", "POST", proof=proof, body=body)
    return answer.status, answer.json()


async def test_the_cluster_is_shown_with_a_run_for_each_owner(scripted: ScriptedPort, store: SharedStore) -> None:
    async with desk_of(scripted, store.desk()) as api:
        status, shown = await ask(api, "cluster")
        assert (status, shown["version"], shown["shards"], shown["wrong"]) == (200, 1, SHARDS, [])
        runs = shown["runs"]
        assert isinstance(runs, list)
        assert (runs[:3], sum(count for count, _, _ in runs)) == (
            [[1, "a", None], [1, "b", None], [1, "c", None]],
            SHARDS,
        )
        assert shown["changes"] == []


async def test_a_wish_is_previewed_then_made_and_told_as_a_change(scripted: ScriptedPort, store: SharedStore) -> None:
    async with desk_of(scripted, store.desk()) as api:
        await ask(api, "cluster")
        drain = b'{"nodeId": "b", "draining": true}'
        _, preview = await ask(api, "clusterPreview", drain)
        changes = preview["changes"]
        assert isinstance(changes, list)
        assert changes[0] == "b: drain"
        assert [text.partition(" from ")[2] for text in changes[1:]] == ["b to a", "b to c"]
        assert (await store.standing_now()).version == 1
        assert await ask(api, "clusterWish", drain) == (200, {"version": 2})
        _, shown = await ask(api, "cluster", b'{"since": 1}')
        assert shown["changes"] == ["b: drain"]
        assert (await ask(api, "clusterPreview", drain))[1] == {"changes": ["nothing: that is wished already"]}


async def test_what_makes_no_sense_is_refused_and_changes_nothing(scripted: ScriptedPort, store: SharedStore) -> None:
    async with desk_of(scripted, store.desk()) as api:
        for call, body, detail in (
            ("clusterWish", b'{"nodeId": "x", "draining": true}', "no node x is in the map"),
            ("clusterWish", b'{"nodeId": "a"}', "the body is no NodeWish"),
            ("clusterPreview", b"[", "the body is no NodeWish"),
            ("cluster", b'{"since": "x"}', "the body is no Since"),
        ):
            status, problem = await ask(api, call, body)
            assert status == 400
            assert detail in str(problem["detail"])
        assert (await store.standing_now()).version == 1
    async with desk_of(scripted, None) as api:
        assert (await ask(api, "cluster"))[0] == 503


async def _echo(body: bytes) -> bytes:
    return body


async def test_the_pages_token_opens_the_calls_of_the_page_and_no_others(scripted: ScriptedPort) -> None:
    calls = [OperatorCall("echo", _echo), OperatorCall("shown", _echo, is_for_page=True)]
    expired = page_token(SECRET, time.time() - PAGE_LIFE_S - 60)
    async with serving(scripted, calls=calls) as api:
        asked = {
            (call, proof): (await api.admin(f"/operator/{call}", "POST", proof=proof, body=b"{}")).status
            for call in ("echo", "shown")
            for proof in (PAGE, expired, operator_token(SECRET, time.time()))
        }
    assert list(asked.values()) == [401, 401, 200, 200, 401, 200]

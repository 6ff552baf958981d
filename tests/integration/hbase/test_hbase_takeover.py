"""Two servers on one HBase store, one of them paused: at most one answers, and nobody is told what is over (P5, P6)."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from rowbox.api.v1.responses import FetchMessagesResponse
from tests.integration.support import mutants
from tests.integration.support.client import Refused
from tests.integration.support.hbase_server import PATIENT_LEASE, PATIENT_TTL_S, made_store
from tests.integration.support.server_process import ServerProcess, rowbox
from tests.integration.support.verdict import check_finds_nothing
from tests.support.hbase_cluster import HBase
from tests.support.tcp_proxy import Fault, running_proxy

pytestmark = pytest.mark.integration

REFUSED = "handover_in_progress"


async def outcome(call: Awaitable[object]) -> object:
    """What a request came to: its answer, or the code of its refusal."""
    try:
        return await call
    except Refused as refused:
        return refused.problem.code


def beside(first: ServerProcess, data_dir: Path) -> ServerProcess:
    """A second server of the same store; tokens of the first are good there too."""
    data_dir.mkdir()
    shutil.copy(first.data_dir / "token-secret", data_dir)
    return ServerProcess(data_dir, first.settings)


async def asked_while_paused(
    first: ServerProcess, second: ServerProcess, cut_off: Callable[[], None] = lambda: None
) -> list[object]:
    """The first one's answers to what came while it slept and was replaced, and the second one confirmed a send.

    `cut_off` is called when it sleeps.
    """
    ann, ben = first.client("ann"), first.client("ben")
    await ann.send("ben", "before", "before")
    head = (await ben.messages()).last_updated_timestamp
    poll = asyncio.create_task(outcome(ben.messages(last_updated_timestamp=head, wait=30)))
    await first.metric_reaches("rowbox_waiters", 1)
    first.pause()
    cut_off()
    asked = [
        asyncio.create_task(outcome(call))
        for call in (
            ann.send("ben", "to the sleeper", "sleeper"),
            ann.send("ben", "before", "before"),
            ann.send_status("before"),
            ann.messages(),
            ben.messages(last_updated_timestamp=head),
            ben.conversations(),
        )
    ]
    await second.start()
    await second.client("ann").send("ben", "to the waking", "waking")
    first.resume()
    return list(await asyncio.gather(poll, *asked))


async def test_the_paused_one_is_replaced_and_can_neither_confirm_nor_answer(hbase: HBase, tmp_path: Path) -> None:
    with made_store(hbase) as store:
        async with ServerProcess(tmp_path / "first", PATIENT_LEASE | store) as first:
            second = beside(first, tmp_path / "second")
            async with second.unstarted():
                answers = await asked_while_paused(first, second)
                assert answers == [REFUSED] * len(answers)

                await first.line("the server .* owns the mailboxes")
                assert await first.ready_status() == 503
                assert await second.ready_status() == 200
                assert await outcome(first.client("ben").messages()) == REFUSED

                began_s = time.monotonic()
                await second.stop()
                await first.metric_reaches("rowbox_takeovers_total", 2)
                assert time.monotonic() - began_s < PATIENT_TTL_S  # a polite stop is no silence
                texts = [message.message_content for message in await first.client("ben").all_messages()]
                assert texts == ["to the waking", "before"]
            await first.stop()
            await check_finds_nothing(first, copies=4)


async def test_of_two_servers_with_one_node_id_the_second_owns_nothing_and_both_are_named(
    hbase: HBase, tmp_path: Path
) -> None:
    with made_store(hbase) as store:
        named = PATIENT_LEASE | store | {"ROWBOX_CLUSTER_NODE_ID": "twin"}
        async with ServerProcess(tmp_path / "first", named) as first:
            second = beside(first, tmp_path / "second")
            async with second.unstarted():
                await second.launch()
                await second.line("the server at .* says that it is twin, too: give one another cluster.node_id")
                await first.client("ann").send("ben", "to the first", "first")
                status = await rowbox("cluster", "status", "--store", store["ROWBOX_STORE_URL"])
                assert status.code == 1
                assert "two servers say that they are twin" in status.out
                await first.stop()
                await second.ready()
                texts = [message.message_content for message in await second.client("ben").all_messages()]
                assert texts == ["to the first"]


async def test_a_server_that_does_not_look_at_its_lease_is_found_out(hbase: HBase, tmp_path: Path) -> None:
    """It wakes without the store, so that nothing but its lease can tell it that it was replaced."""
    with made_store(hbase) as store:
        async with running_proxy(hbase.gateways[0]) as proxy:
            prefix = store["ROWBOX_STORE_URL"].rpartition("/")[2]
            through_proxy = {"ROWBOX_STORE_URL": HBase((proxy.address,), hbase.thrift2).url(prefix)}
            async with ServerProcess(
                tmp_path / "first", PATIENT_LEASE | through_proxy, command=mutants.command("without-lease")
            ) as first:
                second = beside(first, tmp_path / "second")
                second.settings.update(store)
                async with second.unstarted():
                    answers = await asked_while_paused(first, second, lambda: proxy.inflict(Fault.DEAF))
                    assert any(isinstance(answer, FetchMessagesResponse) for answer in answers)

"""What the log says of an outage of the store: that it began, now and then that it lasts, and that it is over."""

import asyncio
import logging

import pytest

from rowbox.cacheserver.node.beat_log import REMIND_S
from rowbox.mailbox.errors import StoreUnavailable
from tests.cluster.servers import Links, Server, servers
from tests.cluster.world import LEASE
from tests.support.virtual_time import virtual_time

BEAT_S = LEASE.beat_ms / 1000


def said(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if word in record.getMessage()]


async def cut_off_for(server: Server, seconds: float) -> None:
    server.wire.is_cut = True
    await asyncio.sleep(seconds)
    server.wire.is_cut = False
    await asyncio.sleep(2.0)


@virtual_time
async def test_a_beat_that_is_missed_is_one_line_and_so_is_the_renewal(caplog: pytest.LogCaptureFixture) -> None:
    async with servers() as all_of_them:
        only = all_of_them.add("only")
        only.node.start()
        await only.owning()
        await cut_off_for(only, LEASE.ttl_ms / 1000 / 2)
        assert only.node.missed_beats >= 1
        begun, over = said(caplog, "lease")
        assert begun.startswith("the lease was not renewed: ")
        assert over.startswith("the lease is renewed after ")
        assert over.endswith(f"{only.node.missed_beats} beats missed: it had not lapsed")


@virtual_time
async def test_a_long_outage_is_two_lines_and_a_reminder_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    async with servers() as all_of_them:
        only = all_of_them.add("only")
        only.node.start()
        await only.owning()
        await cut_off_for(only, 3.5 * REMIND_S)
        assert only.node.missed_beats > 20
        begun, *reminders, over = said(caplog, "lease")
        assert begun.startswith("the lease was not renewed: ")
        assert [line.startswith("the lease has not been renewed for ") for line in reminders] == [True] * 3
        assert over.endswith("beats missed: it had lapsed, and nothing was answered since")
        assert len(await only.texts()) == 0, "it goes on"


@virtual_time
async def test_a_process_that_slept_says_that_its_lease_had_lapsed(caplog: pytest.LogCaptureFixture) -> None:
    """No beat failed: none was made."""
    async with servers() as all_of_them:
        only = all_of_them.add("only")
        only.node.start()
        await only.owning()
        membership = only.node._membership
        assert membership is not None
        membership.lease.end()
        await asyncio.sleep(2 * BEAT_S)
        (over,) = said(caplog, "lease")
        assert "0 beats missed: it had lapsed" in over


@virtual_time
async def test_a_wait_whose_reason_is_worded_anew_each_time_is_said_now_and_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with servers() as all_of_them:
        only = all_of_them.add("only")
        only.openings = [StoreUnavailable(f"try {number}") for number in range(150)]
        only.node.start()
        await asyncio.sleep(140.0)
        assert only.node.unready_reasons() != ("waiting for the store: try 0",), "whoever asks hears the latest"
        assert len(said(caplog, "waiting for the store")) == 3
        await only.owning()


@virtual_time
async def test_nothing_is_said_of_beats_that_succeed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with servers() as all_of_them:
        only = all_of_them.add("only")
        only.node.start()
        await only.owning()
        caplog.clear()
        await asyncio.sleep(60.0)
        assert caplog.records == []


@virtual_time
async def test_servers_that_start_wait_to_be_listed_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with servers() as all_of_them:
        for name in ("first", "second"):
            server = all_of_them.add(name)
            server.node.start()
            await server.listed()
        await asyncio.sleep(60.0)
        assert [record.levelname for record in caplog.records if "own" in record.getMessage()]
        assert {record.levelno for record in caplog.records} == {logging.INFO}


@virtual_time
async def test_a_server_that_is_not_listed_for_long_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with servers() as all_of_them:
        links = Links()
        first, second = (all_of_them.add(name, links) for name in ("a", "b"))
        first.node.start()
        await first.owning()
        links.part("a", "b")
        second.node.start()
        await asyncio.sleep(60.0)
        lines = [record for record in caplog.records if "waiting for links" in record.getMessage()]
        assert [record.levelno for record in lines] == [logging.INFO, logging.WARNING]

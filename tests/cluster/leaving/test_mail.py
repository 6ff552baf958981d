"""A server whose lease is fine and whose way to the mailboxes is not."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from rowbox.cacheserver.port import Send
from rowbox.cacheserver.stores.mail_health import FADES_AFTER_S, MailHealth
from rowbox.cacheserver.stores.memory.ranges import MemoryRanges
from rowbox.cacheserver.stores.port import Column
from rowbox.mailbox.errors import RowboxError, StoreUnavailable
from tests.cluster.servers import Server, Servers, owner_and_other, servers
from tests.cluster.world import LEASE, SHARDS
from tests.support.virtual_time import virtual_time

SECONDS = 5.0
"""A few: within these a server says what is wrong with it."""
PATIENCE_S = (LEASE.ttl_ms + LEASE.margin_ms) / 1000


def exported(server: Server) -> dict[str, float]:
    """The gauges about a server, as Prometheus would scrape them now."""
    return {name: value for name, _, _, labels, value in server.node.samples() if not labels}


async def busy(server: Server, seconds: float) -> tuple[int, int]:
    """Ten users send through a server, each once a second: how many sends were answered, how many refused."""
    answered = refused = 0
    for number in range(int(seconds)):
        for user in range(10):
            send = Send(f"user-{user}", f"user-{user}", "hello", f"{server.name}-{number}")
            try:
                async with asyncio.timeout(0.1):
                    await server.node.send(send)
            except (RowboxError, TimeoutError):
                refused += 1
            else:
                answered += 1
        await asyncio.sleep(max(0.0, 1.0 - 10 * 0.1))
        await asyncio.sleep(0.5)
    return answered, refused


async def two_at_work(all_of_them: Servers) -> tuple[Server, Server]:
    """An owner, and one that has stood by for a while."""
    first, second = await owner_and_other(all_of_them)
    second.node.start()
    await second.listed()
    assert exported(first)["rowbox_is_owner"] == 1
    assert exported(second)["rowbox_is_owner"] == 0
    return first, second


def takeovers(of: Iterable[Server]) -> int:
    return sum(server.node.takeovers for server in of)


@virtual_time
async def test_an_owner_alone_says_that_it_is_not_ready_and_goes_on_when_the_mail_is_back() -> None:
    async with servers() as all_of_them:
        only = all_of_them.add("only")
        only.node.start()
        await only.owning()
        await asyncio.sleep(10.0)
        assert not only.node.unready_reasons()
        only.mail.is_cut = True
        await asyncio.sleep(SECONDS)
        assert only.node.unready_reasons() == ("the mailboxes cannot be read: no answer",)
        assert exported(only)["rowbox_is_owner"] == exported(only)["rowbox_reaches_mail"] == 0
        await asyncio.sleep(600.0)
        only.mail.is_cut = False
        await asyncio.sleep(2.0)
        assert not only.node.unready_reasons()
        assert exported(only)["rowbox_is_owner"] == exported(only)["rowbox_reaches_mail"] == 1
        assert takeovers([only]) == 1, "its mailboxes are still in memory"


@virtual_time
async def test_an_owner_that_does_not_reach_the_mail_leaves_it_to_one_that_does() -> None:
    async with servers() as all_of_them:
        first, second = await two_at_work(all_of_them)
        first.mail.is_cut = True
        async with asyncio.timeout(2 * SECONDS):
            await second.owning()
        assert first.node.unready_reasons()
        assert not second.node.unready_reasons()
        await second.send("two")
        assert len(await second.texts()) == 2
        await asyncio.sleep(600.0)
        assert takeovers([first, second]) == 2, "it does not go to and fro"
        why, broken = first.node.unready_reasons()
        assert why == "waiting to be taken into the cluster's map"
        assert broken.startswith("the mailboxes cannot be read")
        first.mail.is_cut = False
        await first.listed()
        assert first.node.unready_reasons() == ("the server second owns the mailboxes",)
        await second.node.close()
        async with asyncio.timeout(2.0):
            await first.owning()
        assert len(await first.texts()) == 2


@pytest.mark.parametrize("tenths", range(10))
def test_owners_stay_when_nobody_reaches_the_mail(tenths: int) -> None:
    """The regions are away, for everybody; one server notices it a part of a beat before the other."""

    @virtual_time
    async def scenario() -> None:
        async with servers() as all_of_them:
            first, second = await owner_and_other(all_of_them)
            await asyncio.sleep(tenths / 10)
            second.node.start()
            await second.listed()
            for server in (first, second):
                server.mail.silent_shards = range(SHARDS)
            await asyncio.sleep(600.0)
            assert takeovers([first, second]) == 1
            assert first.node.unready_reasons()
            assert exported(first)["rowbox_is_owner"] == exported(second)["rowbox_is_owner"] == 0
            for server in (first, second):
                server.mail.silent_shards = range(0)
            await asyncio.sleep(10.0)
            assert not first.node.unready_reasons()
            await first.send("two")

    scenario()


@virtual_time
async def test_one_silent_region_is_no_reason_to_leave() -> None:
    async with servers() as all_of_them:
        first, second = await two_at_work(all_of_them)
        for server in (first, second):
            server.mail.silent_shards = range(8, 16)
        for _ in range(600):
            await asyncio.sleep(0.5)
            assert not first.node.unready_reasons()
        assert takeovers([first, second]) == 1


@virtual_time
async def test_an_owner_whose_writes_alone_fail_leaves_once() -> None:
    """Reads go well: the other server cannot tell beforehand whether it will do better."""
    async with servers() as all_of_them:
        first, second = await two_at_work(all_of_them)
        assert await busy(first, 2) == (20, 0)
        first.mail.refuses_writes = True
        await busy(first, 2 * SECONDS)
        assert first.node.unready_reasons()
        await second.owning()
        assert await busy(second, 10) == (100, 0)
        assert takeovers([first, second]) == 2


@virtual_time
async def test_writes_that_fail_for_everybody_move_the_mailboxes_once_and_not_to_and_fro() -> None:
    async with servers() as all_of_them:
        first, second = await two_at_work(all_of_them)
        await busy(first, 2)
        for server in (first, second):
            server.mail.refuses_writes = True
        for _ in range(100):
            await busy(first, 3)
            await busy(second, 3)
        assert takeovers([first, second]) <= 2
        for server in (first, second):
            server.mail.refuses_writes = False
        owner = first if first.node.owner is not None else second
        assert (await busy(owner, 10))[0] >= 90
        assert not owner.node.unready_reasons()


@pytest.mark.parametrize("killed", ["in silence", "politely"])
def test_a_standby_that_does_not_reach_the_mail_leaves_it_to_one_that_does(killed: str) -> None:
    @virtual_time
    async def scenario() -> None:
        for _ in range(5):
            async with servers() as all_of_them:
                first, second = await two_at_work(all_of_them)
                third = all_of_them.add("third")
                third.mail.is_cut = True
                third.node.start()
                await asyncio.sleep(10.0)
                if killed == "in silence":
                    first.cut_off()
                else:
                    await first.node.close()
                async with asyncio.timeout(PATIENCE_S + 3.0):
                    await second.owning()
                assert third.node.takeovers == 0

    scenario()


@virtual_time
async def test_somebody_takes_over_as_soon_as_the_mail_is_back() -> None:
    """Nobody reached it when the last owner died."""
    async with servers() as all_of_them:
        first, second = await two_at_work(all_of_them)
        second.mail.is_cut = True
        await asyncio.sleep(10.0)
        first.cut_off()
        await asyncio.sleep(20.0)
        assert second.node.owner is None
        second.mail.is_cut = False
        async with asyncio.timeout(SECONDS):
            await second.owning()
        assert len(await second.texts()) == 1
        assert second.node.missed_beats == 0, "its lease was not kept waiting for the mail"


@virtual_time
async def test_a_lease_that_is_over_is_no_ownership_for_the_metrics() -> None:
    """As where the region of meta/ does not answer: an Owner object is there and answers nothing."""
    async with servers() as all_of_them:
        only = all_of_them.add("only")
        only.node.start()
        await only.owning()
        only.wire.is_cut = True
        await asyncio.sleep(SECONDS)
        assert only.node.owner is not None
        assert exported(only)["rowbox_is_owner"] == 0
        with pytest.raises(RowboxError):
            await only.texts()
        only.wire.is_cut = False
        await asyncio.sleep(SECONDS)
        assert exported(only)["rowbox_is_owner"] == 1


@virtual_time
async def test_a_store_that_was_never_opened_is_not_reached() -> None:
    async with servers() as all_of_them:
        only = all_of_them.add("only")
        only.openings = [StoreUnavailable("nobody there")] * 5
        only.node.start()
        await asyncio.sleep(2.0)
        found = exported(only)
        assert {"rowbox_is_owner", "rowbox_reaches_mail", "rowbox_shards_served", "rowbox_map_version"} <= found.keys()
        assert not any(found.values())


@virtual_time
async def test_failures_that_have_faded_do_not_make_one_more_tell() -> None:
    """Nobody wrote for a while after them: one write that fails now is the first, and may be one region's."""
    now_s = asyncio.get_running_loop().time
    health = MailHealth(1.0, now_s)
    health.has_written()
    error = StoreUnavailable("no")
    health.failed_to_write([b"1", b"2", b"3"], error)
    await asyncio.sleep(FADES_AFTER_S + 1)
    health.has_read()
    assert health.can_write
    health.failed_to_write([b"4"], error)
    assert health.can_write
    health.failed_to_write([b"5", b"6"], error)
    await asyncio.sleep(2.9)
    assert health.can_write
    await asyncio.sleep(0.2)
    assert not health.can_write


@virtual_time
async def test_owners_that_could_not_start_leave_no_probes_behind() -> None:
    """Beats go on while the mail answers with errors; each of them tries again, with an Owner of its own."""
    async with servers() as all_of_them:
        only = all_of_them.add("only")
        ranges = MemoryRanges([b"", b"0020/", b"meta/"])
        only.mail.ranges = ranges
        ranges.silence(b"meta/")
        with pytest.MonkeyPatch.context() as patch:

            async def refused(*_: Any) -> list[Column]:
                raise StoreUnavailable("not here")

            patch.setattr(only.mail, "get_columns", refused)
            only.node.start()
            await asyncio.sleep(60.0)
            assert only.node.owner is None
            probing = [task for task in asyncio.all_tasks() if task.get_name() == "probe"]
            assert len(probing) <= 1
        ranges.restore()
        async with asyncio.timeout(SECONDS):
            await only.owning()


@virtual_time
async def test_an_owner_does_not_leave_the_mailboxes_to_one_that_has_fallen_silent() -> None:
    """Its cell still says that it is alive and reaches the mail: nobody has declared it dead so far."""
    async with servers() as all_of_them:
        first, second = await two_at_work(all_of_them)
        second.cut_off()
        first.mail.is_cut = True
        for _ in range(100):
            await asyncio.sleep(0.1)
            assert first.node.owner is not None
        first.mail.is_cut = False
        await asyncio.sleep(2.0)
        await first.send("two")


@virtual_time
async def test_what_failed_in_an_earlier_tenure_is_no_reason_to_leave_again() -> None:
    health = MailHealth(1.0, asyncio.get_running_loop().time)
    health.has_written()
    error = StoreUnavailable("no")
    health.failed_to_write([b"1", b"2", b"3"], error)
    await asyncio.sleep(4.0)
    health.has_read()
    assert (health.reaches_mail, health.can_write) == (False, False)
    health.begin_tenure()
    assert (health.reaches_mail, health.can_write) == (True, True)
    health.failed_to_write([b"1", b"2", b"3"], error)
    await asyncio.sleep(4.0)
    health.has_read()
    assert (health.reaches_mail, health.can_write) == (True, False), "another one would do no better, for all it knows"

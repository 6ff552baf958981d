"""A server whose clock is wrong for a while: nothing is lost, doubled or left out by it, and it says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import pytest

from rowbox.cacheserver.node.tenure import EpochOwnership
from rowbox.cacheserver.node.trusted_time import TrustedTime
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import FetchConversations, FetchMessages, MarkRead, Send, SendResult
from rowbox.cacheserver.stores.clock_memory import CellMemory
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.hbase_schema.families import Family, ttl_ms
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.clocks.clock_trust import by_word
from rowbox.mailbox.errors import ClockInDoubt
from rowbox.mailbox.ids import direct_conversation_id
from tests.checking import assert_no_findings
from tests.support.cluster import SHARDS, UNLIMITED, parsed
from tests.support.virtual_time import WallClock, virtual_time

DAY_S = 86_400.0
YEAR_S = 365 * DAY_S
BOTH_KINDS = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])


class Machine:
    """Servers one after the other over one store, on a machine whose clock can be set. The others' clocks are right."""

    def __init__(self, *, late: bool) -> None:
        self.late = late
        self.clock, self.right = WallClock(), WallClock()
        self.map_version = 0
        self.is_up = False
        self.time: TrustedTime
        self.owner: Owner
        self.store = MemoryStore(SHARDS, ttl_ms(UNLIMITED.store), late_writes=late, now_ms=self._expiry_ms)

    def _expiry_ms(self) -> int:
        """A cluster's servers have clocks of their own; an embedded store goes by its server's."""
        return self.right.now_ms() if self.late or not self.is_up else self.time.seen_us() // 1000

    async def start(self) -> None:
        """Switched on."""
        self.time = TrustedTime(wall_us=self.clock.now_us, boot_s=asyncio.get_running_loop().time)
        await self.time.begin(CellMemory(self.store))
        self.time.loop.start()
        self.is_up = True
        self.map_version += 1
        ownership = EpochOwnership(self.map_version, f"life {self.map_version}") if self.late else None
        self.owner = Owner(self.store, UNLIMITED, ownership=ownership, time=self.time)
        await self.owner.start()

    async def stop(self) -> None:
        await self.owner.close()
        await self.time.close()

    async def off(self, seconds: float, *, clock_is_off_by: float = 0.0) -> None:
        """Off for a while, then on again, with a clock that is off."""
        await self.stop()
        await asyncio.sleep(seconds)
        self.clock.jump(clock_is_off_by)
        await self.start()

    async def days_pass(self, days: float) -> None:
        """As in a machine that sleeps: the boot clock counts on. (A loop's rounds of days would take a minute here.)"""
        await self.time.loop.close()
        await asyncio.sleep(days * DAY_S)
        self.time.loop.start()
        await asyncio.sleep(1)

    async def send(self, text: str, sender: str = "ann", recipient: str = "bob") -> bool:
        """Whether it is a duplicate."""
        result = await self.owner.send(Send(sender, recipient, text, text))
        await self.owner.delivery.idle()
        return result.duplicate

    async def into_2100(self, user: str) -> None:
        """What a user has was written while the clock was in 2100, and somebody had said that it was right."""
        for years in (70, -70):
            self.clock.jump(years * YEAR_S)
            memory = CellMemory(self.store)
            await memory.swap(await memory.read(), by_word(self.clock.now_us(), f"by {years}"))
            await asyncio.sleep(1.5)
            await self.owner.send(Send(user, user, f"{years}", f"{years}"))
        await self.off(1)  # the process has seen timestamps of 2100

    async def texts(self, user: str = "bob", token: str | None = None) -> list[str]:
        page = await self.owner.fetch_messages(
            FetchMessages(user, direct_conversation_id("ann", "bob"), token=token, page_size=50)
        )
        return [item["messageContent"] for item in parsed(page)]


@asynccontextmanager
async def machine(*, late: bool) -> AsyncIterator[Machine]:
    made = Machine(late=late)
    await made.start()
    yield made
    await made.stop()
    await assert_no_findings(made.store, UNLIMITED, max(made.clock.now_us(), made.right.now_us()))


@BOTH_KINDS
@virtual_time
async def test_a_server_that_starts_years_behind_confirms_nothing_until_its_clock_is_set(late: bool) -> None:
    """What it confirmed was gone when the clock was right."""
    async with machine(late=late) as server:
        await server.send("before")
        await server.off(60, clock_is_off_by=-3 * YEAR_S)
        with pytest.raises(ClockInDoubt, match="behind the latest time"):
            await server.send("years behind", "cem", "dai")
        assert "rowbox clock accept" in server.owner.unready_reasons()[0]
        server.clock.jump(3 * YEAR_S)
        await asyncio.sleep(1.5)
        assert not server.owner.unready_reasons()
        await server.send("years behind", "cem", "dai")


@BOTH_KINDS
@virtual_time
async def test_ten_days_behind_for_one_send_makes_no_second_message_of_its_retry(late: bool) -> None:
    async with machine(late=late) as server:
        await server.send("before")
        there = FetchMessages("bob", direct_conversation_id("ann", "bob"))
        token = (await server.owner.fetch_messages(there)).token
        server.clock.jump(-10 * DAY_S)
        with pytest.raises(ClockInDoubt, match="set back by 10 d"):
            await server.send("once")
        server.clock.jump(10 * DAY_S)
        assert not await server.send("once")
        await asyncio.sleep(60)
        assert await server.send("once")
        assert await server.texts() == ["once", "before"]
        assert await server.texts(token=token) == ["once"]


@virtual_time
async def test_ten_days_ahead_for_a_moment_ends_no_dedupe_record_and_takes_no_message() -> None:
    """With the clock ahead the records were hidden, and a retry was a second message."""
    async with machine(late=False) as server:
        await server.send("once")
        for ahead_s in (10 * DAY_S, 2 * YEAR_S):
            server.clock.jump(ahead_s)
            with pytest.raises(ClockInDoubt):
                await server.send("once")
            assert await server.texts() == ["once"], "reads go on, and hide nothing"
            await asyncio.sleep(5)
            server.clock.jump(-ahead_s)
            assert await server.send("once")
        assert await server.texts() == ["once"]


@BOTH_KINDS
@virtual_time
async def test_a_start_two_months_ahead_ends_nothing_and_loses_no_delivery(late: bool) -> None:
    """It may be a machine that was off for two months; it serves, and nothing expires by time that nobody saw."""
    async with machine(late=late) as server:
        await server.send("before")
        await server.off(30, clock_is_off_by=61 * DAY_S)
        assert not server.owner.unready_reasons()
        assert await server.send("before"), "its dedupe record stands"
        assert not await server.send("after")
        assert await server.send("before"), "and is known beside what is sent now"
        await server.days_pass(6)
        assert await server.send("before")


@virtual_time
async def test_a_message_that_waits_for_its_recipient_is_not_lost_to_a_clock_that_is_ahead() -> None:
    """Expired by one reading, it counted as delivered, and its outbox cell was removed."""
    async with machine(late=True) as server:
        await server.owner.delivery.close()  # the process will not get to deliver it
        await server.owner.send(Send("ann", "bob", "on its way", "c1"))
        await server.off(30, clock_is_off_by=99 * DAY_S)
        server.owner.loader._limits = server.owner.loader._limits._replace(retention_ms=30 * 86_400_000)
        await server.owner.fetch_messages(FetchMessages("ann"))
        await server.owner.delivery.idle()
        assert await server.texts() == ["on its way"]


@BOTH_KINDS
@virtual_time
async def test_what_is_read_from_the_row_counts_as_the_rest_does_by_time_that_was_seen(late: bool) -> None:
    """A count of the store's messages that went by the wall clock found none of them."""
    async with machine(late=late) as server:
        for text in ("one", "two", "three"):
            await server.send(text)
        await server.off(30, clock_is_off_by=99 * DAY_S)
        server.owner.loader._limits = server.owner.loader._limits._replace(retention_ms=30 * 86_400_000)
        page = await server.owner.fetch_messages(FetchMessages("ann"))
        first = bytes.fromhex(parsed(page)[-1]["messageId"])
        marked = await server.owner.mark_read(MarkRead("bob", direct_conversation_id("ann", "bob"), first))
        assert marked.unread_count == 2


@BOTH_KINDS
@virtual_time
async def test_nothing_is_settled_by_time_that_nobody_saw(late: bool) -> None:
    async with machine(late=late) as server:
        await server.send("one")
        await server.off(30, clock_is_off_by=99 * DAY_S)
        server.owner.loader._limits = server.owner.loader._limits._replace(retention_ms=30 * 86_400_000)
        with patch.object(server.owner.settling, "settle", side_effect=AssertionError):
            await server.owner.settling.before_delta("bob", 0)
        page = await server.owner.fetch_conversations(FetchConversations("bob"))
        assert [(item["snippet"], item["unreadCount"]) for item in parsed(page)] == [("one", 1)]


@virtual_time
async def test_epochs_are_not_folded_by_time_that_nobody_saw() -> None:
    """A write may still be on its way that only seems to be a day old."""
    async with machine(late=True) as server:
        await server.send("one")
        seen_ms = server.time.seen_us() // 1000
        await server.off(30, clock_is_off_by=99 * DAY_S)
        folding = server.owner.loader.folding
        with patch.object(folding, "fold", wraps=folding.fold) as fold:
            await server.texts()
        assert fold.call_args.args[2] < seen_ms + 3_600_000


@BOTH_KINDS
@virtual_time
async def test_a_token_resets_where_its_log_may_be_gone_by_time_that_nobody_saw(late: bool) -> None:
    """HBase's own servers went on while no server of Rowbox ran."""
    async with machine(late=late) as server:
        await server.send("before")
        asked = FetchMessages("bob", direct_conversation_id("ann", "bob"))
        token = (await server.owner.fetch_messages(asked)).token
        await server.send("after")
        await server.off(61 * DAY_S)
        page = await server.owner.fetch_messages(FetchMessages("bob", asked.conversation_id, token=token))
        assert (page.is_delta, page.reset_reason) == (False, "expired")
        assert [item["messageContent"] for item in parsed(page)] == ["after", "before"]


@BOTH_KINDS
@virtual_time
async def test_an_operator_s_word_ends_a_doubt_and_lets_what_is_due_expire(late: bool) -> None:
    async with machine(late=late) as server:
        await server.send("before")
        server.clock.jump(20 * DAY_S)
        server.right.jump(20 * DAY_S)
        await asyncio.sleep(3600)
        with pytest.raises(ClockInDoubt):
            await server.send("doubted")
        memory = CellMemory(server.store)
        await memory.swap(await memory.read(), by_word(server.clock.now_us(), "operator"))
        await asyncio.sleep(1.5)
        assert not server.owner.unready_reasons()
        await server.send("accepted")
        columns = await server.store.get_row(row_key("ann", SHARDS), [Family.DEDUPE])
        assert len(columns[Family.DEDUPE]) == 1, "the record of twenty days ago has expired"


@BOTH_KINDS
@virtual_time
async def test_a_weekend_off_needs_nobody_s_hands(late: bool) -> None:
    async with machine(late=late) as server:
        await server.send("on friday")
        await server.off(2.5 * DAY_S)
        assert not server.owner.unready_reasons()
        await server.send("on monday")
        assert await server.texts() == ["on monday", "on friday"]
        await server.days_pass(2.6)
        assert server.time.seen_us() >= server.clock.now_us() - 2_000_000


@virtual_time
async def test_commands_that_wait_when_the_clock_is_set_are_answered() -> None:
    async with machine(late=False) as server:
        sends = [asyncio.ensure_future(server.owner.send(Send("ann", "bob", f"{n}", f"c{n}"))) for n in range(20)]
        server.clock.jump(YEAR_S)
        answers = await asyncio.gather(*sends, return_exceptions=True)
        assert {type(answer) for answer in answers} == {ClockInDoubt}
        await server.owner.pipeline.idle()
        page = await server.owner.fetch_conversations(FetchConversations("bob"))
        assert not page.items
        server.clock.jump(-YEAR_S)


@virtual_time
async def test_a_doubt_between_the_calls_of_one_batch_fails_what_was_not_sent() -> None:
    """The rows of the first call were written, and are applied."""
    async with machine(late=True) as server:
        await server.into_2100("ann")
        for user in ("ann", "cem"):
            await server.owner.fetch_messages(FetchMessages(user))
        mutate, calls = server.store.mutate, 0

        async def then_the_clock_is_set(*call: Any) -> None:
            nonlocal calls
            await mutate(*call)
            calls += 1
            server.clock.jump(YEAR_S)

        with patch.object(server.store, "mutate", then_the_clock_is_set):
            answers = await asyncio.gather(
                server.owner.send(Send("ann", "ann", "ahead", "c1")),
                server.owner.send(Send("cem", "cem", "beside", "c2")),
                return_exceptions=True,
            )
        assert calls == 1
        assert [type(answer) for answer in answers] == [ClockInDoubt, SendResult]
        server.clock.jump(-YEAR_S)
        assert (await server.owner.send(Send("cem", "cem", "beside", "c2"))).duplicate
        assert not (await server.owner.send(Send("ann", "ann", "ahead", "c1"))).duplicate
        page = await server.owner.fetch_messages(FetchMessages("cem"))
        assert [item["messageContent"] for item in parsed(page)] == ["beside"]


@virtual_time
async def test_a_doubt_and_its_end_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with machine(late=False) as server:
        server.clock.jump(YEAR_S)
        await asyncio.sleep(30)
        server.clock.jump(-YEAR_S)
        await asyncio.sleep(5)
        texts = [record.getMessage() for record in caplog.records if record.name.endswith("trusted_time")]
    assert len(texts) == 2
    assert "set forward by 365 d" in texts[0]
    assert "believed again" in texts[1]


@virtual_time
async def test_the_metrics_tell_of_a_doubt_and_of_time_that_nobody_saw() -> None:
    async with machine(late=False) as server:
        await server.off(DAY_S)
        server.clock.jump(-3600)
        await asyncio.sleep(1.5)
        values = {name: value for name, _, _, _, value in server.time.samples()}
        assert values["rowbox_clock_in_doubt"] == 1
        assert values["rowbox_clock_off_seconds"] == pytest.approx(-3600, abs=1)
        assert values["rowbox_clock_unseen_seconds"] == pytest.approx(DAY_S, abs=61)
        server.clock.jump(3600)

"""Clocks that are wrong by years, and messages that are dated so: what is written stands, and drags nobody along."""

import asyncio

import pytest

from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.clocks.clock import MAX_AHEAD_US
from rowbox.mailbox.errors import ClockInDoubt
from rowbox.mailbox.ids import direct_conversation_id, message_id, sent_timestamp, to_text
from rowbox.mailbox.message import Message
from tests.support.cluster import SHARDS, Cluster, Node, cluster, gather_all, parsed
from tests.support.virtual_time import settle, virtual_time

YEAR_S = 365 * 86_400.0
BOTH_KINDS = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])


async def _texts(node: Node, user: str, other: str) -> list[str]:
    page = await node.messages(user, direct_conversation_id(user, other))
    return [item["messageContent"] for item in parsed(page)]


async def _deliver(node: Node, user: str, *messages: Message) -> None:
    async def deliver() -> None:
        await node.owner._deliver(user, messages)

    await node.process.call(deliver())


def _message(sent_us: int, sender: str, user: str) -> Message:
    participants = tuple(sorted((sender, user)))
    return Message(
        message_id(sent_us, 7), direct_conversation_id(sender, user), sender, participants, f"sent at {sent_us}"
    )


@BOTH_KINDS
@virtual_time
async def test_what_is_confirmed_by_a_server_whose_clock_is_years_behind_is_there_when_it_is_right(late: bool) -> None:
    """The message was gone; its snippet and its unread count stayed."""
    async with cluster(late=late) as servers:
        await servers.node.send("ann", "bob", "before", "c1")
        await servers.quiet()
        servers.clock.jump(-3 * YEAR_S)
        node = await servers.restart()
        await node.send("ann", "bob", "years behind", "c2")
        await servers.quiet()
        servers.clock.jump(3 * YEAR_S)
        node = await servers.restart()
        assert await _texts(node, "bob", "ann") == ["years behind", "before"]
        again = await node.send("ann", "bob", "years behind", "c2")
        assert again.duplicate


@BOTH_KINDS
@virtual_time
async def test_a_message_from_2100_takes_nothing_that_is_said_later_to_2100(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        now_us = servers.clock.now_us()
        far = _message(now_us + int(70 * YEAR_S) * 1_000_000, "cem", "bob")
        await _deliver(node, "bob", far)
        to_cem = await node.send("bob", "cem", "an answer", "c1")
        to_ann = await node.send("bob", "ann", "something else", "c2")
        from_ann = await node.send("ann", "bob", "and back", "c3")
        await servers.quiet()
        for sent in (to_cem, to_ann, from_ann):
            assert dated(sent.message_id) - servers.clock.now_us() < MAX_AHEAD_US
        assert await _texts(node, "bob", "cem") == [far.content, "an answer"]
        listed = parsed(await node.conversations("bob"))
        assert [item["snippet"] for item in listed] == [far.content, "and back"]
        assert [item["unreadCount"] for item in listed] == [0, 1]


def dated(message: bytes) -> int:
    """When a message says that it was sent."""
    return sent_timestamp(message)


async def _into_2100(servers: Cluster) -> Node:
    """Everything that ann has was written while the clock was in 2100; then it is set right."""
    servers.clock.jump(70 * YEAR_S)
    await servers.node.send("ann", "bob", "from 2100", "c1")
    await servers.quiet()
    servers.clock.jump(-70 * YEAR_S)
    return await servers.restart()


@BOTH_KINDS
@virtual_time
async def test_a_mailbox_in_2100_goes_on_and_dates_what_it_sends_by_the_time(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = await _into_2100(servers)
        token = (await node.messages("ann")).token
        there = await node.send("ann", "bob", "behind the first", "c2")
        elsewhere = await node.send("ann", "cem", "today", "c3")
        also = await node.send("ann", "cem", "today too", "c4")
        await servers.quiet()
        assert await _texts(node, "bob", "ann") == ["behind the first", "from 2100"]
        assert dated(elsewhere.message_id) - servers.clock.now_us() < MAX_AHEAD_US
        assert await _texts(node, "cem", "ann") == ["today too", "today"]
        assert there.last_updated_timestamp < elsewhere.last_updated_timestamp < also.last_updated_timestamp
        delta = await node.messages("ann", token=token)
        assert [item["messageId"] for item in parsed(delta)] == [
            to_text(sent.message_id) for sent in (there, elsewhere, also)
        ]


@BOTH_KINDS
@virtual_time
async def test_beside_a_mailbox_in_2100_others_write_cells_that_expire_in_time(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = await _into_2100(servers)
        await node.send("ann", "ann", "more of it", "c2")
        await node.send("cem", "dai", "gone in a year", "c3")
        await servers.quiet()
        servers.clock.jump(1.01 * YEAR_S)
        assert await _texts(node, "ann", "ann") == ["more of it"]
        for user in ("cem", "dai"):
            assert not (await servers.store.get_row(row_key(user, SHARDS), [Family.MESSAGES]))[Family.MESSAGES]


@virtual_time
async def test_what_was_written_in_2100_is_removed_by_a_server_whose_clock_is_right() -> None:
    """A delete with today's timestamp does not hide what was put in 2100. The first server dies before it removes."""
    async with cluster(late=True) as servers:
        servers.clock.jump(70 * YEAR_S)
        node = servers.node
        node.owner.cleaner.remove = lambda *_: None  # type: ignore[method-assign]
        await node.send("ann", "bob", "x", "c")
        await servers.quiet()
        servers.clock.jump(-70 * YEAR_S)
        node = await servers.restart()
        await node.messages("ann")  # loads the row, which delivers once more and clears
        await servers.quiet()
        await asyncio.sleep(1.0)
        assert not (await servers.store.get_row(row_key("ann", SHARDS), [Family.OUTBOX]))[Family.OUTBOX]


@virtual_time
async def test_of_two_writes_of_a_mailbox_in_2100_the_first_executed_again_does_not_hide_the_second() -> None:
    async with cluster(late=True) as servers:
        node = await _into_2100(servers)
        node.store.faults.next(Fault.EXECUTE_TWICE, Op.MUTATE)  # the claim
        node.store.faults.next(Fault.EXECUTE_TWICE, Op.MUTATE)
        await node.send("ann", "ann", "one", "c2")
        await node.send("ann", "ann", "two", "c3")
        servers.store.land()
        node = await servers.restart()
        assert await _texts(node, "ann", "ann") == ["two", "one"]


@virtual_time
async def test_rows_that_need_a_call_of_their_own_are_told_apart_from_those_that_were_written() -> None:
    """The second call of a batch fails before anything is written: its sends alone fail."""
    async with cluster(late=True) as servers:
        node = await _into_2100(servers)
        await node.messages("ann")
        await node.messages("cem")
        await servers.quiet()
        calls: list[list[bytes]] = []
        mutate = node.store.mutate

        async def counted(mutations, timestamp_ms):  # type: ignore[no-untyped-def]
            calls.append([mutation.row for mutation in mutations])
            if len(calls) == 2:
                node.store.faults.next(Fault.FAIL_BEFORE, Op.MUTATE)
            await mutate(mutations, timestamp_ms)

        node.store.mutate = counted  # type: ignore[method-assign]
        answers = await asyncio.gather(
            node.send("ann", "ann", "ahead", "c2"), node.send("cem", "cem", "beside", "c3"), return_exceptions=True
        )
        assert calls[:2] == [[row_key("cem", SHARDS)], [row_key("ann", SHARDS)]]
        assert [type(answer).__name__ for answer in answers] == ["StoreUnavailable", "SendResult"]
        assert (await node.send("cem", "cem", "beside", "c3")).duplicate
        assert not (await node.send("ann", "ann", "ahead", "c2")).duplicate


@pytest.mark.parametrize("is_in_doubt", [False, True], ids=["lease_is_over", "clock_in_doubt"])
@virtual_time
async def test_of_a_write_in_two_calls_the_second_is_not_sent_when_it_may_not_be_after_the_first(
    is_in_doubt: bool,
) -> None:
    """A process that sleeps in the first call may wake a day later; whoever owns then has folded its epoch (rule 8)."""

    def doubt() -> int:
        raise ClockInDoubt("as the test asked for")

    async with cluster(late=True) as servers:
        node = await _into_2100(servers)
        for user in ("ann", "dai"):
            await node.send(user, user, "before", "c2")
        before = await servers.store.get_row(row_key("ann", SHARDS), [Family.MESSAGES])
        node.store.hold(Point.ANSWER)
        sending = [asyncio.create_task(node.send(user, user, "after", "c3")) for user in ("dai", "ann")]
        await settle()
        with pytest.MonkeyPatch.context() as patch:
            if is_in_doubt:
                patch.setattr(node.owner.committer._clock, "_now_us", doubt)
            else:
                node.lapse()
            node.store.release(Point.ANSWER)
            answers = await gather_all(*sending)
        expected = ["SendResult", "ClockInDoubt"] if is_in_doubt else ["NotTheOwner", "NotTheOwner"]
        assert [type(answer).__name__ for answer in answers] == expected
        assert await servers.store.get_row(row_key("ann", SHARDS), [Family.MESSAGES]) == before
        node.renew()
        again = [await node.send(user, user, "after", "c3") for user in ("dai", "ann")]
        assert [one.duplicate for one in again] == [True, False]

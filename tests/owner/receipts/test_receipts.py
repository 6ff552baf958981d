"""Receipts, as an owner tells and shows them: who is told what, when, and what it costs the rows."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.delivery.group_events import Delivered
from rowbox.cacheserver.port import FetchReceipts, ReceiptsResult, SendResult
from rowbox.cacheserver.receipts.receipts import NOTE_S, Mode
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.cacheserver.stores.port import RowMutation
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.errors import HandoverInProgress, NotTheAuthor, RowboxError, UnknownConversation, UnknownMessage
from rowbox.mailbox.ids import direct_conversation_id, message_id
from rowbox.mailbox.message import Message
from rowbox.mailbox.receipts import MemberReceipt, Receipt
from rowbox.mailbox.settings.config import MessageSettings, RateLimitSettings, Settings
from tests.checking import assert_no_findings
from tests.owner.shards.sharing import sharing
from tests.support.cluster import SHARDS, UNLIMITED, Cluster, Json, Node, cluster, parsed
from tests.support.virtual_time import BIRTH_US, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
WITH_BOB = direct_conversation_id("ann", "bob")
SOON_S = 2.0
"""More than a receipt takes."""


@asynccontextmanager
async def servers(*, late: bool, receipts: Mode = "all") -> AsyncIterator[Cluster]:
    """In the end no mailbox has anything that the check finds."""
    async with cluster(late=late, settings=with_receipts(receipts)) as made:
        yield made
        await asyncio.sleep(SOON_S)
        await made.quiet()
        await assert_no_findings(made.store, made.settings, made.clock.now_us())


def with_receipts(mode: Mode) -> Settings:
    return replace(UNLIMITED, messages=MessageSettings(receipts=mode))


async def followed(node: Node, user: str) -> str:
    """The token of the feed's beginning."""
    return (await node.changes(user, proves=True)).token


async def follow(node: Node, user: str, token: str) -> str:
    """What a client does that has what it was given: it comes back with the token. Returns the next one."""
    return (await node.changes(user, token=token, proves=True)).token


async def seen(node: Node, user: str = "ann", conversation: bytes = WITH_BOB) -> tuple[bytes | None, bytes | None]:
    """Up to where the other one has what the user sent, and has read it."""
    items = parsed(await node.conversations(user))
    (found,) = [item for item in items if item["conversationId"] == conversation.hex()]
    receipts: Json = found.get("receipts", {})
    marks = receipts.get("deliveredUpTo"), receipts.get("readUpTo")
    return tuple(None if mark is None else bytes.fromhex(mark) for mark in marks)  # type: ignore[return-value]


@both_kinds
@virtual_time
async def test_who_comes_back_with_the_token_of_a_delta_has_its_messages(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await node.send("ann", "bob", "before bob has looked", "c0")
        token = await followed(node, "bob")
        sent = await node.send("ann", "bob", "hello", "c1")
        behind = await follow(node, "bob", token)
        await asyncio.sleep(SOON_S)
        assert await seen(node) == (None, None), "he was given it, and may not have got it"
        await follow(node, "bob", behind)
        await asyncio.sleep(SOON_S)
        assert await seen(node) == (sent.message_id, None)


@virtual_time
async def test_a_page_proves_nothing_nor_does_its_token() -> None:
    async with servers(late=False) as made:
        node = made.node
        await node.send("ann", "bob", "hello", "c1")
        for page in (
            await node.messages("bob", proves=True),
            await node.messages("bob", WITH_BOB, proves=True),
        ):
            behind = page
            for _ in range(3):  # nothing comes: each answer shows no more than the page did
                where = {} if page.token == (await node.messages("bob")).token else {"conversation": WITH_BOB}
                behind = await node.messages("bob", token=behind.token, proves=True, **where)
        token = await followed(node, "bob")
        for _ in range(3):
            token = await follow(node, "bob", token)
        for _ in range(2):
            listed = await node.conversations("bob")
            await node.conversations("bob", token=listed.token)
        await asyncio.sleep(SOON_S)
        assert await seen(node) == (None, None)
        assert node.owner.receipts.teller.told == 0


@virtual_time
async def test_whoever_does_not_prove_has_nothing_marked() -> None:
    async with servers(late=False) as made:
        node = made.node
        token = await followed(node, "bob")
        sent = await node.send("ann", "bob", "hello", "c1")
        for _ in range(3):  # an operator, or a server that passes tokens on
            token = (await node.changes("bob", token=token)).token
        await asyncio.sleep(SOON_S)
        assert await seen(node) == (None, None)
        await follow(node, "bob", token)
        await asyncio.sleep(SOON_S)
        assert await seen(node) == (sent.message_id, None)


@virtual_time
async def test_a_delta_of_one_conversation_proves_that_one_alone() -> None:
    async with servers(late=False) as made:
        node = made.node
        await node.send("ann", "bob", "first", "c0")
        await node.send("cem", "bob", "first", "c0")
        page = await node.messages("bob", WITH_BOB)
        sent = await node.send("ann", "bob", "hello", "c1")
        await node.send("cem", "bob", "hello", "c1")
        for _ in range(2):
            page = await node.messages("bob", WITH_BOB, token=page.token, proves=True)
        await asyncio.sleep(SOON_S)
        assert await seen(node) == (sent.message_id, None)
        assert await seen(node, "cem", direct_conversation_id("bob", "cem")) == (None, None)


@both_kinds
@virtual_time
async def test_what_is_read_is_told_at_once_and_never_goes_back(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        first = await node.send("ann", "bob", "one", "c1")
        second = await node.send("ann", "bob", "two", "c2")
        await node.mark_read("bob", WITH_BOB, first.message_id)
        await asyncio.sleep(0.2)
        assert await seen(node) == (first.message_id, first.message_id)
        await node.mark_read("bob", WITH_BOB, second.message_id)
        await node.mark_read("bob", WITH_BOB, first.message_id)
        await asyncio.sleep(SOON_S)
        assert await seen(node) == (second.message_id, second.message_id)
        late_one = Receipt(WITH_BOB, "bob", first.message_id, first.message_id, 5)
        assert await node.process.call(taken(node, late_one)) == 0
        assert await seen(node) == (second.message_id, second.message_id)


async def taken(node: Node, receipt: Receipt) -> int:
    return await node.owner.take_receipts("ann", (receipt,))


@virtual_time
async def test_a_receipt_of_somebody_who_is_not_there_changes_nothing() -> None:
    async with servers(late=False) as made:
        node = made.node
        sent = await node.send("ann", "bob", "one", "c1")
        mark = sent.message_id
        for receipt in (
            Receipt(WITH_BOB, "cem", mark, mark),
            Receipt(WITH_BOB, "ann", mark, mark),
            Receipt(direct_conversation_id("ann", "cem"), "cem", mark, mark),
        ):
            assert await node.process.call(taken(node, receipt)) == 0
        assert await seen(node) == (None, None)


@pytest.mark.parametrize("mode", ["none", "delivered"])
@virtual_time
async def test_where_reads_are_not_told_a_load_tells_none_either(mode: Mode) -> None:
    async with servers(late=True, receipts=mode) as made:
        sent = await made.node.send("ann", "bob", "hello", "c1")
        await made.node.mark_read("bob", WITH_BOB, sent.message_id)
        await asyncio.sleep(SOON_S)
        assert made.node.owner.receipts.teller.told == 0
        node = await made.restart()
        await node.messages("bob")
        await asyncio.sleep(SOON_S)
        assert node.owner.receipts.teller.told == 0
        assert await seen(node) == (None, None)


@virtual_time
async def test_tokens_that_come_together_prove_together_and_one_of_the_future_proves_nothing() -> None:
    async with servers(late=False) as made:
        node = made.node
        for sender in ("ann", "cem"):
            await node.send(sender, "bob", "before bob has looked", "c0")
        token = await followed(node, "bob")
        await node.messages("bob", token=made.clock.now_us() + 10**12, proves=True)
        sent = await node.send("ann", "bob", "hello", "c1")
        token = await follow(node, "bob", token)
        of_cem = await node.send("cem", "bob", "hello", "c1")
        for _ in range(2):
            token = await follow(node, "bob", token)
        await asyncio.sleep(SOON_S)
        assert await seen(node) == (sent.message_id, None)
        assert await seen(node, "cem", direct_conversation_id("bob", "cem")) == (of_cem.message_id, None)


@virtual_time
async def test_of_so_many_at_once_it_is_looked_up_what_they_have() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rowbox.cacheserver.receipts.receipts.MOST_PROOFS", 1)
        async with servers(late=False) as made:
            node = made.node
            for user in ("bob", "cem"):
                await node.send("ann", user, "before he has looked", f"{user} 0")
            tokens = {user: await followed(node, user) for user in ("bob", "cem")}
            for number in (1, 2):
                sent = {user: await node.send("ann", user, "hello", f"{user} {number}") for user in tokens}
                for user in (*tokens, *tokens):
                    tokens[user] = await follow(node, user, tokens[user])
                assert len(node.owner.receipts._proofs) == 1
                await asyncio.sleep(SOON_S)
                assert await seen(node) == (sent["bob"].message_id, None)


@virtual_time
async def test_what_was_told_to_be_read_is_not_told_to_be_delivered_before_that_is_written() -> None:
    async with servers(late=True) as made:
        node = made.node
        await node.send("ann", "bob", "before bob has looked", "c0")
        token = await followed(node, "bob")
        sent = await node.send("ann", "bob", "hello", "c1")
        await node.mark_read("bob", WITH_BOB, sent.message_id)
        await asyncio.sleep(NOTE_S / 3)
        for _ in range(2):
            token = await follow(node, "bob", token)
        await asyncio.sleep(SOON_S)
        assert node.owner.receipts.teller.told == 1


@both_kinds
@virtual_time
async def test_who_answers_has_read(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        sent = await node.send("ann", "bob", "well?", "c1")
        await node.send("bob", "ann", "well!", "c2")
        await asyncio.sleep(SOON_S)
        assert await seen(node) == (sent.message_id, sent.message_id)
        assert node.owner.receipts.teller.told == 1, "ann had read nothing of bob's, and was told so once"
        await node.send("bob", "ann", "well?", "c3")
        await asyncio.sleep(SOON_S)
        assert node.owner.receipts.teller.told == 1, "what was told is not told again"


async def with_a_far_head(made: Cluster, user: str) -> None:
    """The user's mailbox counts its versions on from a day ahead, because the clock was there once."""
    made.clock.jump(86_400)
    await made.node.send(user, "dora", "from tomorrow", "far")
    made.clock.set_right()


@both_kinds
@virtual_time
async def test_who_reads_with_versions_of_tomorrow_has_read_today(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await with_a_far_head(made, "bob")
        sent = await node.send("ann", "bob", "hello", "c1")
        await asyncio.sleep(SOON_S)
        at_us = made.clock.now_us()
        await node.mark_read("bob", WITH_BOB, sent.message_id)
        await asyncio.sleep(SOON_S)
        ((told,),) = [one.members for one in (await asked(node, sent)).receipts]
        assert told.is_read
        assert 0 <= told.read_us - at_us < 1_000_000


@virtual_time
async def test_ones_own_message_delivers_nothing_whatever_its_version() -> None:
    """Else what the other one sent before it is said to be there, which is on its way."""
    async with servers(late=True) as made:
        node = made.node
        await with_a_far_head(made, "bob")
        first = await node.send("ann", "bob", "one", "c1")
        token = await followed(node, "bob")
        async with without(made, "bob"):
            on_its_way = await node.send("ann", "bob", "two", "c2")
            answer = await node.send("bob", "ann", "crossing it", "c1")
            assert on_its_way.pending_recipients == 1
            assert answer.message_id > on_its_way.message_id
            for _ in range(2):
                token = await follow(node, "bob", token)
            await asyncio.sleep(SOON_S)
            assert (await seen(node))[0] in (None, first.message_id)
        await asyncio.sleep(SOON_S)
        for _ in range(2):
            token = await follow(node, "bob", token)
        await asyncio.sleep(SOON_S)
        assert (await seen(node))[0] == on_its_way.message_id


@asynccontextmanager
async def without(made: Cluster, user: str) -> AsyncIterator[None]:
    """Nothing is delivered to a user meanwhile."""
    delivery = made.node.owner.delivery
    deliver = delivery._deliver

    def all_but_him(recipient: str, messages: Sequence[Message]) -> Delivered:
        if recipient == user:
            raise HandoverInProgress("he has no owner")
        return deliver(recipient, messages)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery, "_deliver", all_but_him)
        yield


def receipts_written(made: Cluster, node: Node, patch: pytest.MonkeyPatch, user: str) -> list[float]:
    """When a receipt was written into a user's row: filled as it happens."""
    times: list[float] = []
    mutate, row = node.store.mutate, row_key(user, SHARDS)

    async def watched(mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
        for written, puts in mutations:
            marks = [qualifier for family, qualifier, _ in puts if family is Family.INDEX and qualifier[:1] == b"w"]
            if written == row and marks:
                times.append(asyncio.get_running_loop().time())
        await mutate(mutations, timestamp_ms)

    patch.setattr(node.store, "mutate", watched)
    return times


@both_kinds
@virtual_time
async def test_a_stream_to_who_reads_it_live_costs_the_author_one_mutation_a_second(*, late: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with servers(late=late) as made:
            node = made.node
            token = await followed(node, "bob")
            of_ann = receipts_written(made, node, patch, "ann")
            of_bob = receipts_written(made, node, patch, "bob")
            began = asyncio.get_running_loop().time()
            sent = await node.send("ann", "bob", "first", "first")
            for number in range(100):
                sent = await node.send("ann", "bob", str(number), f"c{number}")
                token = await follow(node, "bob", token)
                await node.mark_read("bob", WITH_BOB, sent.message_id)
                await asyncio.sleep(0.1)
            await asyncio.sleep(SOON_S)
            took = asyncio.get_running_loop().time() - began
            assert await seen(node) == (sent.message_id, sent.message_id)
            assert 5 <= len(of_ann) <= took + 1, "delivered and read go together, once in a second"
            assert all(later - earlier >= 0.9 for earlier, later in pairwise(of_ann))
            assert len(of_bob) <= took / NOTE_S + 1, "the reader's row notes what was told, and nothing else"


@virtual_time
async def test_a_read_makes_a_delivery_within_the_second_superfluous() -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with servers(late=False) as made:
            node = made.node
            token = await followed(node, "bob")
            sent = await node.send("ann", "bob", "hello", "c1")
            written = receipts_written(made, node, patch, "ann")
            token = await follow(node, "bob", token)
            await follow(node, "bob", token)
            await asyncio.sleep(0.5)
            await node.mark_read("bob", WITH_BOB, sent.message_id)
            await asyncio.sleep(SOON_S)
            assert await seen(node) == (sent.message_id, sent.message_id)
            assert len(written) == 1
            assert node.owner.receipts.teller.told == 1


@both_kinds
@virtual_time
async def test_nothing_is_written_into_the_row_of_who_only_gets_messages(*, late: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with servers(late=late) as made:
            node = made.node
            token = await followed(node, "bob")
            written = receipts_written(made, node, patch, "bob")
            sent = await node.send("ann", "bob", "first", "first")
            for number in range(5):
                sent = await node.send("ann", "bob", str(number), f"c{number}")
                token = await follow(node, "bob", token)
                await asyncio.sleep(SOON_S)
            await follow(node, "bob", token)
            await asyncio.sleep(2 * NOTE_S)
            assert await seen(node) == (sent.message_id, None)
            assert written == []


# ---------------------------------------------------------------------- after a crash


@both_kinds
@virtual_time
async def test_what_was_read_and_not_told_is_told_by_the_next_owner(*, late: bool) -> None:
    async with servers(late=late) as made:
        sent = await made.node.send("ann", "bob", "hello", "c1")
        await made.node.mark_read("bob", WITH_BOB, sent.message_id)
        await made.kill()
        node = await made.start()
        assert await seen(node) == (None, None)
        await node.conversations("bob")
        await asyncio.sleep(SOON_S)
        assert await seen(node) == (sent.message_id, sent.message_id)


@both_kinds
@virtual_time
async def test_what_was_proven_and_not_told_is_proven_again(*, late: bool) -> None:
    async with servers(late=late) as made:
        token = await followed(made.node, "bob")
        sent = await made.node.send("ann", "bob", "hello", "c1")
        token = await follow(made.node, "bob", token)
        await follow(made.node, "bob", token)
        await made.kill()
        node = await made.start()
        await asyncio.sleep(SOON_S)
        assert await seen(node) == (None, None)
        await follow(node, "bob", token)
        await asyncio.sleep(SOON_S)
        assert await seen(node) == (sent.message_id, None)


@both_kinds
@virtual_time
async def test_what_was_told_is_noted_and_not_told_after_every_load(*, late: bool) -> None:
    async with servers(late=late) as made:
        sent = await made.node.send("ann", "bob", "hello", "c1")
        await made.node.mark_read("bob", WITH_BOB, sent.message_id)
        await asyncio.sleep(NOTE_S + SOON_S)
        await made.quiet()
        await made.kill()
        node = await made.start()
        await node.conversations("bob")
        await asyncio.sleep(SOON_S)
        assert node.owner.receipts.teller.told == 0
        assert node.owner.receipts.teller.owed == 0
        assert await seen(node) == (sent.message_id, sent.message_id)


@virtual_time
async def test_a_load_tells_of_no_more_than_was_fresh_at_the_token() -> None:
    async with servers(late=True) as made:
        token = await followed(made.node, "bob")
        await made.node.send("ann", "bob", "an hour ago", "c1")
        token = await follow(made.node, "bob", token)
        await asyncio.sleep(3600)
        fresh = await made.node.send("cem", "bob", "now", "c1")
        token = await follow(made.node, "bob", token)
        node = await made.restart()
        await follow(node, "bob", token)
        await asyncio.sleep(SOON_S)
        assert await seen(node, "cem", direct_conversation_id("bob", "cem")) == (fresh.message_id, None)
        assert node.owner.receipts.teller.told == 1


@virtual_time
async def test_a_mailbox_that_moves_warm_goes_on() -> None:
    async with servers(late=True) as made:
        token = await followed(made.node, "bob")
        first = await made.node.send("ann", "bob", "one", "c1")
        await made.node.mark_read("bob", WITH_BOB, first.message_id)
        await asyncio.sleep(SOON_S)
        token = await follow(made.node, "bob", token)
        second = await made.node.send("ann", "bob", "two", "c2")
        token = await follow(made.node, "bob", token)
        node = await made.move()
        assert await seen(node) == (first.message_id, first.message_id)
        await follow(node, "bob", token)
        await asyncio.sleep(SOON_S)
        assert await seen(node) == (second.message_id, first.message_id)


@virtual_time
async def test_the_author_may_have_another_owner_which_may_be_away() -> None:
    async with sharing(settings=with_receipts("all")) as made:
        first, second = made.nodes
        made.give(second, {number for number in range(SHARDS) if number % 2})
        users = [f"user{number}" for number in range(40)]
        here = next(user for user in users if made.of(user) is first)
        there = next(user for user in users if made.of(user) is second)
        conversation = direct_conversation_id(here, there)
        one = await first.send(here, there, "hello", "c1")
        await second.mark_read(there, conversation, one.message_id)
        await asyncio.sleep(SOON_S)
        assert await seen(first, here, conversation) == (one.message_id, one.message_id)
        two = await first.send(here, there, "still there?", "c2")
        await asyncio.sleep(SOON_S)
        first.store.hold(Point.WRITE)
        await second.mark_read(there, conversation, two.message_id)
        await asyncio.sleep(SOON_S)
        assert first.owner.receipts.teller.told == 0
        first.lapse()
        first.store.release(Point.WRITE)
        await asyncio.sleep(SOON_S)
        assert second.owner.receipts.teller.told == 1, "it was written, and nobody confirmed it"
        assert second.owner.receipts.teller.retries > 0
        first.renew()
        await asyncio.sleep(120)
        assert second.owner.receipts.teller.told == 2
        assert await seen(first, here, conversation) == (two.message_id, two.message_id)


# ---------------------------------------------------------------------- what clients see


@both_kinds
@virtual_time
async def test_a_receipt_ends_the_polls_that_show_conversations_and_is_in_their_deltas(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        sent = await node.send("ann", "bob", "hello", "c1")
        feed, listed = await node.changes("ann"), await node.conversations("ann")
        texts = await node.messages("ann")
        feed_poll = asyncio.ensure_future(node.changes("ann", token=feed.token, wait_ms=20_000))
        list_poll = asyncio.ensure_future(node.conversations("ann", token=listed.token, wait_ms=20_000))
        text_poll = asyncio.ensure_future(node.messages("ann", token=texts.token, wait_ms=5_000))
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        await node.mark_read("bob", WITH_BOB, sent.message_id)
        changes, conversations, messages = await feed_poll, await list_poll, await text_poll
        assert asyncio.get_running_loop().time() - began >= 3, "messages are not concerned"
        assert messages.items == ()
        assert changes.messages == []
        (by_feed,), (by_list,) = map(json.loads, changes.conversations), parsed(conversations)
        mark = sent.message_id.hex()
        assert by_feed == by_list == parsed(await node.conversations("ann"))[0]
        assert by_list["receipts"] == {"deliveredUpTo": mark, "readUpTo": mark}
        assert by_list["lastUpdatedTimestamp"] > sent.last_updated_timestamp
        node = await made.restart()
        assert [by_list] == parsed(await node.conversations("ann", token=listed.token)), "also after a load"
        assert [by_list] == list(map(json.loads, (await node.changes("ann", token=feed.token)).conversations))


@virtual_time
async def test_what_is_noted_is_shown_to_nobody() -> None:
    async with servers(late=True) as made:
        node = made.node
        sent = await node.send("ann", "bob", "hello", "c1")
        await node.mark_read("bob", WITH_BOB, sent.message_id)
        feed, listed = await node.changes("bob"), await node.conversations("bob")
        poll = asyncio.ensure_future(node.conversations("bob", token=listed.token, wait_ms=50_000))
        await asyncio.sleep(NOTE_S + SOON_S)
        assert not poll.done()
        assert (await poll).items == ()
        assert (await node.changes("bob", token=feed.token)).conversations == []
        (marks,) = (await mailbox_of(node, "bob")).receipts.values()
        assert marks.told_read == sent.message_id
        assert marks.shown == 0


async def mailbox_of(node: Node, user: str) -> Mailbox:
    async def ask() -> Mailbox:
        _, mailbox = await node.owner.table.loaded(user)
        return mailbox

    return await node.process.call(ask())


@pytest.mark.parametrize(("mode", "shown"), [("delivered", (True, False)), ("none", (False, False))])
@virtual_time
async def test_the_setting_says_what_is_told(mode: Mode, shown: tuple[bool, bool]) -> None:
    async with servers(late=False, receipts=mode) as made:
        node = made.node
        token = await followed(node, "bob")
        sent = await node.send("ann", "bob", "hello", "c1")
        token = await follow(node, "bob", token)
        await follow(node, "bob", token)
        await node.mark_read("bob", WITH_BOB, sent.message_id)
        await asyncio.sleep(SOON_S)
        mark = sent.message_id
        assert await seen(node) == tuple(mark if is_shown else None for is_shown in shown)
        await node.process.call(taken(node, Receipt(WITH_BOB, "bob", mark, mark, 5)))
        assert await seen(node) == tuple(mark if is_shown else None for is_shown in shown), "both ways"


# ---------------------------------------------------------------------- asking for it


async def asked(node: Node, *sent: SendResult, user: str = "ann", conversation: bytes = WITH_BOB) -> ReceiptsResult:
    request = FetchReceipts(user, conversation, tuple(one.message_id for one in sent))
    return await node.process.call(node.owner.fetch_receipts(request))


@both_kinds
@virtual_time
async def test_the_author_asks_who_has_a_message(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        token = await followed(node, "bob")
        sent = [await node.send("ann", "bob", str(number), f"c{number}") for number in range(4)]
        assert (await asked(node, *sent)).as_of == 0
        token = await follow(node, "bob", token)
        await follow(node, "bob", token)
        await node.mark_read("bob", WITH_BOB, sent[1].message_id)
        await asyncio.sleep(SOON_S)
        sent.append(await node.send("ann", "bob", "later", "later"))
        for _ in range(2):
            answer = await asked(node, *sent)
            told = [receipts.members[0] for receipts in answer.receipts]
            assert [(one.is_delivered, one.is_read) for one in told] == [
                (True, True),
                (True, True),
                (True, False),
                (True, False),
                (False, False),
            ]
            assert [one.read_us > 0 for one in told] == [False, True, False, False, False]
            assert BIRTH_US < told[1].read_us < answer.as_of
            assert {one.user_id for one in told} == {"bob"}
            node = await made.restart()  # then the messages are read from the store


@virtual_time
async def test_nobody_else_is_told_and_of_nothing_that_is_not_there() -> None:
    async with servers(late=False) as made:
        node = made.node
        sent = await node.send("ann", "bob", "hello", "c1")
        to_self = await node.send("ann", "ann", "note", "c2")
        unknown = replace_id(sent, message_id(BIRTH_US, 1))
        refused: list[tuple[type[RowboxError], SendResult, str, bytes]] = [
            (NotTheAuthor, sent, "bob", WITH_BOB),
            (UnknownMessage, unknown, "ann", WITH_BOB),
            (UnknownMessage, to_self, "ann", WITH_BOB),
            (UnknownConversation, sent, "cem", WITH_BOB),
        ]
        for error, message, user, conversation in refused:
            for _ in range(2):
                with pytest.raises(error):
                    await asked(node, message, user=user, conversation=conversation)
        answer = await asked(node, to_self, conversation=to_self.conversation_id)
        assert answer.receipts[0].members == ()
        node = await made.restart()
        for error, message, user, conversation in refused:
            with pytest.raises(error):
                await asked(node, message, user=user, conversation=conversation)
        (only,) = (await asked(node, sent)).receipts
        assert only.members == (MemberReceipt("bob", is_delivered=False, is_read=False),)


@virtual_time
async def test_each_message_that_has_to_be_read_counts_as_a_fetch() -> None:
    limits = RateLimitSettings(fetch_burst=100, fetch_per_second=0.001)
    async with cluster(late=False, settings=replace(with_receipts("all"), rate_limits=limits)) as made:
        sent = [await made.node.send("ann", "bob", str(number), f"c{number}") for number in range(3)]
        left: list[int] = []
        for _ in range(2):
            answer = await asked(made.node, *sent)
            assert answer.quota is not None
            left.append(answer.quota.remaining)
            await made.restart()
        assert left == [99, 96]


@virtual_time
async def test_who_gets_another_owner_while_a_message_is_read_is_told_by_that_one() -> None:
    async with servers(late=True) as made:
        sent = await made.node.send("ann", "bob", "hello", "c1")
        node = await made.restart()
        reads = node.owner.receipt_reads
        read = reads._reader.message

        async def lapses(*which: Any) -> MessageCell | None:
            cell = await read(*which)
            node.lapse()
            return cell

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reads._reader, "message", lapses)
            with pytest.raises(HandoverInProgress):
                await asked(node, sent)
        node.renew()


def replace_id(sent: SendResult, message: bytes) -> SendResult:
    return SendResult(message, *[getattr(sent, name) for name in SendResult.__struct_fields__[1:]])

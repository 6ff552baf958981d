"""Blocks: what comes behind one is hidden, once, in whichever order it comes, and who is blocked cannot tell."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.port import BlocksShown, ChangeAccount, Changed, FetchBlocks, Lost, SendResult
from rowbox.cacheserver.stores.port import RowMutation
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.account import account_row
from rowbox.mailbox.account.deeds import AccountChanged, BlockUser, UnblockUser
from rowbox.mailbox.cells import BLOCK, MessageCell
from rowbox.mailbox.errors import BlockedByYou, FeatureOff, TooManyBlocks, UnknownMessage
from rowbox.mailbox.group import person_key
from rowbox.mailbox.ids import direct_conversation_id, hidden_conversation_id
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.block import Block
from rowbox.mailbox.settings.config import MessageSettings
from tests.checking import assert_no_findings
from tests.owner.shards.sharing import shard, sharing
from tests.support.cluster import SHARDS, UNLIMITED, Cluster, Json, Node, cluster, parsed
from tests.support.virtual_time import virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
BOTH = ("ann", "bob")
TOGETHER = direct_conversation_id(*BOTH)
HIDDEN = hidden_conversation_id(TOGETHER)
SOON_S = 3.0
"""More than a receipt takes."""
_numbers = count()


@asynccontextmanager
async def servers(*, late: bool, receipts: bool = False) -> AsyncIterator[Cluster]:
    """In the end no mailbox has anything that the check finds."""
    settings = replace(UNLIMITED, messages=MessageSettings()) if receipts else UNLIMITED
    async with cluster(late=late, settings=settings) as made:
        yield made
        await asyncio.sleep(SOON_S)
        await made.quiet()
        await assert_no_findings(made.store, made.settings, made.clock.now_us())


async def block(node: Node, user: str = "bob", other: str = "ann") -> AccountChanged:
    result = await node.process.call(node.owner.change_account(ChangeAccount(user, BlockUser(other))))
    return AccountChanged(result.version, result.changed)


async def unblock(node: Node, user: str = "bob", other: str = "ann") -> AccountChanged:
    result = await node.process.call(node.owner.change_account(ChangeAccount(user, UnblockUser(other))))
    return AccountChanged(result.version, result.changed)


async def blocked_by(node: Node, user: str = "bob", after: str = "", most: int = 100) -> BlocksShown:
    return await node.process.call(node.owner.fetch_blocks(FetchBlocks(user, after, most)))


async def sends(node: Node, text: str, sender: str = "ann", recipient: str = "bob") -> SendResult:
    sent = await node.send(sender, recipient, text, f"c{next(_numbers)}")
    assert (sent.pending_recipients, sent.duplicate) == (0, False)
    return sent


async def shown(node: Node, user: str = "bob") -> list[str]:
    """The texts in the user's mailbox, oldest first."""
    return [one.get("messageContent", "") for one in reversed(parsed(await node.messages(user)))]


async def summary(node: Node, user: str = "bob") -> Json:
    """The one conversation of a user, without what every change of it changes."""
    (found,) = parsed(await node.conversations(user))
    return found


async def hidden(made: Cluster, user: str = "bob", conversation: bytes = HIDDEN) -> list[MessageCell]:
    """What is kept hidden in a row, as it lies in the store; oldest first."""
    columns = (await made.store.get_row(row_key(user, SHARDS), (Family.MESSAGES,)))[Family.MESSAGES]
    cells = [codec.decode_message(*column) for column in columns]
    return sorted([one for one in cells if one.conversation_id == conversation], key=lambda one: one.version)


def of(sent: SendResult, text: str, sender: str = "ann") -> Message:
    """The message as it is on its way."""
    return Message(sent.message_id, sent.conversation_id, sender, BOTH, text)


async def comes_again(node: Node, *messages: Message, user: str = "bob") -> None:
    done = 0
    while done < len(messages):
        done += await node.process.call(delivered(node, user, messages[done:]))


async def delivered(node: Node, user: str, messages: Sequence[Message]) -> int:
    return await node.owner.deliver(user, messages)


@both_kinds
@virtual_time
async def test_what_comes_behind_a_block_is_shown_nowhere_and_what_comes_behind_its_end_is(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await sends(node, "before")
        before = await summary(node)
        token = (await node.changes("bob")).token
        first = await block(node)
        assert first.changed
        assert await block(node) == replace(first, changed=False)
        told: list[Changed | Lost] = []
        following = await node.follow("bob", told.append)
        poll = asyncio.create_task(
            node.changes("bob", token=(await node.changes("bob", token=token)).token, wait_ms=5000)
        )
        for number in range(3):
            await sends(node, f"insult {number}")
        assert await shown(node) == ["before"]
        assert await summary(node) == before, "no unread, no snippet, no time"
        assert not told
        answer = await poll
        assert (*answer.messages, *answer.conversations, answer.account) == (False,)
        for _ in range(2):  # from memory, and from the store
            since = await node.changes("bob", token=token)
            assert (*since.messages, *since.conversations, since.account) == (True,)
            assert await shown(node) == ["before"]
            node = await made.restart()
        assert (await unblock(node)).changed
        assert not (await unblock(node)).changed
        await sends(node, "behind its end")
        assert await shown(node) == ["before", "behind its end"]
        assert (await summary(node))["unreadCount"] == 2
        assert [one.content for one in await hidden(made)] == ["insult 0", "insult 1", "insult 2"]
        del following


@both_kinds
@virtual_time
async def test_the_first_message_of_somebody_blocked_opens_no_conversation(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await block(node)
        await sends(node, "hello")
        assert parsed(await node.conversations("bob")) == []
        assert await shown(node) == []
        assert await shown(node, "ann") == ["hello"]
        assert (await node.status("ann", f"c{next(_numbers) - 1}")).pending_recipients == 0


@both_kinds
@virtual_time
async def test_a_message_that_comes_again_is_there_once_whatever_was_blocked_meanwhile(*, late: bool) -> None:
    """Before the block, behind it, behind its end, behind the next one; in memory, and after the owner was replaced."""
    async with servers(late=late) as made:
        node = made.node
        seen = of(await sends(node, "seen"), "seen")
        await block(node)
        unseen = of(await sends(node, "unseen"), "unseen")
        for change in (None, unblock, block, unblock):
            if change is not None:
                await change(node)
            for _ in range(2):
                await comes_again(node, seen, unseen)
                await comes_again(node, unseen)
                assert await shown(node) == ["seen"]
                assert [one.content for one in await hidden(made)] == ["unseen"]
                node = await made.restart()
        mailbox = (await node.process.call(node.owner.table.loaded("bob")))[1]
        known = mailbox.state(BLOCK, person_key("ann"))
        assert isinstance(known, Block)
        assert (known.hidden, known.hidden_from, known.hidden_up_to) == (1, unseen.message_id, unseen.message_id)


@virtual_time
async def test_mailboxes_that_are_handed_over_go_on_hiding() -> None:
    async with servers(late=True) as made:
        await sends(made.node, "before")
        await block(made.node)
        unseen = of(await sends(made.node, "unseen"), "unseen")
        node = await made.move()
        await sends(node, "unseen as well")
        await comes_again(node, unseen)
        assert [one.user_id for one in (await blocked_by(node)).blocks] == ["ann"]
        assert await shown(node) == ["before"]
        assert [one.content for one in await hidden(made)] == ["unseen", "unseen as well"]


@virtual_time
async def test_each_owner_decides_for_its_own_users() -> None:
    async with sharing() as made:
        first, second = made.nodes
        made.give(second, {shard("bob")})
        await sends(first, "before")
        await block(second)
        assert (await sends(first, "unseen")).pending_recipients == 0
        with pytest.raises(BlockedByYou):
            await second.send("bob", "ann", "an answer", "b1")
        made.give(first, {shard("bob")})
        await sends(first, "unseen as well")
        assert await shown(first) == ["before"]
        await made.quiet()
        await assert_no_findings(made.store, made.settings, made.clock.now_us())


@both_kinds
@virtual_time
async def test_nobody_writes_to_whom_he_blocks_but_for_what_he_wrote_before(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        sent = await node.send("bob", "ann", "hello", "b1")
        await block(node)
        again = await node.send("bob", "ann", "hello", "b1")
        assert again == replace(sent, duplicate=True)
        row = row_key("bob", SHARDS)
        before = await made.store.get_row(row, tuple(Family))
        with pytest.raises(BlockedByYou):
            await node.send("bob", "ann", "and more", "b2")
        with pytest.raises(BlockedByYou):
            await node.send_to("bob", TOGETHER, "and more", "b3")
        assert await made.store.get_row(row, tuple(Family)) == before
        await node.send("bob", "bob", "a note", "b4")
        await node.send("bob", "cem", "hello", "b5")
        await unblock(node)
        assert not (await node.send("bob", "ann", "and more", "b2")).duplicate


@both_kinds
@virtual_time
async def test_who_blocks_says_nothing_by_an_edit_or_a_reaction_and_takes_back_what_he_said(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        theirs = await sends(node, "hello")
        edited, unsent = await sends(node, "as it was", "bob", "ann"), await sends(node, "a secret", "bob", "ann")
        assert (await node.change("bob", edited, "as it was edited")).changed
        assert (await node.react("bob", theirs, "\U0001f44d")).changed
        await made.quiet()
        await block(node)
        assert not (await node.change("bob", edited, "as it was edited")).changed, "the retry of one of before"
        assert not (await node.react("bob", theirs, "\U0001f44d")).changed
        before = await made.store.get_row(row_key("bob", SHARDS), tuple(Family))
        for sent in (theirs, edited):
            with pytest.raises(BlockedByYou):
                await node.react("bob", sent, "\U0001f44e")
        with pytest.raises(BlockedByYou):
            await node.change("bob", edited, "a word more")
        assert await made.store.get_row(row_key("bob", SHARDS), tuple(Family)) == before
        assert (await node.change("bob", unsent, None)).changed
        assert (await node.react("bob", theirs, "")).changed
        await made.quiet()
        shown_to_ann = parsed(await node.messages("ann"))
        assert sorted(one["messageContent"] for one in shown_to_ann) == ["", "as it was edited", "hello"]
        assert all("reactions" not in one for one in shown_to_ann)
        own = await sends(node, "a note", "bob", "bob")
        assert (await node.change("bob", own, "another note")).changed
        await unblock(node)
        assert (await node.change("bob", edited, "a word more")).changed


@both_kinds
@virtual_time
async def test_both_may_block_each_other(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await block(node)
        await sends(node, "unseen")
        await block(node, "ann", "bob")
        for user, other in (BOTH, BOTH[::-1]):
            with pytest.raises(BlockedByYou):
                await node.send(user, other, "hello", "x1")
        await unblock(node)
        await sends(node, "unseen by her", "bob", "ann")
        assert await shown(node, "ann") == ["unseen"]
        assert await shown(node, "bob") == ["unseen by her"]


@both_kinds
@virtual_time
async def test_what_is_done_to_messages_is_hidden_as_they_are(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        kept, edited = await sends(node, "kept"), await sends(node, "as it was")
        bobs = await sends(node, "bob's", "bob", "ann")
        await block(node)
        before, listed = await node.messages("bob"), await summary(node)
        unseen = await sends(node, "unseen")
        for sent in (edited, unseen):
            assert (await node.change("ann", sent, "another text")).changed
        for sent in (kept, bobs, unseen):
            assert (await node.react("ann", sent, "\U0001f44d")).changed
        assert (await node.change("ann", kept, None)).changed
        await made.quiet()
        for _ in range(2):
            assert (await node.messages("bob")).items == before.items
            assert await summary(node) == listed
            with pytest.raises(UnknownMessage):
                await node.react("bob", unseen, "\U0001f44d")
            with pytest.raises(UnknownMessage):
                await node.mark_read("bob", TOGETHER, unseen.message_id)
            node = await made.restart()
        found = [(one.message_id, one.content, len(one.reactions)) for one in await hidden(made)]
        assert (unseen.message_id, "unseen", 0) in found, "the text that came first is kept"
        assert (unseen.message_id, "another text", 1) in found
        assert (edited.message_id, "another text", 0) in found
        assert (kept.message_id, "", 0) in found, "that it was taken back"
        await unblock(node)
        # What was hidden stays so, whatever is done to it; what is shown follows from now on.
        assert (await node.change("ann", unseen, "a third text")).changed
        assert (await node.change("ann", edited, "a third text")).changed
        await made.quiet()
        assert sorted(await shown(node)) == ["a third text", "bob's", "kept"]
        assert (await node.messages("bob")).items != before.items


@both_kinds
@virtual_time
async def test_however_often_a_message_is_edited_its_first_text_and_its_last_are_kept(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        shown_one = await sends(node, "shown")
        await block(node)
        unseen = await sends(node, "unseen")
        for number in range(10):
            for sent in (shown_one, unseen):
                assert (await node.change("ann", sent, f"text {number}")).changed
        await made.quiet()
        await asyncio.sleep(SOON_S)
        kept = ["unseen", "text 0", "text 9", "text 9"]
        assert sorted(one.content for one in await hidden(made)) == sorted(kept)
        for sent in (shown_one, unseen):
            assert (await node.change("ann", sent, None)).changed
        await made.quiet()
        await asyncio.sleep(SOON_S)
        assert sorted(one.content for one in await hidden(made)) == sorted(["", "", *kept])


@both_kinds
@virtual_time
async def test_what_is_taken_back_is_not_kept_with_a_reaction_that_was_hidden(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        of_bob, of_ann = await sends(node, "bob's secret", "bob", "ann"), await sends(node, "ann's secret")
        await block(node)
        for sent in (of_bob, of_ann):
            assert (await node.react("ann", sent, "\U0001f44d")).changed
        await made.quiet()
        await unblock(node)
        assert (await node.change("bob", of_bob, None)).changed
        assert (await node.change("ann", of_ann, None)).changed
        await made.quiet()
        await asyncio.sleep(SOON_S)
        for user in BOTH:
            kept = [*await hidden(made, user, TOGETHER), *await hidden(made, user)]
            assert {one.content for one in kept} == {""}


@both_kinds
@virtual_time
async def test_no_receipt_claims_what_is_hidden(*, late: bool) -> None:
    async with servers(late=late, receipts=True) as made:
        node = made.node
        read = await sends(node, "read")
        await node.mark_read("bob", TOGETHER, read.message_id)
        await asyncio.sleep(SOON_S)
        marks = {"deliveredUpTo": read.message_id.hex(), "readUpTo": read.message_id.hex()}
        assert (await summary(node, "ann"))["receipts"] == marks
        late_one = await sends(node, "not read yet")
        await block(node)
        await sends(node, "unseen")
        await node.mark_read("bob", TOGETHER, late_one.message_id)
        await asyncio.sleep(SOON_S)
        assert (await summary(node, "ann"))["receipts"] == marks, "while he is blocked nobody is told anything"
        await unblock(node)
        behind = await sends(node, "behind the end")
        await node.mark_read("bob", TOGETHER, behind.message_id)
        await asyncio.sleep(SOON_S)
        assert (await summary(node, "ann"))["receipts"] == marks, "a mark would say that the hidden one was read"
        made.clock.jump(made.settings.store.retention_ms / 1000)
        last = await sends(node, "once nothing hidden is kept")
        await node.mark_read("bob", TOGETHER, last.message_id)
        await asyncio.sleep(SOON_S)
        assert (await summary(node, "ann"))["receipts"]["readUpTo"] == last.message_id.hex()


@both_kinds
@virtual_time
async def test_who_blocks_is_told_no_more_of_what_the_other_reads(*, late: bool) -> None:
    async with servers(late=late, receipts=True) as made:
        node = made.node
        sent = await sends(node, "hello", "bob", "ann")
        await block(node)
        await node.mark_read("ann", TOGETHER, sent.message_id)
        await asyncio.sleep(SOON_S)
        assert "receipts" not in await summary(node)


@both_kinds
@virtual_time
async def test_blocks_are_listed_by_pages_and_bounded(*, late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_row, "MOST_BLOCKS", 4)
    async with servers(late=late) as made:
        node = made.node
        for other in ("dai", "ann", "cem", "eve"):
            await block(node, "bob", other)
        with pytest.raises(TooManyBlocks):
            await block(node, "bob", "fay")
        await unblock(node, "bob", "cem")
        with pytest.raises(TooManyBlocks):
            await block(node, "bob", "fay")
        await block(node, "bob", "cem")
        await unblock(node, "bob", "cem")
        first = await blocked_by(node, most=2)
        assert ([one.user_id for one in first.blocks], first.has_more) == (["ann", "dai"], True)
        second = await blocked_by(node, after="dai", most=2)
        assert ([one.user_id for one in second.blocks], second.has_more) == (["eve"], False)
        assert (await blocked_by(node, "ann")).blocks == ()


@virtual_time
async def test_nobody_is_blocked_before_all_servers_know_how() -> None:
    async with servers(late=True) as made:
        node = made.node
        assert node.ownership is not None
        node.ownership.features = ()
        for change in (block, unblock):
            with pytest.raises(FeatureOff):
                await change(node)
        node.ownership.features = ("blocks",)
        await block(node)


SENDS = 10_000


@virtual_time
async def test_a_block_in_a_stream_of_sends_is_a_point_in_the_recipients_row() -> None:
    """What was answered before the block is shown, what began behind its answer is not, and the sender sees no seam:
    all fields are alike, at one cost. Each is there once, also where it comes again.
    """
    async with cluster(late=False) as made:
        node = made.node
        costs: list[int] = []
        mutate = node.store.mutate

        async def counted(mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
            costs.append(len(mutations))
            await mutate(mutations, timestamp_ms)

        node.store.mutate = counted  # type: ignore[method-assign]
        await node.send("ann", "bob", "the first", "c")
        del costs[:]
        is_blocked, half, before, behind = False, asyncio.Event(), set[bytes](), set[bytes]()

        async def stream(begin: int) -> None:
            for number in range(begin, SENDS, 50):
                was_blocked = is_blocked
                sent = await node.send("ann", "bob", "hello", f"c{number}")
                assert replace(sent, message_id=b"", sent_timestamp=0, last_updated_timestamp=0) == SendResult(
                    b"", TOGETHER, 0, 0, 0, duplicate=False
                )
                assert sent.sent_timestamp == sent.last_updated_timestamp
                if not is_blocked:
                    before.add(sent.message_id)
                elif was_blocked:
                    behind.add(sent.message_id)
                if len(before) > SENDS // 2:
                    half.set()

        async def block_amid() -> None:
            nonlocal is_blocked
            await half.wait()
            await block(node)
            is_blocked = True

        await asyncio.gather(block_amid(), *(stream(begin) for begin in range(50)))
        assert len(before) > SENDS // 3
        assert len(behind) > SENDS // 3
        assert set(costs) <= {2, 1}, "each batch is of both rows; one of the block alone is of one"
        assert costs.count(1) <= 1
        _, mailbox = await node.process.call(node.owner.table.loaded("bob"))
        cells = [codec.decode_message(*column) for column in await messages_of(made, "bob")]
        seen = {one.message_id for one in cells if one.conversation_id == TOGETHER}
        unseen = [one.message_id for one in cells if one.conversation_id == HIDDEN]
        assert before <= seen
        assert behind <= set(unseen)
        assert not seen & set(unseen)
        assert len(seen) + len(unseen) == len(cells) == SENDS + 1
        again = [Message(one, TOGETHER, "ann", BOTH, "hello") for one in sorted({*seen, *unseen})[::100]]
        await comes_again(node, *again)
        assert len(await messages_of(made, "bob")) == len(cells)
        state = mailbox.index.get(TOGETHER)
        assert state is not None
        assert state.last_message_id == max(seen)
        await assert_no_findings(made.store, made.settings, made.clock.now_us())


async def messages_of(made: Cluster, user: str) -> list[tuple[bytes, bytes]]:
    return list((await made.store.get_row(row_key(user, SHARDS), (Family.MESSAGES,)))[Family.MESSAGES])

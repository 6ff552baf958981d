"""Disappearing messages where somebody is blocked, or deletes his copy: neither changes what the other says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import orjson
import pytest

from rowbox.cacheserver.features import BLOCKS, DELETIONS, DISAPPEARING
from rowbox.cacheserver.port import ChangeAccount, SendResult
from rowbox.cacheserver.rows.disappeared import FIRST_WALK_S, MARGIN_US, WALK_S
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.account.deeds import AccountDeed, BlockUser, DeleteConversation, UnblockUser
from rowbox.mailbox.cells import TTL
from rowbox.mailbox.errors import BlockedByYou, FeatureOff, UnknownConversation
from rowbox.mailbox.ids import direct_conversation_id, hidden_conversation_id
from tests.checking import assert_no_findings
from tests.owner.people.test_deleted_conversations import stored, swept
from tests.support.cluster import SHARDS, Cluster, Json, Node, all_conversations, all_messages, cluster
from tests.support.virtual_time import virtual_time

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
THEIRS: Final = direct_conversation_id("ann", "bob")
HIDDEN: Final = hidden_conversation_id(THEIRS)

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])


@asynccontextmanager
async def servers(*, late: bool) -> AsyncIterator[Cluster]:
    """Ann and Bob have spoken. In the end no mailbox has anything that the check finds."""
    async with cluster(late=late) as made:
        await said(made, "kept")
        yield made
        await checked(made)


async def checked(made: Cluster) -> None:
    await made.quiet()
    await assert_no_findings(made.store, made.settings, made.clock.now_us(), slack_us=1_000_000)


async def said(made: Cluster, text: str, sender: str = "bob", recipient: str = "ann") -> SendResult:
    sent = await made.node.send(sender, recipient, text, text)
    await made.quiet()
    return sent


async def account(made: Cluster, user: str, deed: AccountDeed) -> None:
    await made.node.process.call(made.node.owner.change_account(ChangeAccount(user, deed)))


async def ttl(made: Cluster, user: str, ttl_ms: int) -> bool:
    changed = (await made.node.set_ttl(user, THEIRS, ttl_ms)).changed
    await made.quiet()
    return changed


async def until(made: Cluster, sent: SendResult, *, seconds: float) -> None:
    """Sleeps until so long after a message of an hour has ended."""
    ends_us = sent.sent_timestamp + HOUR_MS * 1000
    await asyncio.sleep((ends_us - made.clock.now_us()) / 1_000_000 + seconds)


async def shown(node: Node, user: str) -> list[str]:
    return [item["messageContent"] for item in (await all_messages(node, user, THEIRS, 50))[0]]


async def listed(node: Node, user: str) -> Json:
    (item,), _ = await all_conversations(node, user, 10)
    return item


def hidden(made: Cluster) -> list[tuple[str, int]]:
    """The text of all that is stored for Ann under the hidden id, and when it ends."""
    return [(cell.content, cell.expires_us) for cell in stored(made, "ann") if cell.conversation_id == HIDDEN]


# Blocks


@both_kinds
@virtual_time
async def test_what_a_block_hides_has_its_end_and_is_removed_behind_it(*, late: bool) -> None:
    async with servers(late=late) as made:
        await ttl(made, "bob", HOUR_MS)
        shown_before = await said(made, "shown")
        await account(made, "ann", BlockUser("bob"))
        insult = await said(made, "insult")
        await made.node.change("bob", insult, "insult, edited")
        await made.node.change("bob", shown_before, "shown, edited")
        await made.node.react("bob", shown_before, "\U0001f44d")
        await made.quiet()
        await made.node.owner.cleaner.flush()
        ends = {sent.message_id: sent.sent_timestamp + HOUR_MS * 1000 for sent in (shown_before, insult)}
        at_hidden = [cell for cell in stored(made, "ann") if cell.conversation_id == HIDDEN]
        assert len(at_hidden) >= 3
        assert all(cell.expires_us == ends[cell.message_id] for cell in at_hidden)
        await checked(made)
        await until(made, insult, seconds=MARGIN_US / 1_000_000 + FIRST_WALK_S + 2 * WALK_S)
        await made.node.owner.cleaner.flush()
        assert not hidden(made)
        assert [cell.content for cell in stored(made, "ann")] == ["kept"]


@both_kinds
@virtual_time
async def test_a_row_says_by_the_hidden_id_that_it_hides_what_ends(*, late: bool) -> None:
    """Also where the conversation itself has no ttl here and no message with an end, and after a restart."""
    async with servers(late=late) as made:
        await account(made, "ann", BlockUser("bob"))
        await ttl(made, "bob", HOUR_MS)
        sent = await said(made, "insult")
        await until(made, sent, seconds=MARGIN_US / 1_000_000 + 1)
        await made.restart()
        await shown(made.node, "ann")
        await asyncio.sleep(5)
        await made.node.owner.cleaner.flush()
        assert not hidden(made)
        assert made.node.owner.disappeared.walks == 0


@both_kinds
@virtual_time
async def test_a_ttl_of_who_is_blocked_changes_nothing_that_is_shown_and_counts_from_the_end_of_the_block(
    *, late: bool
) -> None:
    async with servers(late=late) as made:
        await ttl(made, "ann", DAY_MS)
        await account(made, "ann", BlockUser("bob"))
        before, token = await listed(made.node, "ann"), (await made.node.changes("ann")).token
        assert await ttl(made, "bob", 2 * HOUR_MS)
        assert await ttl(made, "bob", HOUR_MS), "he is answered as ever"
        assert not await ttl(made, "bob", HOUR_MS)
        assert (await listed(made.node, "bob"))["ttlMs"] == HOUR_MS
        for _ in range(2):
            assert await listed(made.node, "ann") == before
            changes = await made.node.changes("ann", token=token)
            assert (changes.messages, changes.conversations) == ([], [])
            await made.restart()
        await account(made, "ann", UnblockUser("bob"))
        (told,) = (orjson.loads(one) for one in (await made.node.changes("ann", token=token)).conversations)
        assert told["ttlMs"] == HOUR_MS
        assert await listed(made.node, "ann") == told
        answer = await said(made, "answer", "ann", "bob")
        for user in ("ann", "bob"):
            (newest, _), _ = await all_messages(made.node, user, THEIRS, 50)
            assert newest["expiresTimestamp"] == answer.sent_timestamp + HOUR_MS * 1000
        await account(made, "ann", BlockUser("bob"))
        await account(made, "ann", UnblockUser("bob"))
        assert (await listed(made.node, "ann"))["ttlMs"] == HOUR_MS


@both_kinds
@virtual_time
async def test_a_ttl_behind_a_block_that_comes_again_later_changes_nothing(*, late: bool) -> None:
    """A setting of before the block, of during it and of after it: whatever comes again, the last one stands."""
    async with servers(late=late) as made:
        for ttl_ms in (DAY_MS, HOUR_MS):
            await ttl(made, "bob", ttl_ms)
        await account(made, "ann", BlockUser("bob"))
        await ttl(made, "bob", 2 * HOUR_MS)
        await account(made, "ann", UnblockUser("bob"))
        assert (await listed(made.node, "ann"))["ttlMs"] == 2 * HOUR_MS
        await ttl(made, "ann", 0)
        for user in ("ann", "bob"):
            assert "ttlMs" not in await listed(made.node, user)


@both_kinds
@virtual_time
async def test_who_blocks_sets_no_ttl(*, late: bool) -> None:
    async with servers(late=late) as made:
        await account(made, "ann", BlockUser("bob"))
        with pytest.raises(BlockedByYou):
            await made.node.set_ttl("ann", THEIRS, HOUR_MS)
        for user in ("ann", "bob"):
            assert "ttlMs" not in await listed(made.node, user)
        await account(made, "ann", UnblockUser("bob"))
        assert await ttl(made, "ann", HOUR_MS)


# Deletions


@both_kinds
@virtual_time
async def test_a_deletion_empties_what_has_an_end_and_what_is_left_of_it_goes_with_that(*, late: bool) -> None:
    async with servers(late=late) as made:
        await ttl(made, "bob", HOUR_MS)
        sent = await said(made, "secret")
        edited = await said(made, "secret, too")
        await made.node.change("bob", edited, "secret, edited")
        await made.quiet()
        await account(made, "ann", DeleteConversation(THEIRS))
        await swept(made)
        await made.node.owner.cleaner.flush()
        left = [cell for cell in stored(made, "ann") if cell.conversation_id == THEIRS]
        assert [cell.content for cell in left] == [""] * 3
        assert [cell.expires_us for cell in left] == [one.sent_timestamp + HOUR_MS * 1000 for one in (edited, sent)] + [
            0
        ]
        await checked(made)
        await until(made, edited, seconds=MARGIN_US / 1_000_000 + FIRST_WALK_S + 2 * WALK_S)
        await made.node.owner.cleaner.flush()
        assert len(stored(made, "ann")) == 1
        assert await shown(made.node, "bob") == ["kept"]


@both_kinds
@virtual_time
async def test_what_has_ended_before_a_deletion_and_what_ends_after_it_count_for_nothing(*, late: bool) -> None:
    async with servers(late=late) as made:
        await ttl(made, "bob", HOUR_MS)
        await said(made, "secret")
        await account(made, "ann", DeleteConversation(THEIRS))
        sent = await said(made, "for an hour")
        assert (await listed(made.node, "ann"))["unreadCount"] == 1
        await ttl(made, "bob", 0)
        await said(made, "for long")
        assert (await listed(made.node, "ann"))["unreadCount"] == 2
        await until(made, sent, seconds=5)
        item = await listed(made.node, "ann")
        assert (item["unreadCount"], item["snippet"]) == (1, "for long")
        assert "snippetExpiresTimestamp" not in item
        assert await shown(made.node, "ann") == ["for long"]
        await checked(made)
        await account(made, "ann", DeleteConversation(THEIRS))
        assert (await all_conversations(made.node, "ann", 10))[0] == []


@both_kinds
@virtual_time
async def test_a_ttl_brings_no_deleted_conversation_back_and_is_that_of_the_next_message(*, late: bool) -> None:
    async with servers(late=late) as made:
        await account(made, "ann", DeleteConversation(THEIRS))
        with pytest.raises(UnknownConversation):
            await made.node.set_ttl("ann", THEIRS, HOUR_MS)
        await ttl(made, "bob", HOUR_MS)
        for _ in range(2):
            assert (await all_conversations(made.node, "ann", 10))[0] == []
            await made.restart()
        answer = await said(made, "answer", "ann", "bob")
        (item,), _ = await all_messages(made.node, "ann", THEIRS, 50)
        assert item["expiresTimestamp"] == answer.sent_timestamp + HOUR_MS * 1000
        assert (await listed(made.node, "ann"))["ttlMs"] == HOUR_MS


# Features


@virtual_time
async def test_nobody_sets_a_ttl_before_all_servers_know_what_ends() -> None:
    async with servers(late=True) as made:
        node = made.node
        assert node.ownership is not None
        node.ownership.features = (BLOCKS, DELETIONS)
        with pytest.raises(FeatureOff):
            await node.set_ttl("ann", THEIRS, HOUR_MS)
        columns = await made.store.get_range(row_key("ann", SHARDS), Family.INDEX, TTL.letter, TTL.letter + b"\xff", 10)
        assert columns == []
        node.ownership.features = (BLOCKS, DELETIONS, DISAPPEARING)
        assert await ttl(made, "ann", HOUR_MS)

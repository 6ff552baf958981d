"""A block, its end, deletions, messages, edits, and all of it once more, in every order.

What a model of a few lines says is shown, and what is kept hidden; and whoever sends is answered and shown the same as
beside the same story without its deletions.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.features import BLOCKS, DELETIONS
from rowbox.cacheserver.port import AskPresence, ChangeAccount
from rowbox.mailbox.account.deeds import AccountDeed, BlockUser, DeleteConversation, UnblockUser
from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.errors import FeatureOff, UnknownConversation
from rowbox.mailbox.ids import direct_conversation_id, hidden_conversation_id
from rowbox.mailbox.message import Change, Message
from tests.checking import assert_no_findings
from tests.owner.people.test_deleted_conversations import stored, swept, texts
from tests.support.cluster import Cluster, Node, cluster, delivered, parsed
from tests.support.virtual_time import virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
STORIES = ["s" + "".join(steps) for length in range(5) for steps in product("sebda", repeat=length)]
"""Each letter is a step: Bob sends, edits his newest message; Ann blocks him or ends that, deletes; all comes again."""


@asynccontextmanager
async def servers(*, late: bool) -> AsyncIterator[Cluster]:
    """In the end no mailbox has anything that the check finds, also once what is deleted was emptied."""
    async with cluster(late=late) as made:
        yield made
        for _ in range(2):
            await made.quiet()
            await assert_no_findings(made.store, made.settings, made.clock.now_us())
            await swept(made)


async def change(node: Node, user: str, deed: AccountDeed) -> bool:
    return (await node.process.call(node.owner.change_account(ChangeAccount(user, deed)))).changed


def hidden_of(made: Cluster, user: str, conversation: bytes) -> list[MessageCell]:
    return [cell for cell in stored(made, user) if cell.conversation_id == hidden_conversation_id(conversation)]


class Story:
    """Of two users of their own. What Ann is shown and what is kept hidden is told beside what is done."""

    def __init__(self, name: str) -> None:
        self.ann, self.bob = f"ann-{name}", f"bob-{name}"
        self.conversation = direct_conversation_id(self.ann, self.bob)
        self.shown: dict[bytes, str] = {}
        """By messageId, the texts that Ann is shown."""
        self.hidden: dict[bytes, list[str]] = {}
        """By messageId, the texts that are kept hidden: the first one and the last."""
        self.told: list[object] = []
        """What Bob was answered, without its times."""
        self._is_blocked = self._is_known = False
        self._ids: list[bytes] = []
        self._hidden_ids: set[bytes] = set()
        self._came: list[Message] = []

    async def step(self, node: Node, letter: str, number: int) -> None:
        if letter == "s":
            await self._send(node, f"text {number}")
        elif letter == "e":
            await self._edit(node, f"edited {number}")
        elif letter == "b":
            deed = UnblockUser(self.bob) if self._is_blocked else BlockUser(self.bob)
            self._is_blocked = not self._is_blocked
            assert await change(node, self.ann, deed)
        elif letter == "d":
            await self._delete(node)
        else:
            await self.again(node)

    async def _send(self, node: Node, text: str) -> None:
        sent = await node.send(self.bob, self.ann, text, text)
        self.told.append((sent.pending_recipients, sent.duplicate))
        self._ids.append(sent.message_id)
        self._came.append(Message(sent.message_id, self.conversation, self.bob, (self.ann, self.bob), text))
        if self._is_blocked:
            self._hidden_ids.add(sent.message_id)
            self._hide(sent.message_id, text)
        else:
            self.shown[sent.message_id] = text
            self._is_known = True

    async def _edit(self, node: Node, text: str) -> None:
        newest = self._came[-1].message_id
        message = next(one for one in self._came if one.message_id == newest)
        place = await node.process.call(node.owner.send_status(self.bob, message.content))
        result = await node.change(self.bob, place, text)
        self.told.append(result.changed)
        self._came.append(replace(message, content=text, change=Change(result.last_updated_timestamp)))
        if newest in self._hidden_ids or (self._is_blocked and newest in self.shown):
            self._hide(newest, text)
        elif newest in self.shown:
            self.shown[newest] = text

    def _hide(self, message_id: bytes, text: str) -> None:
        self.hidden[message_id] = [*self.hidden.get(message_id, [])[:1], text]

    async def _delete(self, node: Node) -> None:
        if not self._is_known:  # it is as if Bob had never written
            with pytest.raises(UnknownConversation):
                await change(node, self.ann, DeleteConversation(self.conversation))
            return
        assert await change(node, self.ann, DeleteConversation(self.conversation)) == bool(self.shown)
        self.shown.clear()

    async def again(self, node: Node) -> None:
        """All that was ever on its way to Ann comes once more, the newest first."""
        messages = self._came[::-1]
        while messages:
            del messages[: await node.process.call(delivered(node.owner, self.ann, messages))]

    async def check(self, made: Cluster, node: Node) -> None:
        assert await texts(node, self.ann, self.conversation) == list(self.shown.values())[::-1]
        assert await texts(node, self.ann) == list(self.shown.values())[::-1]
        listed = parsed(await node.conversations(self.ann))
        assert [one["unreadCount"] for one in listed] == ([len(self.shown)] if self.shown else [])
        if self.shown and list(self.shown)[-1] == max(self._ids):
            assert listed[0]["snippet"] == list(self.shown.values())[-1]
        await node.process.call(node.owner.cleaner.flush())  # of edits that are hidden the last one stays
        kept = [cell.content for cell in hidden_of(made, self.ann, self.conversation)]
        assert sorted(kept) == sorted(text for kept_texts in self.hidden.values() for text in kept_texts)

    async def bobs(self, node: Node) -> list[Any]:
        """All that Bob is shown, without times and ids."""
        (listed,) = parsed(await node.conversations(self.bob))
        mailbox = await texts(node, self.bob)
        return [listed["unreadCount"], listed["snippet"], listed.get("receipts"), sorted(listed), mailbox, self.told]


@both_kinds
@virtual_time
async def test_every_order_of_a_block_deletions_and_what_comes_again(*, late: bool) -> None:
    """In memory, behind another owner's load, and once what is deleted was emptied."""
    async with servers(late=late) as made:
        node = made.node
        stories = {name: Story(name) for name in STORIES if late or len(name) < 5}
        for name, story in stories.items():
            for number, letter in enumerate(name):
                await story.step(node, letter, number - name[:number].count("d"))
                if letter == "e":
                    await made.quiet()  # an edit is answered before it is delivered
            await story.check(made, node)
        await made.quiet()
        node = await made.restart()
        for story in stories.values():
            await story.again(node)
            await story.check(made, node)
        await swept(made)
        for name, story in stories.items():
            await story.again(node)
            await story.check(made, node)
            as_without = stories[name.replace("d", "")]
            assert await story.bobs(node) == await as_without.bobs(node)


@both_kinds
@virtual_time
async def test_a_reaction_of_who_is_blocked_keeps_nothing_of_what_was_deleted(*, late: bool) -> None:
    """What is done to a message that was deleted is dropped, emptied or not; what was kept before stays."""
    async with servers(late=late) as made:
        node = made.node
        kept = await node.send("bob", "ann", "kept", "c1")
        sent = await node.send("ann", "bob", "secret", "c2")
        place = sent.conversation_id
        await change(node, "ann", BlockUser("bob"))
        await node.react("bob", kept, "\U0001f44d")
        await made.quiet()
        (before,) = hidden_of(made, "ann", place)
        assert (before.message_id, len(before.reactions)) == (kept.message_id, 1)
        await node.owner.deleted_copies.loop.close()
        await change(node, "ann", DeleteConversation(place))
        for emoji in ("\U0001f44d", "\U0001f44e"):
            await node.react("bob", sent, emoji)
            await node.react("bob", kept, emoji)
            await made.quiet()
            assert hidden_of(made, "ann", place) == [before]
            node = await made.restart()
            await swept(made)


@both_kinds
@virtual_time
async def test_a_conversation_of_which_all_is_hidden_is_none_and_stays_hidden(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await change(node, "ann", BlockUser("bob"))
        sent = await node.send("bob", "ann", "insult", "c1")
        for _ in range(2):
            with pytest.raises(UnknownConversation):
                await change(node, "ann", DeleteConversation(sent.conversation_id))
            node = await made.restart()
        assert [cell.content for cell in hidden_of(made, "ann", sent.conversation_id)] == ["insult"]


@both_kinds
@virtual_time
async def test_the_other_one_cannot_tell_by_presence(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        sent = await node.send("bob", "ann", "secret", "c1")
        await change(node, "ann", DeleteConversation(sent.conversation_id))
        for _ in range(2):
            for user, other in (("ann", "bob"), ("bob", "ann")):
                terms = await node.process.call(node.owner.presence_terms(AskPresence(user, (other,))))
                assert terms.sees == (True,)
            node = await made.restart()


@virtual_time
async def test_nobody_deletes_before_all_servers_know_how() -> None:
    async with servers(late=True) as made:
        node = made.node
        assert node.ownership is not None
        sent = await node.send("bob", "ann", "secret", "c1")
        node.ownership.features = (BLOCKS,)
        with pytest.raises(FeatureOff):
            await change(node, "ann", DeleteConversation(sent.conversation_id))
        assert await texts(node, "ann") == ["secret"]
        node.ownership.features = (BLOCKS, DELETIONS)
        assert await change(node, "ann", DeleteConversation(sent.conversation_id))

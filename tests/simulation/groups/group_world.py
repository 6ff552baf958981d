"""Groups under everything that goes wrong: members come, write, leave and are removed, while owners die.

What clients are told is compared with what the group's row and the mailboxes hold in the end: a confirmed message is in
the group once, a refused one never; and the checker holds each member's part against the group's log, from his joins to
his leavings, without a gap.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rowbox.cacheserver.port import GroupResult, SendResult
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.errors import (
    GroupFull,
    NotAllowed,
    NotAMember,
    RowboxError,
    UnknownConversation,
    UnknownMember,
)
from rowbox.mailbox.group import group_conversation_id, group_name
from rowbox.mailbox.groups.requests import Add, Deed, Leave, Remove, SetRole, Update
from tests.simulation.cluster.world import ClusterWorld
from tests.simulation.history import History
from tests.simulation.world import USERS, World
from tests.support.cluster import Node, all_conversations, all_messages
from tests.support.process import ConnectionLost

_T = TypeVar("_T")
OWNER = USERS[0]
GROUP = group_conversation_id(OWNER, "g")
REFUSALS = (NotAMember, UnknownConversation, NotAllowed, UnknownMember, GroupFull)
STEPS = 8


class GroupHistory:
    """What clients were told of a group."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.confirmed: dict[str, str] = {}
        """By text: the message's id."""
        self.refused: set[str] = set()
        self.newest: dict[int, str] = {}
        """By client: the message that was confirmed to it last. A user has several."""

    def confirm(self, client: int, text: str, result: SendResult) -> None:
        found = result.message_id.hex()
        if self.confirmed.setdefault(text, found) != found:
            raise self._history.violated("P2", f"{text} is two messages")
        if found < self.newest.get(client, ""):
            raise self._history.violated("P3", f"{text} sorts before what its client sent before it")
        self.newest[client] = found

    def final(self, log: list[MessageCell]) -> None:
        """The group's log in the end."""
        texts = [cell.content for cell in log if cell.told is None]
        if len(texts) != len(set(texts)):
            raise self._history.violated("P2", f"a message is in the group twice: {sorted(texts)}")
        by_text = {cell.content: cell.message_id.hex() for cell in log if cell.told is None}
        for text, found in self.confirmed.items():
            if by_text.get(text) != found:
                raise self._history.violated("P1", f"{text} was confirmed, and is not in the group")
        if lied := self.refused & set(texts):
            raise self._history.violated("P7", f"{sorted(lied)} were refused, and are in the group")


class Groups:
    """What clients of a simulation do with a group. To be mixed into a World, whose clients it replaces."""

    groups: GroupHistory
    clients: "itertools.count[int]"

    async def _group_client(self: "World", user: str, steps: int) -> None:  # type: ignore[misc]
        assert isinstance(self, Groups)
        client = next(self.clients)
        await self._once(lambda node: node.create_group(OWNER, USERS[1], named="g"))
        for _ in range(steps):
            await asyncio.sleep(self.dice.uniform(0, 0.1))
            if self.dice.random() < 0.6:
                await self._send_to_group(user, client)
            else:
                await self._change_group(user)

    async def _send_to_group(self: "World", user: str, client: int) -> None:  # type: ignore[misc]
        assert isinstance(self, Groups)
        self.serial += 1
        text = f"text {self.serial}"
        self.history.note(f"{user} sends {text} to the group")
        answer = await self._once(lambda node: node.send_to(user, GROUP, text, f"c{text}"))
        if isinstance(answer, SendResult):
            self.groups.confirm(client, text, answer)
        else:
            self.history.note(f"{text} is refused: {type(answer).__name__}")
            self.groups.refused.add(text)

    async def _change_group(self: "World", user: str) -> None:  # type: ignore[misc]
        assert isinstance(self, Groups)
        other = self.dice.choice(USERS[1:])
        deed: Deed = self.dice.choice((Add((other,), 9), Remove(other), Leave(), SetRole(other, "admin")))
        if user == OWNER and isinstance(deed, Leave):
            deed = Update(f"name {self.serial}", None)
        self.history.note(f"{user} asks for {deed}")
        answer = await self._once(lambda node: node.change_group(user, GROUP, deed))
        self.history.note(f"{answer if isinstance(answer, GroupResult) else type(answer).__name__}")

    async def _once(self: "World", ask: Callable[[Node], Awaitable[_T]]) -> "_T | RowboxError":  # type: ignore[misc]
        """What is answered in the end: a result, or a refusal."""
        while True:
            node = self._asked()
            if node.process.is_alive:
                try:
                    return await ask(node)
                except REFUSALS as refusal:
                    return refusal
                except RowboxError as error:
                    if not error.retryable:
                        raise self.history.violated("P5", f"{type(error).__name__}: {error}") from error
                    self.history.note(f"{error.code} ({type(error).__name__})")
                except ConnectionLost:
                    pass
            await asyncio.sleep(self.dice.uniform(0.01, 0.2))

    async def _check_groups(self: "World", node: Node, store: MemoryStore, shards: int) -> None:  # type: ignore[misc]
        assert isinstance(self, Groups)
        columns = store.cells.columns(row_key(group_name(GROUP), shards), Family.MESSAGES)
        cells = [codec.decode(Family.MESSAGES, *column) for column in columns]
        valid = {cell.message_id: cell for cell in cells if isinstance(cell, MessageCell)}
        shown: dict[bytes, str] = {}
        newest = ""
        for user in USERS:
            membership = await _membership(node, user)
            items, _ = await all_messages(node, user, GROUP, 5) if membership else ([], None)
            found = [item["messageId"] for item in items]
            newest = newest or found[0]
            if membership == "in" and found[0] != newest:
                raise self.history.violated("P1", f"{user} is in, and lacks what came last")
            if found != sorted(found, reverse=True):
                raise self.history.violated("P3", f"the group of {user} is out of order")
            shown.update({bytes.fromhex(item["messageId"]): item["messageContent"] for item in items})
        # What counts of the group's row is what the owner's mailbox shows: he is in from the first event on.
        self.groups.final([valid[message_id] for message_id in shown if message_id in valid])


async def _membership(node: Node, user: str) -> str:
    """By what the user's list shows; "": it has no group."""
    listed, _ = await all_conversations(node, user, 5)
    return listed[0]["membership"] if listed else ""


class GroupWorld(Groups, World):
    """Owners of everything, one after the other, over one store."""

    def __init__(self, seed: int, *, late: bool) -> None:
        super().__init__(seed, late=late)
        self.groups, self.clients = GroupHistory(self.history), itertools.count()

    async def _client(self, user: str) -> None:
        await self._group_client(user, STEPS)

    async def _poller(self, user: str) -> None:
        """Nobody follows: what is told to followers are changes of conversations, whoever has part in them."""

    async def _check_the_end(self) -> None:
        await self._check_groups(self.newest_node, self.cluster.store, 64)


class GroupClusterWorld(Groups, ClusterWorld):
    """A cluster whose members and groups have different owners."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.groups, self.clients = GroupHistory(self.history), itertools.count()

    async def _client(self, user: str) -> None:
        while not self.is_healed:
            await self._group_client(user, 3)
        if not self.ends_in_the_dark:
            await self._group_client(user, 1)

    async def _poller(self, user: str) -> None:
        """As in GroupWorld."""

    def _is_settled(self, *, only_confirmed: bool = False) -> str:
        """Nothing is in the group's outbox; in the end cells may be that do not count. The mailboxes will say."""
        if only_confirmed:
            return ""
        shards = self.cluster.traits.shards
        left = self.cluster.store.cells.columns(row_key(group_name(GROUP), shards), Family.OUTBOX)
        return f"{len(left)} events of the group are to be delivered" if left else ""

    async def _check_the_end(self) -> None:
        await self._check_groups(self.newest_node, self.cluster.store, self.cluster.traits.shards)

"""The simulation, with users who delete their copies of conversations: what they were shown before is shown no more.

Whatever dies, is paused, fails or executes late. What overlaps with a deletion may be on either side of it, until an
answer that was asked for behind the deletion shows it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from rowbox.cacheserver.port import ChangeAccount, SendResult
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.account.deeds import DeleteConversation
from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.errors import UnknownConversation, UnknownMessage
from tests.simulation.history import History, Sending, Violation
from tests.simulation.world import STEPS, USERS, World
from tests.support.cluster import SHARDS, Json, Node

Place = tuple[str, str]
"""A user, and a conversation."""


class Expected(frozenset[str]):
    """What an answer has to show. `at`: how many deletions had begun or ended when it was asked for; `gone`: what it
    must not show.
    """

    at: int = 0
    gone: frozenset[str] = frozenset()


@dataclass
class DeletingHistory(History):
    """What was told, and what was deleted meanwhile."""

    of: dict[str, str] = field(default_factory=dict)
    """The conversation of each message."""
    gone: dict[str, set[str]] = field(default_factory=dict)
    """By user: what was in his mailbox before a deletion began that was answered."""
    doubtful: dict[str, set[str]] = field(default_factory=dict)
    """By user: what may have come before a deletion of his or behind it."""
    begun: dict[str, int] = field(default_factory=dict)
    """How many deletions had begun or ended when a send was first asked for."""
    touched: dict[Place, int] = field(default_factory=dict)
    under_way: Counter[Place] = field(default_factory=Counter)
    changes: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.gone = {user: set() for user in self.users}
        self.doubtful = {user: set() for user in self.users}

    def begin_deletion(self, place: Place) -> set[str]:
        """What the user has of the conversation, and must not be shown once the deletion is answered."""
        user, conversation = place
        self.changes += 1
        self.touched[place] = self.changes
        self.under_way[place] += 1
        known = {message for message in self.shown[user] if self.of[message] == conversation}
        own = {message for message in known if self.conversations.get(message, ("", ""))[1] == user}
        self.marks.setdefault(place, set()).update(own)  # to send was to read
        return known

    def end_deletion(self, place: Place, known: set[str]) -> None:
        """It was answered."""
        user, conversation = place
        self.changes += 1
        self.touched[place] = self.changes
        self.under_way[place] -= 1
        self.gone[user] |= known
        self.doubtful[user] |= {message for message in self.shown[user] if self.of[message] == conversation}
        self.note(f"{user} has deleted {conversation[:8]}, of which {len(known)} messages were shown")

    def has_deleted(self, user: str) -> bool:
        return any(place[0] == user for place in self.touched)

    def _is_touched_since(self, user: str, message: str, at: int) -> bool:
        place = user, self.of[message]
        return self.touched.get(place, 0) > at or self.under_way[place] > 0

    # ------------------------------------------------------------------ as History

    def begin(self, sending: Sending, now_us: int) -> None:
        super().begin(sending, now_us)
        self.begun[sending.client_id] = self.changes

    def confirm(self, sending: Sending, result: SendResult) -> None:
        self.of[result.message_id.hex()] = result.conversation_id.hex()
        super().confirm(sending, result)
        for user in {sending.sender, sending.recipient}:
            if self._is_touched_since(user, sending.id, self.begun[sending.client_id]):
                self.doubtful[user].add(sending.id)

    def expected(self, user: str) -> frozenset[str]:
        kept = self.shown[user] - self.gone[user] - self.doubtful[user]
        made = Expected(message for message in kept if not self.under_way[user, self.of[message]])
        made.at, made.gone = self.changes, frozenset(self.gone[user])
        return made

    def missing(self, user: str, expected: frozenset[str], found: Iterable[str]) -> set[str]:
        assert isinstance(expected, Expected)
        lost = super().missing(user, expected, found)
        return {message for message in lost if not self._is_touched_since(user, message, expected.at)}

    def see(self, user: str, expected: frozenset[str], items: Iterable[Json]) -> None:
        assert isinstance(expected, Expected)
        for item in items:
            message = item["messageId"]
            self.of[message] = item["conversationId"]
            if message in expected.gone:
                raise self.violated("P4", f"{user} is shown {message}, which was deleted before that was asked for")
            if self._is_touched_since(user, message, expected.at):
                self.doubtful[user].add(message)
            else:
                self.doubtful[user].discard(message)
            self.shown[user].add(message)

    def final(self, boxes: dict[str, list[Json]]) -> None:
        for user, items in boxes.items():
            self.read(user, self.expected(user), items)
        for sending in self.sendings.values():
            for user in {sending.sender, sending.recipient}:
                found = [one["messageId"] for one in boxes[user] if one["messageContent"] == sending.content]
                may_be = [[], found[:1]] if sending.result is None else [[sending.id]]
                if sending.result is not None and self.has_deleted(user):
                    is_known = sending.id in self.shown[user] - self.gone[user] - self.doubtful[user]
                    may_be = [[sending.id]] if is_known else [[], [sending.id]]
                if found not in may_be:
                    raise self.violated("P1", f"{sending.client_id} was confirmed and is {found} in {user}'s mailbox")

    def check_unread(self, user: str, conversation: Json, items: list[Json]) -> None:
        place = user, conversation["conversationId"]
        is_unknown = any(one.sender == user and one.result is None for one in self.sendings.values())
        if place in self.touched and is_unknown:  # which may have been sent, and be gone: to send was to read
            self.marks.setdefault(place, set()).update(item["messageId"] for item in items)
        super().check_unread(user, conversation, items)


class DeletingWorld(World):
    """Clients delete conversations as well."""

    history: DeletingHistory

    def __init__(self, seed: int, *, late: bool) -> None:
        super().__init__(seed, late=late)
        self.history = DeletingHistory(USERS)

    async def _client(self, user: str) -> None:
        steps: list[Callable[[str], Awaitable[None]]] = [self._send, self._send, self._send, self._read, self._mark]
        steps += [self._follow, self._ask_status, self._delete]
        for _ in range(STEPS):
            await asyncio.sleep(self.dice.uniform(0, 0.1))
            await self.dice.choice(steps)(user)

    async def _delete(self, user: str) -> None:
        known = sorted({self.history.of[message] for message in self.history.shown[user]})
        if not known:
            return
        place = user, self.dice.choice(known)
        deed = ChangeAccount(user, DeleteConversation(bytes.fromhex(place[1])))
        before = self.history.begin_deletion(place)
        self.history.note(f"{user} deletes {place[1][:8]}")
        await self._try(lambda node: node.process.call(node.owner.change_account(deed)))
        self.history.end_deletion(place, before)

    async def _mark(self, user: str) -> None:
        try:
            await super()._mark(user)
        except Violation as error:
            is_of_deleted = isinstance(error.__cause__, UnknownMessage | UnknownConversation)
            if not (is_of_deleted and self.history.has_deleted(user)):
                raise

    async def _check_the_end(self) -> None:
        await super()._check_the_end()
        node = self.newest_node
        while len(node.owner.deleted_copies):  # noqa: ASYNC110 - nobody but tests waits for it
            await asyncio.sleep(1)
        for user in USERS:
            await self._check_nothing_is_left(node, user)

    async def _check_nothing_is_left(self, node: Node, user: str) -> None:
        """The store has no text of what was deleted: of what counts, the newest cell."""
        gone = self.history.gone[user]
        columns = (await node.store.get_row(row_key(user, SHARDS), (Family.MESSAGES,)))[Family.MESSAGES]
        _, mailbox = await node.process.call(node.owner.table.loaded(user))
        for cell in (codec.decode(Family.MESSAGES, *column) for column in columns):
            assert isinstance(cell, MessageCell)
            counts = mailbox.counts(cell.epoch, cell.version, mailbox.head)
            if counts and cell.content and cell.message_id.hex() in gone:
                raise self.history.violated("P4", f"{user}'s row keeps the text of {cell.message_id.hex()}")

"""Groups under everything that goes wrong: members come, write, leave and are removed, while owners die.

What clients are told is compared with what the group's row and the mailboxes hold in the end: a confirmed message is in
the group once, a refused one never; it has the text that its author gave it last, or is taken back if that was ever
confirmed; and who reacts sees the reaction that he chose last. The checker holds each member's part against the group's
log, from his joins to his leavings, without a gap. By every other seed the group gives who joins what was written
before: then whoever is in has all of it, whenever he came.
"""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec.structs import replace

from rowbox.cacheserver.port import ChangeResult, FetchReceipts, GroupResult, Page, SendResult
from rowbox.cacheserver.receipts.teller import LONGEST_PAUSE_S
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.errors import (
    GroupFull,
    MessageUnsent,
    NotAllowed,
    NotAMember,
    NotTheAuthor,
    RowboxError,
    TooLateToChange,
    UnknownConversation,
    UnknownMember,
    UnknownMessage,
)
from rowbox.mailbox.group import GroupSettings, group_conversation_id, group_name
from rowbox.mailbox.group import History as Given
from rowbox.mailbox.groups.copies import MOST_COPIES
from rowbox.mailbox.groups.requests import Add, Deed, Leave, Remove, SetRole, Update
from rowbox.mailbox.settings.config import Settings
from tests.simulation.cluster.cluster import SimulatedCluster
from tests.simulation.cluster.world import ClusterWorld
from tests.simulation.history import History
from tests.simulation.world import USERS, World
from tests.support.cluster import Cluster, Json, Node, all_conversations, all_messages
from tests.support.process import ConnectionLost

_T = TypeVar("_T")
OWNER = USERS[0]
GROUP = group_conversation_id(OWNER, "g")
REFUSALS = (
    NotAMember,
    UnknownConversation,
    NotAllowed,
    UnknownMember,
    GroupFull,
    NotTheAuthor,
    MessageUnsent,
    TooLateToChange,
    UnknownMessage,
)
UP, HEART = "\U0001f44d", "\u2764\ufe0f"
STEPS = 8
GIVES_EARLIER = GroupSettings(history=Given.RECENT)
RECEIPTS_S = 20.0
"""More than receipts take once nothing fails."""


class GroupHistory:
    """What clients were told of a group."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.confirmed: dict[str, str] = {}
        """By text: the message's id."""
        self.refused: set[str] = set()
        self.newest: dict[int, str] = {}
        """By client: the message that was confirmed to it last. A user has several."""
        self.sent: list[tuple[str, str, SendResult]] = []
        """Confirmed messages: whose, its text, and the answer."""
        self.taken_back: set[bytes] = set()
        self.edits: dict[bytes, list[tuple[int, str]]] = {}
        """By message: the version in its author's mailbox, and the text, of each edit that was confirmed."""
        self.reactions: dict[tuple[str, bytes], list[tuple[int, str]]] = {}
        """By user and message: the same, of his reactions."""
        self.refused_edits: set[str] = set()

    def confirm(self, client: int, text: str, result: SendResult) -> None:
        found = result.message_id.hex()
        if self.confirmed.setdefault(text, found) != found:
            raise self._history.violated("P2", f"{text} is two messages")
        if found < self.newest.get(client, ""):
            raise self._history.violated("P3", f"{text} sorts before what its client sent before it")
        self.newest[client] = found

    def final(self, log: list[Json]) -> None:
        """The group's log in the end, as somebody has it who was in from the first event on."""
        by_id = {item["messageId"]: item for item in log if "event" not in item}
        texts = [_as_sent(item) for item in by_id.values() if "unsent" not in item]
        if len(texts) != len(set(texts)):
            raise self._history.violated("P2", f"a message is in the group twice: {sorted(texts)}")
        for text, found in self.confirmed.items():
            item = by_id.get(found)
            if item is None or ("unsent" not in item and _as_sent(item) != text):
                raise self._history.violated("P1", f"{text} was confirmed, and is not in the group")
            self._final_text(text, item)
        if lied := self.refused & set(texts):
            raise self._history.violated("P7", f"{sorted(lied)} were refused, and are in the group")
        if lied := self.refused_edits & {item["messageContent"] for item in by_id.values()}:
            raise self._history.violated("P7", f"{sorted(lied)} were refused, and are so")

    def _final_text(self, text: str, item: Json) -> None:
        if "unsent" in item:
            return
        message_id = bytes.fromhex(item["messageId"])
        if message_id in self.taken_back:
            raise self._history.violated("P1", f"{text} was taken back, and is there: {item}")
        edits = self.edits.get(message_id)
        if edits and item["messageContent"] not in _newest(edits):
            raise self._history.violated("P1", f"{text} was last edited to {_newest(edits)}: {item}")

    def final_reaction(self, user: str, item: Json) -> None:
        """A message in a user's mailbox in the end."""
        done = self.reactions.get((user, bytes.fromhex(item["messageId"])))
        if done and not item.get("unsent"):
            mine = [one["emoji"] for one in item.get("reactions", ()) if one["mine"]]
            if (mine or [""])[0] not in _newest(done):
                raise self._history.violated("P1", f"{user} reacted with {_newest(done)} last, and sees {item}")


def _as_sent(item: Json) -> str:
    """The text that a message had at first."""
    return str(item["messageContent"]).partition("/")[0]


def _newest(done: list[tuple[int, str]]) -> set[str]:
    """What was done last, by the versions of the answers."""
    newest = max(version for version, _ in done)
    return {what for version, what in done if version == newest}


class Groups:
    """What clients of a simulation do with a group. To be mixed into a World, whose clients it replaces."""

    groups: GroupHistory
    clients: "itertools.count[int]"
    settings: GroupSettings
    """Of the group, from the beginning on."""

    async def _group_client(self: "World", user: str, steps: int) -> None:  # type: ignore[misc]
        assert isinstance(self, Groups)
        client = next(self.clients)
        await self._once(lambda node: node.create_group(OWNER, USERS[1], named="g", settings=self.settings))
        for _ in range(steps):
            await asyncio.sleep(self.dice.uniform(0, 0.1))
            choice = self.dice.random()
            if choice < 0.4 or not self.groups.sent:
                await self._send_to_group(user, client)
            elif choice < 0.65:
                await self._change_message(user)
            elif choice < 0.8:
                await self._read_group(user)
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
            self.groups.sent.append((user, text, answer))
        else:
            self.history.note(f"{text} is refused: {type(answer).__name__}")
            self.groups.refused.add(text)

    async def _change_message(self: "World", user: str) -> None:  # type: ignore[misc]
        assert isinstance(self, Groups)
        author, text, sent = self.dice.choice(self.groups.sent[-5:])
        self.serial += 1
        what = self.dice.choice(("edit", "edit", "react", "react", "unsend"))
        done: list[tuple[int, str]]
        if what == "react":
            value = self.dice.choice((UP, HEART, ""))
            done = self.groups.reactions.setdefault((user, sent.message_id), [])
            answer = await self._once(lambda node: node.react(user, sent, value))
        elif what == "edit":
            value = f"{text}/{self.serial}"
            done = self.groups.edits.setdefault(sent.message_id, [])
            answer = await self._once(lambda node: node.change(author, sent, value))
        else:
            value, done = "", []
            answer = await self._once(lambda node: node.change(user, sent, None))
        self.history.note(f"{user} asks to {what} {text} {value}: {answer}")
        if isinstance(answer, NotAMember) and what == "edit":
            self.groups.refused_edits.add(value)
        if isinstance(answer, ChangeResult):
            done.append((answer.last_updated_timestamp, value))
            if what == "unsend":
                self.groups.taken_back.add(sent.message_id)

    async def _read_group(self: "World", user: str) -> None:  # type: ignore[misc]
        """Reads what is newest in the user's mailbox, if it has the group."""
        assert isinstance(self, Groups)
        page = await self._once(lambda node: node.messages(user, GROUP, page_size=1))
        if isinstance(page, Page) and page.items:
            newest = bytes.fromhex(json.loads(page.items[0])["messageId"])
            self.history.note(f"{user} reads the group")
            await self._once(lambda node: node.mark_read(user, GROUP, newest))

    async def _check_receipts(self: "World", node: Node) -> None:  # type: ignore[misc]
        """What the owner is told of his messages is what the members' mailboxes say: who has nothing unread has read.

        That nobody is said to have read more is the checker's matter.
        """
        listed = {user: (await all_conversations(node, user, 5))[0] for user in USERS}
        await asyncio.sleep(LONGEST_PAUSE_S + RECEIPTS_S)
        items, _ = await all_messages(node, OWNER, GROUP, 5)
        for item in items:
            if item["senderId"] != OWNER or item.get("event"):
                continue
            asked = FetchReceipts(OWNER, GROUP, (bytes.fromhex(item["messageId"]),))
            (of,) = (await node.process.call(node.owner.fetch_receipts(asked))).receipts
            for member in of.members:
                is_read = listed[member.user_id][0]["unreadCount"] == 0
                if member.is_read < is_read:
                    text = f"{member.user_id} has read {item['messageContent']}, and the group's row does not know"
                    raise self.history.violated("receipts", text)

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

    async def _check_groups(self: "World", node: Node) -> None:  # type: ignore[misc]
        assert isinstance(self, Groups)
        log: list[Json] = []
        for user in (OWNER, *USERS[1:]):
            membership = await _membership(node, user)
            items, _ = await all_messages(node, user, GROUP, 5) if membership else ([], None)
            found = [item["messageId"] for item in items]
            log = log or items  # the owner is in from the first event on
            if membership == "in" and found[0] != log[0]["messageId"]:
                raise self.history.violated("P1", f"{user} is in, and lacks what came last")
            newest = {item["messageId"] for item in log[:MOST_COPIES]}
            if membership == "in" and self.settings == GIVES_EARLIER and not newest <= set(found):
                raise self.history.violated("P1", f"{user} is in, and was not given {sorted(newest - set(found))}")
            if found != sorted(found, reverse=True):
                raise self.history.violated("P3", f"the group of {user} is out of order")
            if unknown := set(found) - {item["messageId"] for item in log}:
                raise self.history.violated("P7", f"{user} has {sorted(unknown)}, which are not in the group")
            for item in items if membership == "in" else ():
                self.groups.final_reaction(user, item)
        self.groups.final(log)
        await self._check_receipts(node)


async def _membership(node: Node, user: str) -> str:
    """By what the user's list shows; "": it has no group."""
    listed, _ = await all_conversations(node, user, 5)
    return listed[0]["membership"] if listed else ""


def with_receipts(settings: Settings) -> Settings:
    """The same settings, under which authors are told of their readers."""
    return replace(settings, messages=replace(settings.messages, receipts="all"))


class GroupWorld(Groups, World):
    """Owners of everything, one after the other, over one store."""

    def __init__(self, seed: int, *, late: bool) -> None:
        super().__init__(seed, late=late)
        self.groups, self.clients = GroupHistory(self.history), itertools.count()
        self.settings = GIVES_EARLIER if seed % 2 else GroupSettings()

    def _make_cluster(self) -> Cluster:
        cluster = super()._make_cluster()
        cluster.settings = with_receipts(cluster.settings)
        return cluster

    async def _client(self, user: str) -> None:
        await self._group_client(user, STEPS)

    async def _poller(self, user: str) -> None:
        """Nobody follows: what is told to followers are changes of conversations, whoever has part in them."""

    async def _check_the_end(self) -> None:
        await self._check_groups(self.newest_node)


class GroupClusterWorld(Groups, ClusterWorld):
    """A cluster whose members and groups have different owners."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.groups, self.clients = GroupHistory(self.history), itertools.count()
        self.settings = GIVES_EARLIER if seed % 2 else GroupSettings()

    def _make_cluster(self) -> SimulatedCluster:  # type: ignore[override]
        cluster = super()._make_cluster()
        cluster.settings = with_receipts(cluster.settings)
        return cluster

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
        await self._check_groups(self.newest_node)

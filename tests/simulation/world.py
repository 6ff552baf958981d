"""A seeded simulation: clients that send, read, follow and mark, while everything that can go wrong does.

Virtual time; the seed decides all of it. `World(seed, late=True).run()` raises Violation when a promise is broken.
"""

import asyncio
import contextlib
import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import TypeVar
from unittest.mock import patch

from rowbox.cacheserver.port import Page, SendResult
from rowbox.cacheserver.rows.stash import HandedRow
from rowbox.cacheserver.stores.memory.faults import Fault
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.mailbox.errors import RowboxError, UnknownClientMessageId
from tests.checking import assert_no_findings
from tests.simulation.history import History, Sending
from tests.support.cluster import (
    CRAMPED,
    SHARDS,
    UNLIMITED,
    Cluster,
    Json,
    Node,
    all_conversations,
    all_messages,
    parsed,
    version_of,
)
from tests.support.process import ConnectionLost
from tests.support.virtual_time import run_virtual

_T = TypeVar("_T")
USERS = ["ann", "bob", "cem"]
STEPS = 10
"""What each client does."""
LATE_FAULTS = {
    Fault.FAIL_BEFORE: 0.03,
    Fault.FAIL_AFTER: 0.04,
    Fault.EXECUTE_TWICE: 0.1,
    Fault.EXECUTE_LATE: 0.06,
    Fault.EXECUTE_PARTLY: 0.04,
}
EMBEDDED_FAULTS = {Fault.FAIL_BEFORE: 0.1}
HOUR_S = 3600.0
TEN_DAYS_S = 864_000.0
"""Longer than the dedupe life."""


class Follower:
    """What a client holds that only ever asks for what changed."""

    def __init__(self) -> None:
        self.messages: dict[str, Json] = {}
        self.conversations: dict[str, Json] = {}
        self.message_token = "0"
        self.conversation_token = "0"
        self.floors: dict[str, int] = {}
        """By conversation of which the user has deleted his copy: the version up to which messages are dropped."""

    def take_messages(self, page: Page) -> list[str]:
        """What came that it had before: nothing, unless something is doubled."""
        assert page.token is not None
        if not page.is_delta:
            self.messages.clear()
        doubled = []
        for item in parsed(page):
            if item["messageId"] in self.messages:
                doubled.append(item["messageId"])
            self.messages[item["messageId"]] = item
        self.message_token = page.token
        self._drop()
        return doubled

    def _drop(self) -> None:
        """Drops the messages that the user has deleted with their conversations."""
        self.messages = {
            message_id: item
            for message_id, item in self.messages.items()
            if item["lastUpdatedTimestamp"] > self.floors.get(item["conversationId"], 0)
        }

    def take_conversations(self, page: Page) -> None:
        assert page.token is not None
        for item in parsed(page):
            conversation = item["conversationId"]
            self.conversations[conversation] = item
            if "deletedUpTo" in item:
                self.floors[conversation] = item["deletedUpTo"]
            if "deleted" in item:
                del self.conversations[conversation]
        self._drop()
        self.conversation_token = page.token


class World:
    """One simulation."""

    def __init__(self, seed: int, *, late: bool) -> None:
        self.seed = seed
        self.late = late
        self.dice = Random(seed)
        self.history = History(USERS)
        self.followers = {user: Follower() for user in USERS}
        self.serial = 0
        self.is_over = False
        self.clock_off_s = 0.0
        """By how much the clock is off, in small; it would be in doubt beyond 10 s."""
        self.clock_step_s = 0.0
        """A step of the clock that will be undone."""
        self.cluster: Cluster

    @property
    def newest_node(self) -> Node:
        """Whom a client asks that asks once."""
        return self.cluster.node

    def run(self) -> list[str]:
        """Plays it to the end; the events, the same for the same seed. Violation where a promise is broken."""
        entropy = Random(self.seed)
        with patch.object(secrets, "randbits", entropy.getrandbits), contextlib.ExitStack() as stack:
            state = random.getstate()
            stack.callback(random.setstate, state)
            random.seed(self.seed)
            try:
                run_virtual(self._run())
            except BaseException as error:
                error.add_note(f"replay: World({self.seed}, late={self.late}).run()")
                raise
        return self.history.events

    async def _run(self) -> None:
        self.cluster = self._make_cluster()
        await self._start_first()
        clients = [asyncio.create_task(self._client(user)) for user in USERS for _ in range(2)]
        clients += [asyncio.create_task(self._poller(user)) for user in USERS]
        trouble = asyncio.create_task(self._trouble())
        try:
            await asyncio.gather(*clients)
        finally:
            self.is_over = True
            for task in (trouble, *clients):
                task.cancel()
            await asyncio.gather(trouble, *clients, return_exceptions=True)
        await self._come_to_rest()
        await self._check_the_end()
        await self.cluster.close()
        await assert_no_findings(self.cluster.store, self.cluster.settings, self.cluster.clock.now_us())

    def _make_cluster(self) -> Cluster:
        settings, judges_clock = self.dice.choice([CRAMPED, UNLIMITED]), self.dice.random() < 0.7
        return Cluster(late=self.late, settings=settings, judges_clock=judges_clock)

    async def _start_first(self) -> None:
        await self._start_node()

    # ------------------------------------------------------------------ what goes wrong

    async def _start_node(self, handed: Sequence[HandedRow] = ()) -> Node:
        node = await self.cluster.start(handed)
        chances = LATE_FAULTS if self.late else EMBEDDED_FAULTS
        node.store.faults.roll(self.dice.getrandbits(32), chances, read_chance=0.03)
        self.history.note(f"node {self.cluster.map_version} starts")
        return node

    async def _trouble(self) -> None:
        kinds: list[Callable[[], Awaitable[None]]] = [self._stall, self._kill, self._set_clock]
        if self.late:
            kinds += [self._land, self._land, self._pause, self._pause_two, self._lapse, self._move]
        while True:
            await asyncio.sleep(self.dice.expovariate(4.0))
            await self.dice.choice(kinds)()

    async def _stall(self) -> None:
        """The store is slow for a moment."""
        store, point = self.cluster.node.store, self.dice.choice(list(Point))
        store.hold(point)
        await asyncio.sleep(self.dice.uniform(0, 0.3))
        store.release(point)

    async def _kill(self) -> None:
        if self.dice.random() < 0.5:
            return
        survive = self.late and self.dice.random() < 0.5
        self.history.note("kill")
        await self.cluster.kill(writes_survive=survive)
        await self._start_node()
        if self.dice.random() < 0.3:  # and its successor dies as well, in the middle of its first loads
            await asyncio.sleep(self.dice.uniform(0, 0.02))
            self.history.note("kill the next one, too")
            await self.cluster.kill(writes_survive=self.late and self.dice.random() < 0.5)
            await self._start_node()

    async def _pause(self) -> None:
        """A node is suspended, replaced, and goes on later as if nothing had happened."""
        paused = self.cluster.node
        self.history.note("pause")
        paused.pause()
        await self._start_node()
        await asyncio.sleep(self.dice.uniform(0, 1.0))
        self.history.note("wake")
        paused.wake()

    async def _pause_two(self) -> None:
        """Three nodes: the second is suspended in the middle of taking over, and both wake under the third."""
        paused = []
        for _ in range(2):
            paused.append(self.cluster.node)
            self.history.note("pause one of two")
            paused[-1].pause()
            await self._start_node()
            await asyncio.sleep(self.dice.uniform(0, 0.3))
        self.dice.shuffle(paused)
        for node in paused:
            self.history.note("wake one of two")
            node.wake()
            await asyncio.sleep(self.dice.uniform(0, 0.3))

    async def _move(self) -> None:
        """A node gives everything away while it lives. Or it changes its mind; or one of the two dies over it."""
        giver = self.cluster.node
        self.history.note("it closes")
        handed = await self.cluster.handed_by(giver)
        if self.cluster.node is not giver or not giver.process.is_alive:
            return
        fate = self.dice.random()
        if fate < 0.2:
            self.history.note("it opens again")
            giver.owner.reopen(range(SHARDS))
            return
        if fate < 0.3:
            self.history.note("it dies with the hand-over on its way")
            await self.cluster.kill(writes_survive=self.dice.random() < 0.5)
        self.history.note(f"{len(handed)} mailboxes are handed over")
        await self._start_node(handed if fate < 0.9 else handed[::2])
        if giver.process.is_alive:
            self.cluster.gave_away(giver)

    async def _lapse(self) -> None:
        """The owner cannot renew its lease for a moment, and nobody takes over: what is under way goes on."""
        node = self.cluster.node
        self.history.note("the lease lapses")
        node.lapse()
        await asyncio.sleep(self.dice.uniform(0, 0.2))
        if node is self.cluster.node and node.process.is_alive:
            self.history.note("the lease returns")
            node.renew()

    async def _land(self) -> None:
        store = self.cluster.store
        if store.late_count:
            store.land_one(self.dice.randrange(store.late_count))
        if self.dice.random() < 0.3:
            store.compact()

    async def _set_clock(self) -> None:
        if not self.cluster.judges_clock:
            self._jump(self.dice.uniform(-5, 5))
        elif self.dice.random() < 0.5:
            before, self.clock_off_s = self.clock_off_s, self.dice.uniform(-4, 4)
            self._jump(self.clock_off_s - before)
        else:
            await self._step_clock(self.dice.choice([HOUR_S, TEN_DAYS_S]) * self.dice.choice([1, -1]))

    async def _step_clock(self, step_s: float) -> None:
        """The clock is set by far. A server may start meanwhile, and believe it. It is set right, or somebody says that
        it is right: not where records of sends that clients still try would expire by that.
        """
        self.history.note(f"the clock is set by {step_s:.0f} s")
        self.clock_step_s = step_s
        self._jump(step_s)
        await asyncio.sleep(self.dice.uniform(0, 1.5))
        if self.dice.random() < 0.3:
            self.history.note("kill")
            await self.cluster.kill(writes_survive=self.late and self.dice.random() < 0.5)
            await self._start_node()
            await asyncio.sleep(self.dice.uniform(0, 1.5))
        if step_s == TEN_DAYS_S or self.dice.random() < 0.7:
            self._undo_step()
        self.clock_step_s = 0.0
        self.history.note("somebody says that the clock is right")
        await self.cluster.say_the_clock_is_right()

    def _undo_step(self) -> None:
        if self.clock_step_s:
            self.history.note("the clock is set right")
            self._jump(-self.clock_step_s)
            self.clock_step_s = 0.0

    def _jump(self, seconds: float) -> None:
        self.cluster.clock.jump(seconds)
        self.history.set_clock(self.cluster.clock.now_us(), is_far=abs(seconds) >= HOUR_S)

    # ------------------------------------------------------------------ what clients do

    async def _try(self, ask: Callable[[Node], Awaitable[_T]]) -> _T:
        """Asks until there is an answer: of whichever node the map names at the time, rarely of an older one."""
        while True:
            node = self._asked()
            if node.process.is_alive:
                try:
                    return await ask(node)
                except RowboxError as error:
                    if isinstance(error, UnknownClientMessageId):
                        raise
                    if not error.retryable:
                        raise self.history.violated("P5", f"{type(error).__name__}: {error}") from error
                    self.history.note(f"{error.code} ({type(error).__name__})")
                except ConnectionLost:
                    pass
            await asyncio.sleep(self.dice.uniform(0.01, 0.2))

    def _asked(self) -> Node:
        """Whom a client asks."""
        if self.dice.random() < 0.1:
            return self.dice.choice(self.cluster.nodes)
        return self.cluster.node

    async def _client(self, user: str) -> None:
        steps = [self._send, self._send, self._read, self._mark, self._follow, self._ask_status]
        for _ in range(STEPS):
            await asyncio.sleep(self.dice.uniform(0, 0.1))
            await self.dice.choice(steps)(user)

    async def _send(self, user: str) -> None:
        self.serial += 1
        sending = Sending(user, self.dice.choice(USERS), f"text {self.serial}", f"c{self.serial}")
        self.history.begin(sending, self._earliest_us())
        self.history.note(f"{user} sends {sending.client_id} to {sending.recipient}")
        if self.dice.random() < 0.2:  # an impatient client: twice at once
            await asyncio.gather(self._send_until_confirmed(sending), self._send_until_confirmed(sending))
        elif self.dice.random() < 0.1:  # one that leaves after its first try
            with contextlib.suppress(RowboxError, ConnectionLost):
                self.history.confirm(sending, await self._ask_to_send(self.newest_node, sending))
        else:
            await self._send_until_confirmed(sending)

    def _earliest_us(self) -> int:
        """The least by which a send that is asked for now may be dated."""
        return self.cluster.clock.now_us()

    async def _send_until_confirmed(self, sending: Sending) -> None:
        result = await self._try(lambda node: self._ask_to_send(node, sending))
        self.history.confirm(sending, result)

    async def _ask_to_send(self, node: Node, sending: Sending) -> SendResult:
        return await node.send(sending.sender, sending.recipient, sending.content, sending.client_id)

    async def _ask_status(self, user: str) -> None:
        known = [one for one in self.history.sendings.values() if one.sender == user and one.result is not None]
        if not known:
            return
        sending = self.dice.choice(known)
        try:
            result = await self._try(lambda node: node.status(user, sending.client_id))
        except UnknownClientMessageId:
            raise self.history.violated("P2", f"{sending.client_id} was confirmed and is unknown") from None
        self.history.confirm(sending, result)

    async def _read(self, user: str) -> None:
        async def ask(node: Node) -> tuple[frozenset[str], list[Json]]:
            expected = self.history.expected(user)
            items, token = await all_messages(node, user, None, self.dice.randint(1, 20))
            if any(item["lastUpdatedTimestamp"] > version_of(token) for item in items):
                raise self.history.violated("P4", f"{user} is shown what is newer than the token")
            return expected, items

        expected, items = await self._try(ask)
        self.history.read(user, expected, items)

    async def _mark(self, user: str) -> None:
        items = [item for item in self.followers[user].messages.values() if item["senderId"] != user]
        if not items:
            return
        item = self.dice.choice(items)
        message, conversation = item["messageId"], item["conversationId"]
        place = (user, conversation)
        self.history.marks.setdefault(place, set()).add(message)
        await self._try(lambda node: node.mark_read(user, bytes.fromhex(conversation), bytes.fromhex(message)))
        self.history.confirmed_marks[place] = max(message, self.history.confirmed_marks.get(place, ""))

    async def _follow(self, user: str) -> None:
        follower = Follower()  # two clients share the user's follower: only one may be under way
        follower.__dict__ = self.followers[user].__dict__
        page = await self._try(lambda node: node.conversations(user, token=follower.conversation_token))
        if version_of(page.token) >= version_of(follower.conversation_token):
            follower.take_conversations(page)

    async def _poller(self, user: str) -> None:
        """Follows by long polls to the end; checks that each message comes once and all that had to come did."""
        follower = self.followers[user]
        for _ in range(STEPS):
            wait_ms = self.dice.choice([0, 100, 2000])
            await self._poll(user, follower, wait_ms)

    async def _poll(self, user: str, follower: Follower, wait_ms: int) -> None:
        async def ask(node: Node) -> tuple[frozenset[str], Page]:
            expected = self.history.expected(user)
            page = await node.messages(
                user, token=follower.message_token, page_size=self.dice.randint(1, 9), wait_ms=wait_ms
            )
            return expected, page

        expected, page = await self._try(ask)
        if not page.is_delta:
            await self._start_anew(user, follower, page)
            return
        if doubled := follower.take_messages(page):
            raise self.history.violated("P4", f"{user} got {doubled} twice by deltas")
        self.history.see(user, expected, parsed(page))
        if not page.has_more and (missing := self.history.missing(user, expected, follower.messages)):
            raise self.history.violated("P4", f"{user}'s deltas have left out {sorted(missing)}")

    async def _start_anew(self, user: str, follower: Follower, reset: Page) -> None:
        """The token may have been too old by a clock that was set far ahead: the client fetches all, page by page."""
        if reset.reset_reason != "expired" or not self.history.is_far_set:
            raise self.history.violated("P4", f"{user}'s token was refused: {reset.reset_reason}")
        self.history.note(f"{user} starts anew")
        expected = self.history.expected(user)
        items, token = await self._try(lambda node: all_messages(node, user, None, self.dice.randint(1, 9)))
        assert token is not None
        follower.messages = {item["messageId"]: item for item in items}
        follower.message_token = token
        self.history.see(user, expected, items)

    # ------------------------------------------------------------------ the end

    async def _come_to_rest(self) -> None:
        """No more faults. Late writes land, before the last node starts or after it."""
        self.history.note("the end")
        self._undo_step()
        if self.cluster.judges_clock:
            await self.cluster.say_the_clock_is_right()
        for node in self.cluster.nodes:
            node.store.faults.clear()
            node.wake()
        lands_before = self.dice.random() < 0.5
        if self.late and lands_before:
            self.cluster.store.land()
        node = await self._last_node()
        await asyncio.sleep(0.01)
        if self.late:
            self.cluster.store.land()
        await asyncio.sleep(400)  # two scans for outboxes
        await self.cluster.quiet()
        assert node.owner.delivery.pending == 0

    async def _last_node(self) -> Node:
        """One that starts after the others have ended."""
        await self.cluster.kill()
        return await self.cluster.start()

    async def _check_the_end(self) -> None:
        node, boxes = self.newest_node, {}
        for user in USERS:
            boxes[user], _ = await all_messages(node, user, None, 7)
        self.history.final(boxes)
        for user in USERS:
            await self._check_follower(node, user, boxes[user])

    async def _check_follower(self, node: Node, user: str, items: list[Json]) -> None:
        follower = self.followers[user]
        while True:
            page = await node.messages(user, token=follower.message_token, page_size=5)
            if doubled := follower.take_messages(page):
                raise self.history.violated("P4", f"{user} got {doubled} twice by deltas")
            if not page.has_more:
                break
        follower.take_conversations(await node.conversations(user, token=follower.conversation_token))
        if follower.messages != {item["messageId"]: item for item in items}:
            raise self.history.violated("P4", f"what {user} holds by deltas is not what a fresh fetch shows")
        fresh, _ = await all_conversations(node, user, 2)
        if follower.conversations != {item["conversationId"]: item for item in fresh}:
            raise self.history.violated("P4", f"the conversations that {user} holds by deltas are not the fresh ones")
        for conversation in fresh:
            self.history.check_unread(user, conversation, items)
            listed, _ = await all_messages(node, user, bytes.fromhex(conversation["conversationId"]), 3)
            newest_first = sorted((item["messageId"] for item in listed), reverse=True)
            if [item["messageId"] for item in listed] != newest_first:
                raise self.history.violated("P3", f"a conversation of {user} is out of order")
            if conversation["lastMessageId"] != newest_first[0] and "deletedUpTo" not in conversation:
                raise self.history.violated("P4", f"the index of {user} names another newest message")

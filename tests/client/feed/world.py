"""A client's following and the server's own session, with everything between them that chance may break, in a time of
the test's own: sockets that end, or die without a word; frames lost, doubled and in another order; handshakes and polls
that fail; servers that stop; a store that is put back. The mailbox is a list of changes.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any, Final

import msgspec

from rowbox.api.realtime.closing import BAD_FRAME, UNAUTHENTICATED
from rowbox.api.realtime.deltas import Pulled
from rowbox.api.realtime.effects import (
    Active,
    Begin,
    End,
    Enter,
    Follow,
    Ping,
    Prove,
    Pull,
    Refuse,
    Typing,
    Verify,
    View,
    Watch,
    Write,
)
from rowbox.api.realtime.effects import Effect as ServerEffect
from rowbox.api.realtime.frames import Presence, encode
from rowbox.api.realtime.session import Holder, Session, SessionTerms, Stage
from rowbox.api.v1.presence.types import PresenceShown
from rowbox.client.following.effects import (
    Connect,
    Effect,
    Give,
    HangUp,
    Lose,
    Poll,
    Renew,
    Reply,
    Say,
    Seen,
    Stop,
    Told,
    Unpoll,
)
from rowbox.client.following.session import FeedSession, Way

PAGE: Final = 4
"""The most changes in an answer."""
TOKEN_LIFE_MS: Final = 600_000
POLL_PAUSE_MS: Final = 1_000
LEEWAY_S: Final = 30.0
USERS: Final = ("bob", "carol", "7")
REST_MS: Final = 900_000
"""Longer than any pause of a client: by then everything has to have come."""


class Mailbox:
    """What the server has: changes, each a new state of one of a few messages and of its conversation."""

    def __init__(self) -> None:
        self.history = 0
        self.head = 0
        self.oldest = 0
        """Tokens before this have expired."""
        self.log: list[tuple[int, str, str]] = []

    def token(self, version: int) -> str:
        return f"{version}.history{self.history}"

    def change(self, chance: Random) -> None:
        number = chance.randrange(12)
        self.head += chance.randint(1, 3)
        self.log.append((self.head, f"m{number}", f"c{number % 3}"))

    def restore(self, chance: Random) -> None:
        """The store is put back: the last changes are gone, and versions are given again."""
        del self.log[chance.randint(0, len(self.log)) :]
        self.head = self.log[-1][0] if self.log else 0
        self.oldest = 0
        self.history += 1

    def fetched(self) -> dict[str, int]:
        """All there is, by its id: a fresh fetch."""
        return {key: version for version, *keys in self.log for key in keys}

    def page(self, token: str | None) -> dict[str, Any]:
        """What fetchChanges answers."""
        version, _, history = (token or "").partition(".")
        reason = None
        if token is not None:
            is_ours = history == f"history{self.history}"
            reason = None if is_ours and int(version) >= self.oldest else "expired" if is_ours else "restored"
        if token is None or reason is not None:
            found = self.fetched()
            return self._body([], [key for key in found if key[0] == "c"][:2], self.head, False, False, reason)
        since = [entry for entry in self.log if entry[0] > int(version)]
        entries, has_more = since[:PAGE], len(since) > PAGE
        until = entries[-1][0] if has_more else self.head
        last = {key: at for at, *keys in self.log for key in keys}
        messages = dict.fromkeys(key for at, key, _ in entries if last[key] <= until)
        conversations = dict.fromkeys(key for at, _, key in entries if last[key] <= until)
        return self._body(messages, conversations, until, has_more, True, None)

    def _body(
        self, messages: Any, conversations: Any, until: int, has_more: bool, is_delta: bool, reason: str | None
    ) -> dict[str, Any]:
        now = self.fetched()
        return {
            "messages": [{"messageId": key, "lastUpdatedTimestamp": now[key]} for key in messages],
            "conversations": [{"conversationId": key, "lastUpdatedTimestamp": now[key]} for key in conversations],
            "account": False,
            "isDeltaUpdate": is_delta,
            "lastUpdatedTimestamp": self.token(until),
            "hasMore": has_more,
            "resetReason": reason,
        }


class Program:
    """What a program keeps, by the rules of the guide."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.copy: dict[str, int] = {}
        self.given: list[dict[str, Any]] = []
        self._mailbox = mailbox

    def deals_with(self, page: dict[str, Any]) -> None:
        if not page["isDeltaUpdate"]:
            self.copy = {}
            for key, version in self._mailbox.fetched().items():  # the lists, read anew
                self._take(key, version)
        for item in [*page["messages"], *page["conversations"]]:
            self._take(item.get("messageId") or item["conversationId"], item["lastUpdatedTimestamp"])

    def _take(self, key: str, version: int) -> None:
        if version >= self.copy.get(key, 0):
            self.copy[key] = version


class Wire:
    """One socket: frames on their way, both ways, and the server's end of it."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.session = Session(SessionTerms(leeway_s=LEEWAY_S), world.now_ms / 1000)
        self.to_client: list[dict[str, Any]] = []
        self.to_server: list[str] = []
        self.pulls: list[Pull] = []
        self.calls: list[int] = []
        self.closing: tuple[int, str] | None = None
        self.is_deaf = False
        """Nothing comes through any more, and neither end is told."""
        self.follows = False
        self.watched: Mapping[str, str] = {}

    @property
    def now_s(self) -> float:
        return self.world.now_ms / 1000

    def do(self, effects: list[ServerEffect]) -> None:
        for effect in effects:
            match effect:
                case Write(frame=frame):
                    self.to_client.append(json.loads(frame))
                case Verify(token=token):
                    self._verify(token)
                case Follow():
                    self.follows = True
                    mailbox = self.world.mailbox
                    self.do(self.session.followed(mailbox.token(mailbox.head), self.now_s))
                case Pull():
                    self.pulls.append(effect)
                case Begin(number=number):
                    self.calls.append(number)
                case End(code=code, reason=reason, is_gone=is_gone):
                    self.closing = (1006, "") if is_gone else (code, reason)
                    self.follows = False
                case Prove():
                    pass  # what authors hear is no matter of a client's
                case Refuse():
                    raise AssertionError("the client made a call too many")
                case Watch(users=users):
                    self.watched = users
                    self.tell_of(users)
                case Ping() | Enter() | Active() | View() | Typing():
                    pass

    def tell_of(self, users: Iterable[str]) -> None:
        shown = {user: PresenceShown(online=True) if self.world.online.get(user) else None for user in users}
        self.do(self.session.ephemeral(encode(Presence(users=shown))))

    def _verify(self, token: str) -> None:
        if token in self.world.refused:
            self.do(self.session.refused(UNAUTHENTICATED, "the token has expired"))
            return
        ends_s = self.now_s + self.world.token_life_ms / 1000
        self.do(self.session.verified(Holder("alice", ends_s, 1), self.now_s))

    def deliver_to_server(self) -> None:
        if self.to_server and not self.is_deaf:
            frame = self.to_server.pop(0)
            self.session.heard(self.now_s)
            self.do(self.session.received(frame, self.now_s))
            assert self.closing is None or self.closing[0] != BAD_FRAME, (frame, self.closing)

    def answer(self) -> None:
        """Everything that the owner was asked is answered."""
        for pull in self.pulls[:]:
            self.pulls.remove(pull)
            page = self.world.mailbox.page(pull.token)
            is_empty = page["isDeltaUpdate"] and not page["messages"] and not page["conversations"]
            body = msgspec.json.encode(page)
            pulled = Pulled(page["lastUpdatedTimestamp"], page["hasMore"], is_empty, body)
            self.do(self.session.pulled(pull.number, pulled, self.now_s))
        for number in self.calls[:]:
            self.calls.remove(number)
            self.do(self.session.called(number, 200, b'{"number":%d}' % number, self.now_s))

    def changed(self, prev: str, body: bytes | None) -> None:
        if self.follows:
            mailbox = self.world.mailbox
            self.do(self.session.changed(mailbox.token(mailbox.head), prev, body, self.now_s))


class World:
    """Everything, and what may happen to it. Each method is a step that a test chooses, with a chance of its own."""

    def __init__(self, seed: int, start: str | None = None) -> None:
        self.now_ms = 0.0
        self.chance = Random(seed)
        self.mailbox = Mailbox()
        self.program = Program(self.mailbox)
        self.token_life_ms = math.inf
        self.refused: set[str] = set()
        self.access = 0
        self.session = FeedSession(start, self.chance.random, client="test/1")
        self.wire: Wire | None = None
        self.is_blocked = self.polls_fail = False
        self.poll: str | None = None
        self.is_polling = False
        self._poll_at_ms = math.inf
        self._arrived: dict[str, Any] = {}
        self.under_way: set[int] = set()
        self.calls = 0
        self.stopped: Stop | None = None
        self.online: dict[str, bool] = {}
        self.watched: list[str] = []
        self.seen: dict[str, Any] = {}
        """What the program was told of those whom it watches, where it is not None."""
        self.events: list[Any] = []
        """What the client's session was told, and what it said: for the other language."""
        self.tell("begin", self.now_ms)

    # ------------------------------------------------------------------ the client's end

    def tell(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Tells the session, and does what it says."""
        before = self.chance.getstate()
        result = getattr(self.session, name)(*arguments, **named)
        effects: list[Effect] = result[1] if name == "call" else result or []
        drawn = [] if before == self.chance.getstate() else [_first_after(before)]
        self.events.append(
            [name, [*arguments, *named.values()], drawn, msgspec.to_builtins(effects), self.session.due_ms]
        )
        for effect in effects:
            assert self.stopped is None, "something came after the end"
            self._do(effect)
        return result

    def _do(self, effect: Effect) -> None:
        match effect:
            case Connect(refused=refused):
                assert self.wire is None, "two sockets"
                assert refused is None or refused in self.refused
                if refused is not None and self.access_token == refused:
                    self.access += 1
                self.wire = None if self.is_blocked else Wire(self)
            case Say(frame=frame):
                if self.wire is not None:
                    self.wire.to_server.append(json.dumps(frame))
            case HangUp():
                self.wire = None
            case Renew():
                self.access += 1
                self.tell("renewed", self.access_token)
            case Poll() | Unpoll():
                self._polls(effect)
            case _:
                self._learns(effect)

    def _polls(self, effect: Poll | Unpoll) -> None:
        assert self.is_polling is isinstance(effect, Unpoll)
        self.is_polling = not self.is_polling
        if isinstance(effect, Poll):
            self.poll, self._poll_at_ms = effect.token, self.now_ms

    def _learns(self, effect: Effect) -> None:
        match effect:
            case Give():
                self.program.given.append(self._arrived)
            case Reply(id=number):
                self.under_way.remove(number)
            case Lose(ids=numbers):
                self.under_way -= set(numbers)
            case Stop():
                self.stopped = effect
            case Seen(users=users):
                for user, seen in users.items():
                    assert user in self.watched
                    self.seen[user] = seen
            case Told():
                assert self.session.way is Way.OPEN
            case _:
                raise AssertionError(effect)

    @property
    def access_token(self) -> str:
        return f"access{self.access}"

    # ------------------------------------------------------------------ steps

    def commit(self) -> None:
        """Something changes; its followers are told, mostly with the bytes of the commit."""
        prev = self.mailbox.token(self.mailbox.head)
        self.mailbox.change(self.chance)
        body = msgspec.json.encode(self.mailbox.page(prev)) if self.chance.random() < 0.7 else None
        if self.wire is not None and self.chance.random() < 0.95:  # else the hint is lost
            self.wire.changed(prev, body)

    def burst(self) -> None:
        for _ in range(self.chance.randint(5, 30)):
            self.commit()

    def restore(self) -> None:
        self.mailbox.restore(self.chance)
        self.end()  # all servers of that store have been stopped

    def expire(self) -> None:
        self.mailbox.oldest = self.mailbox.head

    def handshake(self) -> None:
        """The socket that is being opened is open, or is refused."""
        if self.session.way is not Way.CONNECTING:
            return
        if self.wire is None:
            self.tell("ended", 1006, "", self.now_ms, self.chance.choice([0, 0, 2_000]))
        else:
            self.tell("connected", self.access_token)

    def deliver(self) -> None:
        """A frame arrives, at either end."""
        wire = self.wire
        if wire is None:
            return
        wire.deliver_to_server()
        if wire.to_client and not wire.is_deaf and self.session.way in {Way.GREETING, Way.OPEN}:
            self._arrived = wire.to_client.pop(0)
            self.tell("received", self._arrived, self.now_ms)
        elif (
            wire.closing is not None
            and not wire.is_deaf
            and not wire.to_client
            and self.session.way is not Way.CONNECTING
        ):
            code, reason = wire.closing
            if code == UNAUTHENTICATED:
                self.refused.add(self.access_token)
            self.wire = None
            self.tell("ended", code, reason, self.now_ms)

    def answer(self) -> None:
        if self.wire is not None:
            self.wire.answer()

    def lose(self) -> None:
        """A frame is lost, at either end."""
        if self.wire is not None:
            frames: list[Any] = self.chance.choice([self.wire.to_client, self.wire.to_server])
            if frames:
                frames.pop(self.chance.randrange(len(frames)))

    def double(self) -> None:
        if self.wire is not None and self.wire.to_client:
            frames = self.wire.to_client
            frames.insert(self.chance.randrange(len(frames) + 1), self.chance.choice(frames))

    def reorder(self) -> None:
        if self.wire is not None:
            self.chance.shuffle(self.wire.to_client)

    def end(self) -> None:
        """The connection breaks."""
        if self.wire is not None and self.session.way in {Way.GREETING, Way.OPEN}:
            self.wire = None
            self.tell("ended", self.chance.choice([1006, 1001, 1011, 4008, 4429, 4503]), "", self.now_ms)

    def deafen(self) -> None:
        """It dies without a word."""
        if self.wire is not None:
            self.wire.is_deaf = True

    def drain(self) -> None:
        if self.wire is not None:
            self.wire.do(self.wire.session.drain(self.chance.randrange(3000)))

    def block(self) -> None:
        self.is_blocked = True

    def fail_polls(self) -> None:
        self.polls_fail = True

    def mend(self) -> None:
        self.is_blocked = self.polls_fail = False

    def shorten_tokens(self) -> None:
        self.token_life_ms = 120_000

    def call(self) -> None:
        if self.session.can_call(self.now_ms):
            number, _ = self.tell("call", "sendMessage", {"number": self.calls}, self.now_ms)
            self.under_way.add(number)
            self.calls += 1

    def give_up(self) -> None:
        if self.under_way:
            number = min(self.under_way)
            self.under_way.remove(number)
            self.tell("give_up", number, self.now_ms)

    def watch(self) -> None:
        """The program wants to be told of others."""
        self.watched = self.chance.sample(USERS, self.chance.randrange(len(USERS) + 1))
        self.seen = {user: seen for user, seen in self.seen.items() if user in self.watched}
        self.tell("watch", self.watched, self.now_ms)

    def look(self) -> None:
        """Somebody looks at the program."""
        self.tell("active", self.now_ms)

    def come_or_go(self) -> None:
        user = self.chance.choice(USERS)
        self.online[user] = not self.online.get(user)
        if self.wire is not None and user in self.wire.watched:
            self.wire.tell_of([user])

    def take(self) -> None:
        """The program deals with a change."""
        if self.program.given:
            self.program.deals_with(self.program.given.pop(0))
            self.tell("taken", self.now_ms)

    def wake(self) -> None:
        self.tell("woke", self.now_ms)

    def pass_time(self) -> None:
        self.passes(self.chance.choice([1, 50, 500, 5_000, 40_000]))

    def passes(self, ms: float) -> None:
        """Time passes, and everybody is asked when they want to be."""
        until_ms, steps = self.now_ms + ms, 0
        while (due_ms := self._due_ms()) <= until_ms:
            steps += 1
            assert steps < 10_000, "due again and again, and nothing comes of it"
            self.now_ms = max(self.now_ms, due_ms)
            if self.session.due_ms <= self.now_ms:
                self.tell("elapsed", self.now_ms)
            if self.wire is not None and self.wire.session.due_s <= self.now_ms / 1000:
                self.wire.do(self.wire.session.elapsed(self.now_ms / 1000))
            self._poll_where_due()
        self.now_ms = until_ms

    def _due_ms(self) -> float:
        of_wire = math.inf
        if self.wire is not None and self.wire.session.stage is not Stage.ENDED:
            of_wire = self.wire.session.due_s * 1000 + 0.001
        return min(
            self.session.due_ms, of_wire, self._poll_at_ms if self.is_polling and self.session.has_room else math.inf
        )

    def _poll_where_due(self) -> None:
        if not self.is_polling or not self.session.has_room or self.now_ms < self._poll_at_ms:
            return
        self._poll_at_ms = self.now_ms + POLL_PAUSE_MS
        if self.polls_fail:
            self.tell("not_polled")
            return
        assert not self.refused or self.access_token not in self.refused, "a poll with a refused token"
        self._arrived = self.mailbox.page(self.poll)
        self.poll = self._arrived["lastUpdatedTimestamp"]
        if self._arrived["hasMore"]:
            self._poll_at_ms = self.now_ms
        self.tell("polled", self._arrived, self.now_ms)

    def come_to_rest(self) -> None:
        """Nothing fails any more, and the program deals with all that it is given."""
        self.mend()
        self.token_life_ms = math.inf
        if self.wire is not None and self.wire.is_deaf:
            self.wire.to_server.clear()
        until_ms = self.now_ms + REST_MS
        while self.now_ms < until_ms and self.stopped is None:
            for _ in range(20):
                self.handshake()
                self.deliver()
                self.answer()
                self.take()
            self.passes(500)


STEPS: Final[dict[str, Callable[[World], None]]] = {
    name: getattr(World, name)
    for name in (
        "commit burst restore expire handshake deliver answer lose double reorder end deafen drain block fail_polls "
        "mend shorten_tokens call give_up watch look come_or_go take wake pass_time"
    ).split()
}


def _first_after(state: Any) -> float:
    """What a Random in this state gives first."""
    chance = Random()
    chance.setstate(state)
    return chance.random()

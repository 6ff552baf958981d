"""How a client follows its mailbox: a socket first, and long polls where there is none. Pure: no I/O, time is an
argument, and so is chance.

    APART --connect--> CONNECTING --the handshake--> GREETING --welcome--> OPEN --ends--> APART     or STOPPED, for ever

Each method says what happened and returns what is to be done about it, in order (effects.py). `now_ms` never falls.
api/web/client/feed.js is the same in JavaScript, rule for rule: tests/client/feed has stories that both tell, and
plays what chance makes up to both.

What is protected, each with a test that fails without it (tests/client/feed):

chain       a delta is taken where it goes on from what the client has (chain.py); a gap is asked for, once at a time
window      what the program has not dealt with is not acknowledged, so the server sends no more than a window of it
life        a silent socket is asked each PING_MS, and sooner where a call over it was given up; a newer head without a
            delta is a gap
token       a fresh access token before the old one ends; never again with one that was refused
return      pauses by the code of the end (comeback.py); long polls meanwhile, where that may take long
rate        what goes out stays below the server's bounds: calls beyond them go by HTTP
people      each connection is told whom the program watches; without one what is known of them is forgotten (seen.py)
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

from rowbox.client.following.chain import Verdict, is_behind, judged
from rowbox.client.following.comeback import LOST, UNAUTHENTICATED, Chance, Comeback, stops
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
    Stop,
    Told,
    Unpoll,
)
from rowbox.client.following.seen import People

WELCOME_MS: Final = 10_000.0
"""How long a handshake and the welcome behind it may take."""
SLOW_MS: Final = 3_000.0
"""When they take longer than this, or a pause does, long polls bring what is new meanwhile."""
PING_MS: Final = 25_000.0
PONG_MS: Final = 12_000.0
"""How long the server may be silent after a ping."""
PROBE_MS: Final = 5_000.0
"""The same where the connection is probably dead: the machine slept, or a call was given up, and nothing was heard
since it was made. Until the server is heard, calls go by HTTP."""
ACTIVE_MS: Final = 5_000.0
"""How often the server is told that somebody is looking."""
LOOK_MS: Final = 2_000.0
"""How long the delta of a newer head may take."""
RENEW_MS: Final = 10_000.0
"""After this a token function that gave no fresh token is asked again."""
MOST_CALLS: Final = 32
CALLS_A_SECOND: Final = 50
"""A server takes 100 frames in a second."""
ACKS_A_SECOND: Final = 30
"""In any second. No timer is waited for before that: in a page that nobody sees it may come a minute late."""
WINDOW: Final = 8
MAX_FRAME_BYTES: Final = 512 << 10


class Way(Enum):
    """What stands of a socket."""

    APART = "apart"
    CONNECTING = "connecting"
    GREETING = "greeting"
    OPEN = "open"
    STOPPED = "stopped"


_FIELDS: Final[Mapping[str, Mapping[str, tuple[type, ...]]]] = {
    "welcome": {"window": (int,), "maxFrameBytes": (int,)},
    "delta": {
        "prev": (str, type(None)),
        "token": (str,),
        "isDeltaUpdate": (bool,),
        "messages": (list, tuple),
        "conversations": (list, tuple),
    },
    "reply": {"id": (int,), "status": (int,), "body": (dict, type(None))},
    "pong": {"head": (str,)},
    "presence": {"users": (dict,)},
}
"""What the rules here need of a frame."""


def is_whole(frame: Mapping[str, Any]) -> bool:
    """Whether a frame of a known kind has what it has to have."""
    return all(isinstance(frame.get(name), kinds) for name, kinds in _FIELDS.get(frame.get("t", ""), {}).items())


class FeedSession:
    """The following of one mailbox, from `token` on; None: from a beginning."""

    def __init__(self, token: str | None, chance: Chance, *, client: str, device_id: str | None = None) -> None:
        self.way = Way.APART
        self.token = token
        """Everything up to here was given, or is nothing to give."""
        self.max_frame_bytes = MAX_FRAME_BYTES
        self._client = client
        self._device_id = device_id
        self._comeback = Comeback(chance)
        self._window = WINDOW
        self._untaken: deque[str | None] = deque()
        """Of each change that the program has not dealt with: up to where the server may be told when it has."""
        self._access: str | None = None
        self._refused: str | None = None
        """The access token that may not be used again."""
        self._refusal = ""
        """Why not."""
        self._is_asked = False
        self._is_polling = False
        self._is_answered = False
        """The last poll was."""
        self._is_behind = False
        self._is_following = False
        """A follow has no answer yet."""
        self._calls: dict[int, float] = {}
        """When each call that has no reply was made."""
        self._call_id = 0
        self._called: deque[float] = deque()
        """When the last calls were made."""
        self._acked: deque[float] = deque()
        """When it was acknowledged last."""
        self._ack: str | None = None
        self._opened_ms = math.inf
        self._come_back_ms = math.inf
        self._welcome_by_ms = math.inf
        self._slow_ms = math.inf
        self._ping_ms = math.inf
        self._active_ms = -math.inf
        """When the server was told last that somebody is looking."""
        self._people = People()
        self._heard_ms = -math.inf
        """When the last frame came."""
        self._hear_by_ms = math.inf
        self._is_in_doubt = False
        """The connection is probably dead, and the server was asked whether it is."""
        self._look_ms = math.inf
        self._renew_ms = math.inf

    # ------------------------------------------------------------------ the program

    def begin(self, now_ms: float) -> list[Effect]:
        """To be called once, first."""
        return self._connect(now_ms)

    @property
    def has_room(self) -> bool:
        """Whether the program has dealt with enough to be given more."""
        return len(self._untaken) < self._window

    def taken(self, now_ms: float) -> list[Effect]:
        """The program has dealt with the oldest change that it was given."""
        self._ack = self._untaken.popleft()
        return [*self._acknowledge(now_ms), *self._follow_where_behind()]

    def can_call(self, now_ms: float) -> bool:
        """Whether a call may go over the socket now. Else it goes by HTTP."""
        if self.way is not Way.OPEN or self._is_in_doubt:
            return False
        is_full = len(self._called) >= CALLS_A_SECOND and now_ms - self._called[0] < 1000
        return len(self._calls) < MOST_CALLS and not is_full

    def call(self, name: str, args: Mapping[str, Any], now_ms: float) -> tuple[int, list[Effect]]:
        """Makes a call, where `can_call`; its number, by which it is answered (Reply, Lose)."""
        self._call_id += 1
        self._calls[self._call_id] = now_ms
        _note(self._called, now_ms, CALLS_A_SECOND)
        return self._call_id, [Say({"t": "call", "id": self._call_id, "do": name, "args": dict(args)})]

    def give_up(self, call_id: int, now_ms: float) -> list[Effect]:
        """Nobody waits for the answer to that call any more."""
        made_ms = self._calls.pop(call_id, None)
        is_silent = made_ms is not None and self._heard_ms <= made_ms <= now_ms - PROBE_MS
        return self._probe(now_ms) if is_silent else []

    def watch(self, users: Sequence[str], now_ms: float) -> list[Effect]:
        """The program wants to be told who of these users is online (Seen), and of nobody else, by this connection and
        by those after it.
        """
        return self._people.watch(users, now_ms, is_open=self.way is Way.OPEN)

    def active(self, now_ms: float) -> list[Effect]:
        """Somebody is looking. It may be said as often as one likes, and is nothing where no socket is open."""
        if self.way is not Way.OPEN or now_ms < self._active_ms + ACTIVE_MS:
            return []
        self._active_ms = now_ms
        return self._ping(now_ms, PONG_MS, active=True)

    # ------------------------------------------------------------------ the socket

    def connected(self, access: str) -> list[Effect]:
        """The handshake is done; `access` is the access token to say."""
        self.way, self._access, self._refused = Way.GREETING, access, None
        hello: dict[str, Any] = {"t": "hello", "token": access, "client": self._client}
        if self._device_id is not None:
            hello["deviceId"] = self._device_id
        self._is_following = self.token is not None and self.has_room
        self._is_behind = not self._is_following
        if self._is_following:
            hello["follow"] = self.token
        return [Say(hello)]

    def denied(self) -> list[Effect]:
        """There is no other access token than the refused one."""
        return self._stop(UNAUTHENTICATED, self._refusal)

    def ended(self, code: int, reason: str, now_ms: float, asked_ms: float = 0.0) -> list[Effect]:
        """The socket is closed, or there was none: LOST, with what a refused handshake asked for."""
        if self.way in {Way.APART, Way.STOPPED}:
            return []
        if stops(code):
            return self._stop(code, reason)
        if code == UNAUTHENTICATED:
            self._refused, self._refusal = self._access, reason
        was_open, held_ms = self.way is Way.OPEN, max(0.0, now_ms - self._opened_ms)
        effects = self._apart()
        if was_open:
            self._people.apart(now_ms)
        beside_polls = self._is_polling and self._is_answered
        again = self._comeback.after(code, reason, held_ms=held_ms, asked_ms=asked_ms, beside_polls=beside_polls)
        self._come_back_ms, self._is_asked = now_ms + again.pause_ms, again.is_asked
        if self._refused is not None:
            return [*effects, *self._unpoll()]
        return [*effects, *self._poll()] if not was_open or again.pause_ms > SLOW_MS else effects

    def broken(self, now_ms: float) -> list[Effect]:
        """What came is no frame of a server's."""
        return [HangUp(), *self.ended(LOST, "", now_ms)]

    def received(self, frame: Mapping[str, Any], now_ms: float) -> list[Effect]:
        """A frame came. Frames and fields that are not known are passed over."""
        kind = frame.get("t")
        if not is_whole(frame):
            return self.broken(now_ms)
        if self.way is Way.GREETING and kind == "welcome":
            return self._welcome(frame, now_ms)
        if self.way is not Way.OPEN:
            return []
        self._heard_ms, self._hear_by_ms, self._is_in_doubt = now_ms, math.inf, False
        return self._heard(frame, now_ms)

    def _heard(self, frame: Mapping[str, Any], now_ms: float) -> list[Effect]:
        match frame.get("t"):
            case "delta":
                return self._delta(frame, now_ms)
            case "reply":
                if frame["id"] not in self._calls:
                    return []
                del self._calls[frame["id"]]
                return [Reply(frame["id"], frame["status"], frame["body"])]
            case "pong":
                if self._look_ms == math.inf and is_behind(self.token, frame["head"]):
                    self._look_ms = now_ms + LOOK_MS
            case "presence":
                return self._people.told(frame["users"])
            case "expiring":
                self._renew_ms = now_ms
                return self.elapsed(now_ms)
            case _:
                pass
        return []

    def renewed(self, access: str) -> list[Effect]:
        """The answer to a Renew."""
        self._renew_ms = math.inf
        if self.way is not Way.OPEN or access == self._access:
            return []
        self._access = access
        return [Say({"t": "auth", "token": access})]

    # ------------------------------------------------------------------ the polls

    def polled(self, page: Mapping[str, Any], now_ms: float) -> list[Effect]:
        """A long poll from the token is answered. Where the owner knows no feed, the token stays (two_lists.py)."""
        if not self._is_polling:
            return []
        was_answered, self._is_answered = self._is_answered, True
        effects = self._took(page, page["lastUpdatedTimestamp"])
        if not was_answered and self.way is Way.APART and not self._is_asked:
            effects += self._connect(now_ms)  # the server is there again: the pause was for an outage
        return effects

    def not_polled(self) -> None:
        """A long poll has no answer."""
        self._is_answered = False

    # ------------------------------------------------------------------ time

    @property
    def due_ms(self) -> float:
        """When `elapsed` is to be called; earlier calls do no harm."""
        is_open = self.way is Way.OPEN
        ack_ms = self._acked[0] + 1000 if self._ack is not None and is_open else math.inf
        return min(
            ack_ms,
            self._people.due_ms(is_open=is_open),
            self._come_back_ms,
            self._welcome_by_ms,
            self._slow_ms,
            self._ping_ms,
            self._hear_by_ms,
            self._look_ms,
            self._renew_ms,
        )

    def elapsed(self, now_ms: float) -> list[Effect]:
        """Time has passed."""
        if now_ms >= self._come_back_ms:
            return self._connect(now_ms)
        if now_ms >= min(self._welcome_by_ms, self._hear_by_ms):
            return self.broken(now_ms)
        effects: list[Effect] = []
        if now_ms >= self._slow_ms:
            self._slow_ms = math.inf
            effects += self._poll()
        effects += self._people.elapsed(now_ms, is_open=self.way is Way.OPEN)
        if self.way is not Way.OPEN:
            return effects
        effects += self._acknowledge(now_ms)
        if now_ms >= self._ping_ms:
            effects += self._ping(now_ms, PONG_MS)
        if now_ms >= self._look_ms:
            self._look_ms = math.inf
            self._is_behind, self._is_following = True, False
            effects += self._follow_where_behind()
        if now_ms >= self._renew_ms:
            self._renew_ms = now_ms + RENEW_MS
            effects.append(Renew(self._access or ""))
        return effects

    def woke(self, now_ms: float) -> list[Effect]:
        """The machine slept, or its network is another one: connections may have died without a word."""
        if self.way is Way.OPEN:
            return self._probe(now_ms)
        if self.way is Way.APART:
            return [] if self._is_asked else self._connect(now_ms)
        if self.way is Way.STOPPED:
            return []
        return [HangUp(), *self._connect(now_ms)]

    # ------------------------------------------------------------------ rules

    def _connect(self, now_ms: float) -> list[Effect]:
        self.way = Way.CONNECTING
        self._come_back_ms, self._is_asked = math.inf, False
        self._welcome_by_ms = now_ms + WELCOME_MS
        self._slow_ms = now_ms + SLOW_MS if self._may_poll else math.inf
        return [Connect(self._refused)]

    def _welcome(self, frame: Mapping[str, Any], now_ms: float) -> list[Effect]:
        self.way, self._opened_ms = Way.OPEN, now_ms
        self._window = frame["window"]
        self.max_frame_bytes = frame["maxFrameBytes"]
        self._welcome_by_ms = self._slow_ms = math.inf
        self._ping_ms = now_ms + PING_MS
        self._ack = None  # of a poll or an earlier socket: this one's hello says it
        self._active_ms = -math.inf
        return [*self._unpoll(), Told(), *self._follow_where_behind(), *self._people.opened(now_ms)]

    def _delta(self, frame: Mapping[str, Any], now_ms: float) -> list[Effect]:
        if frame["isDeltaUpdate"]:
            verdict = judged(self.token, frame["prev"], frame["token"])
            if verdict is Verdict.OLD:
                return []
            if verdict is Verdict.GAP:
                self._is_behind = True
                return self._follow_where_behind()
        self._is_behind = self._is_following = False
        self._look_ms = math.inf
        return [*self._took(frame, frame["token"]), *self._acknowledge(now_ms)]

    def _took(self, page: Mapping[str, Any], token: str | None) -> list[Effect]:
        """The token moves, and the program is given what there is to give."""
        self.token = token
        if page["isDeltaUpdate"] and not (page["messages"] or page["conversations"] or page.get("account")):
            if self._untaken:
                self._untaken[-1] = token
            else:
                self._ack = token
            return []
        self._untaken.append(token)
        return [Give(token)]

    def _follow_where_behind(self) -> list[Effect]:
        is_due = self._is_behind and not self._is_following and self.has_room and self.way is Way.OPEN
        if not is_due:
            return []
        self._is_behind, self._is_following = False, True
        return [Say({"t": "follow", "token": self.token})]

    def _acknowledge(self, now_ms: float) -> list[Effect]:
        is_full = len(self._acked) >= ACKS_A_SECOND and now_ms - self._acked[0] < 1000
        if self._ack is None or self.way is not Way.OPEN or is_full:
            return []
        token, self._ack = self._ack, None
        _note(self._acked, now_ms, ACKS_A_SECOND)
        return [Say({"t": "ack", "token": token})]

    def _ping(self, now_ms: float, pong_ms: float, *, active: bool = False) -> list[Effect]:
        self._ping_ms = now_ms + PING_MS
        self._hear_by_ms = min(self._hear_by_ms, now_ms + pong_ms)
        return [Say({"t": "ping", "active": True} if active else {"t": "ping"})]

    def _probe(self, now_ms: float) -> list[Effect]:
        """Finds out whether the connection is dead."""
        self._is_in_doubt = True
        return self._ping(now_ms, PROBE_MS)

    @property
    def _may_poll(self) -> bool:
        return not self._is_polling and self._refused is None  # a poll would go with the refused token

    def _poll(self) -> list[Effect]:
        if not self._may_poll:
            return []
        self._is_polling = True
        return [Poll(self.token)]

    def _unpoll(self) -> list[Effect]:
        was_polling, self._is_polling, self._is_answered = self._is_polling, False, False
        return [Unpoll()] if was_polling else []

    def _apart(self) -> list[Effect]:
        """What ends with a socket."""
        self.way, self._is_in_doubt = Way.APART, False
        self._opened_ms = self._welcome_by_ms = self._slow_ms = math.inf
        self._ping_ms = self._hear_by_ms = self._look_ms = self._renew_ms = math.inf
        lost = list(self._calls)
        self._calls.clear()
        return [Lose(lost)] if lost else []

    def _stop(self, code: int, reason: str) -> list[Effect]:
        effects = [*self._apart(), *self._unpoll()]
        self.way, self._come_back_ms = Way.STOPPED, math.inf
        return [*effects, *self._people.forget(), Stop(code, reason)]


def _note(times: deque[float], now_ms: float, most: int) -> None:
    """Adds a time to the last `most` ones."""
    times.append(now_ms)
    if len(times) > most:
        times.popleft()

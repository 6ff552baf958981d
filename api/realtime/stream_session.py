"""One event stream (SSE): the same deltas as a socket's, without a way back. Pure; time is an argument.

Nothing is acknowledged: the token of the client's next request says what it has. So there is no window, and a slow
client is known by what lies unwritten alone.
"""

import math
from typing import Final

from msgspec import json

from rowbox.api.realtime import closing
from rowbox.api.realtime.deltas import Delta, Deltas, Pulled
from rowbox.api.realtime.effects import Effect, End, Pull, Write
from rowbox.api.realtime.writing import Writing

COMMENT_S: Final = 25.0
"""How often something is sent into silence, so that proxies keep the connection and a client can tell that it lives."""
MAX_PULL_PAUSE_S: Final = 5.0
_COMMENT: Final = b":\n\n"


def event(delta: Delta) -> bytes:
    """A delta as an event, whose id is the token after it. Its JSON holds no line break."""
    return b"event: delta\nid: %b\ndata: %b\n\n" % (delta.token.encode(), delta.body)


def bye(retry_after_ms: int) -> bytes:
    """The last event of a stream whose server stops."""
    return b"event: bye\ndata: %b\n\n" % json.encode({"retryAfterMs": retry_after_ms})


class StreamSession:
    """The stream of one client, who has everything up to `token`; None: nothing. `ends_s`: the access token's end."""

    __slots__ = ("_comment_s", "_deltas", "_ends_s", "_has_ended", "_pull_again_s", "_writing")

    def __init__(self, token: str | None, head: str, *, ends_s: float, write_s: float, now_s: float) -> None:
        self._deltas = Deltas(head, window=None)
        self._deltas.follow(token)
        self._writing = Writing(write_s)
        self._ends_s = ends_s
        self._comment_s = now_s + COMMENT_S
        self._pull_again_s = math.inf
        self._has_ended = False

    def begin(self) -> Pull:
        """The first pull, made before the stream begins: so what is wrong with the request is an answer of HTTP."""
        pull = self._deltas.next_pull()
        assert pull is not None
        return Pull(*pull)

    def changed(self, head: str, prev: str, body: bytes | None, now_s: float) -> list[Effect]:
        """As of Session."""
        if self._has_ended:
            return []
        delta = self._deltas.change(head, prev, body, may_write=self._writing.has_room)
        return self._settled(self._event(delta, now_s))

    def compared(self, head: str) -> list[Effect]:
        """Nobody told of changes for a while; the mailbox is at `head`."""
        self._deltas.compare(head)
        return [] if self._has_ended else self._settled([])

    def pulled(self, number: int, page: Pulled, now_s: float) -> list[Effect]:
        """The answer to a Pull."""
        return [] if self._has_ended else self._settled(self._event(self._deltas.pulled(number, page), now_s))

    def not_pulled(self, number: int, retry_after_ms: int, now_s: float) -> None:
        """A Pull could not be answered, for the moment."""
        if self._deltas.failed(number):
            self._pull_again_s = now_s + min(max(retry_after_ms / 1000, 0.05), MAX_PULL_PAUSE_S)

    def unwritten(self, size_bytes: int, now_s: float) -> list[Effect]:
        """As of Session."""
        self._writing.lies(size_bytes, now_s)
        return [] if self._has_ended else self._settled([])

    def drain(self, retry_after_ms: int) -> list[Effect]:
        """The server stops: the client comes back after this time."""
        return [] if self._has_ended else [Write(bye(retry_after_ms)), *self.ended(closing.GOING, "")]

    def ended(self, code: int, reason: str) -> list[Effect]:
        """The stream cannot go on. The client finds out why by its next request."""
        if self._has_ended:
            return []
        self._has_ended = True
        return [End(code, reason, is_gone=False)]

    @property
    def due_s(self) -> float:
        """As of Session."""
        return min(self._comment_s, self._writing.due_s, self._pull_again_s, self._ends_s)

    def elapsed(self, now_s: float) -> list[Effect]:
        """Time has passed."""
        if self._has_ended:
            return []
        if now_s >= self._writing.due_s:
            self._has_ended = True
            return [End(closing.TOO_SLOW, "nothing is taken", is_gone=True)]
        if now_s >= self._ends_s:
            return self.ended(closing.UNAUTHENTICATED, "the token has expired")
        if now_s >= self._pull_again_s:
            self._pull_again_s = math.inf
        effects: list[Effect] = [self._write(_COMMENT, now_s)] if now_s >= self._comment_s else []
        return self._settled(effects)

    def _event(self, delta: Delta | None, now_s: float) -> list[Effect]:
        return [] if delta is None else [self._write(event(delta), now_s)]

    def _write(self, data: bytes, now_s: float) -> Write:
        self._comment_s = now_s + COMMENT_S
        self._writing.writes(len(data))
        return Write(data)

    def _settled(self, effects: list[Effect]) -> list[Effect]:
        if self._writing.has_room and self._pull_again_s == math.inf:
            pull = self._deltas.next_pull()
            if pull is not None:
                effects.append(Pull(*pull))
        return effects

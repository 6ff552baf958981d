"""Whom a program watches, and what it was told of them. Pure, as session.py, of which it is a part.

A new connection watches anew. What the one before it told is believed for UNSEEN_MS, so that nobody flickers where a
connection is replaced; then it is not known any more.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rowbox.client.following.effects import Effect, Say, Seen

WATCH_MS: Final = 1_000.0
"""How often the server is told of others to watch. The newest counts."""
UNSEEN_MS: Final = 30_000.0
"""How long what a connection told is believed behind its end: who is online was active within the last 30 s."""


class People:
    """The watch of one following."""

    def __init__(self) -> None:
        self._watched: dict[str, None] = {}
        self._is_unsaid = False
        """The server is to be told of `_watched`."""
        self._said_ms = -math.inf
        self._shown: dict[str, None] = {}
        """Those of whom something is known."""
        self._stale: dict[str, None] = {}
        """Those of them of whom this connection has told nothing yet."""
        self._forget_ms = math.inf
        """When nothing is known of those any more."""

    def watch(self, users: Sequence[str], now_ms: float, *, is_open: bool) -> list[Effect]:
        """See FeedSession."""
        watched = dict.fromkeys(users)
        if watched == self._watched:
            return []
        self._watched, self._is_unsaid = watched, True
        self._shown = {user: None for user in self._shown if user in watched}
        self._refreshed({user: None for user in self._stale if user in watched})
        return self._say(now_ms) if is_open else []

    def opened(self, now_ms: float) -> list[Effect]:
        """A connection is open."""
        self._is_unsaid, self._said_ms = bool(self._watched), -math.inf
        return self._say(now_ms)

    def told(self, users: Mapping[str, Any]) -> list[Effect]:
        """The server has told what is so of users. Some of them may not be watched any more."""
        known = {user: seen for user, seen in users.items() if user in self._watched}
        for user, seen in known.items():
            if seen is None:
                self._shown.pop(user, None)
            else:
                self._shown[user] = None
        self._refreshed({user: None for user in self._stale if user not in known})
        return [Seen(known)] if known else []

    def apart(self, now_ms: float) -> None:
        """A connection that was open is not any more."""
        if self._shown:
            self._stale = dict(self._shown)
            self._forget_ms = min(self._forget_ms, now_ms + UNSEEN_MS)

    def forget(self) -> list[Effect]:
        """There is no connection, and there will be none: nothing is known any more."""
        self._stale = self._shown
        return self._forgotten()

    def due_ms(self, *, is_open: bool) -> float:
        """When `elapsed` is to be called."""
        return min(self._said_ms + WATCH_MS if self._is_unsaid and is_open else math.inf, self._forget_ms)

    def elapsed(self, now_ms: float, *, is_open: bool) -> list[Effect]:
        """Time has passed."""
        forgotten = self._forgotten() if now_ms >= self._forget_ms else []
        return [*forgotten, *(self._say(now_ms) if is_open else [])]

    def _say(self, now_ms: float) -> list[Effect]:
        if not self._is_unsaid or now_ms < self._said_ms + WATCH_MS:
            return []
        self._is_unsaid, self._said_ms = False, now_ms
        return [Say({"t": "watch", "users": list(self._watched)})]

    def _refreshed(self, stale: dict[str, None]) -> None:
        """Only these are stale now."""
        self._stale = stale
        if not stale:
            self._forget_ms = math.inf

    def _forgotten(self) -> list[Effect]:
        users: dict[str, None] = self._stale
        self._shown = {user: None for user in self._shown if user not in users}
        self._refreshed({})
        return [Seen(users)] if users else []

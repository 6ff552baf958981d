"""Which connections of one process are told who of whom comes and goes.

All users that anybody here watches are asked for together, each once in ROUND_S; each connection is told what has
changed for it. So what presence costs does not depend on how often anybody comes and goes.

Whom a watcher may see his owner says, when he begins and each RIGHTS_S. It asks the owners of those users as well.
"""

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.ephemeral.port import Watcher
from rowbox.cacheserver.ephemeral.store import MOST_AT_ONCE, EphemeralAway, EphemeralStore
from rowbox.cacheserver.port import AskPresence, MailboxPort
from rowbox.cacheserver.samples import Sample
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.people.presence import Seen, seen_of

ROUND_S: Final = 5.0
RIGHTS_S: Final = 600.0
SOON_S: Final = 10.0
"""After this it is asked again whom a watcher may see, where nobody could say it of all."""
MOST_WATCHED: Final = 50_000
"""Users who are asked for in a round."""
MOST_PAIRS: Final = 500_000
"""Of a watcher and a user."""


class _Watch:
    """What one connection is told."""

    __slots__ = ("due_s", "number", "sees", "unsaid", "user_id", "users", "watcher")

    def __init__(self, watcher: Watcher, user_id: str) -> None:
        self.watcher = watcher
        self.user_id = user_id
        self.users: tuple[str, ...] = ()
        """As it was asked for last."""
        self.sees: dict[str, None] = {}
        """Those of them whom the watcher may see."""
        self.unsaid: dict[str, Seen | None] = {}
        """What it could not be told yet."""
        self.number = 0
        """Of the last question whom it may see."""
        self.due_s = math.inf
        """When that is to be asked again."""


class Watches:
    """All watchers of one process. `loop` is to be started and closed."""

    def __init__(
        self,
        port: MailboxPort,
        store: EphemeralStore,
        now_us: NowUs,
        *,
        most_watched: int = MOST_WATCHED,
        most_pairs: int = MOST_PAIRS,
    ) -> None:
        self._port = port
        self._store = store
        self._now_us = now_us
        self._now_s = asyncio.get_running_loop().time
        self._most_watched = most_watched
        self._most_pairs = most_pairs
        self._watches: dict[Watcher, _Watch] = {}
        self._by_user: dict[str, dict[_Watch, None]] = {}
        self._seen: dict[str, Seen | None] = {}
        """Of each watched user, what was read last."""
        self._pairs = 0
        self.left_out = 0
        self.told = 0
        self.loop = BackgroundLoop("presence-watches", self._round)

    async def watch(self, watcher: Watcher, request: AskPresence) -> None:
        """See PresencePort."""
        watch = self._watches.get(watcher)
        if watch is None:
            watch = self._watches[watcher] = _Watch(watcher, request.user_id)
        watch.users, watch.due_s = request.users, math.inf
        watch.number += 1
        number = watch.number
        for user_id in (watch.sees.keys() | watch.unsaid.keys()) - set(request.users):
            self._drop(watch, user_id)
        if not request.users:
            self.unwatch(watcher)
            return
        try:
            terms = await self._port.presence_terms(request)
        except RowboxError as error:
            if watch.number == number:
                watch.due_s = self._now_s() + max(SOON_S, (error.retry_after_ms or 0) / 1000)
            return
        if self._watches.get(watcher) is watch and watch.number == number:
            await self._settle(watch, terms.sees)

    def unwatch(self, watcher: Watcher) -> None:
        """See PresencePort."""
        watch = self._watches.pop(watcher, None)
        if watch is not None:
            for user_id in list(watch.sees):
                self._drop(watch, user_id)

    def part(self, one: str, other: str) -> None:
        """See PresencePort."""
        for user_id, watcher_id in ((one, other), (other, one)):
            for watch in [watch for watch in self._by_user.get(user_id, ()) if watch.user_id == watcher_id]:
                self._drop(watch, user_id)
                watch.unsaid[user_id] = None
                self._tell(watch)

    def samples(self) -> Iterable[Sample]:
        """The metrics."""
        yield "rowbox_presence_watchers", "gauge", "Connections that are told who is online.", {}, len(self._watches)
        text = "Users who are watched by any of them, each asked for every 5 s."
        yield "rowbox_presence_watched", "gauge", text, {}, len(self._by_user)
        text = "Users who could not be watched, because so many are."
        yield "rowbox_presence_unwatched_total", "counter", text, {}, self.left_out
        text = "Changes of presence that a connection was told."
        yield "rowbox_presence_told_total", "counter", text, {}, self.told

    # ------------------------------------------------------------------ whom a watcher sees

    async def _settle(self, watch: _Watch, sees: Sequence[bool | None]) -> None:
        """Has the watcher told of whom it may see now. Of whom nobody could say it, it stays as it was."""
        answered = dict(zip(watch.users, sees, strict=False))
        soon = len(answered) < len(watch.users) or None in answered.values()
        watch.due_s = self._now_s() + (SOON_S if soon else RIGHTS_S)
        for user_id in watch.users:
            if answered.get(user_id) is False:
                self._drop(watch, user_id)
                watch.unsaid[user_id] = None
            elif answered.get(user_id):
                self._add(watch, user_id)
        unread = [user_id for user_id in watch.sees if user_id not in self._seen]
        read = await self._read(unread) if unread else {}
        for user_id, seen in read.items():
            if user_id in self._by_user:
                self._seen.setdefault(user_id, seen)
        for user_id in watch.sees:
            watch.unsaid[user_id] = self._seen.get(user_id)
        self._tell(watch)

    def _add(self, watch: _Watch, user_id: str) -> None:
        if user_id in watch.sees:
            return
        watchers = self._by_user.get(user_id)
        if self._pairs >= self._most_pairs or (watchers is None and len(self._by_user) >= self._most_watched):
            self.left_out += 1
            watch.unsaid[user_id] = None
            return
        if watchers is None:
            watchers = self._by_user[user_id] = {}
        watchers[watch] = watch.sees[user_id] = None
        self._pairs += 1

    def _drop(self, watch: _Watch, user_id: str) -> None:
        watch.unsaid.pop(user_id, None)
        if user_id not in watch.sees:
            return
        del watch.sees[user_id]
        self._pairs -= 1
        watchers = self._by_user[user_id]
        del watchers[watch]
        if not watchers:
            del self._by_user[user_id]
            self._seen.pop(user_id, None)

    # ------------------------------------------------------------------ rounds

    async def _round(self) -> float:
        self._remind()
        try:
            changed = await self._changed()
        except EphemeralAway as away:
            changed, pause_s = {user_id: None for user_id, seen in self._seen.items() if seen is not None}, away.again_s
        else:
            pause_s = ROUND_S
        for user_id, seen in changed.items():
            for watch in self._by_user.get(user_id, ()):
                self._seen[user_id] = seen
                watch.unsaid[user_id] = seen
        for watch in [watch for watch in self._watches.values() if watch.unsaid]:
            self._tell(watch)
        return min(pause_s, ROUND_S)

    def _remind(self) -> None:
        now_s = self._now_s()
        for watch in self._watches.values():
            if watch.due_s <= now_s:
                watch.due_s = math.inf
                watch.watcher.look_again(watch.users)

    async def _changed(self) -> Mapping[str, Seen | None]:
        """What is another than it was read last. EphemeralAway."""
        changed: dict[str, Seen | None] = {}
        users = list(self._by_user)
        for begin in range(0, len(users), MOST_AT_ONCE):
            for user_id, seen in (await self._read_some(users[begin : begin + MOST_AT_ONCE])).items():
                before = self._seen.get(user_id)
                is_same = seen is None if before is None else before.is_as(seen)
                if not is_same:
                    changed[user_id] = seen
        return changed

    async def _read(self, users: Sequence[str]) -> Mapping[str, Seen | None]:
        """What is so of some users; nothing where the store is away."""
        try:
            return await self._read_some(users)
        except EphemeralAway:
            return {}

    async def _read_some(self, users: Sequence[str]) -> Mapping[str, Seen | None]:
        ages_ms = await self._store.ages(users)
        now_us = self._now_us()
        return {
            user_id: None if age_ms is None else seen_of(age_ms, now_us)
            for user_id, age_ms in zip(users, ages_ms, strict=True)
        }

    def _tell(self, watch: _Watch) -> None:
        if watch.unsaid and watch.watcher.told(watch.unsaid):
            self.told += len(watch.unsaid)
            watch.unsaid = {}

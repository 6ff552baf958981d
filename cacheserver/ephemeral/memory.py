"""Presence in the memory of one process: for a server that shares its users with nobody. It ends with the process."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rowbox.cacheserver.ephemeral.signals import MemorySignals
from rowbox.cacheserver.ephemeral.store import HIDDEN_MS, up_samples
from rowbox.cacheserver.samples import Sample
from rowbox.mailbox.people.presence import KEPT_MS

MOST_USERS: Final = 500_000
"""Of more, those who were active longest ago are forgotten."""


class MemoryEphemeral:
    """An EphemeralStore that is never away."""

    is_up: Final = True

    def __init__(self, most: int = MOST_USERS) -> None:
        self._most = most
        self.signals = MemorySignals()
        self._now_s = asyncio.get_running_loop().time
        self._active_s: OrderedDict[str, float] = OrderedDict()
        """When each user was active, the one of whom was written longest ago first."""
        self._hidden_s: OrderedDict[str, float] = OrderedDict()
        """Until when nothing is written of a user, the first first."""

    async def beat(self, ages_ms: Mapping[str, int]) -> Sequence[str]:
        """See EphemeralStore."""
        now_s = self._now_s()
        self._drop_old(now_s)
        hidden = [user_id for user_id in ages_ms if user_id in self._hidden_s]
        for user_id, age_ms in ages_ms.items():
            if user_id not in self._hidden_s:
                active_s = now_s - age_ms / 1000
                self._active_s[user_id] = max(active_s, self._active_s.get(user_id, active_s))
                self._active_s.move_to_end(user_id)
        while len(self._active_s) > self._most:
            self._active_s.popitem(last=False)
        return hidden

    async def ages(self, users: Sequence[str]) -> Sequence[int | None]:
        """See EphemeralStore."""
        now_s = self._now_s()
        self._drop_old(now_s)
        return [_age_ms(self._active_s.get(user_id), now_s) for user_id in users]

    async def hide(self, user_id: str) -> None:
        """See EphemeralStore."""
        self._active_s.pop(user_id, None)
        self._hidden_s[user_id] = self._now_s() + HIDDEN_MS / 1000
        self._hidden_s.move_to_end(user_id)
        if len(self._hidden_s) > self._most:
            self._hidden_s.popitem(last=False)

    async def show(self, user_id: str) -> None:
        """See EphemeralStore."""
        self._hidden_s.pop(user_id, None)

    async def forget(self, user_id: str) -> None:
        """See EphemeralStore."""
        self._active_s.pop(user_id, None)

    async def close(self) -> None:
        """See EphemeralStore."""

    def samples(self) -> Iterable[Sample]:
        """See EphemeralStore."""
        return up_samples(is_up=True, failures=0)

    def _drop_old(self, now_s: float) -> None:
        for kept, life_s in ((self._active_s, KEPT_MS / 1000), (self._hidden_s, 0.0)):
            while kept and next(iter(kept.values())) + life_s <= now_s:
                kept.popitem(last=False)


def _age_ms(active_s: float | None, now_s: float) -> int | None:
    if active_s is None or now_s - active_s >= KEPT_MS / 1000:
        return None
    return round((now_s - active_s) * 1000)

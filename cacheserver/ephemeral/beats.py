"""When the users of one process were active, on its way to the EphemeralStore.

Whoever is active is noted here and written in rounds, each user at most once in EACH_S, so that it costs the same
however often a client says it. What is written is how long ago the user was active: a round that comes late says
nothing wrong.

Of who hides nothing is written. That is in the user's own row, so his owner is asked, and believed for BELIEVED_S. Who
changes it here is known at once; where he has changed it elsewhere, the store says so (EphemeralStore.beat).

A user who has devices that are told of messages while he is not active (push) is told of to his owner each TOLD_S, by
the same question: so who only looks, and neither reads nor sends, is known to be there. Nobody else's owner hears more
than the question each BELIEVED_S.

What cannot be written now is kept, and written when the store is back: MOST_ACTIVE users at most.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final, Literal

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.ephemeral.store import HIDDEN_MS, MOST_AT_ONCE, EphemeralAway, EphemeralStore
from rowbox.cacheserver.port import AskPresence, MailboxPort, PresenceTerms
from rowbox.cacheserver.samples import Sample
from rowbox.mailbox.errors import RowboxError

ROUND_S: Final = 5.0
EACH_S: Final = 10.0
"""A user is written once in this time at most."""
BELIEVED_S: Final = 600.0
TOLD_S: Final = 30.0
"""How often an owner hears that a user is active who has push targets: twice within the time that this counts there."""
MOST_ACTIVE: Final = 100_000
ASKED_AT_ONCE: Final = 64
ASK_S: Final = 2.0
"""For so long owners are asked in a round. Users of whom nobody has said yet whether they hide are in a later one."""
NEVER_S: Final = float("inf")
_Deed = Literal["hide", "show", "forget"]

assert HIDDEN_MS > BELIEVED_S * 1000  # a key that says "hides" is there as long as anybody believes otherwise


class Beats:
    """Notes who is active; `loop` writes it, and is to be started and closed."""

    def __init__(self, port: MailboxPort, store: EphemeralStore) -> None:
        self._port = port
        self._store = store
        self._now_s = asyncio.get_running_loop().time
        self._active_s: dict[str, float] = {}
        """When each user was active, of what is not written yet."""
        self._open: Counter[str] = Counter()
        """What is open of each user and makes him active."""
        self._left: set[str] = set()
        """Users who have left everywhere since the last of that was opened: it is about to end."""
        self._written_s: dict[str, float] = {}
        """When each user was written last, where that is not longer than EACH_S ago."""
        self._hides: OrderedDict[str, tuple[bool, float]] = OrderedDict()
        """Whether each user hides, and until when that is believed."""
        self._to_tell_s: dict[str, float] = {}
        """When the owners of those are told again who have push targets. Of users in `_hides` alone."""
        self._contested: set[str] = set()
        """Users of whom the store says that they hide, and their owners said before that they do not."""
        self._deeds: dict[str, _Deed] = {}
        """What is to be done before anything else is written."""
        self.beats = 0
        self.left_out = 0
        self.loop = BackgroundLoop("presence-beats", self._round)

    def active(self, user_id: str) -> None:
        """The user is active now."""
        if user_id in self._active_s or len(self._active_s) < MOST_ACTIVE:
            self._active_s[user_id] = self._now_s()
        else:
            self.left_out += 1

    def silence(self, user_id: str) -> None:
        """What was noted of the user is not written."""
        self._active_s.pop(user_id, None)

    def begin(self, user_id: str) -> None:
        """The user is active until `end` is called as often."""
        self._open[user_id] += 1
        self._left.discard(user_id)
        self.active(user_id)

    def end(self, user_id: str) -> None:
        """See `begin`."""
        self._open[user_id] -= 1
        if not self._open[user_id]:
            del self._open[user_id]
            if user_id not in self._left:
                self.active(user_id)
            self._left.discard(user_id)

    def judged(self, user_id: str, terms: PresenceTerms) -> None:
        """The user's owner has said whether he hides, and was told whether he is active."""
        self._believe(user_id, hides=terms.hides)
        if terms.is_pushed:
            self._to_tell_s[user_id] = self._now_s() + TOLD_S
        else:
            self._to_tell_s.pop(user_id, None)

    def choose(self, user_id: str, *, hides: bool) -> None:
        """The user has chosen whether he hides."""
        self._believe(user_id, hides=hides)
        self._to_tell_s.setdefault(user_id, self._now_s())  # nobody has said yet whether he is to be told of
        self._do_soon(user_id, "hide" if hides else "show")

    def leave(self, user_id: str) -> None:
        """It is forgotten when the user was active."""
        self._active_s.pop(user_id, None)
        self._written_s.pop(user_id, None)
        if user_id in self._open:
            self._left.add(user_id)
        if self._deeds.get(user_id) != "hide":  # which forgets as well
            self._do_soon(user_id, "forget")

    def samples(self) -> Iterable[Sample]:
        """The metrics."""
        text = "Times that it was written when a user was active."
        yield "rowbox_presence_beats_total", "counter", text, {}, self.beats
        text = "Times that it was not noted that a user was active, because so many wait to be written."
        yield "rowbox_presence_left_out_total", "counter", text, {}, self.left_out

    def _believe(self, user_id: str, *, hides: bool) -> None:
        self._hides[user_id] = hides, self._now_s() + BELIEVED_S
        self._hides.move_to_end(user_id)
        if len(self._hides) > MOST_ACTIVE:
            self._to_tell_s.pop(self._hides.popitem(last=False)[0], None)

    def _do_soon(self, user_id: str, deed: _Deed) -> None:
        if user_id in self._deeds or len(self._deeds) < MOST_ACTIVE:
            self._deeds[user_id] = deed
            self.loop.wake()

    # ------------------------------------------------------------------ rounds

    async def _round(self) -> float:
        try:
            await self._do()
            shown = await self._shown(self._due())
            await self._write(shown)
            if not shown:
                await self._store.ages(())  # so that it is known whether the store is up
        except EphemeralAway as away:
            self._written_s.clear()  # what was written may be gone: all is written again when the store is back
            return away.again_s
        return ROUND_S

    async def _do(self) -> None:
        while self._deeds:
            user_id, deed = next(iter(self._deeds.items()))
            do = {"hide": self._store.hide, "show": self._store.show, "forget": self._store.forget}[deed]
            await do(user_id)
            if self._deeds[user_id] is deed:  # else there is another one meanwhile
                del self._deeds[user_id]

    def _due(self) -> list[str]:
        now_s = self._now_s()
        for user_id in self._open.keys() - self._left if self._left else self._open:
            self.active(user_id)
        for user_id in [one for one, at_s in self._written_s.items() if now_s - at_s >= EACH_S]:
            del self._written_s[user_id]
        return [user_id for user_id in self._active_s if user_id not in self._written_s]

    async def _shown(self, users: Sequence[str]) -> list[str]:
        """Those of the users who do not hide, as far as that is known or can be found out now."""
        now_s = self._now_s()
        unknown = [user_id for user_id in users if self._hides.get(user_id, (False, 0.0))[1] <= now_s]
        if self._to_tell_s:
            known = set(users).difference(unknown)
            unknown += [user_id for user_id in known if self._to_tell_s.get(user_id, NEVER_S) <= now_s]
        with suppress(TimeoutError):
            async with asyncio.timeout(ASK_S):
                for begin in range(0, len(unknown), ASKED_AT_ONCE):
                    await asyncio.gather(*map(self._ask, unknown[begin : begin + ASKED_AT_ONCE]))
        shown: list[str] = []
        for user_id in users:
            hides, until_s = self._hides.get(user_id, (False, 0.0))
            if until_s <= now_s:
                continue  # nobody knows, so it waits
            if hides:
                self._active_s.pop(user_id, None)
                self._contested.discard(user_id)
            else:
                shown.append(user_id)
        return shown

    async def _ask(self, user_id: str) -> None:
        active_ms = None
        if user_id in self._active_s:  # behind all others in the next round, whom he must not hold up
            at_s = self._active_s[user_id] = self._active_s.pop(user_id)
            active_ms = round(1000 * (self._now_s() - at_s))
        try:
            terms = await self._port.presence_terms(AskPresence(user_id, active_ms=active_ms))
        except RowboxError:
            return
        self.judged(user_id, terms)
        if user_id in self._contested:
            self._contested.discard(user_id)
            if not terms.hides:  # what the store says is older
                self._do_soon(user_id, "show")

    async def _write(self, users: Sequence[str]) -> None:
        for begin in range(0, len(users), MOST_AT_ONCE):
            now_s = self._now_s()
            some = {
                user_id: self._active_s[user_id]
                for user_id in users[begin : begin + MOST_AT_ONCE]
                if user_id in self._active_s and not self._hides.get(user_id, (True, 0.0))[0]  # as it is by now
            }
            if not some:
                continue
            hidden = await self._store.beat({one: round(1000 * (now_s - at_s)) for one, at_s in some.items()})
            self.beats += len(some)
            for user_id, at_s in some.items():
                self._written_s[user_id] = now_s
                if self._active_s.get(user_id) == at_s:
                    del self._active_s[user_id]
            for user_id in hidden:  # he has chosen that elsewhere: his owner is asked in the next round
                self._hides.pop(user_id, None)
                self._to_tell_s.pop(user_id, None)
                self._written_s.pop(user_id, None)
                self._contested.add(user_id)
                self._active_s.setdefault(user_id, some[user_id])

"""The time as a server goes by it: readings of the machine's clocks, judged, with the store as the witness.

mailbox/clocks/clock_trust.py has the rules; this module reads the clocks, keeps the store's memory current, hears an
operator's word, and tells of a doubt: in the log, in `doubt` (readiness), in the metrics.

What is written takes a reading that was judged when it was made: one wrong reading must not decide anything. What
expires goes by the last such reading, which the loop makes each second at least.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Literal

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.clocks import NowS, NowUs, boot_clock_s, wall_clock_us
from rowbox.cacheserver.stores.clock_memory import ClockMemory
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.clocks.clock_peers import PeersTime
from rowbox.mailbox.clocks.clock_trust import SAVE_EVERY_US, ClockTrust, Doubt, Remembered
from rowbox.mailbox.errors import ClockInDoubt, RowboxError

log = logging.getLogger(__name__)

ROUND_S = 1.0
RETRY_AFTER_MS = 1000
HOW_TO_GO_ON = "set it right, or say that it is right: rowbox clock accept"

_Sample = tuple[str, Literal["gauge"], str, dict[str, str], float]


class TrustedTime:
    """`begin` it with a store's memory before it is asked, then start its loop; `close` it after the last write.

    `saves` says whether this process is the one that keeps the memory current: of several over one store, the owner.
    """

    def __init__(
        self,
        *,
        wall_us: NowUs = wall_clock_us,
        boot_s: NowS = boot_clock_s,
        saves: Callable[[], bool] = lambda: True,
    ) -> None:
        self._wall_us = wall_us
        self._boot_s = boot_s
        self._saves = saves
        self._memory: ClockMemory | None = None
        self._stands: Remembered | None = None
        """What the store remembered of the time when it was last read."""
        self._read_boot_us = 0
        self._has_saved = False
        self._trust: ClockTrust | None = None
        self._peers: PeersTime | None = None
        """What the other servers' clocks say, where this one was seen to be off."""
        self._told: Doubt | None = None
        self.loop = BackgroundLoop("clock", self._round)

    async def begin(self, memory: ClockMemory) -> None:
        """Judges the clock against what the store remembers."""
        self._memory = memory
        self._stands = await memory.read()
        self._judge_anew()

    async def close(self) -> None:
        """Has the store remember the last moment, so that the next start knows how long this server was off."""
        await self.loop.close()
        if self._trust is None:
            return
        self._observed()
        try:
            await self._save()
        except RowboxError as error:
            log.warning("the store does not remember how late it is: %s", error)

    # ------------------------------------------------------------------ what is asked

    def now_us(self) -> int:
        """The time of day for what is written, in microseconds since 1970. ClockInDoubt while it is not believed."""
        wall_us = self._observed()
        if self._told is not None:
            raise ClockInDoubt(f"{self._told}; {HOW_TO_GO_ON}", retry_after_ms=RETRY_AFTER_MS)
        return wall_us

    def seen_us(self) -> int:
        """The time up to which time was seen to pass: what is to be removed must have expired by it."""
        return self._asked().seen_us

    def latest_us(self) -> int:
        """The latest time that it may be. What is given as complete must not have expired by it."""
        return max(self._wall_us(), self._asked().latest_us)

    def wall_us(self) -> int:
        """A reading of the machine's clock, which is judged and returned whether it is believed or not."""
        return self._observed()

    def says_us(self) -> int:
        """The time to tell the other servers; 0 where something other than they contradicts this clock."""
        wall_us = self._observed()
        return 0 if self._asked().doubt is not None else wall_us

    def told_by_peers(self, off_us: int) -> None:
        """Takes in by how many microseconds this clock is ahead of the other servers'; 0: they do not contradict it."""
        if off_us:
            self._peers = PeersTime(self._wall_us() - off_us, self._boot_us())
        else:
            self._peers = None  # what else speaks against the clock goes on to do so
        self._observed()

    @property
    def doubt(self) -> str:
        """Why the clock is not believed, and what ends that; "" while it is."""
        return "" if self._told is None else f"{self._told}; {HOW_TO_GO_ON}"

    def samples(self) -> Iterable[_Sample]:
        """The metrics of the clock; none before `begin`."""
        trust = self._trust
        if trust is None:
            return
        text = "1 while the machine's clock is not believed: nothing is written, nothing expires."
        yield "rowbox_clock_in_doubt", "gauge", text, {}, float(self._told is not None)
        text = "By how much the clock is off, where it is in doubt; positive: ahead."
        off_us = 0 if self._told is None else self._told.off_us
        yield "rowbox_clock_off_seconds", "gauge", text, {}, off_us / US_PER_S
        text = "Time that has passed by the clock alone, while no server ran; nothing expires by it yet."
        yield "rowbox_clock_unseen_seconds", "gauge", text, {}, trust.unseen_us / US_PER_S

    # ------------------------------------------------------------------ readings

    def _asked(self) -> ClockTrust:
        assert self._trust is not None, "begin comes first"
        return self._trust

    def _observed(self) -> int:
        """A reading of the wall clock, judged."""
        trust, wall_us, boot_us = self._asked(), self._wall_us(), self._boot_us()
        if self._peers is not None and self._peers.doubt(wall_us, boot_us) is None:
            self._judge_anew()  # it was set right: no step that anybody has to answer for
            return wall_us
        trust.observe(wall_us, boot_us)
        off_peers = self._peers.doubt(wall_us, boot_us) if self._peers is not None else None
        doubt = trust.doubt or off_peers
        if doubt is not self._told:
            self._tell(doubt)
        return wall_us

    def _tell(self, doubt: Doubt | None) -> None:
        told, self._told = self._told, doubt
        if doubt is None:
            log.warning("the clock is believed again")
        elif told is None or told.what is not doubt.what:
            log.error("%s: nothing is written and nothing expires; %s", doubt, HOW_TO_GO_ON)

    def _judge_anew(self) -> None:
        """At the start, after an operator's word, and when the clock was set to what the other servers say."""
        self._peers = None
        self._trust = ClockTrust(self._stands, self._wall_us(), self._boot_us())
        self._observed()

    def _boot_us(self) -> int:
        return int(self._boot_s() * US_PER_S)

    # ------------------------------------------------------------------ the store's memory

    async def _round(self) -> float:
        self._observed()
        is_due = self._boot_us() - self._read_boot_us >= SAVE_EVERY_US
        begins_to_save = self._saves() and not self._has_saved
        if self._told is not None:
            await self._listen()
        elif is_due or begins_to_save:
            await self._save()
        return ROUND_S

    async def _listen(self) -> None:
        assert self._memory is not None
        self._heard(await self._memory.read())

    async def _save(self) -> None:
        assert self._memory is not None
        if self._told is None and self._saves():
            self._heard(await self._memory.swap(self._stands, self._asked().remembered()))
            self._has_saved = True
        else:
            await self._listen()
            self._has_saved = False
        self._read_boot_us = self._boot_us()

    def _heard(self, stands: Remembered | None) -> None:
        """What stands in the memory now. Another word than before is an operator's."""
        before, self._stands = self._stands, stands
        word = "" if before is None else before.word
        if stands is not None and stands.word != word:
            log.warning("an operator says that the clock is right")
            self._judge_anew()

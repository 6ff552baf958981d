"""What the log says of an owner's beats: one line when they begin to fail, one each REMIND_S, one when they are back.

A store that is away fails a beat a second, each with a text of its own; an operator wants to know since when, and that
it is over. `rowbox_missed_beats_total` counts them all.
"""

import logging
from typing import Final

from rowbox.cacheserver.clocks import NowS

log = logging.getLogger(__name__)

REMIND_S: Final = 60.0


class BeatLog:
    """Logs the beats of one process, of one incarnation after the other. `now_s` counts while the machine sleeps."""

    def __init__(self, now_s: NowS) -> None:
        self._now_s = now_s
        self._renewed_s = now_s()
        """When a beat last succeeded."""
        self._missed = 0
        """How many beats have failed since then."""
        self._said_s = 0.0

    def missed(self, error: Exception) -> None:
        """Notes that a beat of an owner failed."""
        self._missed += 1
        now_s = self._now_s()
        if self._missed == 1:
            log.warning("the lease was not renewed: %s", error)
        elif now_s - self._said_s >= REMIND_S:
            text = "the lease has not been renewed for %d s, %d beats: %s"
            log.warning(text, now_s - self._renewed_s, self._missed, error)
        else:
            return
        self._said_s = now_s

    def renewed(self, *, had_lapsed: bool) -> None:
        """Notes that a beat succeeded. `had_lapsed`: an owner's lease was over before it, so nothing was answered."""
        now_s, missed = self._now_s(), self._missed
        if missed or had_lapsed:
            then = "it had lapsed, and nothing was answered since" if had_lapsed else "it had not lapsed"
            log.warning("the lease is renewed after %.1f s, %d beats missed: %s", now_s - self._renewed_s, missed, then)
        self._renewed_s, self._missed = now_s, 0

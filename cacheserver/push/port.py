"""The port to what tells devices: push services of browsers, and webhooks (cacheserver/push/services)."""

from enum import Enum
from typing import NamedTuple, Protocol

from rowbox.mailbox.push.note import Note
from rowbox.mailbox.push.target import PushTarget


class Outcome(Enum):
    """What became of a push."""

    OK = "ok"
    """It was taken."""
    GONE = "gone"
    """There is no such target any more."""
    REFUSED = "refused"
    """The target does not let this server push. Some services say so of a target that is gone."""
    LATER = "later"
    """Not now."""
    BROKEN = "broken"
    """It will not be taken however often it is tried."""


class Answer(NamedTuple):
    """What a target answered. `after_ms`: of LATER, when to try again, as the target said; 0: it said nothing, or
    nothing answered at all. `reason`: a word or two for the log, which names no target.
    """

    outcome: Outcome
    after_ms: int = 0
    reason: str = ""


class PushPort(Protocol):
    """Tells devices. One for a process."""

    @property
    def server_key(self) -> str:
        """What a browser subscribes with (applicationServerKey); "": there is no Web Push here."""
        ...

    def check(self, target: PushTarget) -> None:
        """BadRequest where nothing is sent to such a target; PushOff where nothing of its kind is."""
        ...

    async def send(self, target: PushTarget, note: Note, push_id: str) -> Answer:
        """Tells a target a note, within 15 s. Raises nothing that is the target's fault.

        `push_id` is the same where the same note is tried again.
        """
        ...

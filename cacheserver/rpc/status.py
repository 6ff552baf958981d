"""What a process says of itself to those that call it: why it should get no traffic, and what is wrong with it."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.rpc import frames
from rowbox.cacheserver.rpc.listener import Listener

STATUS: Final = "status"
"""The kind under which it is published."""
EVERY_S: Final = 1.0


class Status(msgspec.Struct, frozen=True, array_like=True):
    """As MailboxPort.unready_reasons and MailboxPort.warnings say it."""

    unready: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Judged(Protocol):
    """What a status is made of: a MailboxPort, or anything else that knows of itself."""

    def unready_reasons(self) -> Sequence[str]: ...

    def warnings(self) -> Sequence[str]: ...


class StatusPublisher:
    """Publishes a process's status when it has changed, looking once in `every_s`; `loop` is to be started."""

    def __init__(self, listener: Listener, judged: Judged, every_s: float = EVERY_S) -> None:
        self._listener = listener
        self._judged = judged
        self._every_s = every_s
        self._told: Status | None = None
        self.loop = BackgroundLoop("status", self._round)

    def look(self) -> None:
        """Publishes the status now, if it has changed."""
        status = Status(tuple(self._judged.unready_reasons()), tuple(self._judged.warnings()))
        if status != self._told:
            self._told = status
            self._listener.publish(STATUS, status)

    async def _round(self) -> float:
        self.look()
        return self._every_s


NOT_TOLD: Final = Status(("the process that owns the mailboxes has not told how it is",))
_decoder = msgspec.msgpack.Decoder(Status)


def status_of(published: Mapping[str, bytes]) -> Status:
    """The status among what a peer has published."""
    value = published.get(STATUS)
    if value is None:
        return NOT_TOLD
    try:
        return _decoder.decode(value)
    except frames.UNREADABLE:
        return Status(("the process that owns the mailboxes says of itself what this one cannot read",))

"""What carries the frames about people: a socket."""

from collections.abc import Coroutine
from typing import Protocol

from rowbox.api.auth.claims import Claims
from rowbox.api.realtime.frames import Presence, Types


class Carrier(Protocol):
    """A socket, once its hello is accepted."""

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        ...

    @property
    def claims(self) -> Claims:
        """Those of its newest token."""
        ...

    def begin(self, work: Coroutine[object, object, None]) -> None:
        """Does it in a task of its own, which ends with the socket."""
        ...

    def say(self, frame: Presence | Types) -> bool:
        """Sends a frame. False: the client can take none now, and this one is gone."""
        ...

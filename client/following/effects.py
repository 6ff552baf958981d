"""What is to be done, as a session says it (session.py). In JSON each is an object whose `do` names it."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from msgspec import Struct


class Connect(Struct, tag_field="do", tag="connect", frozen=True):
    """Open a socket: `connected`, or `ended`. With another access token than `refused`, or `denied`."""

    refused: str | None


class Say(Struct, tag_field="do", tag="say", frozen=True):
    """Send a frame."""

    frame: dict[str, Any]


class HangUp(Struct, tag_field="do", tag="hang_up", frozen=True):
    """Give the socket up: nothing that it still says counts."""


class Renew(Struct, tag_field="do", tag="renew", frozen=True):
    """Get another access token than this: `renewed`. Where there is none, nothing."""

    old: str


class Poll(Struct, tag_field="do", tag="poll", frozen=True):
    """Follow by long polls, from `token` on, while there is room: `polled`, `not_polled`."""

    token: str | None


class Unpoll(Struct, tag_field="do", tag="unpoll", frozen=True):
    """No more polls: the answer of one that is under way does not count."""


class Give(Struct, tag_field="do", tag="give", frozen=True):
    """Give the program what came just now, a delta or a page, as what brings it to `token`; None: there is none yet."""

    token: str | None


class Reply(Struct, tag_field="do", tag="reply", frozen=True):
    """The call with this number is answered."""

    id: int
    status: int
    body: Any


class Lose(Struct, tag_field="do", tag="lose", frozen=True):
    """These calls get no answer: they were carried out or not."""

    ids: Sequence[int]


class Told(Struct, tag_field="do", tag="told", frozen=True):
    """The server is there, and tells what changes."""


class Seen(Struct, tag_field="do", tag="seen", frozen=True):
    """Tell the program what is so now of users whom it watches. None: it is not known, or not shown."""

    users: Mapping[str, Any]


class Stop(Struct, tag_field="do", tag="stop", frozen=True):
    """It is over: the code of closing that says so, and its reason."""

    code: int
    reason: str


Effect: TypeAlias = Connect | Say | HangUp | Renew | Poll | Unpoll | Give | Reply | Lose | Told | Seen | Stop

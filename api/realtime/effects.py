"""What a session asks of whoever carries it. Each is done in the order in which they are returned.

`Write` is made for each frame, so it is a struct: a NamedTuple takes five times as long to be made.
"""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from rowbox.api.realtime.frames import Call


class Write(Struct, frozen=True, gc=False):
    """A text frame goes to the client. `may_wait`: another one probably follows within a turn of the loop, and both may
    go out together; if none does, it goes out by itself.
    """

    frame: bytes
    may_wait: bool = False


class Ping(NamedTuple):
    """A WebSocket ping goes to the client."""


class Verify(NamedTuple):
    """The access token is to be verified: `Session.verified`, or `refused`. No frame is read before that."""

    token: str


class Enter(NamedTuple):
    """The connection, whose token the owner has accepted, takes its place among the user's, and may displace others."""

    user_id: str
    device_id: str | None


class Follow(NamedTuple):
    """The owner is to tell of changes, for the token that was verified last: `Session.followed`, or `refused`. No frame
    is read before that.
    """


class Pull(NamedTuple):
    """The owner is asked what changed since `token`: `Session.pulled`, `not_pulled` or `refused`."""

    token: str | None
    number: int


class Prove(NamedTuple):
    """The owner is to hear that the client has everything up to `token`. Nothing comes of it here."""

    token: str


class Active(NamedTuple):
    """A person is looking."""


class Watch(NamedTuple):
    """The client wants to be told of the presence of these users, and of no others: `Session.ephemeral`. By what it
    calls each, his userId.
    """

    users: Mapping[str, str]


class View(NamedTuple):
    """The client shows this conversation now: one of two, with a user, or a group's. Neither: none."""

    recipient_id: str | None
    conversation_id: str | None


class Typing(NamedTuple):
    """The user types in the conversation that is shown."""


class Begin(Struct, frozen=True, gc=False):
    """A call begins, before the next effect is looked at: `Session.called`."""

    number: int
    call: Call


class Refuse(NamedTuple):
    """A call that is one too many: `Session.refused_call`."""

    call: Call


class End(NamedTuple):
    """The connection is closed with this code. `is_gone`: at once, because the client takes or says nothing."""

    code: int
    reason: str
    is_gone: bool


Effect = Write | Ping | Verify | Enter | Follow | Pull | Prove | Active | Watch | View | Typing | Begin | Refuse | End

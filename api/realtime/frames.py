"""The frames of the subprotocol `rowbox.v1`: text, one JSON object each, whose `t` says of which kind it is.

Frames of a kind that one does not know are ignored, by both sides; so are fields. A frame of a known kind whose fields
are wrong is a mistake of the program that sent it.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct, field

from rowbox.api.v1.presence.types import PresenceShown
from rowbox.cacheserver.port import MOST_PRESENCES
from rowbox.mailbox.ids import MAX_USER_ID

SUBPROTOCOL: Final = "rowbox.v1"
MAX_TOKEN_CHARACTERS: Final = 64
"""Of a delta token, as everywhere in the API."""
MAX_ACCESS_TOKEN_CHARACTERS: Final = 16_384
"""Of an access token in a frame: more than any header may hold."""
MAX_NAME_CHARACTERS: Final = 128
MAX_CALL_ID: Final = (1 << 53) - 1
"""The largest whole number that JavaScript holds exactly."""

Token = Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN_CHARACTERS, description="A delta token.")]
AccessToken = Annotated[
    str, Meta(min_length=1, max_length=MAX_ACCESS_TOKEN_CHARACTERS, description="An access token, without `Bearer`.")
]
UserIdText = Annotated[str, Meta(min_length=1, max_length=MAX_USER_ID)]
"""A userId, or what an issuer calls a user; which of them a server takes its settings say."""
ConversationIdText = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARACTERS)]


class BadFrame(ValueError):
    """A frame that is no JSON object, or of a known kind and with wrong fields."""


class Hello(Struct, tag_field="t", tag="hello", rename="camel", frozen=True, kw_only=True):
    """The first frame, within 10 s."""

    token: Annotated[AccessToken | None, Meta(description="Unless the handshake had an Authorization header.")] = None
    device_id: Annotated[
        Name | None, Meta(description="A name that this installation keeps: the same device is connected once.")
    ] = None
    follow: Annotated[
        Token | None, Meta(description="Deltas from this token on; null: none before a `follow` frame.")
    ] = None
    client: Annotated[Name | None, Meta(description="The program and its version, for people: name/1.0.")] = None


def _no_args() -> msgspec.Raw:
    return msgspec.Raw(b"{}")


class Call(Struct, tag_field="t", tag="call", rename="camel", frozen=True, kw_only=True):
    """A call of the HTTP API by its name, answered by one `reply` with this id. At most 32 at once."""

    id: Annotated[int, Meta(ge=0, le=MAX_CALL_ID, description="Chosen by the client; the reply has it.")]
    do: Annotated[str, Meta(max_length=MAX_NAME_CHARACTERS, description="The call's name, as in its path.")]
    args: Annotated[msgspec.Raw, Meta(description="The fields of its body, or its query's parameters.")] = field(
        default_factory=_no_args
    )


class Follow(Struct, tag_field="t", tag="follow", rename="camel", frozen=True, kw_only=True):
    """Deltas from `token` on, whatever was followed before. Answered by a delta at once, an empty one if need be."""

    token: Annotated[Token | None, Meta(description="null: anew, beginning with a reset.")] = None


class Unfollow(Struct, tag_field="t", tag="unfollow", frozen=True):
    """No more deltas."""


class Ack(Struct, tag_field="t", tag="ack", rename="camel", frozen=True, kw_only=True):
    """Everything up to `token` is stored: opens the window, which is 8 deltas wide."""

    token: Token


class Auth(Struct, tag_field="t", tag="auth", rename="camel", frozen=True, kw_only=True):
    """A fresh access token of the same user."""

    token: AccessToken


class Ping(Struct, tag_field="t", tag="ping", rename="camel", frozen=True, kw_only=True):
    """Asks for a `pong`."""

    active: Annotated[
        bool, Meta(description="Whether a person is looking: every 5 s while somebody does. The user is then online.")
    ] = False


class Watch(Struct, tag_field="t", tag="watch", rename="camel", frozen=True, kw_only=True):
    """Whose presence is wanted, of users with whom the client's own is in a conversation of two; replaces those of the
    `watch` before. Answered by a `presence` frame of all of them, and by others as they come and go. It counts as
    fetchPresence does.
    """

    users: Annotated[
        tuple[UserIdText, ...],
        Meta(
            max_length=MOST_PRESENCES,
            description="Their userIds, or where the server has auth.escape_user_ids an issuer's names of them; none: "
            "nobody's. Who is no user of either kind ends the connection (4400).",
        ),
    ]


class View(Struct, tag_field="t", tag="view", rename="camel", frozen=True, kw_only=True):
    """Which conversation the client shows, in place of the one before; neither field: none. Of this one alone `typing`
    frames come, as long as the user may see them, and there alone he types.
    """

    recipient_id: Annotated[
        UserIdText | None, Meta(description="Of a conversation of two: the other one, as in sendMessage.")
    ] = None
    conversation_id: Annotated[
        ConversationIdText | None, Meta(description="Of a group. Beside recipientId it is ignored.")
    ] = None


class Typing(Struct, tag_field="t", tag="typing", rename="camel", frozen=True):
    """The user types in the conversation that the client shows. To be said about each 3 s while he does, and passed on
    once in 3 s at most. Nothing says that he has stopped.
    """


AfterHello = Call | Follow | Unfollow | Ack | Auth | Ping | Watch | View | Typing
ClientFrame = Hello | AfterHello
CLIENT_FRAMES: Final = (Hello, Call, Follow, Unfollow, Ack, Auth, Ping, Watch, View, Typing)
_KINDS: Final = frozenset(str(kind.__struct_config__.tag) for kind in CLIENT_FRAMES)


class Welcome(Struct, tag_field="t", tag="welcome", rename="camel", frozen=True, kw_only=True):
    """The hello is accepted."""

    user_id: Annotated[str, Meta(description="Whose mailbox this is.")]
    device_id: Annotated[str | None, Meta(description="As the hello had it.")]
    head: Annotated[str, Meta(description="The newest token there is.")]
    expires: Annotated[int | None, Meta(description="When the access token ends: seconds since the epoch.")]
    ping_ms: Annotated[int, Meta(description="How often the server sends a WebSocket ping into silence.")]
    window: Annotated[int, Meta(description="Deltas that may be unacknowledged.")]
    max_frame_bytes: Annotated[int, Meta(description="A larger frame ends the connection with 1009.")]
    retention_ms: Annotated[int, Meta(description="How long messages are kept: retention changes no version.")]
    dedupe_life_ms: Annotated[int, Meta(description="How long a clientMessageId is known.")]


class Reply(Struct, tag_field="t", tag="reply", rename="camel", frozen=True, kw_only=True):
    """The answer to a call. Replies come in any order."""

    id: Annotated[int, Meta(description="The call's.")]
    status: Annotated[int, Meta(description="As of HTTP.")]
    body: Annotated[Any, Meta(description="As of HTTP; an error's is a problem with retryAfterMs.")]


class Delta(Struct, tag_field="t", tag="delta", rename="camel", frozen=True, kw_only=True):
    """What changed between two tokens: all fields of fetchChanges' answer stand beside these."""

    prev: Annotated[str | None, Meta(description="The token of the delta before, or of the follow; null: none.")]
    token: Annotated[str, Meta(description="The token after it.")]


class Pong(Struct, tag_field="t", tag="pong", rename="camel", frozen=True, kw_only=True):
    """The newest token there is, as this server knows."""

    head: Annotated[str, Meta(description="Beyond the own token, and no delta within 2 s: follow from the own token.")]


class Expiring(Struct, tag_field="t", tag="expiring", rename="camel", frozen=True, kw_only=True):
    """The access token ends soon: send `auth`."""

    in_ms: Annotated[int, Meta(description="Until its `exp`.")]


class Notice(Struct, tag_field="t", tag="notice", rename="camel", frozen=True, kw_only=True):
    """Nothing is wrong with the client, deltas will go on: the mailbox cannot be asked for the moment."""

    code: Annotated[str, Meta(description="As of a problem.")]
    retry_after_ms: Annotated[int, Meta(description="About how long that may last.")]


class Presence(Struct, tag_field="t", tag="presence", rename="camel", frozen=True, kw_only=True):
    """Who of the watched users is online, as of now. It is never kept: a new connection watches anew."""

    users: Annotated[
        dict[str, PresenceShown | None],
        Meta(
            description="Those of whom it has changed, each by what the `watch` calls him. null: it is not known, or "
            "not shown."
        ),
    ]


class Types(Struct, tag_field="t", tag="typing", rename="camel", frozen=True, kw_only=True):
    """Somebody else types in the conversation that the client shows. It may be lost, and it ends by itself."""

    conversation_id: Annotated[str, Meta(description="The conversation's.")]
    user_id: Annotated[str, Meta(description="Who types.")]
    until_ms: Annotated[
        int, Meta(description="For how long that is to be shown, unless it comes again or his message does.")
    ]


SERVER_FRAMES: Final = (Welcome, Reply, Delta, Pong, Expiring, Notice, Presence, Types)


class _Kind(Struct):
    t: str


_any: msgspec.json.Decoder[ClientFrame] = msgspec.json.Decoder(ClientFrame)
_kind = msgspec.json.Decoder(_Kind)
_encode = msgspec.json.Encoder().encode
ServerFrame = Welcome | Pong | Expiring | Notice | Presence | Types


def parse(frame: str | bytes) -> ClientFrame | None:
    """The frame of a client; None for one of a kind that this server does not know. BadFrame."""
    try:
        return _any.decode(frame)
    except (msgspec.ValidationError, UnicodeError, RecursionError) as error:
        if _is_of_unknown_kind(frame):
            return None
        raise BadFrame(str(error)[:100]) from error
    except msgspec.DecodeError as error:
        raise BadFrame(f"no JSON: {error}"[:100]) from error


def _is_of_unknown_kind(frame: str | bytes) -> bool:
    try:
        return _kind.decode(frame).t not in _KINDS
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False


def encode(frame: ServerFrame) -> bytes:
    """A server's frame, as it is sent."""
    return _encode(frame)


def reply(call_id: int, status: int, body: bytes) -> bytes:
    """A `reply`, whose `body` is JSON already."""
    return b'{"t":"reply","id":%d,"status":%d,"body":%b}' % (call_id, status, body)


def delta(prev: str | None, token: str, body: bytes) -> bytes:
    """A `delta` of fetchChanges' answer `body`, which is a JSON object with a field at least."""
    return b'{"t":"delta","prev":%b,"token":%b,%b' % (_encode(prev), _encode(token), body[1:])

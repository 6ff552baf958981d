"""The frames of a link as bytes, and back. Pure; docs/formats.md and tests/golden/frames.jsonl have the format.

A message is a msgpack array (array32) of frames, each an array that begins with the number of its kind. All frames that
a process has for a peer in one turn of its loop are one message. What stands behind the last known field of a frame is
passed over; a kind that is not known is garbage, because a peer says at the handshake which version it speaks.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

MOST_FRAMES: Final = 16_384
"""In one message: a few bytes on the wire must not become a million objects."""
MOST_MESSAGE_BYTES: Final = 16 << 20
"""Of one message, and so of one body. A page is 1 MiB, a send 64 KiB; a hand-over is cut into pieces."""
HEADER_BYTES: Final = 5
_ARRAY32: Final = 0xDD


class Call(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=0):
    """Asks for something. Answered once: by an Answer or a Failed of the same id, also where it is called off."""

    id: int
    name: str
    timeout_ms: int
    """What was left of the caller's time. Never a time of day: two machines' clocks differ."""
    map_version: int
    body: msgspec.Raw


class Answer(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """What a call came to."""

    id: int
    body: msgspec.Raw


class Failed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """The error that a call came to: `kinds` are its class and that one's bases, the most special first."""

    id: int
    kinds: list[str]
    message: str
    fields: dict[str, Any]


class Cancel(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """The caller does not wait any more. It is answered nevertheless, so that both sides agree on the credit."""

    id: int


class Push(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """What the serving side says unasked: the newest value of a kind."""

    kind: str
    body: msgspec.Raw


class Beat(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=5):
    """Nothing was to be said for a beat, and the sender lives."""


class Goodbye(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=6):
    """The serving side begins no more calls; those that it has begun are answered."""


Frame = Call | Answer | Failed | Cancel | Push | Beat | Goodbye


class Garbage(ValueError):
    """What came is no message of frames."""


UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are not what they should be."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Frame])
encode = _encoder.encode
"""A body as bytes."""


def call(call_id: int, name: str, timeout_ms: int, map_version: int, body: object) -> bytes:
    """A Call as bytes. A body is encoded in the one go: a struct of it needs no bytes of its own."""
    return _encoder.encode((0, call_id, name, timeout_ms, map_version, body))


def answer(call_id: int, body: object) -> bytes:
    return _encoder.encode((1, call_id, body))


def failed(call_id: int, kinds: Sequence[str], message: str, fields: Mapping[str, object]) -> bytes:
    return _encoder.encode((2, call_id, kinds, message, fields))


def cancel(call_id: int) -> bytes:
    return _encoder.encode((3, call_id))


def push(kind: str, body: object) -> bytes:
    return _encoder.encode((4, kind, body))


BEAT: Final = _encoder.encode((5,))
GOODBYE: Final = _encoder.encode((6,))


def message_of(frames: Sequence[bytes]) -> bytes:
    """A message of encoded frames: MOST_FRAMES at most."""
    return b"".join((b"\xdd", len(frames).to_bytes(4), *frames))


def frames_of(message: bytes) -> list[Frame]:
    """The frames of a message; Garbage. Nothing is decoded of a message that says it has more than MOST_FRAMES."""
    if len(message) < HEADER_BYTES or message[0] != _ARRAY32 or int.from_bytes(message[1:HEADER_BYTES]) > MOST_FRAMES:
        raise Garbage("no message of frames")
    try:
        return _decoder.decode(message)
    except UNREADABLE as error:
        raise Garbage(str(error)) from error

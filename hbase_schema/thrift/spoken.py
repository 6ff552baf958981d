"""What a gateway speaks, where it does not answer in the way that the settings say: found out by asking in every way.

No gateway says which transport and protocol it was started with, and how a mismatch shows depends on both sides: one
reads a length of gigabytes out of the other's first bytes and waits, another ends the connection, a third answers with
an error of its own. So nothing is guessed from how a call failed. One call that every gateway answers by itself is
sent in each transport and protocol, over connections of their own and side by side; the one that is answered is the
one. What is no Thrift in the clear is greeted in its own way: HTTP with a GET, SASL with a mechanism that nobody has,
TLS with a handshake.

Asked only after a call failed, when a store is opened and by an operator's verbs: seven connections, soon closed.
"""

import asyncio
import ssl
import struct
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import product
from typing import Final, NamedTuple, TypeAlias, get_args

from rowbox.hbase_schema.thrift.connection import Address
from rowbox.hbase_schema.thrift.wire import Wire, wire_of
from rowbox.mailbox.errors import StoreUnusable
from rowbox.mailbox.settings.config import HBaseSettings, ThriftProtocol, ThriftTransport

MOST_S: Final = 2.0
"""A gateway that answers later than that is not told from one that is silent."""
_CALL: Final = b"getThriftServerType"  # one that is too old to know it answers with an error, in the same way
_BINARY_CALL: Final = b"\x80\x01\x00\x01" + struct.pack(">i", len(_CALL)) + _CALL + b"\0\0\0\1" + b"\0"
_COMPACT_CALL: Final = b"\x82\x21\x01" + bytes([len(_CALL)]) + _CALL + b"\0"
_REPLIES: Final = {
    "binary": (b"\x80\x01\x00\x02", b"\x80\x01\x00\x03"),
    "compact": (b"\x82\x41", b"\x82\x61"),
}
"""How a reply and an error begin."""
_MOST_BYTES: Final = 1 << 12
"""Of a reply to that call."""
_GET: Final = b"GET / HTTP/1.0\r\n\r\n"
_SASL_START: Final = b"\1" + struct.pack(">i", 6) + b"ROWBOX"
_SASL_REFUSAL: Final = b"\3\0\0"
"""The status BAD, and the length of a text that says why."""


class Foreign(NamedTuple):
    """What a gateway speaks that is no Thrift in the clear: one of HTTP, TLS and SASL."""

    advice: str


HTTP: Final = Foreign(
    "speaks HTTP, which Rowbox does not: name a gateway's own port, and start it without hbase.regionserver.thrift.http"
)
TLS: Final = Foreign(
    "speaks TLS, which Rowbox does not: start one without hbase.thrift.ssl.enabled on an address that only Rowbox "
    "reaches, or put a proxy that speaks TLS beside Rowbox"
)
SASL: Final = Foreign(
    "asks for SASL (Kerberos), which Rowbox does not speak: start one without hbase.thrift.security.qop on an address "
    "that only Rowbox reaches"
)


Spoken: TypeAlias = Wire | Foreign | None
"""None: nothing that is known here, or nothing at all."""


def spoken_by(gateway: Address, settings: HBaseSettings) -> Spoken:
    """What one gateway speaks; the way of `settings`, if that is one of those that it answers."""
    with ThreadPoolExecutor(1) as thread:  # the caller's may run a loop
        return thread.submit(asyncio.run, _spoken_by(gateway, settings)).result()


def other_wire(gateway: Address, settings: HBaseSettings) -> str | None:
    """What differs from the settings and what to do, in one line that does not name the gateway; None: nothing does."""
    return _advice(wire_of(settings), spoken_by(gateway, settings))


def require_same_wire(gateways: Iterable[Address], settings: HBaseSettings) -> None:
    """StoreUnusable, with the setting to change or the way out, where one of `gateways` speaks otherwise.

    Where none does, or none says anything at all, nothing is known and nothing is raised.
    """
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, ask_for_same_wire(gateways, settings)).result()


async def ask_for_same_wire(gateways: Iterable[Address], settings: HBaseSettings) -> None:
    """The same, in the running loop."""
    asked = list(gateways)
    spoken = await asyncio.gather(*(_spoken_by(gateway, settings) for gateway in asked))
    advices = [_advice(wire_of(settings), each) for each in spoken]
    wrong = [f"gateway {host}:{port} {advice}" for (host, port), advice in zip(asked, advices, strict=True) if advice]
    if wrong:
        raise StoreUnusable("; ".join(wrong))


async def _spoken_by(gateway: Address, settings: HBaseSettings) -> Spoken:
    configured = wire_of(settings)
    wires = [Wire(*both) for both in product(get_args(ThriftTransport), get_args(ThriftProtocol))]
    timeout_s = min(MOST_S, settings.call_timeout_ms / 1000)
    requests = [*map(_request, wires), _GET, _SASL_START]
    answers, is_tls = await asyncio.gather(
        asyncio.gather(*(_exchanged(gateway, request, timeout_s) for request in requests)),
        _shakes_hands(gateway, timeout_s),
    )
    spoken = [wire for wire, reply in zip(wires, answers, strict=False) if _is_reply(reply, wire)]
    if spoken:
        return configured if configured in spoken else spoken[0]
    return _foreign(answers, is_tls=is_tls)


def _advice(configured: Wire, spoken: Spoken) -> str | None:
    if spoken is None or spoken == configured:
        return None
    if isinstance(spoken, Foreign):
        return spoken.advice
    differing = [name for name in Wire._fields if getattr(configured, name) != getattr(spoken, name)]
    change = " and ".join(f"hbase.{name} = {getattr(spoken, name)}" for name in differing)
    return f"speaks another {' and '.join(differing)} of Thrift than the settings say: set {change}"


def _foreign(heads: Iterable[bytes], *, is_tls: bool) -> Foreign | None:
    """What is spoken instead of Thrift in the clear, as far as it shows."""
    if is_tls or any(head[:2] == b"\x15\x03" for head in heads):  # an alert: what came was no TLS
        return TLS
    if any(head.startswith(b"HTTP/") for head in heads):
        return HTTP
    return SASL if any(head.startswith(_SASL_REFUSAL) for head in heads) else None


def _request(wire: Wire) -> bytes:
    call = _COMPACT_CALL if wire.protocol == "compact" else _BINARY_CALL
    return struct.pack(">i", len(call)) + call if wire.transport == "framed" else call


def _is_reply(answer: bytes, wire: Wire) -> bool:
    if wire.transport == "framed":
        length, answer = _length(answer), answer[4:]
        if not len(answer) <= length <= _MOST_BYTES:
            return False
    return answer.startswith(_REPLIES[wire.protocol])


def _length(head: bytes) -> int:
    return int.from_bytes(head[:4], "big", signed=True) if len(head) >= 4 else -1


async def _exchanged(gateway: Address, request: bytes, timeout_s: float) -> bytes:
    """What comes first in answer to `request`; b"" where nothing does."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(*gateway)
            try:
                writer.write(request)
                return await _head(reader)
            finally:
                writer.transport.abort()
    return b""


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Enough to tell: a reply's first pieces may be few bytes each, as its length goes before the rest."""
    head = b""
    while len(head) < 8 and (piece := await reader.read(_MOST_BYTES)):
        head += piece
    return head


async def _shakes_hands(gateway: Address, timeout_s: float) -> bool:
    """Whether the gateway speaks TLS: it agrees on something, or says why not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is told to it, whoever it is
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(*gateway, ssl=context)
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True

"""Thrift's protocols with a look at what a reply answers, by its number and its name, and at whether it is a reply.

thriftpy2 looks at none of these. After a call that was given up, or through a gateway that answers twice, the next call
would be given the reply to the one before: another user's mail. And a write that comes back as it was sent would pass
for its own confirmation: it holds no error. A socket that connects to a free port of its own machine does that, once
the system gives it that port as its own.
"""

from collections import deque
from typing import Any

from thriftpy2.protocol import TBinaryProtocol, TCompactProtocol
from thriftpy2.thrift import TMessageType

from rowbox.hbase_schema.thrift.wire import Wire

_REPLIES = (TMessageType.REPLY, TMessageType.EXCEPTION)


class CrossedReply(Exception):
    """What came is not the reply to what was asked."""


class Sequenced:
    """A protocol that numbers its requests, and takes only replies, in their order, under their numbers and names.

    Texts are left as the bytes that came: what HBase declares as text need not be any.
    """

    def __init__(self, transport: Any) -> None:
        super().__init__(transport, decode_response=False)  # type: ignore[call-arg]
        self._last = 0
        self._asked: deque[tuple[str, int]] = deque()
        self.call = ""
        """The name of the call that was last sent, or whose reply was last read."""

    def require_no_reply_is_owed(self) -> None:
        """CrossedReply where the reply to a request was not read: the next call would be given it."""
        if self._asked:
            raise CrossedReply(f"the reply to {self._asked[0][0]} was not read")

    def write_message_begin(self, name: str, ttype: int, seqid: int) -> None:
        self._last = self._last % 0x7FFFFFFF + 1
        self._asked.append((name, self._last))
        self.call = name
        super().write_message_begin(name, ttype, self._last)  # type: ignore[misc]

    def read_message_begin(self) -> tuple[str, int, int]:
        asked = self._asked.popleft()  # first: a reply that does not come in time must not answer the next request
        self.call = asked[0]
        name, kind, seqid = super().read_message_begin()  # type: ignore[misc]
        if isinstance(name, bytes):  # the compact protocol decodes no text at all then, its own name included
            name = name.decode(errors="replace")
        if (name, seqid) != asked:
            raise CrossedReply(f"asked {asked[0]} {asked[1]}, got a reply to {name} {seqid}")
        if kind not in _REPLIES:
            raise CrossedReply(f"asked {asked[0]} {asked[1]}, got the question back, or another one")
        return name, kind, seqid


class SequencedBinary(Sequenced, TBinaryProtocol):
    """The binary protocol, sequenced."""


class SequencedCompact(Sequenced, TCompactProtocol):
    """The compact protocol, sequenced."""


def sequenced(wire: Wire, transport: Any) -> Sequenced:
    """The protocol of `wire` over `transport`."""
    return SequencedCompact(transport) if wire.protocol == "compact" else SequencedBinary(transport)

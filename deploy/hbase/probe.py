"""Whether a port is free, and whether a gateway answers. The Thrift calls are written out here, because this package
uses no library.

A call is its version and type, a number, its name, and the fields of its arguments; a field is its type, its id and its
value; a zero byte ends them. A result has the value in field 0, or an error in another. The binary protocol writes
numbers in four bytes, the compact one in as few as it can, and a field's id as the distance from the one before. In the
framed transport the length of the whole call comes first.
"""

import socket
import struct
from typing import NamedTuple

_CALL, _REPLY = b"\x80\x01\x00\x01", b"\x80\x01\x00\x02"
_COMPACT_CALL, _COMPACT_REPLY = b"\x82\x21", b"\x82\x41"
_NUMBER = b"\0\0\0\1"
_BOOL, _STRING = 2, 11
_VALUE = (b"\0", b"\0\0")
"""The bytes behind the type of a result's value: its field's id, 0. The compact protocol writes the id of an error into
the upper half of the type."""


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now: no other server does, and no port of one that has just died is still
    taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does: closed connections may linger
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def accepts(port: int, timeout_s: float) -> bool:
    """Whether somebody listens on 127.0.0.1:`port`."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=timeout_s).close()
    except OSError:
        return False
    return True


class Wire(NamedTuple):
    """A gateway's Thrift transport and protocol."""

    is_framed: bool
    is_compact: bool


def thrift1_lists_tables(port: int, timeout_s: float, wire: Wire) -> bool:
    """Whether the gateway gets the list of tables from HBase."""
    return _answers(port, b"getTableNames", b"", timeout_s, wire)


def thrift2_lists_tables(port: int, timeout_s: float) -> bool:
    """Whether a Thrift2 gateway, which is buffered and binary, gets the list of users' tables from HBase."""
    pattern = struct.pack(">bhi2s", _STRING, 1, 2, b".*")
    without_system_tables = struct.pack(">bh?", _BOOL, 2, False)
    wire = Wire(is_framed=False, is_compact=False)
    return _answers(port, b"getTableNamesByPattern", pattern + without_system_tables, timeout_s, wire)


def _answers(port: int, method: bytes, arguments: bytes, timeout_s: float, wire: Wire) -> bool:
    head = _COMPACT_CALL if wire.is_compact else _CALL
    named = bytes([1, len(method)]) + method if wire.is_compact else struct.pack(">i", len(method)) + method + _NUMBER
    call = head + named + arguments + b"\0"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
            connection.sendall(struct.pack(">i", len(call)) + call if wire.is_framed else call)
            with connection.makefile("rb") as reply:
                reply.read(4 if wire.is_framed else 0)
                kind = reply.read(len(head))
                reply.read(len(named))
                field = reply.read(2 if wire.is_compact else 3)
    except OSError:
        return False
    return kind == (_COMPACT_REPLY if wire.is_compact else _REPLY) and field[:1] < b"\x10" and field[1:] in _VALUE

"""Whether a port is free, and whether a gateway answers: one Thrift call each, written out, as no library is at hand.

Thrift's binary protocol: a call is its version and type, the length and text of its name, a number, and the fields of
its arguments; a field is its type, its id and its value; a zero byte ends them. A result has the value in field 0, or
an error in another.
"""

import socket
import struct
from collections.abc import Callable

_CALL, _REPLY = 0x80010001, 0x80010002
_BOOL, _STRING = 2, 11


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now: nobody does, and nothing of a server that has just died is left."""
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


def thrift1_lists_tables(port: int, timeout_s: float) -> bool:
    """Whether the gateway gets the list of tables from HBase."""
    return _answers(port, b"getTableNames", b"", timeout_s)


def thrift2_lists_tables(port: int, timeout_s: float) -> bool:
    """The same of a Thrift2 gateway: all tables of users."""
    pattern = struct.pack(">bhi2s", _STRING, 1, 2, b".*")
    without_system_tables = struct.pack(">bh?", _BOOL, 2, False)
    return _answers(port, b"getTableNamesByPattern", pattern + without_system_tables, timeout_s)


Probe = Callable[[int, float], bool]


def _answers(port: int, method: bytes, arguments: bytes, timeout_s: float) -> bool:
    call = struct.pack(f">Ii{len(method)}si", _CALL, len(method), method, 1) + arguments + b"\0"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
            connection.sendall(call)
            with connection.makefile("rb") as reply:
                kind, length = struct.unpack(">Ii", reply.read(8))
                reply.read(length + 4)
                _, field = struct.unpack(">bh", reply.read(3))
    except (OSError, struct.error):
        return False
    return bool(kind == _REPLY and field == 0)

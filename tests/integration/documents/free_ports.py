"""Ports for a program that must be told which: another's configuration names them, or it comes back at the same one."""

import socket
from contextlib import ExitStack


def free_ports(number: int) -> list[int]:
    """So many of this machine's, different ones, that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [one.getsockname()[1] for one in sockets]

"""The port at which all API processes listen. The server holds it for as long as it lives, whatever becomes of them."""

from collections.abc import Iterable
from contextlib import ExitStack

from rowbox.api.http.listeners import bound, port_of


class HeldPort(ExitStack):
    """A port at which processes of this account may listen together, and nobody else; given up when this is left."""

    async def hold(self, hosts: Iterable[str], port: int) -> int:
        """Takes the port (0: any free one) at all of `hosts`, and returns its number. OSError as of listeners.bound.

        It is bound without SO_REUSEPORT first: with it, the system would let two servers of one account have the same
        port, and share clients out between two stores.
        """
        hosts = tuple(hosts)
        alone = await bound(hosts, port)
        port = port_of(alone[0])
        for one in alone:
            one.close()
        for one in await bound(hosts, port, shared=True):
            self.callback(one.close)  # it never listens, so it gets no connection
        return port

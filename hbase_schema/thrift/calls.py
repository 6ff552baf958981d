"""The calls of an operator's verb on one gateway: one at a time, each with the same time, over a connection that works.

It is opened by the first call, and by the next one after a failure or a long pause.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any, Final, TypeVar

from rowbox.hbase_schema.thrift.connection import Address, GatewayConnection
from rowbox.hbase_schema.thrift.wire import frame_bytes_of, wire_of
from rowbox.mailbox.settings.config import HBaseSettings

_T = TypeVar("_T")

CREATE_TIMEOUT_MS: Final = 60_000
"""A table with hundreds of regions takes a busy cluster many seconds."""


class GatewayCalls:
    """Calls of one Thrift interface."""

    def __init__(self, gateway: Address, client_of: Callable[[Any], Any], settings: HBaseSettings) -> None:
        self.name = f"{gateway[0]}:{gateway[1]}"
        self._gateway = gateway
        self._client_of = client_of
        self._settings = settings
        self._connection: GatewayConnection[Any] | None = None

    def call(self, name: str, *args: object, writes: bool = False, timeout_ms: int | None = None) -> Any:
        """What the gateway answers to the call `name`. `timeout_ms` takes the place of the settings'.

        StoreUnreachable: it cannot be connected to. HBaseRefused: it answered with an error. StoreUnavailable: it is
        silent, or no such gateway. StoreOutcomeUnknown: one of the latter two, where the call `writes` and was sent.
        """
        return self.run(lambda client: getattr(client, name)(*args), writes=writes, timeout_ms=timeout_ms)

    def run(self, work: Callable[[Any], _T], *, writes: bool = False, timeout_ms: int | None = None) -> _T:
        """What `work` returns, which makes calls of the client and looks at their replies. Raises as `call`."""
        deadline_s = monotonic() + (self._settings.call_timeout_ms if timeout_ms is None else timeout_ms) / 1000
        return self._opened(deadline_s).run(work, deadline_s, writes=writes)

    def _opened(self, deadline_s: float) -> GatewayConnection[Any]:
        if self._connection is None or not self._connection.is_usable(self._settings.idle_ms / 1000):
            self.close()
            settings = self._settings
            connection = GatewayConnection(self._gateway, self._client_of, wire_of(settings), frame_bytes_of(settings))
            connection.open(deadline_s)
            self._connection = connection
        return self._connection

    def close(self) -> None:
        """Gives the socket back. The next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

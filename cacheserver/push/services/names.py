"""Names of hosts, asked of the machine's resolver in threads of their own.

A resolver may take half a minute for a name that its owner wants to be slow. In the loop's own threads that would have
everything else wait that is done there: the clock's file, the plan of a cluster's map.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

THREADS: Final = 8


class MachineNames(AbstractResolver):
    """What the machine takes names for. `close` ends it; what is being asked then may go on for a while."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="rowbox-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """See AbstractResolver. OSError where there is no such name."""
        asked = host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG
        found = await asyncio.get_running_loop().run_in_executor(self._threads, socket.getaddrinfo, *asked)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=of_family,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for of_family, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """See AbstractResolver."""
        self._threads.shutdown(wait=False, cancel_futures=True)

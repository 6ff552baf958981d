"""What sockets keep back for one turn of the loop, because what comes in that turn may go out in the same write."""

import asyncio
from typing import Protocol


class Holding(Protocol):
    """A socket that keeps something back."""

    def release(self) -> None:
        """It is to go out now, if it has not."""
        ...


class Releases:
    """Everybody who keeps something back. One pair of callbacks for all who begin in a turn of the loop. To be made in
    the running loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._holders: list[Holding] = []
        """Those of this turn."""

    def add(self, holder: Holding) -> None:
        """Has `holder` release what it keeps when the next turn of the loop has ended: by then everybody ran who was
        woken in this one.
        """
        if not self._holders:
            self._loop.call_soon(self._turn_ends)
        self._holders.append(holder)

    def _turn_ends(self) -> None:
        """The next turn has begun: what it calls comes before what is added to the loop now."""
        holders, self._holders = self._holders, []
        self._loop.call_soon(_release, holders)


def _release(holders: list[Holding]) -> None:
    for holder in holders:
        holder.release()

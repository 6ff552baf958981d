"""Gathers what the owners of a group's members tell its row: one mutation in GATHERED_S, whoever reads.

    a receipt comes                          -> `take`: it joins what is gathered of its group
    none was written within GATHERED_S       -> all of it at once, in one mutation of the group's row
    that is confirmed                        -> so are all receipts that are in it

What is gathered is in memory alone, so nothing is confirmed before it is written: whoever told it tells it again where
this process ends meanwhile.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from rowbox.cacheserver.cache.commands import Command, CommandResult, ReceiptsCommand
from rowbox.cacheserver.samples import Sample
from rowbox.mailbox.errors import HandoverInProgress, Overloaded, RowboxError
from rowbox.mailbox.receipts import Receipt, joined
from rowbox.mailbox.timing.timer_queue import TimerQueue

GATHERED_S: Final = 2.0
STEP_S: Final = 0.05
MOST_GATHERED: Final = 100_000
"""Receipts, of some 500 bytes each."""

Taken = asyncio.Future[int]


class _Gathering:
    """What is gathered of one group."""

    __slots__ = ("is_scheduled", "next_at_s", "receipts", "tellers")

    def __init__(self) -> None:
        self.receipts: dict[str, Receipt] = {}
        """By member."""
        self.tellers: list[tuple[int, Taken]] = []
        """Who is told once they are written, each with the number of its receipts."""
        self.next_at_s = 0.0
        self.is_scheduled = False


class Gatherings:
    """Those of one owner's groups. `close` ends it."""

    def __init__(self, submit: Callable[[Command], None], *, most: int = MOST_GATHERED) -> None:
        self._submit = submit
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._groups: dict[str, _Gathering] = {}
        self._timers = TimerQueue[str](self._loop, self._write, step_s=STEP_S)
        self.gathered = 0
        """Receipts that are not written yet, each as often as it was told."""

    def __len__(self) -> int:
        """Of how many groups something is gathered, or was written within GATHERED_S."""
        return len(self._groups)

    def take(self, name: str, receipts: Sequence[Receipt]) -> Taken:
        """Has the row of the group of this name take in what its members have and have read.

        Done once that is written: how many they are. Raises what a write raises, and Overloaded at once.
        """
        if self.gathered + len(receipts) > self._most:
            raise Overloaded("too many receipts of groups wait for being written", retry_after_ms=1000)
        gathering = self._groups.get(name)
        if gathering is None:
            gathering = self._groups[name] = _Gathering()
        for receipt in receipts:
            known = gathering.receipts.get(receipt.reader_id)
            gathering.receipts[receipt.reader_id] = joined(known, receipt) if known is not None else receipt
        taken: Taken = self._loop.create_future()
        gathering.tellers.append((len(receipts), taken))
        self.gathered += len(receipts)
        self._schedule(name, gathering)
        return taken

    def give_away(self, is_given: Callable[[str], bool]) -> None:
        """Forgets the groups of whose rows `is_given` says so: who told of them is told to tell others."""
        for name in [name for name in self._groups if is_given(name)]:
            self._timers.remove(name)
            self._refuse(self._groups.pop(name))

    def close(self) -> None:
        """Ends it. What is being written at this moment may come to its end."""
        self.give_away(lambda _: True)
        self._timers.close()
        self._most = 0

    def samples(self) -> Iterable[Sample]:
        """The metrics of it."""
        text = "Receipts of groups that wait for being written."
        yield "rowbox_receipts_gathered", "gauge", text, {}, self.gathered

    def _schedule(self, name: str, gathering: _Gathering) -> None:
        if not gathering.is_scheduled:
            gathering.is_scheduled = True
            self._timers.add(name, max(0.0, gathering.next_at_s - self._loop.time()))

    def _write(self, name: str) -> None:
        gathering = self._groups[name]
        gathering.is_scheduled = False
        if not gathering.tellers:
            del self._groups[name]
            return
        receipts, gathering.receipts = tuple(gathering.receipts.values()), {}
        tellers, gathering.tellers = gathering.tellers, []
        gathering.next_at_s = self._loop.time() + GATHERED_S
        future: asyncio.Future[CommandResult] = self._loop.create_future()
        future.add_done_callback(partial(self._written, name, tellers))
        try:
            self._submit(ReceiptsCommand(name, receipts, future=future))
        except RowboxError as error:
            future.set_exception(error)

    def _written(
        self, name: str, tellers: Sequence[tuple[int, Taken]], written: "asyncio.Future[CommandResult]"
    ) -> None:
        error = None if written.cancelled() else written.exception()
        for count, taken in tellers:
            self.gathered -= count
            if taken.done():
                continue
            if written.cancelled():
                taken.cancel()
            elif error is not None:
                taken.set_exception(error)
            else:
                taken.set_result(count)
        gathering = self._groups.get(name)
        if gathering is not None:
            self._schedule(name, gathering)  # also where nothing came meanwhile: then it is forgotten at that time

    def _refuse(self, gathering: _Gathering) -> None:
        for count, taken in gathering.tellers:
            self.gathered -= count
            if not taken.done():
                taken.set_exception(HandoverInProgress("the group's row is another owner's now", retry_after_ms=100))

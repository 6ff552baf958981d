"""All API processes of a server: starts them, ends them, and makes one of what they say.

Where one of them cannot start the first time, the server does not start either. What they have counted is asked for
each second, and before each scrape. So a process that is killed takes at most a second of its counts with it, and no
sum falls.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Final

from rowbox.api.telemetry.combined import Combined
from rowbox.api.telemetry.counters import RouteCounters
from rowbox.api.telemetry.samples import Sample
from rowbox.cacheserver.background import BackgroundLoop, background_samples
from rowbox.cli.serving.processes.control import Reload
from rowbox.cli.serving.processes.place import BeginOf, Place

ASK_EVERY_S: Final = 1.0


class Supervisor:
    """`count` API processes. It is a Counted, a HealthSource and, by `samples`, a Source."""

    def __init__(self, count: int, begin_of: BeginOf) -> None:
        """`begin_of` gives the first message for a process of this name, a new one for each start."""
        self._combined = Combined()
        self._places = [Place(f"api-{number}", begin_of, self._combined) for number in range(1, count + 1)]
        self._asking = BackgroundLoop("api_processes", self._ask_round)

    # ------------------------------------------------------------------ life

    async def start(self) -> None:
        """Starts them, and returns when all of them accept connections. StoreUnusable where one cannot."""
        for place in self._places:
            place.loop.start()
        await asyncio.gather(*(place.first for place in self._places))
        self._asking.start()

    def reload(self) -> None:
        """Has all of them read their keys again."""
        for place in self._places:
            place.send(Reload())

    async def drain(self, within_s: float) -> None:
        """Has all of them finish what has begun, and returns when they have ended; what is left then is killed."""
        await self._asking.close()
        await asyncio.gather(*(place.drain(within_s) for place in self._places))

    async def close(self) -> None:
        """Kills what is left. A second call does nothing."""
        await self._asking.close()
        await asyncio.gather(*(place.close() for place in self._places))

    # ------------------------------------------------------------------ what they say, as one

    async def refresh(self) -> None:
        """Has each of them say what it has counted. Bounded in time."""
        await asyncio.gather(*(place.ask() for place in self._places))

    async def _ask_round(self) -> float:
        for place in self._places:
            place.end_if_silent()
        await self.refresh()
        return ASK_EVERY_S

    @property
    def routes(self) -> Iterable[RouteCounters]:
        """See Counted."""
        return self._combined.routes

    def samples(self) -> Iterable[Sample]:
        """What all of them count together, and how they are."""
        yield from self._combined.samples()
        yield from map(Sample._make, background_samples((self._asking,)))
        listening, wanted = self._listening, len(self._places)
        yield Sample("rowbox_api_processes", "gauge", "API processes that accept connections.", {}, listening)
        yield Sample("rowbox_api_processes_wanted", "gauge", "API processes that there should be.", {}, wanted)
        text = "API processes that ended, each of which is started again."
        ends = sum(place.restarts for place in self._places)
        yield Sample("rowbox_api_process_restarts_total", "counter", text, {}, ends)
        text = "CPU time of the process that owns the mailboxes alone, without its API processes."
        yield Sample("rowbox_owner_cpu_seconds_total", "counter", text, {}, time.process_time())

    def unready_reasons(self) -> Sequence[str]:
        """Why no client can be served now; empty where one can."""
        if any(place.is_ready for place in self._places):
            return ()
        return self._said(place.said.unready for place in self._places) or ("no API process accepts connections",)

    def warnings(self) -> Sequence[str]:
        """What is wrong although clients can be served."""
        listening, wanted = self._listening, len(self._places)
        missing = (f"{listening} of {wanted} API processes accept connections",) if listening < wanted else ()
        return (*missing, *self._said((*place.said.unready, *place.said.warnings) for place in self._places))

    @property
    def _listening(self) -> int:
        return sum(place.is_listening for place in self._places)

    @staticmethod
    def _said(lines: Iterable[Sequence[str]]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(line for several in lines for line in several))

"""The place of one API process, which is filled again whenever the process in it ends.

- A process that ends is started again, after a pause that doubles from FIRST_PAUSE_S to LONGEST_PAUSE_S. After one that
  ran for STEADY_S the first pause comes again. Each end is a line of the log; the pauses bound their number.
- One that does not listen in START_S, or does not say for SILENT_ROUNDS what it has counted, is killed and so started
  again. Rounds are counted and not seconds: a server that was paused itself must not kill what answered meanwhile.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from rowbox.api.telemetry.combined import Combined
from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cli.serving.processes.child import ChildProcess
from rowbox.cli.serving.processes.control import Ask, Begin, Counts, Drain, Failed, Listening, Message
from rowbox.mailbox.errors import StoreUnusable

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 30.0
STEADY_S: Final = 60.0
START_S: Final = 60.0
"""An idle machine takes a second."""
SILENT_ROUNDS: Final = 30
ANSWER_S: Final = 0.5
"""How long a scrape waits for a process that does not answer."""
BeginOf = Callable[[str], Begin]
log = logging.getLogger(__name__)


class Child(Protocol):
    """A process and the way to it: see ChildProcess."""

    @property
    def pid(self) -> int: ...

    def send(self, message: Message) -> None: ...

    async def receive(self) -> Message | None: ...

    def abort(self) -> None: ...

    async def end(self) -> str: ...


Spawn = Callable[[Begin], Awaitable[Child]]


class Place:
    """One place. Its `loop` fills it while it runs."""

    def __init__(self, name: str, begin_of: BeginOf, combined: Combined, spawn: Spawn = ChildProcess.spawn) -> None:
        """`begin_of` gives the first message for each process that comes here; `combined` hears what they count."""
        self.loop = BackgroundLoop(name, self._life)
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the first process here listens. StoreUnusable: it could not."""
        self.is_listening = False
        self.restarts = 0
        self.said = Counts()
        self._name = name
        self._begin_of = begin_of
        self._combined = combined
        self._spawn = spawn
        self._child: Child | None = None
        self._pause_s = FIRST_PAUSE_S
        self._is_ending = False
        self._answered = asyncio.Event()
        self._ended = asyncio.Event()
        self._is_asked = False
        self._silent_rounds = 0

    @property
    def is_ready(self) -> bool:
        """Whether clients can be served by the process here."""
        return self.is_listening and not self.said.unready

    # ------------------------------------------------------------------ one process after the other

    async def _life(self) -> float | None:
        """Runs one process until nothing is left of it. Returns the pause before the next one; None: there is none."""
        began_s = self._now_s()
        try:
            child = await self._spawn(self._begin_of(self._name))
        except OSError as error:
            return self._after(f"cannot be started: {error.strerror}", began_s)
        self._child = child
        try:
            why = await self._hear(child)
        finally:
            try:
                how = await child.end()
            finally:
                self._left()
        return self._after(why or f"ended by {how}", began_s)

    async def _hear(self, child: Child) -> str:
        """Takes what the process says, until it ends. Returns why it is to end; "" where it just does."""
        try:
            async with asyncio.timeout(START_S) as patience:
                while (message := await child.receive()) is not None:
                    if isinstance(message, Failed):
                        return f"cannot serve: {message.why}"
                    if isinstance(message, Listening):
                        patience.reschedule(None)
                        self._listens(child)
                    elif isinstance(message, Counts):
                        self._counted(message)
        except TimeoutError:
            child.abort()
            return f"did not accept connections within {START_S:.0f} s"
        return ""

    def _listens(self, child: Child) -> None:
        log.info("%s accepts connections (process %d)", self._name, child.pid)
        self.is_listening = True
        if not self.first.done():
            self.first.set_result(None)

    def _counted(self, counts: Counts) -> None:
        self.said = counts
        self._combined.heard(self, counts.report)
        self._is_asked, self._silent_rounds = False, 0
        self._answered.set()

    def _left(self) -> None:
        self.is_listening = self._is_asked = False
        self._silent_rounds = 0
        self._child = None
        self.said = Counts()
        self._combined.ended(self)
        self._answered.set()
        self._ended.set()

    def _after(self, why: str, began_s: float) -> float | None:
        if self._is_ending:
            return None
        if not self.first.done():
            self.first.set_exception(StoreUnusable(f"{self._name}, an API process, {why}"))
            return None
        self.restarts += 1
        if self._now_s() - began_s >= STEADY_S:
            self._pause_s = FIRST_PAUSE_S
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
        log.warning("%s %s; it is started again in %.1f s", self._name, why, pause_s)
        return pause_s

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    # ------------------------------------------------------------------ what the process here is told

    def send(self, message: Message) -> None:
        """Tells the process something, where there is one that listens."""
        if self._child is not None and self.is_listening:
            self._child.send(message)

    async def ask(self) -> None:
        """Has the process say what it has counted, and waits for that; ANSWER_S at most."""
        if not self.is_listening:
            return
        if not self._is_asked:
            self._is_asked = True
            self._answered.clear()
            self.send(Ask())
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._answered.wait()
        except TimeoutError:
            return

    def end_if_silent(self) -> None:
        """Kills a process that has not answered for SILENT_ROUNDS calls of this."""
        self._silent_rounds += self._is_asked
        if self._silent_rounds >= SILENT_ROUNDS and self._child is not None:
            log.error("%s (process %d) does not answer: it is killed", self._name, self._child.pid)
            self._silent_rounds = 0
            self._child.abort()

    async def drain(self, within_s: float) -> None:
        """Has the process finish what has begun, and returns when it has ended; after `within_s` it is killed."""
        self._is_ending = True
        if self.is_listening:
            self._ended.clear()
            self.send(Drain())
            try:
                async with asyncio.timeout(within_s):
                    await self._ended.wait()
            except TimeoutError:
                log.warning("%s did not end in time: it is killed", self._name)
        await self.close()

    async def close(self) -> None:
        """Kills what is here, and starts nothing any more. A second call does nothing."""
        self._is_ending = True
        await self.loop.close()
        if not self.first.done():
            self.first.cancel()

"""The queue of pushes of one owner: what waits, which are under way, and what follows an answer.

    put           an errand (a device is to be told of a conversation) waits in the line of its target's host
    a free place  AT_ONCE at once, AT_ONCE_A_HOST of one host: what there is to say is asked now, not when it was put,
                  so what was read meanwhile is not said, and what came meanwhile is
    ok            done
    later         again when the target said, but not before a pause that grows; after LONGEST_S at all it is given up
    gone          `on_gone`; so after REFUSALS times refused in a row
    broken        given up, counted and logged

A host is a name with a port here. One that answers nothing, or with an error of its own, is tried by one errand at a
time, after a pause that grows: its line waits, and takes no places from others. An errand that is put while it waits is
one. Where MOST wait the oldest goes.

Nothing here is written down: what is lost with this process the next load of the mailbox finds (pushes.py).
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple

from rowbox.cacheserver.push.port import Answer, Outcome, PushPort
from rowbox.cacheserver.samples import Sample
from rowbox.mailbox.errors import NotTheOwner, RowboxError
from rowbox.mailbox.push.note import Note
from rowbox.mailbox.push.target import PushTarget
from rowbox.mailbox.timing.rarely import Rarely
from rowbox.mailbox.timing.timer_queue import TimerQueue

MOST: Final = 10_000
AT_ONCE: Final = 64
AT_ONCE_A_HOST: Final = 4
LONGEST_S: Final = 3600.0
"""For so long an errand is tried, and so long a target may have it wait."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 600.0
LONGEST_HOST_PAUSE_S: Final = 60.0
REFUSALS: Final = 3
MOST_REFUSED: Final = 10_000
"""Devices of whose targets it is kept how often they refused."""

log = logging.getLogger(__name__)


class Errand(NamedTuple):
    """A device is to be told of a conversation; b"": its target is to be asked whose it is."""

    user_id: str
    device_id: str
    conversation_id: bytes


class Saying(NamedTuple):
    """What there is to say for an errand, and to whom. `push_id` names it: the same note has the same one.

    `version` is that of the message, in its user's mailbox; 0: it is of none.
    """

    target: PushTarget
    note: Note
    push_id: str
    version: int = 0


Ask = Callable[[Errand], Awaitable[Saying | None]]
"""What there is to say for an errand now; None: nothing any more. Raises what a load raises."""


class _Item:
    """An errand that waits or is under way."""

    __slots__ = ("errand", "host", "is_put_again", "put_at_s", "tries")

    def __init__(self, errand: Errand, host: str, put_at_s: float) -> None:
        self.errand = errand
        self.host = host
        self.put_at_s = put_at_s
        self.tries = 0
        self.is_put_again = False


class _Host:
    """The line of one host."""

    __slots__ = ("failures", "is_paused", "later", "line", "under_way")

    def __init__(self) -> None:
        self.line: dict[Errand, _Item] = {}
        self.later = 0
        """Errands that wait for a later time."""
        self.under_way = 0
        self.failures = 0
        self.is_paused = False

    @property
    def has_place(self) -> bool:
        most = 1 if self.failures else AT_ONCE_A_HOST
        return bool(self.line) and not self.is_paused and self.under_way < most

    @property
    def is_forgotten(self) -> bool:
        """Whether nothing of it is to be known any more. So the hosts that are kept are bounded by the errands."""
        return not (self.line or self.later or self.under_way or self.is_paused)


class Dispatcher:
    """The pushes of one owner. `close` ends it: what waits is forgotten then, what is under way is cancelled."""

    def __init__(
        self,
        port: PushPort,
        ask: Ask,
        on_said: Callable[[Errand, Saying], None],
        on_gone: Callable[[Errand, PushTarget], None],
        *,
        most: int = MOST,
    ) -> None:
        self._port = port
        self._ask = ask
        self._on_said = on_said
        self._on_gone = on_gone
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._is_closed = False
        self._items: dict[Errand, _Item] = {}
        """All that wait, in lines or for a later time, the oldest first."""
        self._under_way: dict[Errand, _Item] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._hosts: dict[str, _Host] = {}
        self._ready: dict[str, None] = {}
        """The hosts that have an errand and a place for it, in turn."""
        self._later = TimerQueue[Errand](self._loop, self._is_due)
        self._pauses = TimerQueue[str](self._loop, self._end_pause)
        self._refusals: dict[tuple[str, str], int] = {}
        self._rarely = Rarely(self._loop.time)
        self.sent = dict.fromkeys(Outcome, 0)
        self.moot = 0
        """Errands for which there was nothing to say any more."""
        self.dropped = 0
        """Errands that were given up because too many waited, or for too long."""
        self.removed = 0

    @property
    def waiting(self) -> int:
        """How many errands wait."""
        return len(self._items)

    def put(self, errand: Errand, host: str) -> None:
        """Has a device told of a conversation, whose target is at this host. One that waits already waits on."""
        if self._is_closed or errand in self._items:
            return
        under_way = self._under_way.get(errand)
        if under_way is not None:
            under_way.is_put_again = True
            return
        if len(self._items) >= self._most:
            self._forget(next(iter(self._items)))
            self._drop("too many pushes wait")
        self._line_up(_Item(errand, host, self._loop.time()))
        self._begin()

    def forget(self, is_given: Callable[[str], bool]) -> None:
        """Forgets what waits of users of whom `is_given` says so."""
        for errand in [errand for errand in self._items if is_given(errand.user_id)]:
            self._forget(errand)

    async def close(self) -> None:
        """Ends it."""
        self._is_closed = True
        self._later.close()
        self._pauses.close()
        self._items.clear()
        self._hosts.clear()
        self._ready.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def samples(self) -> Iterable[Sample]:
        """The metrics of it."""
        text = "Pushes that targets answered, by what became of them."
        for outcome, count in self.sent.items():
            yield "rowbox_pushes_total", "counter", text, {"outcome": outcome.value}, count
        text = "Pushes that were not made, because the message was read, taken back or muted, or the device was gone."
        yield "rowbox_pushes_moot_total", "counter", text, {}, self.moot
        text = "Pushes that were given up, because too many waited or for an hour."
        yield "rowbox_pushes_dropped_total", "counter", text, {}, self.dropped
        text = "Push targets that were removed, because they are gone or have refused three times."
        yield "rowbox_push_targets_removed_total", "counter", text, {}, self.removed
        yield "rowbox_pushes_waiting", "gauge", "Pushes that wait, also for a later time.", {}, self.waiting
        yield "rowbox_pushes_waiting_limit", "gauge", "How many pushes may wait.", {}, self._most

    # ------------------------------------------------------------------ lines

    def _line_up(self, item: _Item) -> None:
        self._items[item.errand] = item
        host = self._hosts.get(item.host)
        if host is None:
            host = self._hosts[item.host] = _Host()
        host.line[item.errand] = item
        self._note(item.host, host)

    def _note(self, name: str, host: _Host) -> None:
        """Has the host take its turn where it can; forgets one of which nothing is to be known any more."""
        if host.has_place:
            self._ready.setdefault(name)
        elif host.is_forgotten:
            self._hosts.pop(name, None)
            self._ready.pop(name, None)

    def _forget(self, errand: Errand) -> None:
        item = self._items.pop(errand)
        self._later.remove(errand)
        host = self._hosts[item.host]
        if host.line.pop(errand, None) is None:
            host.later -= 1
        self._note(item.host, host)

    def _begin(self) -> None:
        while self._ready and len(self._tasks) < AT_ONCE:
            name = next(iter(self._ready))
            del self._ready[name]
            host = self._hosts[name]
            if not host.has_place:
                continue
            errand = next(iter(host.line))
            item = host.line.pop(errand)
            del self._items[errand]
            self._under_way[errand] = item
            host.under_way += 1
            self._note(name, host)
            task = self._loop.create_task(self._run(item, host), name="push")
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not self._is_closed:
            self._begin()

    # ------------------------------------------------------------------ one errand

    async def _run(self, item: _Item, host: _Host) -> None:
        name, answer = item.host, None
        try:
            answer = await self._said(item)
        except Exception as error:  # noqa: BLE001 - whatever it is: it is told, and costs this push alone
            self._tell("broken", "a push failed: %r", error)
            self.sent[Outcome.BROKEN] += 1
        finally:
            del self._under_way[item.errand]
            host.under_way -= 1
        if self._is_closed:
            return
        again_s = self._take(item, host, answer) if answer is not None else None
        if again_s is not None:
            item.is_put_again = False
            self._items[item.errand] = item
            host.later += 1
            self._later.add(item.errand, again_s)
        elif item.is_put_again:
            self._line_up(_Item(item.errand, item.host, self._loop.time()))
        self._note(name, host)

    async def _said(self, item: _Item) -> Answer | None:
        """Says what there is to say. None: nothing, or by somebody else."""
        item.is_put_again = False  # what came until now is in what is said
        try:
            saying = await self._ask(item.errand)
        except NotTheOwner:
            return None  # whoever owns the mailbox now finds it when he loads that
        except RowboxError as error:
            return Answer(Outcome.LATER, 1000, error.code) if error.retryable else None
        if saying is None:
            self.moot += 1
            return None
        if saying.target.authority != item.host:
            item.host, item.is_put_again = saying.target.authority, True
            return None
        answer = await self._port.send(saying.target, saying.note, saying.push_id)
        self.sent[answer.outcome] += 1
        if answer.outcome is Outcome.OK:
            self._refusals.pop(item.errand[:2], None)
            self._on_said(item.errand, saying)
        elif answer.outcome is Outcome.GONE or (answer.outcome is Outcome.REFUSED and self._is_third(item.errand)):
            self.removed += 1
            self._on_gone(item.errand, saying.target)
        if answer.outcome in {Outcome.REFUSED, Outcome.BROKEN}:
            self._tell(answer.outcome.value, "a push was not taken: %s (%s)", item.host, answer.reason)
        return answer

    def _is_third(self, errand: Errand) -> bool:
        count = self._refusals.pop(errand[:2], 0) + 1
        if count >= REFUSALS:
            return True
        self._refusals[errand[:2]] = count
        if len(self._refusals) > MOST_REFUSED:
            del self._refusals[next(iter(self._refusals))]
        return False

    def _take(self, item: _Item, host: _Host, answer: Answer) -> float | None:
        """Draws conclusions of an answer. Returns after how many seconds the errand is to be tried again; None: never.

        A host that says when is well; of one that does not, the whole line waits.
        """
        if answer.outcome is not Outcome.LATER:
            host.failures = 0
            return None
        item.tries += 1
        longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * (1 << min(item.tries, 16)))
        again_s = longest_s * random.uniform(0.5, 1.0)
        if answer.after_ms:
            again_s = min(LONGEST_S, max(again_s, answer.after_ms / 1000))
        else:
            host.failures += 1
            self._pause(item.host, host)
            self._tell("later", "a push service or webhook does not answer: %s (%s)", item.host, answer.reason)
        if self._loop.time() + again_s > item.put_at_s + LONGEST_S:
            self._drop("a push could not be made within an hour")
            return None
        return again_s

    def _pause(self, name: str, host: _Host) -> None:
        host.is_paused = True
        self._pauses.add(name, min(LONGEST_HOST_PAUSE_S, FIRST_PAUSE_S * (1 << min(host.failures, 16))))

    def _end_pause(self, name: str) -> None:
        host = self._hosts[name]
        host.is_paused = False
        self._note(name, host)
        self._begin()

    def _is_due(self, errand: Errand) -> None:
        item = self._items.pop(errand)
        self._hosts[item.host].later -= 1
        self._line_up(item)
        self._begin()

    def _drop(self, why: str) -> None:
        self.dropped += 1
        self._tell("dropped", "%s: it is given up", why)

    def _tell(self, kind: str, text: str, *args: object) -> None:
        number = self._rarely.count(kind)
        if number:
            log.warning(f"{text}; %d of these since this was last said", *args, number)  # noqa: G004 - a constant text

"""The place of an API process, in virtual time: what becomes of one that ends, does not start, or says nothing."""

import asyncio
import itertools
import logging
from collections.abc import Sequence

import pytest

from rowbox.api.telemetry.combined import Combined, Report
from rowbox.cli.serving.processes.control import Ask, Begin, Counts, Drain, Failed, Listening, Message
from rowbox.cli.serving.processes.place import ANSWER_S, LONGEST_PAUSE_S, SILENT_ROUNDS, START_S, STEADY_S, Place
from rowbox.mailbox.errors import StoreUnusable
from rowbox.mailbox.settings.config import Settings
from tests.support.virtual_time import settle, virtual_time


class ScriptedChild:
    """A process that says what the test has it say."""

    def __init__(self, pid: int, says: Sequence[Message | None] = (Listening(),)) -> None:
        self.pid = pid
        self.told: list[Message] = []
        self.was_aborted = False
        self.has_ended = False
        self._said: asyncio.Queue[Message | None] = asyncio.Queue()
        for message in says:
            self._said.put_nowait(message)

    def say(self, *messages: Message | None) -> None:
        """None: its end."""
        for message in messages:
            self._said.put_nowait(message)

    def send(self, message: Message) -> None:
        self.told.append(message)

    async def receive(self) -> Message | None:
        return await self._said.get()

    def abort(self) -> None:
        self.was_aborted = True
        self.say(None)

    async def end(self) -> str:
        self.has_ended = True
        return "exit code 7"


class Children:
    """All processes that a place started; `says` is the first that each of them says."""

    def __init__(self, says: Sequence[Message | None] = (Listening(),)) -> None:
        self.all: list[ScriptedChild] = []
        self.starts_s: list[float] = []
        self.error: OSError | None = None
        self._says = says

    async def spawn(self, begin: Begin) -> ScriptedChild:
        assert begin.name == "api-1"
        if self.error is not None:
            raise self.error
        self.starts_s.append(asyncio.get_running_loop().time())
        self.all.append(ScriptedChild(len(self.all) + 1, self._says))
        return self.all[-1]

    @property
    def last(self) -> ScriptedChild:
        return self.all[-1]


def begin(name: str) -> Begin:
    return Begin(name, Settings(), "/owner", "cluster", "incarnation", b"secret")


def counted(value: float) -> Counts:
    return Counts(Report((), [("rowbox_things_total", "counter", "Things.", {}, value)]))


def place_of(children: Children, combined: Combined | None = None) -> Place:
    return Place("api-1", begin, combined if combined is not None else Combined(), children.spawn)


async def started(children: Children, combined: Combined | None = None) -> Place:
    place = place_of(children, combined)
    place.loop.start()
    await place.first
    return place


@virtual_time
async def test_one_that_ends_is_started_again_after_pauses_that_grow(caplog: pytest.LogCaptureFixture) -> None:
    children = Children([Listening(), None])
    place = await started(children)
    await asyncio.sleep(10 * LONGEST_PAUSE_S)
    starts = children.starts_s
    pauses = [round(after - before, 3) for before, after in itertools.pairwise(starts)]
    assert pauses[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
    assert pauses[-2:] == [LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    ends = [line for line in caplog.messages if "started again" in line]
    assert ends[0] == "api-1 ended by exit code 7; it is started again in 0.1 s"
    assert len(ends) == place.restarts == len(starts)
    await place.close()


@virtual_time
async def test_after_one_that_ran_for_long_the_first_pause_comes_again() -> None:
    children = Children()
    place = await started(children)
    for _ in range(5):
        children.last.say(None)
        await asyncio.sleep(10)
    await asyncio.sleep(STEADY_S)
    before = len(children.all)
    children.last.say(None)
    await asyncio.sleep(0.15)
    assert len(children.all) == before + 1
    await place.close()


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ([None], "api-1, an API process, ended by exit code 7"),
        ([Failed("no keys")], "api-1, an API process, cannot serve: no keys"),
        ([], f"api-1, an API process, did not accept connections within {START_S:.0f} s"),
    ],
    ids=["ends", "says why", "says nothing"],
)
@virtual_time
async def test_one_that_cannot_start_the_first_time_is_not_tried_again(says: list[Message | None], why: str) -> None:
    children = Children(says)
    place = place_of(children)
    place.loop.start()
    with pytest.raises(StoreUnusable, match=why):
        await place.first
    await asyncio.sleep(10 * START_S)
    assert len(children.all) == 1
    assert children.last.has_ended
    await place.close()


@virtual_time
async def test_a_system_that_starts_no_process_is_a_reason_as_well() -> None:
    children = Children()
    children.error = OSError(11, "Resource temporarily unavailable")
    place = place_of(children)
    place.loop.start()
    with pytest.raises(StoreUnusable, match="api-1, an API process, cannot be started: Resource temporarily"):
        await place.first
    await place.close()


@virtual_time
async def test_one_that_cannot_be_started_again_is_tried_on_and_on(caplog: pytest.LogCaptureFixture) -> None:
    children = Children()
    place = await started(children)
    children.error = OSError(11, "Resource temporarily unavailable")
    children.last.say(None)
    await asyncio.sleep(100)
    assert len(children.all) == 1
    assert 8 <= len(caplog.messages) <= 16
    children.error = None
    await asyncio.sleep(LONGEST_PAUSE_S)
    assert place.is_listening
    await place.close()


@virtual_time
async def test_what_it_counted_stays_when_it_ends() -> None:
    children, combined = Children(), Combined()
    place = await started(children, combined)
    children.last.say(counted(5))
    await settle()
    children.last.say(None)
    await asyncio.sleep(1)
    children.last.say(counted(2))
    await settle()
    assert [sample.value for sample in combined.samples()] == [7]
    await place.close()
    assert [sample.value for sample in combined.samples()] == [7]


@virtual_time
async def test_a_scrape_waits_for_an_answer_and_not_for_ever() -> None:
    loop, children = asyncio.get_running_loop(), Children()
    place = await started(children)
    children.last.say(counted(1))
    await place.ask()
    assert loop.time() < ANSWER_S
    await place.ask()
    assert loop.time() >= ANSWER_S
    assert children.last.told == [Ask(), Ask()], "one that was not answered is not asked again"
    await place.ask()
    assert children.last.told == [Ask(), Ask()]
    await place.close()


@virtual_time
async def test_one_that_does_not_answer_is_killed_and_started_again() -> None:
    children = Children()
    place = await started(children)
    for _ in range(SILENT_ROUNDS):
        assert not children.all[0].was_aborted
        place.end_if_silent()
        await place.ask()
    place.end_if_silent()
    await asyncio.sleep(1)
    assert children.all[0].was_aborted
    assert len(children.all) == 2
    await place.close()


@virtual_time
async def test_one_that_answers_late_is_left_alone() -> None:
    """However long the server itself was paused: then the answer lies there when it goes on."""
    children = Children()
    place = await started(children)
    for _ in range(3 * SILENT_ROUNDS):
        place.end_if_silent()
        await place.ask()
        children.last.say(counted(1))
        await settle()
    assert not children.last.was_aborted
    await place.close()


@virtual_time
async def test_a_drain_waits_for_its_end_and_starts_nothing() -> None:
    loop, children = asyncio.get_running_loop(), Children()
    place = await started(children)
    draining = loop.create_task(place.drain(10))
    await asyncio.sleep(3)
    assert children.last.told == [Drain()]
    assert not draining.done()
    children.last.say(counted(3), None)
    await draining
    assert loop.time() < 4
    await asyncio.sleep(100)
    assert len(children.all) == 1


@virtual_time
async def test_one_that_does_not_finish_in_time_is_left_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    loop, children = asyncio.get_running_loop(), Children()
    place = await started(children)
    await place.drain(10)
    assert loop.time() == 10
    assert children.last.has_ended
    assert caplog.messages == ["api-1 did not end in time: it is killed"]


@virtual_time
async def test_a_drain_in_the_pause_before_a_start_ends_at_once() -> None:
    loop, children = asyncio.get_running_loop(), Children([Listening(), None])
    place = await started(children)
    await asyncio.sleep(5)
    before_s = loop.time()
    await place.drain(10)
    assert loop.time() == before_s


@pytest.fixture(autouse=True)
def only_warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

"""The timer queue against a plain list that is searched for what is due, in virtual time."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from rowbox.mailbox.timing.timer_queue import TimerQueue
from tests.support.virtual_time import run_virtual

STEP_S = 0.125
"""Times are sums of powers of two, so that no rounding parts queue and model."""

Fired = list[tuple[str, float]]


class Act(NamedTuple):
    """`add` (anew, if it is there), `remove`, `close`, or `pass`: nothing but time."""

    kind: str
    item: str
    seconds: float


class Model:
    """What the contract says, by looking at everything each time."""

    def __init__(self, at_end: Mapping[str, Act]) -> None:
        self._waiting: list[tuple[float, str]] = []
        self._at_end = dict(at_end)
        self._now_s = 0.0
        self.fired: Fired = []

    def act(self, act: Act) -> None:
        self._waiting = [one for one in self._waiting if one[1] != act.item or act.kind == "pass"]
        if act.kind == "add":
            due_s = self._now_s + act.seconds
            self._waiting.append((-(-due_s // STEP_S) * STEP_S, act.item))
        elif act.kind == "close":
            self._waiting = []
        elif act.kind == "pass":
            self._pass(self._now_s + act.seconds)

    def _pass(self, until_s: float) -> None:
        while due := [one for one in self._waiting if one[0] <= until_s]:
            self._now_s = max(self._now_s, min(due)[0])
            for one in [one for one in due if one[0] <= self._now_s]:
                if one in self._waiting:
                    self._waiting.remove(one)
                    self.fired.append((one[1], self._now_s))
                    if then := self._at_end.pop(one[1], None):
                        self.act(then)
        self._now_s = until_s


async def of_queue(acts: Sequence[Act], at_end: Mapping[str, Act]) -> Fired:
    loop, fired, left = asyncio.get_running_loop(), Fired(), dict(at_end)

    def end(item: str) -> None:
        fired.append((item, loop.time()))
        if then := left.pop(item, None):
            act(then)

    def act(one: Act) -> None:
        if one.kind == "add":
            queue.add(one.item, one.seconds)
        elif one.kind == "remove":
            queue.remove(one.item)
        else:
            queue.close()

    queue = TimerQueue[str](loop, end, step_s=STEP_S)
    for one in acts:
        if one.kind == "pass":
            await asyncio.sleep(one.seconds)
        else:
            act(one)
        assert len(queue) == len(list(queue)) == sum(map(len, queue._slots.values()))
    return fired


NAMES = st.sampled_from("abcdef")
TIMES = st.integers(0, 40).map(lambda sixteenths: sixteenths / 16)
CHANGES = st.builds(Act, st.sampled_from(["add", "add", "add", "remove", "close"]), NAMES, TIMES)
PASSING = st.builds(Act, st.just("pass"), st.just(""), st.integers(1, 40).map(lambda n: n / 16 + 1 / 64))
"""Never to the very beginning of a step: which of two timers of the same time goes first is the loop's affair."""


@given(st.lists(CHANGES | PASSING, max_size=30), st.dictionaries(NAMES, CHANGES, max_size=4))
@settings(max_examples=300)
def test_it_ends_what_a_plain_list_would_end_and_when(acts: Sequence[Act], at_end: Mapping[str, Act]) -> None:
    acts = [*acts, Act("pass", "", 10 + 1 / 64)]
    model = Model(at_end)
    for act in acts:
        model.act(act)
    assert run_virtual(of_queue(acts, at_end)) == model.fired

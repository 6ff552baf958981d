"""When the clock is believed, when it is not, and which time counts as seen."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rowbox.mailbox.clocks.clock_trust import (
    MOST_GAPS,
    MOST_OFF_US,
    TOLERANCE_US,
    ClockTrust,
    Contradiction,
    Gap,
    Remembered,
    by_word,
)

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
NOW = 1_800_000_000 * SECOND


class Machine:
    """A machine whose wall clock can be set, and which can sleep and be switched off."""

    def __init__(self, remembered: Remembered | None = None, wall: int = NOW) -> None:
        self.wall, self.boot = wall, 5 * SECOND
        self.trust = ClockTrust(remembered, self.wall, self.boot)

    def runs(self, us: int, step: int = 600 * SECOND) -> None:
        """Time passes, looked at each `step`."""
        while us > 0:
            passed = min(step, us)
            us -= passed
            self.wall, self.boot = self.wall + passed, self.boot + passed
            self.trust.observe(self.wall, self.boot)

    def is_set(self, by: int) -> None:
        self.wall += by
        self.trust.observe(self.wall, self.boot)

    def is_off(self, us: int, *, clock_is_off_by: int = 0) -> "Machine":
        """Switched off for `us`, then started anew."""
        return Machine(self.trust.remembered(), self.wall + us + clock_is_off_by)

    @property
    def doubt(self) -> Contradiction | None:
        return None if self.trust.doubt is None else self.trust.doubt.what


def test_a_new_store_believes_the_clock() -> None:
    machine = Machine()
    machine.runs(HOUR)
    assert (machine.doubt, machine.trust.seen_us) == (None, machine.wall)


# What needs nobody's hands


def test_a_machine_that_slept_is_believed_and_its_sleep_was_seen() -> None:
    machine = Machine()
    machine.runs(8 * HOUR, step=8 * HOUR)  # the boot clock counts on in sleep
    assert (machine.doubt, machine.trust.seen_us) == (None, machine.wall)


def test_small_steps_and_slewing_are_believed() -> None:
    machine = Machine()
    for _ in range(48):
        machine.is_set(4 * SECOND)
        machine.runs(HOUR)
        assert machine.doubt is None
    assert machine.trust.seen_us == machine.wall


@pytest.mark.parametrize("off_for", [0, 30 * SECOND, 3 * DAY, 61 * DAY], ids=["not", "briefly", "weekend", "summer"])
def test_a_machine_that_was_off_serves_at_once_and_its_time_counts_after_a_while(off_for: int) -> None:
    machine = Machine()
    machine.runs(DAY)
    machine = machine.is_off(off_for)
    assert machine.doubt is None
    machine.runs(7 * DAY)
    assert (machine.doubt, machine.trust.seen_us) == (None, machine.wall)


def test_a_clock_that_starts_in_1970_is_in_doubt_until_it_is_set() -> None:
    machine = Machine().is_off(DAY, clock_is_off_by=-NOW)
    assert machine.doubt is Contradiction.BEHIND
    machine.runs(30 * SECOND)
    assert machine.doubt is Contradiction.BEHIND
    machine.is_set(NOW)
    assert machine.doubt is None


def test_a_machine_that_is_on_by_day_only_does_not_keep_everything_for_ever() -> None:
    machine = Machine()
    for _ in range(200):
        machine.runs(8 * HOUR)
        machine = machine.is_off(16 * HOUR)
        assert machine.doubt is None
    assert machine.wall - machine.trust.seen_us < 4 * DAY


# What nothing may expire by


def test_time_while_the_machine_was_off_does_not_count_at_once() -> None:
    machine = Machine()
    machine.runs(DAY)
    seen = machine.trust.seen_us
    machine = machine.is_off(3 * DAY)
    assert machine.trust.seen_us == seen
    machine.runs(2 * DAY)
    assert machine.trust.seen_us == seen + 2 * DAY
    machine.runs(DAY)
    assert machine.trust.seen_us == seen + 6 * DAY


def test_a_clock_that_is_ahead_at_a_start_and_is_found_out_within_the_week_has_ended_nothing() -> None:
    machine = Machine()
    machine.runs(DAY)
    seen = machine.trust.seen_us
    machine = machine.is_off(0, clock_is_off_by=60 * DAY)
    machine.runs(6 * DAY)
    assert machine.trust.seen_us == seen + 6 * DAY


def test_a_clock_that_jumps_years_ahead_for_seconds_lets_no_time_pass() -> None:
    machine = Machine()
    machine.runs(DAY)
    seen = machine.trust.seen_us
    machine.is_set(10 * 365 * DAY)
    machine.runs(5 * SECOND, step=SECOND)
    assert machine.trust.doubt is not None
    assert machine.trust.seen_us == seen
    machine.is_set(-10 * 365 * DAY)
    assert machine.doubt is None
    assert machine.trust.seen_us == seen + 5 * SECOND


# What takes an operator's word


@pytest.mark.parametrize(
    ("step", "says"),
    [(HOUR, "set forward by 1 h"), (-10 * DAY, "set back by 10 d"), (TOLERANCE_US + 1, "forward by 10 s")],
)
def test_a_step_while_running_is_in_doubt_until_it_is_undone_or_accepted(step: int, says: str) -> None:
    machine = Machine()
    machine.runs(DAY)
    machine.is_set(step)
    assert says in str(machine.trust.doubt)
    machine.runs(3 * DAY)
    assert machine.trust.doubt is not None
    machine.trust = ClockTrust(by_word(machine.wall, "w"), machine.wall, machine.boot)
    assert machine.trust.doubt is None
    assert machine.trust.seen_us == machine.wall


@pytest.mark.parametrize("off_by", [-3 * 365 * DAY, -60 * SECOND, MOST_OFF_US + 60 * SECOND])
def test_a_start_that_contradicts_what_is_remembered_is_in_doubt(off_by: int) -> None:
    machine = Machine()
    machine.runs(DAY)
    machine = machine.is_off(0, clock_is_off_by=off_by)
    assert machine.doubt is (Contradiction.BEHIND if off_by < 0 else Contradiction.AHEAD)
    assert machine.trust.seen_us <= NOW + DAY


def test_many_small_steps_are_one_large_one() -> None:
    machine = Machine()
    for _ in range(5):
        machine.is_set(9 * SECOND)
        machine.runs(60 * SECOND)
    assert machine.doubt is Contradiction.STEPPED


# In all cases


moves = st.one_of(
    st.tuples(st.just("runs"), st.integers(0, 3 * DAY)),
    st.tuples(st.just("is_set"), st.integers(-30 * DAY, 30 * DAY) | st.integers(-TOLERANCE_US, TOLERANCE_US)),
    st.tuples(st.just("is_off"), st.integers(0, 120 * DAY)),
)


@given(st.lists(moves, max_size=12))
@example([("is_set", 710 * SECOND + 1), ("is_off", 0), ("runs", HOUR)])
def test_no_more_time_is_seen_than_passed_but_for_gaps_that_served_their_time(done: list[tuple[str, int]]) -> None:
    machine = Machine()
    ran, gaps, tolerated = 0, 0, 0
    for what, amount in done:
        seen = machine.trust.seen_us
        if what == "runs":
            machine.runs(amount, step=6 * HOUR)
            ran += amount
        elif what == "is_set":
            machine.is_set(amount)
            gaps += max(0, amount)  # after a restart nobody can tell it from time for which the machine was off
            tolerated += TOLERANCE_US
        else:
            machine = machine.is_off(amount)
            gaps += amount
            tolerated += 100 * SECOND
        assert machine.trust.seen_us >= seen
        served = gaps if ran >= HOUR else 0
        assert machine.trust.seen_us <= NOW + ran + served + tolerated + 60 * TOLERANCE_US
        if ran == 0:
            assert machine.trust.seen_us <= NOW + tolerated


def test_gaps_are_bounded_and_none_is_forgotten() -> None:
    gaps = tuple(Gap(DAY, HOUR + number) for number in range(MOST_GAPS))
    trust = ClockTrust(Remembered(NOW, gaps), NOW + DAY, 0)
    assert len(trust.remembered().gaps) == MOST_GAPS
    assert trust.unseen_us == (MOST_GAPS + 1) * DAY


def test_what_is_remembered_reads_back() -> None:
    remembered = Remembered(NOW, (Gap(DAY, HOUR),), "w")
    assert msgspec.json.decode(msgspec.json.encode(remembered), type=Remembered) == remembered


def test_a_machine_that_runs_for_half_an_hour_a_day_sees_its_gaps_end() -> None:
    """The oldest were joined, and each new one made them begin anew: nothing ever expired."""
    machine, began = Machine(), NOW
    for _ in range(400):
        machine.runs(HOUR // 2)
        machine = machine.is_off(DAY - HOUR // 2)
    assert machine.trust.seen_us > began + 250 * DAY


def test_time_in_doubt_is_not_time_of_agreement() -> None:
    machine = Machine()
    machine.runs(HOUR)
    machine = machine.is_off(DAY)
    machine.is_set(HOUR)
    machine.runs(2 * DAY)
    machine.is_set(-HOUR)
    machine.runs(23 * HOUR)
    assert machine.trust.unseen_us == DAY
    machine.runs(HOUR)
    assert machine.trust.unseen_us == 0

"""Several processes that count as one: sums, of which no counter falls, whatever ends."""

from hypothesis import given
from hypothesis import strategies as st

from rowbox.api.telemetry.combined import Combined, Report, combined, report_of
from rowbox.api.telemetry.counters import HttpCounters
from rowbox.api.telemetry.samples import Sample

ROUTE = ("/v1/sendMessage", "POST")


def counter(value: float, **labels: str) -> Sample:
    return Sample("rowbox_things_total", "counter", "Things.", labels, value)


def gauge(value: float, name: str = "rowbox_things") -> Sample:
    return Sample(name, "gauge", "Things.", {}, value)


def report(*samples: Sample, answered: int = 0) -> Report:
    http = HttpCounters()
    for _ in range(answered):
        http.route(*ROUTE).answered(201, 0.002)
    return report_of(http, [lambda: samples])


def values(samples: object) -> dict[str, float]:
    assert isinstance(samples, list)
    return {sample.name: sample.value for sample in samples}


def test_series_are_added_each_by_its_labels() -> None:
    samples = combined([counter(1, reason="room"), counter(2, reason="bytes"), counter(3, reason="room"), gauge(4)])
    assert samples == [counter(4, reason="room"), counter(2, reason="bytes"), gauge(4)]


def test_a_gauge_of_which_each_has_the_whole_is_not_added() -> None:
    ages = [gauge(3, "rowbox_auth_keys_age_seconds"), gauge(8, "rowbox_auth_keys_age_seconds")]
    valid = [gauge(1, "rowbox_auth_keys_valid"), gauge(0, "rowbox_auth_keys_valid")]
    assert values(combined([*ages, *valid])) == {"rowbox_auth_keys_age_seconds": 8, "rowbox_auth_keys_valid": 0}


def test_what_has_ended_goes_on_counting_and_holds_nothing_any_more() -> None:
    all_of_them = Combined()
    all_of_them.heard("a", report(counter(5), gauge(7), answered=2))
    all_of_them.heard("b", report(counter(1), gauge(1), answered=1))
    all_of_them.ended("a")
    assert values(all_of_them.samples()) == {"rowbox_things_total": 6, "rowbox_things": 1}
    (route,) = all_of_them.routes
    assert (route.route, route.method, route.by_status) == (*ROUTE, {201: 3})
    assert sum(route.buckets) == 3
    assert round(route.sum_s, 6) == 0.006
    all_of_them.ended("a")
    all_of_them.ended("c")
    assert values(all_of_them.samples()) == {"rowbox_things_total": 6, "rowbox_things": 1}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(("more", "end")), st.integers(0, 9)), max_size=60))
def test_a_counter_is_what_was_counted_and_never_falls(steps: list[tuple[str, str, int]]) -> None:
    all_of_them, alive, lives, counted = Combined(), dict.fromkeys("abc", 0), dict.fromkeys("abc", 0), 0
    for name, what, number in steps:
        if what == "more":
            alive[name] += number
            counted += number
            all_of_them.heard((name, lives[name]), report(counter(alive[name]), answered=alive[name]))
        else:
            all_of_them.ended((name, lives[name]))
            lives[name] += 1
            alive[name] = 0
        assert values(all_of_them.samples()).get("rowbox_things_total", 0) == counted
        assert sum(number for route in all_of_them.routes for number in route.by_status.values()) == counted
        assert sum(number for route in all_of_them.routes for number in route.buckets) == counted

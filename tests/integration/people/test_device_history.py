"""The verdict over sign-outs finds each kind of breach, planted in a sound history."""

from collections.abc import Callable

import pytest

from tests.integration.people.device_history import (
    ANSWERED,
    INF,
    SIGNED_OUT,
    Asked,
    DeviceHistory,
    SignedIn,
    device_breaches,
)


@pytest.fixture
def history() -> DeviceHistory:
    """A phone that was signed out at some moment between 5.0 and 6.0, and a laptop that was not."""
    phone = SignedIn(
        "ann", "phone", "Bearer x", 5.0, 6.0, socket_ended_s=6.1, has_socket=True, told=[(3.0, "a"), (5.5, "b")]
    )
    laptop = SignedIn("ann", "laptop", "Bearer y", has_socket=True, told=[(7.0, "c")])
    asked = [
        Asked(phone, "api-1", 4.0, ANSWERED),
        Asked(phone, "api-1", 5.5, ANSWERED),
        Asked(phone, "api-2", 5.5, SIGNED_OUT),
        Asked(phone, "api-1", 6.1, SIGNED_OUT),
        Asked(laptop, "api-1", 9.0, ANSWERED),
    ]
    return DeviceHistory([phone, laptop], asked)


def test_a_sound_history_has_no_breach(history: DeviceHistory) -> None:
    assert device_breaches(history) == []


def served(history: DeviceHistory) -> None:
    history.asked.append(Asked(history.devices[0], "api-2", 6.01, ANSWERED))


def refused_otherwise(history: DeviceHistory) -> None:
    history.asked.append(Asked(history.devices[0], "api-2", 6.01, "forbidden"))


def refused(history: DeviceHistory) -> None:
    history.asked.append(Asked(history.devices[1], "api-2", 7.0, SIGNED_OUT))


def told(history: DeviceHistory) -> None:
    history.devices[0].told.append((6.01, "d"))


def open_still(history: DeviceHistory) -> None:
    history.devices[0].socket_ended_s = INF


def answered_wrongly(history: DeviceHistory) -> None:
    history.wrong_answers.append("something else")


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (served, "served: an answer of api-2"),
        (refused_otherwise, "served: forbidden of api-2"),
        (refused, "refused: ann's laptop"),
        (told, "told: ann's phone"),
        (open_still, "open: a socket of ann's phone"),
        (answered_wrongly, "something else"),
    ],
)
def test_each_breach_is_found(history: DeviceHistory, plant: Callable[[DeviceHistory], None], found: str) -> None:
    plant(history)
    (breach,) = device_breaches(history)
    assert breach.startswith(found)

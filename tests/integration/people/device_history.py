"""What devices were told before and after they were signed out, and what of it contradicts the sign-outs. Pure.

Times are of one clock, time.monotonic() of the test's process. A sign-out is done at some moment between the question
and its answer; from the answer on no server answers the device, and no socket of it is told of anything newer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

INF: Final = float("inf")
SIGNED_OUT: Final = "signed_out"
ANSWERED: Final = ""
_MOST_SHOWN: Final = 20


@dataclass
class SignedIn:
    """One sign-in. `token` is what its requests are made with, several of them with one."""

    user_id: str
    device_id: str
    token: str
    out_asked_s: float = INF
    out_s: float = INF
    unknown_outcomes: int = 0
    """Of its sign-out."""
    socket_ended_s: float = INF
    """INF: it had none, or that is open still."""
    has_socket: bool = False
    told: list[tuple[float, str]] = field(default_factory=list)
    """The texts that sockets of it were told, and when each was sent first."""


@dataclass(frozen=True)
class Asked:
    """One request of a device, or a socket that it opens, and what came of it: ANSWERED, or a problem's code. What got
    no answer is not noted.
    """

    device: SignedIn
    server: str
    began_s: float
    outcome: str


@dataclass
class DeviceHistory:
    """All that devices were told."""

    devices: list[SignedIn] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    wrong_answers: list[str] = field(default_factory=list)


def device_breaches(history: DeviceHistory) -> list[str]:
    """In what it contradicts the sign-outs: the first of it. All sockets of who was signed out have ended by now."""
    found = [*history.wrong_answers]
    for one in history.asked:
        found += _of_request(one)
    for device in history.devices:
        found += _of_socket(device)
    return found[:_MOST_SHOWN]


def _of_request(one: Asked) -> Iterator[str]:
    device = one.device
    where = (
        f"{one.server} to {device.user_id}'s {device.device_id}, {one.began_s - device.out_s:.3f} s after its sign-out"
    )
    if one.outcome != SIGNED_OUT and one.began_s > device.out_s:
        yield f"served: {one.outcome or 'an answer'} of {where}"
    if one.outcome == SIGNED_OUT and device.out_asked_s == INF:
        yield f"refused: {device.user_id}'s {device.device_id} by {one.server}, and nobody signed it out"


def _of_socket(device: SignedIn) -> Iterator[str]:
    if device.out_s == INF:
        return
    for sent_s, text in device.told:
        if sent_s > device.out_s:
            late_s = sent_s - device.out_s
            yield f"told: {device.user_id}'s {device.device_id} of {text!r}, sent {late_s:.3f} s behind its sign-out"
    if device.has_socket and device.socket_ended_s == INF:
        yield f"open: a socket of {device.user_id}'s {device.device_id}, which was signed out"

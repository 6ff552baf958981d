"""A user's devices: which are signed in, and which were signed out and are refused.

A device is one sign-in of one installation, under an id that its client chose or its token has. Signing it out ends
that id for good, as revoking a token ends its `jti`; who signs in there again takes another id. All devices at once are
signed out by a moment, with all tokens that were issued before it (revocation.py).

All of it is one state of the user's row, so it is bounded: MOST_DEVICES that are signed in, and MOST_SIGNED_OUT that
were signed out. Where one more is signed out, the one that was first is forgotten, and a moment is kept in its place:
tokens that were issued before it are refused of every device that is not registered. So what was refused stays refused.

No I/O, no clock: times are arguments, in microseconds.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.errors import SignedOut, TokenRevoked
from rowbox.mailbox.push.target import PushTarget
from rowbox.mailbox.revocation import Bearer, Revocation, end_of_second

MOST_DEVICES: Final = 20
MOST_SIGNED_OUT: Final = 50
UNUSED_US: Final = 90 * 86_400 * US_PER_S
"""A device that has not registered for so long is signed out by the registration that needs its place."""
SEEN_EVERY_US: Final = 600 * US_PER_S
"""How often a device that registers anew is written anew for that alone."""
NOTED_EVERY_US: Final = 300 * US_PER_S
"""How often what is known of the use of devices goes with changes of something else."""
UNSEEN_US: Final = 3_600 * US_PER_S
"""What is written of when a device was used last is behind by so much at most."""
DEVICE_ID_PATTERN: Final = "^[A-Za-z0-9._:-]{1,64}$"
DEVICE_ID_IS: Final = "1 to 64 characters of A-Z a-z 0-9 . _ : -"
_DEVICE_ID = re.compile(DEVICE_ID_PATTERN[1:-1])


def is_device_id(text: str) -> bool:
    """Whether a device may be registered under this id."""
    return _DEVICE_ID.fullmatch(text) is not None


class Device(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A device that is signed in. `seen_us`: when it was used last, as far as that is written. Its tokens that were
    issued before `from_s` are refused: under its id another one may have been signed out, and forgotten. `acked`: it
    has proven to have all that changed in the mailbox up to this version; 0: it has proven nothing. `push`: where it is
    told of new messages; None: nowhere.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    device_id: str
    name: str
    platform: str
    created_us: int
    seen_us: int
    from_s: int = 0
    acked: int = 0
    push: PushTarget | None = None


class SignedOutDevice(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A device that was signed out. A new field comes last, with a default."""

    device_id: str
    at_us: int


class Devices(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The devices of a user: those signed in, and those signed out, the first one first.

    `forgotten_s`: of devices that are not registered, tokens that were issued before this second are refused.
    `created_version`: the version with which the first device came, which stays; 1: nobody knows, as in states of
    before this was written.
    `pushed`: what came to the mailbox up to this version was pushed, or is not to be.
    """

    version: int
    epoch: int
    devices: tuple[Device, ...] = ()
    signed_out: tuple[SignedOutDevice, ...] = ()
    forgotten_s: int = 0
    created_version: int = 1
    pushed: int = 0

    @property
    def have_push(self) -> bool:
        """Whether one of them is told of new messages, or may be once its target is confirmed."""
        return any(one.push is not None for one in self.devices)

    def refuses(self, bearer: Bearer) -> bool:
        """Whether a token that comes with a device is refused, because that was signed out."""
        device_id = bearer.device_id
        for device in self.devices:
            if device.device_id == device_id:
                return bearer.issued_at_s < device.from_s
        return bearer.issued_at_s < self.forgotten_s or self.is_signed_out(device_id)

    def is_signed_out(self, device_id: str) -> bool:
        """Whether this device was signed out, as far as that is kept."""
        return any(one.device_id == device_id for one in self.signed_out)

    def get(self, device_id: str) -> Device | None:
        """The device of this id that is signed in; None: there is none."""
        return next((one for one in self.devices if one.device_id == device_id), None)

    def with_device(self, device_id: str, name: str, platform: str, now_us: int) -> "Devices | None":
        """The devices with one that is signed in under this id, which was not signed out; None: there is no place.

        One that is there keeps its age, and was seen now. Where all places are taken, the one that was not seen for
        longest gives way if that is UNUSED_US.
        """
        known = self.get(device_id)
        if known is not None:
            seen_us = now_us if now_us - known.seen_us >= SEEN_EVERY_US else known.seen_us
            named = replace(known, name=name, platform=platform, seen_us=seen_us)
            return replace(self, devices=tuple(named if one is known else one for one in self.devices))
        with_place = self
        if len(self.devices) >= MOST_DEVICES:
            unused = min(self.devices, key=lambda one: one.seen_us)
            if now_us - unused.seen_us < UNUSED_US:
                return None
            with_place = self.without(unused.device_id, now_us)
        device = Device(device_id, name, platform, now_us, now_us, with_place.forgotten_s)
        return replace(with_place, devices=(*with_place.devices, device))

    def used(self, uses: Mapping[str, "DeviceUse"]) -> "Devices":
        """The devices with what is known of their use. The same where that is nothing worth to be written."""
        if not any(use.is_news for use in uses.values()):
            return self
        return replace(self, devices=tuple(_used(one, uses.get(one.device_id)) for one in self.devices))

    def is_to_be_noted(self, now_us: int) -> bool:
        """Whether what is known of their use may go with a change of something else."""
        return now_us - self.version >= NOTED_EVERY_US

    def with_push(self, device_id: str, target: PushTarget | None) -> "Devices":
        """The devices where this one, which is signed in, is told of new messages there; None: nowhere."""
        told = [replace(one, push=target) if one.device_id == device_id else one for one in self.devices]
        return replace(self, devices=tuple(told))

    def without(self, device_id: str, now_us: int) -> "Devices":
        """The devices after this one was signed out. The same where it was not signed in."""
        return self._only([one for one in self.devices if one.device_id != device_id], now_us)

    def alone(self, device_id: str, now_us: int) -> "Devices":
        """The devices after all were signed out but this one; "": after all were."""
        return self._only([one for one in self.devices if one.device_id == device_id], now_us)

    def _only(self, left: "list[Device]", now_us: int) -> "Devices":
        if len(left) == len(self.devices):
            return self
        gone = [SignedOutDevice(one.device_id, now_us) for one in self.devices if one not in left]
        signed_out = (*self.signed_out, *gone)
        forgotten = signed_out[:-MOST_SIGNED_OUT]
        forgotten_s = max((self.forgotten_s, *(end_of_second(one.at_us) for one in forgotten)))
        return replace(self, devices=tuple(left), signed_out=signed_out[-MOST_SIGNED_OUT:], forgotten_s=forgotten_s)


NO_DEVICES: Final = Devices(0, 0, created_version=0)


class DeviceUse:
    """How a device was used, as far as memory knows; what of it is written, the device says (Device).

    Two versions are the same to a device where nothing that is shown lies between them: else each note of a use would
    move the mailbox's head, the device would come back with the new head, and that would have to be noted.
    """

    __slots__ = ("acked", "has_acked_news", "seen_us", "written_us")

    def __init__(self, device: Device) -> None:
        self.seen_us = self.written_us = device.seen_us
        self.acked = device.acked
        self.has_acked_news = False

    @property
    def is_news(self) -> bool:
        """Whether there is something worth to be written."""
        return self.has_acked_news or self.seen_us - self.written_us >= UNSEEN_US

    def note(self, now_us: int, version: int, newest_shown: int) -> None:
        """The device is used, and has all up to `version`; the newest change that is shown came with `newest_shown`."""
        self.seen_us = max(self.seen_us, now_us)
        if version > self.acked:
            self.has_acked_news |= self.acked < newest_shown
            self.acked = version

    def written(self, device: Device) -> None:
        """The row has this of the device."""
        self.written_us = device.seen_us
        self.seen_us = max(self.seen_us, device.seen_us)
        self.has_acked_news &= device.acked < self.acked


def _used(device: Device, use: DeviceUse | None) -> Device:
    if use is None:
        return device
    return replace(device, seen_us=max(device.seen_us, use.seen_us), acked=max(device.acked, use.acked))


def check_token(bearer: Bearer, revocation: Revocation | None, devices: Devices | None, now_us: int) -> None:
    """TokenRevoked, SignedOut where a token is refused by what its user's row says."""
    refused = refusal_of(bearer, revocation, devices, now_us)
    if refused is not None:
        raise error_for(refused)


def error_for(refused: type[TokenRevoked]) -> TokenRevoked:
    """An error of this class, in words."""
    what = "the user has signed out here" if issubclass(refused, SignedOut) else "the token was revoked"
    return refused(f"{what}: sign in again")


def refusal_of(
    bearer: Bearer, revocation: Revocation | None, devices: Devices | None, now_us: int
) -> type[TokenRevoked] | None:
    """The error with which a token is refused; None: it counts."""
    if revocation is not None and revocation.refuses(bearer, now_us):
        return SignedOut if revocation.is_sign_out(bearer) else TokenRevoked
    if devices is not None and bearer.device_id and devices.refuses(bearer):
        return SignedOut
    return None

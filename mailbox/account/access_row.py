"""A user's own row, as the plan of one mutation, where it says who gets in: his tokens, and his devices.

What is asked for twice is done once. The user's other devices are told by a log entry of the kind ACCOUNT of what is
shown to them; who is refused from now on is told by Plan.refuses_more.
"""

import hmac
from typing import NamedTuple

from msgspec.structs import replace

from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import DEVICES, REVOCATION, ChangeKind, LogCell
from rowbox.mailbox.devices import NO_DEVICES, Device, Devices
from rowbox.mailbox.errors import BadRequest, SignedOut, TooManyDevices, UnknownDevice
from rowbox.mailbox.push.target import PushTarget
from rowbox.mailbox.revocation import ALL_TOKENS_S, Revocation


class Revoked(NamedTuple):
    """The result of a revocation: tokens issued before `before_s` (seconds since 1970) are refused."""

    before_s: int


class SignOutDone(NamedTuple):
    """The result of a sign-out: the devices that were signed in before it and are not any more."""

    device_ids: tuple[str, ...]
    left: int
    """Devices that are signed in now."""


class AccessRow:
    """The row of a `plan`. Whatever raises has planned nothing."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def revoke(self, before_s: int, until_s: int) -> Revoked:
        """Refuses the user's tokens that were issued before `before_s`. `until_s` is as in Revocation.

        A later second that is in force already stays.
        """
        return self._revoke(before_s, until_s, "", is_sign_out=False)

    def sign_out_all(self, before_s: int, until_s: int, spared: str = "") -> SignOutDone:
        """Does `revoke`, and signs out all devices, but not the device `spared`, nor the tokens that name it."""
        self._revoke(before_s, until_s, spared, is_sign_out=True)
        known = self._plan.devices or NO_DEVICES
        return self._put_devices(known, known.alone(spared, self._plan.now_us))

    def shut_out(self) -> None:
        """Refuses every token of the user, whenever it is issued, for ever; and signs out all his devices."""
        self._revoke(ALL_TOKENS_S, 0, "", is_sign_out=False)
        known = self._plan.devices
        if known is not None:
            self._put_devices(known, known.alone("", self._plan.now_us), is_shown=False)

    def sign_out(self, device_id: str) -> SignOutDone:
        """Signs out a device. UnknownDevice where it was never signed in, as far as that is kept."""
        known = self._plan.devices or NO_DEVICES
        if known.get(device_id) is None and not known.is_signed_out(device_id):
            raise UnknownDevice("no such device")
        return self._put_devices(known, known.without(device_id, self._plan.now_us))

    def register(self, device_id: str, name: str, platform: str) -> Device:
        """Has a device signed in, or gives one that is another name. SignedOut, TooManyDevices."""
        known = self._plan.devices or NO_DEVICES
        if known.is_signed_out(device_id):
            raise SignedOut("this device was signed out: a new sign-in takes another deviceId")
        after = known.with_device(device_id, name, platform, self._plan.now_us)
        if after is None:
            raise TooManyDevices("the user has as many devices as there may be: sign one of them out")
        device, before = after.get(device_id), known.get(device_id)
        assert device is not None
        if device != before:
            is_shown = before is None or (before.name, before.platform) != (name, platform)
            self._put_devices(known, after, is_shown=is_shown)
        return device

    def set_push(self, device_id: str, target: PushTarget | None, code: bytes = b"") -> Device:
        """Has a device told of new messages at `target`; None: not any more. UnknownDevice, BadRequest.

        The same place again stays as it is, and is confirmed where `code` is what it has still to give back.
        """
        known = self._plan.devices or NO_DEVICES
        device = known.get(device_id)
        if device is None:
            raise UnknownDevice("no such device is signed in")
        before = device.push
        if target is not None and before is not None and target.is_same_place(before):
            target = before
            if code and before.code:
                if not hmac.compare_digest(code, before.code):
                    raise BadRequest("this is not the code that was sent there")
                target = replace(before, code=b"")
        elif code:
            raise BadRequest("no code was sent there: ask without one first")
        if target == before:
            return device
        after = known.with_push(device_id, target)
        if not known.have_push:
            after = replace(after, pushed=self._plan.head)
        self._put_devices(known, after)
        return replace(device, push=target)

    def remove_push(self, device_id: str, target: PushTarget) -> None:
        """Has a device told nothing any more at `target`, which is gone. Another one that it has by now stays."""
        known = self._plan.devices or NO_DEVICES
        device = known.get(device_id)
        if device is not None and target.is_same_place(device.push):
            self._put_devices(known, known.with_push(device_id, None))

    def note_pushed(self, version: int) -> None:
        """Notes that what came up to `version` was pushed. Nobody is told of that."""
        known = self._plan.devices
        if known is not None and known.pushed < version:
            self._put_devices(known, replace(known, pushed=version), is_shown=False)

    def _put_devices(self, known: Devices, after: Devices, *, is_shown: bool = True) -> SignOutDone:
        """`is_shown`: others are told to ask again."""
        if after is known:
            return SignOutDone((), len(known.devices))
        epoch, version = self._plan.stamp()
        created_version = known.created_version or version
        stamped = replace(after, version=version, epoch=epoch, created_version=created_version)
        self._plan.put(DEVICES, stamped)
        if is_shown:
            self._plan.log.append(LogCell(version, epoch, ChangeKind.ACCOUNT, b"", b""))
        gone = tuple(one.device_id for one in known.devices if after.get(one.device_id) is None)
        self._plan.refuses_more |= bool(gone)
        return SignOutDone(gone, len(after.devices))

    def _revoke(self, before_s: int, until_s: int, spared: str, *, is_sign_out: bool) -> Revoked:
        known = self._plan.known_revocation
        if known is None or known.has_ended(self._plan.seen_us):
            known = Revocation(0, 0)
        elif known.before_s >= before_s:
            before_s, until_s = known.before_s, _later(known.until_s, until_s)
        after = known.extended(before_s, until_s, spared, is_sign_out=is_sign_out)
        if after != known:
            epoch, version = self._plan.stamp()
            self._plan.put(REVOCATION, replace(after, version=version, epoch=epoch))
            self._plan.refuses_more = True
        return Revoked(before_s)


def _later(one_s: int, other_s: int) -> int:
    """The later of two ends; 0 is none."""
    return max(one_s, other_s) if one_s and other_s else 0

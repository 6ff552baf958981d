"""The calls about a user's devices: registered, listed, told of new messages, signed out."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from msgspec.structs import replace

from rowbox.cacheserver.access.device_uses import uses_of
from rowbox.cacheserver.access.revocations import Revocations
from rowbox.cacheserver.cache.commands import Command, CommandResult, DevicesCommand
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.clocks import Time
from rowbox.cacheserver.port import (
    DeviceShown,
    DevicesResult,
    FetchDevices,
    PushShown,
    RegisterDevice,
    Routed,
    SetPush,
    SignOut,
    SignOutResult,
)
from rowbox.cacheserver.rate_limit import RateLimits
from rowbox.mailbox.account.access_row import AccessRow, SignOutDone
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.devices import NO_DEVICES, Device
from rowbox.mailbox.errors import PushOff
from rowbox.mailbox.push.target import PushTarget
from rowbox.mailbox.revocation import Bearer, end_of_second

AdmitWrite = Callable[[str, Bearer | None, Routed | None], Awaitable[None]]
"""Judges a write's token before anything is done for it, behind the user's writes that came before. TokenRevoked."""


CODE_BYTES: Final = 16


class Pushing(Protocol):
    """What the calls need of pushes."""

    @property
    def server_key(self) -> str:
        """See DevicesResult."""
        ...

    def check(self, target: PushTarget) -> None:
        """BadRequest, PushOff where nobody is told anything at such a target."""
        ...

    def confirm(self, user_id: str, device: Device) -> None:
        """Has the device's target asked whose it is, where that is not known yet."""
        ...


class NoPushing:
    """An owner that tells no device anything."""

    server_key = ""

    def check(self, target: PushTarget) -> None:
        """See Pushing."""
        raise PushOff("this server pushes nothing")

    def confirm(self, user_id: str, device: Device) -> None:
        """See Pushing."""


class DeviceCalls:
    """Answers the calls about devices of one owner's users."""

    def __init__(
        self,
        table: Table,
        submit: Callable[[Command], None],
        revocations: Revocations,
        admit: AdmitWrite,
        limits: RateLimits,
        time: Time,
        pushing: Pushing,
    ) -> None:
        self._table = table
        self._submit = submit
        self._revocations = revocations
        self._admit = admit
        self._limits = limits
        self._time = time
        self._pushing = pushing

    async def register(self, request: RegisterDevice) -> DevicesResult:
        """See MailboxPort."""
        bearer = request.bearer
        await self._admit(request.user_id, bearer, request.routed)
        quota = self._limits.take("send", request.user_id)
        what = request.device_id, request.name, request.platform
        device = await self._changed(request, lambda plan: AccessRow(plan).register(*what))
        assert isinstance(device, Device)
        return DevicesResult((_shown(device, bearer),), quota, self._pushing.server_key)

    async def set_push(self, request: SetPush) -> DevicesResult:
        """See MailboxPort."""
        bearer, target = request.bearer, request.target
        await self._admit(request.user_id, bearer, request.routed)
        quota = self._limits.take("send", request.user_id)
        if target is not None:
            self._pushing.check(target)
            if target.kind == "webhook":
                target = replace(target, code=secrets.token_bytes(CODE_BYTES))
        device = await self._changed(
            request, lambda plan: AccessRow(plan).set_push(request.device_id, target, request.code)
        )
        assert isinstance(device, Device)
        self._pushing.confirm(request.user_id, device)
        return DevicesResult((_shown(device, bearer),), quota, self._pushing.server_key)

    async def sign_out(self, request: SignOut) -> SignOutResult:
        """See MailboxPort. To sign out of all takes up to a second, as to revoke does."""
        await self._admit(request.user_id, request.bearer, request.routed)
        quota = self._limits.take("send", request.user_id)
        if request.device_id:
            done = await self._changed(request, lambda plan: AccessRow(plan).sign_out(request.device_id))
        else:
            before_s = end_of_second(self._time.now_us())
            until_s = self._revocations.until_s(before_s)
            done = await self._changed(
                request, lambda plan: AccessRow(plan).sign_out_all(before_s, until_s, request.spared)
            )
            await self._revocations.until_over(before_s)
        assert isinstance(done, SignOutDone)
        return SignOutResult(done.device_ids, quota, done.left)

    async def fetch(self, request: FetchDevices) -> DevicesResult:
        """See MailboxPort."""
        user_id, bearer = request.user_id, request.bearer
        if bearer is not None and not self._revocations.is_admitted(user_id, bearer):
            await self._revocations.admit_other(bearer)
        quota = self._limits.take("fetch", user_id)
        grant = self._table.admitted(user_id).grant
        _, mailbox = await self._table.loaded(user_id)
        self._revocations.check(mailbox, bearer)
        self._revocations.check_again(bearer)
        grant.check()
        uses = uses_of(mailbox)
        devices = (mailbox.devices or NO_DEVICES).devices
        shown = [_shown(replace(one, seen_us=uses[one.device_id].seen_us), bearer) for one in devices]
        last_first = tuple(sorted(shown, key=lambda one: one.seen_us, reverse=True))
        return DevicesResult(last_first, quota, self._pushing.server_key)

    async def _changed(
        self, request: RegisterDevice | SetPush | SignOut, do: Callable[[Plan], CommandResult]
    ) -> CommandResult:
        future: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        judge = self._revocations.check_again
        command = DevicesCommand(request.user_id, do, request.bearer, judge, future=future, routed=request.routed)
        self._submit(command)
        return await future


def _shown(device: Device, bearer: Bearer | None) -> DeviceShown:
    is_asking = bearer is not None and bearer.device_id == device.device_id
    what = device.device_id, device.name, device.platform, device.created_us, device.seen_us
    push = device.push
    shown = None if push is None else PushShown(push.kind, push.host, push.is_confirmed)
    return DeviceShown(*what, is_asking, shown)

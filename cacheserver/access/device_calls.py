"""The calls about a user's devices: registered, listed, signed out."""

import asyncio
from collections.abc import Awaitable, Callable

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
    RegisterDevice,
    Routed,
    SignOut,
    SignOutResult,
)
from rowbox.cacheserver.rate_limit import RateLimits
from rowbox.mailbox.aggregate.plan import Plan, SignOutDone
from rowbox.mailbox.devices import NO_DEVICES, Device
from rowbox.mailbox.revocation import Bearer, end_of_second

AdmitWrite = Callable[[str, Bearer | None, Routed | None], Awaitable[None]]
"""Judges a write's token before anything is done for it, behind the user's writes that came before. TokenRevoked."""


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
    ) -> None:
        self._table = table
        self._submit = submit
        self._revocations = revocations
        self._admit = admit
        self._limits = limits
        self._time = time

    async def register(self, request: RegisterDevice) -> DevicesResult:
        """See MailboxPort."""
        bearer = request.bearer
        await self._admit(request.user_id, bearer, request.routed)
        quota = self._limits.take("send", request.user_id)
        what = request.device_id, request.name, request.platform
        device = await self._changed(request, lambda plan: plan.register_device(*what))
        assert isinstance(device, Device)
        return DevicesResult((_shown(device, bearer),), quota)

    async def sign_out(self, request: SignOut) -> SignOutResult:
        """See MailboxPort. To sign out of all takes up to a second, as to revoke does."""
        await self._admit(request.user_id, request.bearer, request.routed)
        quota = self._limits.take("send", request.user_id)
        if request.device_id:
            done = await self._changed(request, lambda plan: plan.sign_out(request.device_id))
        else:
            before_s = end_of_second(self._time.now_us())
            until_s = self._revocations.until_s(before_s)
            done = await self._changed(request, lambda plan: plan.sign_out_all(before_s, until_s, request.spared))
            await self._revocations.until_over(before_s)
        assert isinstance(done, SignOutDone)
        return SignOutResult(done.device_ids, quota)

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
        return DevicesResult(tuple(sorted(shown, key=lambda one: one.seen_us, reverse=True)), quota)

    async def _changed(self, request: RegisterDevice | SignOut, do: Callable[[Plan], CommandResult]) -> CommandResult:
        future: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        judge = self._revocations.check_again
        command = DevicesCommand(request.user_id, do, request.bearer, judge, future=future, routed=request.routed)
        self._submit(command)
        return await future


def _shown(device: Device, bearer: Bearer | None) -> DeviceShown:
    is_asking = bearer is not None and bearer.device_id == device.device_id
    return DeviceShown(device.device_id, device.name, device.platform, device.created_us, device.seen_us, is_asking)

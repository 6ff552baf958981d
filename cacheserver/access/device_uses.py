"""How devices are used: what each has of its mailbox, and when it was heard of last. In memory; in the row later.

    a token that a device comes back with   `used`: in memory, where its mailbox is. No write follows from a request
    the next change of the row              brings it along, at most once in five minutes (Plan.cells)
    a round of `loop`                       writes what was not written for WRITE_S
    `flush`                                 writes all of it: this owner, or some of its shards, are about to end

What a crash takes with it is what came within the last ten minutes, and each device says it again with its next token.
So whoever reads `acked` may find a device behind what it has, never ahead of it.

Of a mailbox that is evicted before it was written, what is known stays here until then.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from itertools import islice
from typing import Final, NamedTuple

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.cache.commands import Command, CommandResult, DevicesCommand
from rowbox.cacheserver.clocks import NowUs
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.devices import DeviceUse
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.revocation import Bearer

WRITE_S: Final = 600.0
ROUND_S: Final = 60.0
AT_ONCE: Final = 64
"""Rows that are written at a time: each may have to be loaded."""
MOST_UNWRITTEN: Final = 50_000
"""Users of whom something is to be written. Of others it is known while their mailboxes are in memory."""


class _Unwritten(NamedTuple):
    since_s: float
    uses: dict[str, DeviceUse]


class DeviceUses:
    """Knows how the devices of one owner's users are used."""

    def __init__(self, submit: Callable[[Command], None], seen_us: NowUs) -> None:
        self._submit = submit
        self._seen_us = seen_us
        self._clock = asyncio.get_running_loop()
        self._unwritten: dict[str, _Unwritten] = {}
        """By user, whoever has waited longest first."""
        self.loop = BackgroundLoop("device-uses", self._round)

    def used(self, mailbox: Mailbox, bearer: Bearer | None, version: int) -> None:
        """A device of the mailbox's user has come back with a token of `version`; 0: it has none.

        Nothing is noted of a device that is not signed in, and of who comes without one.
        """
        if bearer is None or not bearer.device_id or bearer.user_id != mailbox.user_id or version > mailbox.head:
            return
        use = mailbox.device_uses.get(bearer.device_id) or _begun(mailbox, bearer.device_id)
        if use is None:
            return
        use.note(self._seen_us(), version, mailbox.newest_shown)
        if use.is_news and mailbox.user_id not in self._unwritten and len(self._unwritten) < MOST_UNWRITTEN:
            self._unwritten[mailbox.user_id] = _Unwritten(self._clock.time(), mailbox.device_uses)

    @staticmethod
    def acked(mailbox: Mailbox) -> Mapping[str, int]:
        """By deviceId of those that are signed in: the version up to which it has all that changed in the mailbox."""
        return {device_id: use.acked for device_id, use in uses_of(mailbox).items()}

    def loaded(self, mailbox: Mailbox) -> None:
        """A mailbox came into memory. What was known of its devices before it left, and is not written, counts on."""
        unwritten = self._unwritten.get(mailbox.user_id)
        if unwritten is not None:
            mailbox.take_device_uses(unwritten.uses)

    def written(self, mailbox: Mailbox) -> None:
        """A new state of the user's devices was written."""
        if not any(use.is_news for use in mailbox.device_uses.values()):
            self._unwritten.pop(mailbox.user_id, None)

    def give_away(self, is_given: Callable[[str], bool]) -> None:
        """Forgets the users of whom `is_given` says so."""
        for user_id in [user_id for user_id in self._unwritten if is_given(user_id)]:
            del self._unwritten[user_id]

    async def flush(self, within_s: float, is_meant: Callable[[str], bool] | None = None) -> None:
        """Writes what is not written of the users of whom `is_meant` says so (None: of all), as far as time is left."""
        users = [user_id for user_id in self._unwritten if is_meant is None or is_meant(user_id)]
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                for start in range(0, len(users), AT_ONCE):
                    await self._write(users[start : start + AT_ONCE])

    async def _round(self) -> float:
        """Writes the first of those that have waited for WRITE_S."""
        due_s = self._clock.time() - WRITE_S
        first = islice(self._unwritten.items(), AT_ONCE)
        due = [user_id for user_id, unwritten in first if unwritten.since_s <= due_s]
        await self._write(due)
        return 0.0 if len(due) == AT_ONCE else ROUND_S

    async def _write(self, user_ids: Collection[str]) -> None:
        """Writes of these users what is known by now. What cannot be written now is tried again WRITE_S later."""
        outcomes = await asyncio.gather(*map(self._begin, user_ids), return_exceptions=True)
        for user_id, outcome in zip(user_ids, outcomes, strict=True):
            unwritten = self._unwritten.pop(user_id, None)
            if unwritten is not None and isinstance(outcome, RowboxError) and outcome.retryable:
                self._unwritten[user_id] = unwritten._replace(since_s=self._clock.time())

    def _begin(self, user_id: str) -> "asyncio.Future[CommandResult]":
        future: asyncio.Future[CommandResult] = self._clock.create_future()
        try:
            self._submit(DevicesCommand(user_id, _note, None, _judge_nobody, future=future))
        except RowboxError as error:
            future.set_exception(error)
        return future


def uses_of(mailbox: Mailbox) -> Mapping[str, DeviceUse]:
    """By deviceId of those that are signed in: how each was used, by memory and by the row."""
    devices = mailbox.devices.devices if mailbox.devices is not None else ()
    return {one.device_id: mailbox.device_uses.get(one.device_id) or DeviceUse(one) for one in devices}


def _begun(mailbox: Mailbox, device_id: str) -> DeviceUse | None:
    device = mailbox.devices.get(device_id) if mailbox.devices is not None else None
    if device is None:
        return None
    use = mailbox.device_uses[device_id] = DeviceUse(device)
    return use


def _note(plan: Plan) -> None:
    plan.note_device_uses()


def _judge_nobody(_: Bearer | None) -> None:
    """What an owner writes by itself comes with no token."""

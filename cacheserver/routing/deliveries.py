"""The way of a message to a recipient who has another owner: where the ring of a write opens (owner/owner.py).

Receipts go the other way, from a reader's owner to the author's, and are no less simple. Who a user is, his owner is
asked.

The Delivery of the sender's owner has a queue for each recipient and one delivery of it under way, tries again what
fails with pauses, and keeps what does not arrive in the sender's outbox. So here is no queue and no retry: one call of
the recipient's owner, or the error. What goes to one owner in the same turn of the loop goes in one frame (rpc). An
event of a group goes to many: those of them who have the same owner are in one call, which has the event once.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from rowbox.cacheserver.routing.targets import RemoteTarget, Targets
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.mailbox.errors import NotTheOwner, RowboxError, StoreOutcomeUnknown
from rowbox.mailbox.groups.requests import GroupAnswer, GroupRequest
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.receipts import Receipt


class _Batch:
    """The same messages for several users of one owner, gathered in a turn of the loop."""

    __slots__ = ("messages", "remote", "users")

    def __init__(self, remote: RemoteTarget, messages: Sequence[Message]) -> None:
        self.remote = remote
        self.messages = messages
        self.users: dict[str, asyncio.Future[int]] = {}


class Deliveries:
    """Delivers to recipients who have other owners, and asks the rows of groups and users that have."""

    def __init__(self, view: MapView, targets: Targets) -> None:
        self._view = view
        self._targets = targets
        self._batches: dict[tuple[str, tuple[int, ...]], _Batch] = {}
        """By incarnation, and which objects the messages are: two of one id may say different things to two rows
        (GroupPart.resumed).
        """
        self.calls = 0
        """Deliveries and receipts that were given to a link."""

    def deliver(self, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[int]":
        """How many of the messages, from the first, are durable in the user's mailbox then.

        NotTheOwner where the map names nobody who can be asked, or this process itself, which has no grant of the
        user's shard (any more, or yet), or it would not have asked here. Raises what Target.deliver raises.
        """
        incarnation, remote = self._remote(user_id)
        if any(message.group is not None for message in messages):
            return self._gathered(incarnation, remote, user_id, messages)
        return self._called(remote.deliver(user_id, messages))

    def take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> "asyncio.Future[int]":
        """How many of the receipts are news to the author's mailbox; it has all of them then. Raises as `deliver`."""
        _, remote = self._remote(user_id)
        return self._called(remote.take_receipts(user_id, receipts))

    def _called(self, delivered: "asyncio.Future[int]") -> "asyncio.Future[int]":
        self.calls += 1
        delivered.add_done_callback(self._heard)
        return delivered

    async def ask_group(self, name: str, asked: GroupRequest) -> GroupAnswer:
        """What the owner of a group's row answers. NotTheOwner as `deliver`; raises what Target.ask_group raises."""
        _, remote = self._remote(name)
        try:
            return await remote.ask_group(asked)
        except NotTheOwner as error:
            self._view.wanted(error.map_version)
            raise

    async def profile_of(self, user_id: str) -> Profile | None:
        """What the user's owner answers. NotTheOwner as `deliver`; raises what Target.profile_of raises."""
        _, remote = self._remote(user_id)
        try:
            return await remote.profile_of(user_id)
        except NotTheOwner as error:
            self._view.wanted(error.map_version)
            raise

    async def shows_presence(self, watcher_id: str, users: Sequence[str]) -> Sequence[bool | None]:
        """What the owners of the users answer, each asked once; None of users whose owner does not answer."""
        by_owner: dict[str, tuple[RemoteTarget, list[str]]] = {}
        for user_id in users:
            with suppress(NotTheOwner):
                incarnation, remote = self._remote(user_id)
                by_owner.setdefault(incarnation, (remote, []))[1].append(user_id)
        asked = list(by_owner.values())
        answers = await asyncio.gather(
            *(remote.shows_presence(watcher_id, of_one) for remote, of_one in asked), return_exceptions=True
        )
        said: dict[str, bool | None] = {}
        for (_, of_one), answer in zip(asked, answers, strict=True):
            if not isinstance(answer, BaseException):
                said |= zip(of_one, answer, strict=False)
            elif isinstance(answer, NotTheOwner):
                self._view.wanted(answer.map_version)
            elif not isinstance(answer, RowboxError):
                raise answer
        return [said.get(user_id) for user_id in users]

    def _remote(self, name: str) -> tuple[str, RemoteTarget]:
        route = self._targets.of(name)
        if route is None or route.remote is None:
            raise NotTheOwner("nobody else is known to own this mailbox", map_version=self._view.version)
        return route.incarnation, route.remote

    def _gathered(
        self, incarnation: str, remote: RemoteTarget, user_id: str, messages: Sequence[Message]
    ) -> "asyncio.Future[int]":
        loop = asyncio.get_running_loop()
        if not self._batches:
            loop.call_soon(self._send_batches)
        key = incarnation, tuple(map(id, messages))
        batch = self._batches.get(key)
        if batch is None:
            batch = self._batches[key] = _Batch(remote, messages)
        delivered: asyncio.Future[int] = loop.create_future()
        delivered.add_done_callback(self._heard)
        batch.users[user_id] = delivered
        return delivered

    def _send_batches(self) -> None:
        batches, self._batches = self._batches, {}
        for batch in batches.values():
            self.calls += 1
            try:
                arrived = batch.remote.deliver_to_many(tuple(batch.users), batch.messages)
            except RowboxError as error:
                _fail(batch, error)
            else:
                arrived.add_done_callback(partial(_arrived, batch))

    def _heard(self, delivered: "asyncio.Future[int]") -> None:
        """Has a newer map read where the recipient's owner knows one."""
        error = None if delivered.cancelled() else delivered.exception()
        if isinstance(error, NotTheOwner):
            self._view.wanted(error.map_version)


def _arrived(batch: _Batch, arrived: "asyncio.Future[Sequence[int | RowboxError]]") -> None:
    if arrived.cancelled():
        for delivered in batch.users.values():
            delivered.cancel()
        return
    error = arrived.exception()
    if error is not None:
        _fail(batch, error)
        return
    ended = arrived.result()
    if len(ended) != len(batch.users):
        _fail(batch, StoreOutcomeUnknown("the other owner answered for other users than it was asked for"))
        return
    for delivered, one in zip(batch.users.values(), ended, strict=True):
        if delivered.done():
            continue
        if isinstance(one, RowboxError):
            delivered.set_exception(one)
        else:
            delivered.set_result(one)


def _fail(batch: _Batch, error: BaseException) -> None:
    for delivered in batch.users.values():
        if not delivered.done():
            delivered.set_exception(error)

"""What a group's row is asked about an event of its own that is on its way to a member's row.

What who joins is given of before; who knows of a row that declines a join; and how things stood, for a row that lacks
what stands before an event. The queue of that member stands still until the group's row has said what is so.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

from rowbox.cacheserver.cache.commands import CommandResult
from rowbox.cacheserver.delivery.parcels import Parcel
from rowbox.mailbox.cells import OutboxCell
from rowbox.mailbox.errors import EventGap, JoinDeclined
from rowbox.mailbox.message import Message

log = logging.getLogger(__name__)

Delivered: TypeAlias = "asyncio.Future[CommandResult] | asyncio.Future[int]"
Deliver = Callable[[str, Sequence[Message]], Delivered]
"""Brings messages into one user's mailbox, in order; how many of them, from the first, are durable there: at least one.
An error that is not retryable (or no RowboxError) means that the first of them cannot come in. May raise by itself."""
SettleDeclined = Callable[[OutboxCell, str, int], "asyncio.Future[CommandResult]"]
"""Has a group's row know that a recipient's row has declined his join of that version; done when it does."""

Resumption = Callable[[OutboxCell, str], "asyncio.Future[CommandResult]"]
"""What a group's row says to a user's row that lacks what stands before this event, and had it: a Message, or None."""

WithEarlier = Callable[[OutboxCell], "asyncio.Future[CommandResult]"]
"""An event by which users join a group, with the messages of before it that they are given: a Message."""


class QueueSteps(NamedTuple):
    """What becomes of the queue of a recipient whose first parcel is an event of a group: Delivery does it.

    Whatever is asked about that parcel ends in one of `bring`, `arrived`, `failed`, `hold_back` and `go_on`.
    """

    deliver: Deliver
    bring: Callable[[str, Sequence[Parcel], Sequence[Message]], None]
    """Delivers messages that stand for the first parcels, as any delivery."""
    arrived: Callable[[str, Sequence[Parcel]], None]
    """The recipient's row need not be told of these, the first ones of its queue, any more."""
    failed: Callable[[str, BaseException], None]
    """The first parcel is tried again, or given up, by what went wrong."""
    hold_back: Callable[[str, str, EventGap], None]
    """What comes from one sender waits in that sender's outbox, and the rest goes on."""
    go_on: Callable[[str], None]
    """The first parcel is tried again now."""
    may_lack: Callable[[str, str], bool]
    """Whether a sender's outbox may hold something for a recipient that is not in his queue."""


class GroupEvents:
    """What is asked about events of groups, for one Delivery."""

    def __init__(
        self, steps: QueueSteps, settle_declined: SettleDeclined, resumption: Resumption, with_earlier: WithEarlier
    ) -> None:
        self._steps = steps
        self._settle_declined = settle_declined
        self._resumption = resumption
        self._with_earlier = with_earlier
        self.gaps = 0
        """Events that came to a row which lacked what stands before them: none, where nothing is wrong."""
        self.resumed = 0
        """How often a row was told how a group stands, because it had been put back to an older state."""
        self._resumed_at: dict[str, bytes] = {}
        """By recipient: the event that was a gap to his row before it was told so."""

    def forget(self, recipient: str) -> None:
        """To be called when nothing is on its way to a recipient any more."""
        self._resumed_at.pop(recipient, None)

    def join(self, recipient: str, parcel: Parcel) -> None:
        """Delivers the join of a recipient who is given messages of before it."""

        def bring(said: CommandResult) -> None:
            assert isinstance(said, Message)
            self._steps.bring(recipient, (parcel,), (said,))

        self._when_done(recipient, partial(self._with_earlier, parcel.cell), bring)

    def declined(self, recipient: str, parcel: Parcel, error: JoinDeclined) -> None:
        """A member's row does not take part in the group: the parcel is done with once the group's row knows that."""
        self._when_done(
            recipient,
            partial(self._settle_declined, parcel.cell, recipient, error.version),
            lambda _: self._steps.arrived(recipient, (parcel,)),
        )

    def gap(self, recipient: str, parcel: Parcel, error: EventGap) -> None:
        """A recipient's row lacks what stands before an event of a group.

        What it lacks is in the group's outbox. If the event is the first one there it is nowhere: the row had it, and
        was put back to an older state. Then it is told how things stood before the event, once.
        """
        self.gaps += 1
        is_told = self._resumed_at.get(recipient) == parcel.cell.message_id
        if is_told or self._steps.may_lack(parcel.sender_id, recipient):
            self._steps.hold_back(recipient, parcel.sender_id, error)
            return
        self._when_done(
            recipient,
            partial(self._resumption, parcel.cell, recipient),
            partial(self._resume, recipient, parcel, error),
        )

    def _resume(self, recipient: str, parcel: Parcel, error: EventGap, said: CommandResult) -> None:
        if not isinstance(said, Message):
            self._steps.hold_back(recipient, parcel.sender_id, error)
            return
        self._when_done(
            recipient,
            partial(self._steps.deliver, recipient, [said]),
            lambda _: self._has_resumed(recipient, parcel),
        )

    def _has_resumed(self, recipient: str, parcel: Parcel) -> None:
        log.warning(
            "the mailbox of %s had lost events of %s: it was told how the group stands", recipient, parcel.sender_id
        )
        self.resumed += 1
        self._resumed_at[recipient] = parcel.cell.message_id
        self._steps.go_on(recipient)

    def _when_done(self, recipient: str, begin: Callable[[], Delivered], then: Callable[[CommandResult], None]) -> None:
        """Goes on with what comes of `begin`. Where it fails, now or later, the recipient's delivery has failed."""

        def ended(future: Delivered) -> None:
            if future.cancelled():
                return  # the loop is ending
            failure = future.exception()
            if failure is not None:
                self._steps.failed(recipient, failure)
            else:
                then(future.result())

        try:
            begun = begin()
        except Exception as failure:  # noqa: BLE001 - as one that comes later
            self._steps.failed(recipient, failure)
        else:
            begun.add_done_callback(ended)

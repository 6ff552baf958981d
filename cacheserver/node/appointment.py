"""The Owner of a node: one for each incarnation that owns shards, made when the first of them come.

What an Owner remembers, queues or has in flight never outlives what gave it the right to: one that was replaced is
closed beside the next life of its process, however long that takes, and answers nothing meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence

from rowbox.cacheserver.node.tenure import Changed, LeasedOwnership
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.ownership import Ownership
from rowbox.cacheserver.rows.stash import HandedRow
from rowbox.cacheserver.stores.port import Store
from rowbox.mailbox.errors import StoreUnusable

log = logging.getLogger(__name__)

MakeOwner = Callable[[Store, Ownership], Owner]
HandedOver = Callable[[Collection[int]], Sequence[HandedRow]]
"""Gives, once, the mailboxes that last owners have handed over with these shards, which are granted in this turn."""


class Appointment:
    """The owner at work, and those of earlier incarnations that are being closed."""

    def __init__(self, make_owner: MakeOwner, patience_s: float, on_broken: Callable[[StoreUnusable], None]) -> None:
        """`patience_s`: for so long an owner may take to start; a beat waits for it."""
        self._make_owner = make_owner
        self._patience_s = patience_s
        self._on_broken = on_broken
        self._dismissed: set[asyncio.Task[None]] = set()
        self.owner: Owner | None = None
        """The one at work, if there is one."""

    async def appoint(self, ownership: LeasedOwnership, mail: Store, handed_over: HandedOver) -> None:
        """Makes an Owner of what `ownership` grants, and puts it to work, with what was handed over of that.

        StoreUnavailable, TimeoutError: there is none, because the mail does not answer.
        """
        owner = self._make_owner(mail, ownership)
        try:
            async with asyncio.timeout(self._patience_s):
                await owner.start()
        except BaseException:  # the server's end as well
            await owner.close()  # it may have begun to ask for ranges of the store that do not answer
            raise
        self.owner = owner
        owner.take(ownership.shards, handed_over(ownership.shards))

    def follow(self, changed: Changed, handed_over: HandedOver) -> None:
        """To be called in the turn in which the grants changed."""
        if self.owner is not None:
            self.owner.give_away(changed.lost)
            self.owner.take(changed.gained, handed_over(changed.gained))

    def dismiss(self) -> None:
        """The Owner at work owns nothing any more, and another one may be made."""
        owner, self.owner = self.owner, None
        if owner is not None:
            closing = asyncio.get_running_loop().create_task(self._close_owner(owner), name="dismissed-owner")
            self._dismissed.add(closing)
            closing.add_done_callback(self._dismissed.discard)

    async def finish(self) -> None:
        """Finishes what the Owner at work has begun. Its grants have to hold meanwhile."""
        if self.owner is not None:
            await self.owner.close()

    async def close(self) -> None:
        """Waits for the end of all Owners."""
        self.dismiss()
        await asyncio.gather(*self._dismissed)

    async def _close_owner(self, owner: Owner) -> None:
        try:
            await owner.close()
        except Exception:
            log.exception("the owner that was replaced did not end well")
            self._on_broken(StoreUnusable("an internal error ended this server's part in the cluster"))

"""The way of a message to a recipient who has another owner: where the ring of a write opens (owner/owner.py).

The Delivery of the sender's owner has a queue for each recipient and one delivery of it under way, tries again what
fails with pauses, and keeps what does not arrive in the sender's outbox. So here is no queue and no retry: one call of
the recipient's owner, or the error. What goes to one owner in the same turn of the loop goes in one frame (rpc).
"""

import asyncio
from collections.abc import Sequence

from rowbox.cacheserver.routing.targets import Targets
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.mailbox.errors import NotTheOwner
from rowbox.mailbox.message import Message


class Deliveries:
    """Delivers to recipients who have other owners."""

    def __init__(self, view: MapView, targets: Targets) -> None:
        self._view = view
        self._targets = targets
        self.calls = 0
        """Deliveries that were given to a link."""

    def deliver(self, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[int]":
        """How many of the messages, from the first, are durable in the user's mailbox then.

        NotTheOwner where the map names nobody who can be asked, or this process itself, which has no grant of the
        user's shard (any more, or yet), or it would not have asked here. Raises what Target.deliver raises.
        """
        route = self._targets.of(user_id)
        if route is None or route.remote is None:
            raise NotTheOwner("nobody else is known to own this recipient's mailbox", map_version=self._view.version)
        self.calls += 1
        delivered = route.remote.deliver(user_id, messages)
        delivered.add_done_callback(self._heard)
        return delivered

    def _heard(self, delivered: "asyncio.Future[int]") -> None:
        """Has a newer map read where the recipient's owner knows one."""
        error = None if delivered.cancelled() else delivered.exception()
        if isinstance(error, NotTheOwner):
            self._view.wanted(error.map_version)

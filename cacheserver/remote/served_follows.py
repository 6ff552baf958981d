"""Followings of other processes: what a port tells is pushed over their link, once a turn of the loop.

While the peer does not read, what is to be told waits here and not as frames: of each user who is followed one Changed,
and the bytes of MOST_FRAME_BYTES at most. Two changes of a user become one without a frame: told is only that there is
something, and the peer's clients pull. So a peer that reads nothing costs what it follows, whatever is written.

When a following is lost, the frame that waits for its user is dropped: of an owner whose grant has ended none leaves
any more. Whoever else follows the user is told of the change without it.
(A frame that has left tells of a commit that was confirmed under a grant that held. That is true for ever, however late
it comes; docs/adr/0055-one-feed.md.)
"""

from collections.abc import Awaitable
from itertools import islice
from typing import Final

from rowbox.cacheserver.port import Changed, Follow, Following, Lost, MailboxPort
from rowbox.cacheserver.rpc import calls, frames
from rowbox.cacheserver.rpc.calls import FollowOver, Heads, HeadsNow, Inbound, ServedLink, Told, Unfollow
from rowbox.mailbox.errors import BadRequest, LinkLost

MOST_FRAME_BYTES: Final = 1 << 20
"""Bytes of frames that wait for one link."""
MOST_AT_ONCE: Final = 4_096
"""Users of whom is told in one frame, which has to be far smaller than a message may be."""


class _Told:
    """What the followings of one link are told."""

    def __init__(self, link: ServedLink) -> None:
        self._link = link
        self.followings: dict[int, tuple[str, Following]] = {}
        self._changed: dict[str, Changed] = {}
        self._lost: dict[int, Lost] = {}
        self._frame_bytes = 0
        self._is_to_leave = False
        self.is_closed = False

    def tell(self, number: int, user_id: str, told: Changed | Lost) -> None:
        """A following of the port is told something."""
        if isinstance(told, Lost):
            if told.is_over:
                self.followings.pop(number, None)
            self._strip(user_id)
            self._lost[number] = told
        elif not self._is_known(user_id, told):
            self._add(user_id, told)
        if not self._is_to_leave:
            self._is_to_leave = True
            self._link.push(self._leave)

    def _is_known(self, user_id: str, changed: Changed) -> bool:
        """Whether another follower of the user has had the same told over this link."""
        waiting = self._changed.get(user_id)
        return waiting is not None and waiting.head == changed.head

    def _add(self, user_id: str, changed: Changed) -> None:
        earlier, frame = self._drop(user_id), changed.frame
        if earlier is not None:
            changed = Changed(changed.head, earlier.prev)
        elif frame is not None:
            if self._frame_bytes + len(frame) > MOST_FRAME_BYTES:
                changed = Changed(changed.head, changed.prev)
            else:
                self._frame_bytes += len(frame)
        self._changed[user_id] = changed

    def _strip(self, user_id: str) -> None:
        """The change that waits is told without its frame."""
        waiting = self._drop(user_id)
        if waiting is not None:
            self._changed[user_id] = Changed(waiting.head, waiting.prev)

    def _drop(self, user_id: str) -> Changed | None:
        dropped = self._changed.pop(user_id, None)
        if dropped is not None and dropped.frame is not None:
            self._frame_bytes -= len(dropped.frame)
        return dropped

    def _leave(self) -> bytes:
        user_ids = list(islice(self._changed, MOST_AT_ONCE))
        changed = [(user_id, self._changed[user_id]) for user_id in user_ids]
        for user_id in user_ids:
            self._drop(user_id)
        lost, self._lost = self._lost, {}
        self._is_to_leave = bool(self._changed)
        if self._is_to_leave:
            self._link.push(self._leave)
        return frames.push(calls.TOLD, Told(tuple(changed), tuple(lost.items()))) if changed or lost else b""

    def close(self) -> None:
        """The link is lost."""
        self.is_closed = True
        followings, self.followings = self.followings, {}
        for _, following in followings.values():
            following.close()
        self._changed, self._lost = {}, {}


class ServedFollows:
    """Serves the followings of a port to other processes."""

    def __init__(self, port: MailboxPort) -> None:
        self._port = port
        self._by_link: dict[ServedLink, _Told] = {}

    def follow(self, asked: FollowOver, inbound: Inbound) -> Awaitable[str]:
        """Begins a following, which lasts until it is called off, or is over, or the link is lost."""
        return self._begin(asked.number, asked.follow, self._told_of(inbound))

    def unfollow(self, asked: Unfollow, inbound: Inbound) -> None:
        """Ends followings. Does nothing to those that have ended."""
        told = self._told_of(inbound)
        for number in asked.numbers:
            known = told.followings.pop(number, None)
            if known is not None:
                known[1].close()

    def heads(self, asked: Heads, inbound: Inbound) -> HeadsNow:
        """The heads of users who are followed over this link."""
        heads = {user_id: following.head for user_id, following in self._told_of(inbound).followings.values()}
        return HeadsNow(tuple(map(heads.get, asked.user_ids)))

    async def _begin(self, number: int, follow: Follow, told: _Told) -> str:
        if number in told.followings:
            raise BadRequest("two followings of one number")

        def notify(what: Changed | Lost) -> None:
            told.tell(number, follow.user_id, what)

        following = await self._port.follow(follow, notify)
        if told.is_closed:
            following.close()
            raise LinkLost("the link was lost while the following began")
        told.followings[number] = follow.user_id, following
        return following.head

    def _told_of(self, inbound: Inbound) -> _Told:
        link = inbound.link
        if link is None:
            raise BadRequest("followings are told over a link, and this call has none")
        told = self._by_link.get(link)
        if told is None:
            told = self._by_link[link] = _Told(link)
            link.at_end(lambda: self._lost(link))
        return told

    def _lost(self, link: ServedLink) -> None:
        told = self._by_link.pop(link, None)
        if told is not None:
            told.close()

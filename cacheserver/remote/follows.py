"""Followings at another process: what it pushes is given to whom it concerns here.

A following lives as long as the link over which it was begun. When that is lost, everybody is told so, once, and may
begin again, here or elsewhere. A push that got lost without the link (there should be none) is noticed within
COMPARE_S: then the heads of all users who are followed are asked for.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

import msgspec

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.port import HANDED_OVER, LINK_LOST, Changed, Follow, Following, Lost, Notify
from rowbox.cacheserver.rpc import calls, frames
from rowbox.cacheserver.rpc.calls import FollowOver, Heads, Told, Unfollow
from rowbox.cacheserver.rpc.peer import Peer
from rowbox.mailbox.errors import BadRequest, LinkLost, PeerTooOld, RowboxError, UnknownCall
from rowbox.mailbox.pages.cursor import version_of

COMPARE_S: Final = 25.0
AT_ONCE: Final = 1_000
"""Users whose heads are asked for in one call, and followings that one call ends."""
_told: Final = msgspec.msgpack.Decoder(Told)


class RemoteFollowing:
    """One following at the other process."""

    __slots__ = ("_follows", "_user", "is_begun", "notify", "number")

    def __init__(self, follows: "RemoteFollows", user: "_User", number: int, notify: Notify) -> None:
        self._follows = follows
        self._user = user
        self.number = number
        self.notify = notify
        self.is_begun = False
        """Whether the other process has answered. Before, it is told nothing: its head moves."""

    @property
    def head(self) -> str:
        """See Following."""
        return self._user.head

    def close(self) -> None:
        """See Following."""
        self._follows.end(self._user, self)


class _User:
    """A user who is followed over the link."""

    __slots__ = ("followings", "head", "user_id")

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.head = ""
        self.followings: dict[int, RemoteFollowing] = {}

    def take_head(self, token: str) -> None:
        """Moves the head on, never back."""
        if not self.head or version_of(token) > version_of(self.head):
            self.head = token

    def tell(self, changed: Changed) -> None:
        self.take_head(changed.head)
        for following in tuple(self.followings.values()):
            if following.is_begun and following.number in self.followings:
                following.notify(changed)


class RemoteFollows:
    """All followings of this process at one peer."""

    def __init__(self, peer: Peer, timeout_s: float, map_version: Callable[[], int] | None = None) -> None:
        self._peer = peer
        self._timeout_s = timeout_s
        self._map_version = map_version
        self._users: dict[str, _User] = {}
        self._by_number: dict[int, tuple[_User, RemoteFollowing]] = {}
        self._last_number = 0
        self._ended: list[int] = []
        """Of followings that the peer does not know to have ended."""
        self._is_to_say = False
        self._loop = asyncio.get_running_loop()
        self.loop = BackgroundLoop("followed-heads", self._compare)
        peer.hear(calls.TOLD, self._hear, self._lost)

    async def follow(self, request: Follow, notify: Notify) -> Following:
        """See MailboxPort. LinkLost."""
        self._last_number += 1
        number = self._last_number
        # Before the call: what is pushed behind the answer may be here before this goes on.
        user = self._users.setdefault(request.user_id, _User(request.user_id))
        following = RemoteFollowing(self, user, number, notify)
        user.followings[number] = following
        self._by_number[number] = user, following
        version = 0 if self._map_version is None else self._map_version()
        try:
            asked = FollowOver(number, request)
            head = await self._peer.call(calls.FOLLOW, asked, timeout_s=self._timeout_s, map_version=version)
        except UnknownCall as error:
            self.end(user, following)
            raise PeerTooOld(f"{self._peer.endpoint}: {error}") from error
        except BaseException:
            self.end(user, following)
            raise
        if number not in self._by_number:
            raise LinkLost("the link was lost while the following began")
        user.take_head(head)
        following.is_begun = True
        self.loop.start()
        return following

    def end(self, user: _User, following: RemoteFollowing) -> None:
        """Tells a following nothing more."""
        if self._forget(user, following):
            self._ended.append(following.number)
            if not self._is_to_say:
                self._is_to_say = True
                self._loop.call_soon(self._say_ended)

    async def close(self) -> None:
        """Ends all of them: they are told that the link is lost."""
        await self.loop.close()
        self._lost()

    def _forget(self, user: _User, following: RemoteFollowing) -> bool:
        if self._by_number.pop(following.number, None) is None:
            return False
        del user.followings[following.number]
        if not user.followings and self._users.get(user.user_id) is user:
            del self._users[user.user_id]
        return True

    # ------------------------------------------------------------------ what the peer says

    def _hear(self, value: bytes) -> None:
        try:
            told = _told.decode(value)
        except frames.UNREADABLE as error:
            raise frames.Garbage(f"told what cannot be read: {error}") from error
        for number, lost in told.lost:  # first: what else is told here is for those who stand
            known = self._by_number.get(number)
            if known is not None:
                self._tell_lost(*known, lost)
        try:
            for user_id, changed in told.changed:
                user = self._users.get(user_id)
                if user is not None:
                    user.tell(changed)
        except BadRequest as error:
            raise frames.Garbage(f"told what cannot be read: {error}") from error

    def _tell_lost(self, user: _User, following: RemoteFollowing, lost: Lost) -> None:
        if lost.is_over:
            self._forget(user, following)
        if following.is_begun:
            following.notify(lost)

    def _lost(self) -> None:
        """The link is lost, and with it all that was followed over it."""
        self._ended.clear()
        lost = Lost(LINK_LOST)
        for user, following in list(self._by_number.values()):
            self._tell_lost(user, following, lost)

    # ------------------------------------------------------------------ what is said to it

    def _say_ended(self) -> None:
        """Says which followings have ended, as far as there is room; the rest is said in the next round."""
        self._is_to_say = False
        some, self._ended = self._ended[:AT_ONCE], self._ended[AT_ONCE:]
        try:
            saying = self._peer.call(calls.UNFOLLOW, Unfollow(tuple(some)), timeout_s=self._timeout_s)
        except LinkLost:
            return  # it knows that
        except RowboxError:
            self._ended += some
        else:
            saying.add_done_callback(_retrieve)

    async def _compare(self) -> float:
        left = len(self._ended) + 1
        while 0 < len(self._ended) < left:  # as long as there is room to say it
            left = len(self._ended)
            self._say_ended()
            await asyncio.sleep(0)
        user_ids = iter([user.user_id for user in self._users.values()])
        while some := tuple(islice(user_ids, AT_ONCE)):
            with suppress(LinkLost):
                now = await self._peer.call(calls.HEADS, Heads(some), timeout_s=self._timeout_s)
                self._take_heads(some, now.heads)
        return COMPARE_S

    def _take_heads(self, user_ids: Sequence[str], heads: Iterable[str | None]) -> None:
        for user_id, head in zip(user_ids, heads, strict=True):
            user = self._users.get(user_id)
            if user is None:
                continue
            if head is None:
                for following in [one for one in user.followings.values() if one.is_begun]:
                    self._tell_lost(user, following, Lost(HANDED_OVER))
            elif user.head and version_of(head) > version_of(user.head):
                user.tell(Changed(head, user.head))


def _retrieve(said: "asyncio.Future[None]") -> None:
    """What comes of it is of no interest: with a lost link all followings have ended."""
    if not said.cancelled():
        said.exception()

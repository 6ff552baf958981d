"""A port with a feed that a test writes, for what carries the feed to clients. Never for a mailbox's own behaviour."""

import asyncio
from collections.abc import Callable
from typing import Final

from rowbox.cacheserver.port import REVOKED, Changed, Changes, FetchChanges, Follow, Lost
from rowbox.mailbox.errors import BadRequest, RowboxError, SignedOut, TokenRevoked
from tests.http.scripted_port import ScriptedPort

BOUND: Final = "0123456789abcdef01234567"


def token(version: int) -> str:
    return f"{version}.{BOUND}"


def version_of(text: str) -> int:
    version, _, bound_to = text.partition(".")
    if bound_to != BOUND or not version.isdecimal():
        raise BadRequest("lastUpdatedTimestamp is not a token that this server gave")
    return int(version)


class FeedFollowing:
    """Is told what the port tells."""

    def __init__(self, port: "FeedPort", request: Follow, notify: Callable[[Changed | Lost], None]) -> None:
        self.request = request
        self.notify = notify
        self._port = port
        self.head = token(port.head)
        port.followings.append(self)

    def close(self) -> None:
        self._port.followings.remove(self)


class FeedPort(ScriptedPort):
    """One log for all users: `commit` adds a change. `feed_error` is raised by both calls of the feed."""

    def __init__(self) -> None:
        super().__init__()
        self.head = 10
        self.log: list[tuple[int, bytes]] = []
        self.followings: list[FeedFollowing] = []
        self.wishes: list[Follow] = []
        """All that anybody has asked to follow."""
        self.feed_error: RowboxError | None = None
        self.revoked: set[str] = set()
        self.signed_out: set[str] = set()
        self.pulls: list[FetchChanges] = []
        self.go_on: asyncio.Event | None = None
        """Where it is set: pulls wait for it."""

    def commit(self, item: bytes = b'{"text":"hello"}', *, at_hand: bool = True) -> int:
        """Adds a change, and tells the followers. Returns its version."""
        before, self.head = self.head, self.head + 1
        self.log.append((self.head, item))
        body = b'{"messages":[%b],"lastUpdatedTimestamp":"%b"}' % (item, token(self.head).encode())
        change = Changed(token(self.head), token(before), body if at_hand else None)
        for following in list(self.followings):
            following.head = token(self.head)
            following.notify(change)
        return self.head

    def revoke(self, user_id: str) -> None:
        self.revoked.add(user_id)
        for following in list(self.followings):
            if following.request.user_id == user_id:
                following.notify(Lost(REVOKED))

    def revoke_followings(self) -> None:
        """Ends those that there are, for the tokens with which they were begun."""
        self.lose(Lost(REVOKED))

    def lose(self, lost: Lost) -> None:
        """Nobody tells of changes any more, or for the moment."""
        for following in list(self.followings):
            following.notify(lost)

    async def follow(self, request: Follow, notify: Callable[[Changed | Lost], None]) -> FeedFollowing:
        self.wishes.append(request)
        self._look(request.user_id)
        return FeedFollowing(self, request, notify)

    async def fetch_changes(self, request: FetchChanges) -> Changes:
        self.pulls.append(request)
        if self.go_on is not None:
            await self.go_on.wait()
        self._look(request.user_id)
        if request.token is None:
            return Changes((), (), account=False, is_delta=False, token=token(self.head))
        since = version_of(request.token)
        found: list[tuple[int, bytes]] = []
        size = 0
        for version, item in self.log:
            if version > since and (not found or size + len(item) <= request.max_bytes):
                found.append((version, item))
                size += len(item)
        has_more = bool(found) and found[-1][0] < self.head
        at = token(found[-1][0] if found else self.head)
        return Changes([item for _, item in found], (), account=False, is_delta=True, token=at, has_more=has_more)

    def _look(self, user_id: str) -> None:
        if user_id in self.revoked:
            raise TokenRevoked("the token was revoked")
        if user_id in self.signed_out:
            raise SignedOut("signed out")
        if self.feed_error is not None:
            raise self.feed_error

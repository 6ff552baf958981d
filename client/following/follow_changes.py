"""Follows all that changes in a mailbox: over a socket, and by long polls where there is none."""

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from rowbox.client.calls.answers import Changes
from rowbox.client.following.feed import Feed


class FollowChanges(AsyncIterator[Changes]):
    """The changes of one mailbox, for one reader at a time. It begins when the first one is asked for.

    It never ends and never gives up, but raises AccessDenied, faults (calls/faults.py), and Refused with the code
    CONNECTED_ELSEWHERE where others of the user have connected since.

    A change counts as dealt with when the next one is asked for: that is when the server is told. A program that asks
    for none gets a window of them, and no more is sent. To stop, call `aclose`, leave its `async with`, or close the
    client: until then the connection stays.
    """

    def __init__(
        self, begin: Callable[["FollowChanges"], Feed], end: Callable[["FollowChanges"], None], token: str | None
    ) -> None:
        """`begin` gives what it follows over, when it is needed; `end` is told when it is not any more."""
        self._begin = begin
        self._end = end
        self._feed: Feed | None = None
        self._token = token
        self._is_given = False
        self._is_over = False

    @property
    def token(self) -> str | None:
        """The token of the last change that was given: from there another one can follow on."""
        return self._token

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Changes:
        if self._is_over:
            raise StopAsyncIteration
        if self._feed is None:
            self._feed = self._begin(self)
            self._feed.begin()
        if self._is_given:
            self._is_given = False
            self._feed.taken()
        change = await self._feed.next()
        self._is_given = True
        self._token = change.last_updated_timestamp
        return change

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends it. What was not given yet is not lost: another one follows on from `token`."""
        self._is_over = True
        if self._feed is not None:
            await self._feed.close()
        self._end(self)

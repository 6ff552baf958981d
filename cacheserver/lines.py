"""The order of one user's requests to one conversation whose next step is at another owner.

Of a group each is sent on once the one before it has been answered: what comes later waits behind a request whose
outcome is not known yet, and a member's messages stand in the group in the order in which his owner got them. Before
the first message of a conversation of two its recipient's owner may have to be asked, and what comes behind that waits.
Requests to other conversations do not wait.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from rowbox.cacheserver.port import Routed
from rowbox.cacheserver.refused_turns import COMES_AGAIN, comes_too_early
from rowbox.mailbox.errors import Overloaded

MOST_IN_LINE: Final = 256
"""Of one user and one conversation."""


class _Line:
    __slots__ = ("behind",)

    def __init__(self) -> None:
        self.behind: deque[tuple[Routed | None, asyncio.Future[None]]] = deque()


class Lines:
    """The lines of all users of one owner. A line is there while a request of it is under way."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, bytes], _Line] = {}

    def __contains__(self, key: tuple[str, bytes]) -> bool:
        return key in self._lines

    def __len__(self) -> int:
        return len(self._lines)

    @asynccontextmanager
    async def turn(self, user_id: str, conversation_id: bytes, routed: Routed | None) -> AsyncIterator[None]:
        """The turn of a request, which comes after those that asked before it.

        Where one ends that its router sends again, what that router sent behind it gets NotTheOwner. Overloaded.
        """
        key = (user_id, conversation_id)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line()
        else:
            await self._wait(line, key, routed)
        try:
            yield
        except COMES_AGAIN:
            if routed is not None:
                _refuse_behind(line, routed)
            raise
        finally:
            self._next(line, key)

    async def _wait(self, line: _Line, key: tuple[str, bytes], routed: Routed | None) -> None:
        if len(line.behind) >= MOST_IN_LINE:
            raise Overloaded("too many requests of this user to this conversation are waiting", retry_after_ms=1000)
        turn = asyncio.get_running_loop().create_future()
        line.behind.append((routed, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._next(line, key)  # it had its turn already
            raise

    def _next(self, line: _Line, key: tuple[str, bytes]) -> None:
        while line.behind:
            _, turn = line.behind.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._lines.pop(key, None)


def _refuse_behind(line: _Line, routed: Routed) -> None:
    for later, turn in line.behind:
        if later is not None and later.router == routed.router and later.turn <= routed.turn and not turn.done():
            turn.set_exception(comes_too_early())

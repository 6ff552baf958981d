"""Whether the token of one user may be used for another's mailbox: its own user's owner is asked.

The owner of the mailbox cannot say so, because the row that says which tokens are refused may be another owner's. A
program may do all that it does with one token of scope admin, so questions about one token are shared: while one is
under way, all that come meanwhile wait for the one behind it. Each is thereby judged by a question that was sent after
it had come, and an owner is asked about one token once at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable

from rowbox.mailbox.revocation import Bearer

Ask = Callable[[Bearer], Awaitable[None]]
"""Asks the owner of the bearer's user. Raises TokenRevoked, and what a fetch raises."""


class Judges:
    """Asks about tokens; of each, one question is under way, and one more may wait for its end."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._under_way: dict[Bearer, asyncio.Task[None]] = {}
        self._behind: dict[Bearer, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._under_way) + len(self._behind)

    async def judge(self, bearer: Bearer) -> None:
        """TokenRevoked where it is revoked now. Cancelling stops the waiting only."""
        question = self._behind.get(bearer)  # it was not asked yet, also where the one before it has just ended
        if question is None:
            question = self._begin(bearer, self._under_way.get(bearer))
        await asyncio.shield(question)

    def _begin(self, bearer: Bearer, first: "asyncio.Task[None] | None") -> "asyncio.Task[None]":
        question = asyncio.get_running_loop().create_task(self._question(bearer, first), name="judge")
        (self._under_way if first is None else self._behind)[bearer] = question
        question.add_done_callback(_heard)
        return question

    async def _question(self, bearer: Bearer, first: "asyncio.Task[None] | None") -> None:
        if first is not None:
            await asyncio.wait([first])
            self._under_way[bearer] = self._behind.pop(bearer)
        try:
            await self._ask(bearer)
        finally:
            del self._under_way[bearer]


def _heard(question: "asyncio.Task[None]") -> None:
    """Everybody who asked may have left."""
    if not question.cancelled():
        question.exception()

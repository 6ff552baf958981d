"""Users who set conversations for themselves while servers come and go, and what of that has to stand in the end."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from msgspec import UNSET

from rowbox.mailbox.representation import Conversation
from tests.integration.conversations.insisting import Insisting
from tests.integration.support.served import Served

MUTED: Final = 4_000_000_000_000_000
"""A time in the year 2096."""
_PAUSE_S: Final = 1.0
_MOST_SHOWN: Final = 20


@dataclass
class Choice:
    """One request. `value`: until when it is muted (0: not), or whether it is pinned."""

    value: int
    is_done: bool = False
    unknown_outcomes: int = 0


Of = tuple[str, str, str]
"""A user, a conversation of his, and "muted" or "pinned"."""


def choice_breaches(choices: Mapping[Of, Sequence[Choice]], lists: Mapping[str, Sequence[Conversation]]) -> list[str]:
    """In what lists contradict what was answered: the first of it.

    The last choice that was answered stands, or one that had a try without an answer, which may have been done later.
    """
    shown = {(user_id, one.conversation_id): one for user_id, listed in lists.items() for one in listed}
    found = []
    for (user_id, conversation_id, what), made in choices.items():
        conversation = shown.get((user_id, conversation_id))
        stands = None if conversation is None else _stands(conversation, what)
        done = [one.value for one in made if one.is_done]
        if stands not in {done[-1] if done else 0} | {one.value for one in made if one.unknown_outcomes}:
            found.append(f"{what}: {user_id}'s {conversation_id} is {stands}, of {made}")
    return found[:_MOST_SHOWN]


def _stands(conversation: Conversation, what: str) -> int:
    if what == "pinned":
        return int(conversation.pinned is True)
    return 0 if conversation.muted_until is UNSET else conversation.muted_until


class Choosing:
    """`run` it in a task, until `finish`. One user's choices come one after the other, of conversations of two."""

    def __init__(
        self, server: Served, way: Insisting, known: Mapping[str, Mapping[str, Conversation]], random: Random
    ) -> None:
        """`known`: by user, the conversations that he knows of."""
        self.made: dict[Of, list[Choice]] = {}
        self._server = server
        self._way = way
        self._known = known
        self._random = random
        self._is_over = asyncio.Event()

    async def run(self, users: Sequence[str]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for user_id in users:
                tasks.create_task(self._choose(user_id))

    def finish(self) -> None:
        self._is_over.set()

    @property
    def number(self) -> int:
        return sum(map(len, self.made.values()))

    async def _choose(self, user_id: str) -> None:
        client = self._server.client(user_id)
        while not self._is_over.is_set():
            await pause(self._is_over, self._random.uniform(0, 2 * _PAUSE_S))
            known = [name for name, one in self._known.get(user_id, {}).items() if one.kind is UNSET]
            if not known:
                continue
            conversation_id, what = self._random.choice(sorted(known)), self._random.choice(("muted", "pinned"))
            value = self._random.choice((0, MUTED if what == "muted" else 1))
            fields: dict[str, object] = {"mutedUntil": value} if what == "muted" else {"pinned": bool(value)}
            choice = Choice(value)
            self.made.setdefault((user_id, conversation_id, what), []).append(choice)
            await self._way.insist(lambda: client.set_conversation(conversation_id, **fields), choice)  # noqa: B023 - it is awaited here
            choice.is_done = True


async def pause(is_over: asyncio.Event, seconds: float) -> float:
    """Waits so long, or until it is over. The time then."""
    try:
        async with asyncio.timeout(seconds):
            await is_over.wait()
    except TimeoutError:
        pass
    return time.monotonic()

"""What carries that somebody types from the server that hears it to all whose clients show that conversation.

A signal is worth something for a few seconds: it may be lost, nobody waits for it, and nothing is kept. One contract
and one suite of tests (tests/contract/test_signals_contract.py) for all that carry it: the memory of one process
(here), a link to it (remote/signals.py), Redis (redis_signals.py).
"""

from collections.abc import Callable, Iterable, KeysView
from typing import Protocol

Heard = Callable[[str, str], None]
"""A function of a conversationId and the userId of who types there."""


class Signals(Protocol):
    """What carries the signals of a process. No method but `close` waits, and none fails."""

    def start(self) -> None:
        """To be called before anything else."""
        ...

    async def close(self) -> None:
        """To be called last."""
        ...

    def say(self, conversation_id: str, user_id: str) -> None:
        """The user types in the conversation: whoever hears it is told, this process included."""
        ...

    def hear(self, conversation_id: str, heard: Heard) -> None:
        """Has `heard` called, soon from now on, whenever somebody types in the conversation. To be called once before
        each `unhear` of the same.
        """
        ...

    def unhear(self, conversation_id: str, heard: Heard) -> None:
        """Undoes `hear`."""
        ...


class Hearers:
    """Who in a process hears of which conversation."""

    def __init__(self) -> None:
        self._by_conversation: dict[str, dict[Heard, None]] = {}
        self.changes = 0
        """How often `conversations` has become other ones."""

    @property
    def conversations(self) -> KeysView[str]:
        """Of which anybody hears."""
        return self._by_conversation.keys()

    def add(self, conversation_id: str, heard: Heard) -> None:
        """See Signals.hear."""
        if conversation_id not in self._by_conversation:
            self._by_conversation[conversation_id] = {}
            self.changes += 1
        self._by_conversation[conversation_id][heard] = None

    def remove(self, conversation_id: str, heard: Heard) -> None:
        """See Signals.unhear."""
        hearers = self._by_conversation.get(conversation_id)
        if hearers is None:
            return
        hearers.pop(heard, None)
        if not hearers:
            del self._by_conversation[conversation_id]
            self.changes += 1

    def tell(self, conversation_id: str, user_id: str) -> None:
        """Somebody types."""
        hearers: Iterable[Heard] = tuple(self._by_conversation.get(conversation_id, ()))
        for heard in hearers:
            heard(conversation_id, user_id)


class MemorySignals:
    """The Signals of a process that shares its users with nobody."""

    def __init__(self) -> None:
        self._hearers = Hearers()

    def start(self) -> None:
        """See Signals."""

    async def close(self) -> None:
        """See Signals."""

    def say(self, conversation_id: str, user_id: str) -> None:
        """See Signals."""
        self._hearers.tell(conversation_id, user_id)

    def hear(self, conversation_id: str, heard: Heard) -> None:
        """See Signals."""
        self._hearers.add(conversation_id, heard)

    def unhear(self, conversation_id: str, heard: Heard) -> None:
        """See Signals."""
        self._hearers.remove(conversation_id, heard)

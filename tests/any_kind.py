"""A kind of index cells that only the tests know: notes. What it takes to add one: a struct, a letter, a meaning.

Nothing here knows of fences, epochs of others or second states, and no mutation of a note has a log entry: it is not
told to clients.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
import pytest

from rowbox.cacheserver.cache.commands import Command, CommandResult
from rowbox.mailbox.aggregate.plan import Marked, Plan
from rowbox.mailbox.cells import KINDS
from rowbox.mailbox.two_states import Kind
from tests.support.cluster import Node


class Note(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All texts that were written under a key, in the order in which they came."""

    version: int
    epoch: int
    texts: tuple[str, ...] = ()


NOTE = Kind(b"~", Note, 2, "note")
ONE, OTHER = b"no", b"yo"
"""Keys."""


@contextmanager
def notes_are_known() -> Iterator[None]:
    """As if NOTE stood in the table of kinds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KINDS, NOTE.letter, NOTE)
        yield


class WriteNote(Command, eq=False):
    """Adds a text, once."""

    key: bytes
    text: str

    def decide(self, plans: Sequence[Plan]) -> CommandResult:
        known = plans[0].state(NOTE, self.key) or Note(0, 0)
        if self.text not in known.texts:
            epoch, version = plans[0].stamp()
            known = Note(version, epoch, (*known.texts, self.text))
            plans[0].put(NOTE, known, self.key)
        return Marked(0, known.version)


async def write_note(node: Node, user: str, text: str, key: bytes = ONE) -> int:
    """Writes a note; its version."""

    async def ask() -> CommandResult:
        future: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        node.owner.pipeline.submit(WriteNote(users=(user,), key=key, text=text, future=future))
        return await future

    answer = await node.process.call(ask())
    assert isinstance(answer, Marked)
    return answer.version


async def notes_of(node: Node, user: str, key: bytes = ONE) -> list[str]:
    """What a user's notes say, as an owner would answer it: from memory, while the user is owned."""

    async def ask() -> list[str]:
        row, mailbox = await node.owner.table.loaded(user)
        note = mailbox.state(NOTE, key)
        row.grant.check()
        return list(note.texts) if note is not None else []

    return await node.process.call(ask())

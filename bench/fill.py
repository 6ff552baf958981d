"""Fills a store below HTTP, in a process of its own, with the cells that sends of the same messages would have left.

`python -m bench.fill JSON` takes {"data_dir", "talks": [[prefix, conversations, messages, is_hub, is_varied], ...]} and
prints {"messages", "seconds"}. Rowbox's own plans decide, and its own store writes, BATCH sends in a commit. Only the
queue, the cache and HTTP are left out. `rowbox check` finds nothing wrong in such a store (tests/bench).
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.cells import new_send
from bench.load.workload import CONTENT
from rowbox.cacheserver.clocks import wall_clock_us
from rowbox.cacheserver.ownership import SOLE_EPOCH
from rowbox.cacheserver.stores.port import RowMutation
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.cli.serving.backends import open_embedded
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.plan import Plan, Sent
from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.settings.config import Settings, load

BATCH = 500
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"
_WORDS_OF_ONE = 18


def _words() -> tuple[str, ...]:
    letters = random.Random(0)
    return tuple("".join(letters.choices(_LETTERS, k=3 + number % 8)) for number in range(20_000))


WORDS = _words()
"""Of messages that are varied: the first are in many, the last in few, as in any language."""


class Talks(NamedTuple):
    """A number of conversations, each with a number of messages that both sides write in turn.

    With `is_hub` one user, `prefix`, takes part in all of them. Else each is of two users who have no other
    conversation. With `is_varied` each message is of other WORDS.
    """

    prefix: str
    conversations: int
    messages: int
    is_hub: bool = False
    is_varied: bool = False

    def users(self, number: int) -> tuple[str, str]:
        """The two users of conversation `number`. The first of them writes first."""
        if self.is_hub:
            return f"{self.prefix}-{number:07}", self.prefix
        return f"{self.prefix}{2 * number:07}", f"{self.prefix}{2 * number + 1:07}"


def fill(data_dir: Path, talks: Sequence[Talks]) -> None:
    """Runs this module as a process, so that its memory is given back. CalledProcessError where it fails."""
    arguments = json.dumps({"data_dir": str(data_dir), "talks": talks})
    subprocess.run([sys.executable, "-m", "bench.fill", arguments], check=True, stdout=subprocess.DEVNULL)


class _Filler:
    """The mailboxes of all users in memory, and the plans that the next commit writes."""

    def __init__(self, store: RocksStore, settings: Settings) -> None:
        self._store = store
        self._limits = Limits(
            retention_ms=settings.store.retention_ms,
            dedupe_life_ms=settings.store.dedupe_life_ms,
            token_life_ms=settings.store.token_life_ms,
            window_messages=settings.cache.window_messages,
            window_bytes=settings.cache.window_bytes_per_mailbox,
        )
        self._random = random.Random(0)
        self._mailboxes: dict[str, Mailbox] = {}
        self._plans: dict[str, Plan] = {}
        self._planned = 0
        self.sends = 0

    async def write(self, talks: Talks) -> None:
        for number in range(talks.conversations):
            first, second = talks.users(number)
            for message in range(talks.messages):
                content = self._varied() if talks.is_varied else CONTENT
                self._send(*((first, second) if message % 2 == 0 else (second, first)), content)
                if self._planned >= BATCH:
                    await self._commit(keep=(first, second))
        await self._commit(keep=())

    def _varied(self) -> str:
        return " ".join(WORDS[int(len(WORDS) ** self._random.random()) - 1] for _ in range(_WORDS_OF_ONE))

    def _send(self, sender: str, recipient: str, content: str) -> None:
        new = new_send(sender, recipient, content, f"filled-{self.sends:010}", self._random.getrandbits(62))
        sent = self._plan(sender).send(new)
        assert isinstance(sent, Sent)
        assert sent.message is not None
        self._plan(recipient).deliver_new(sent.message)
        self.sends += 1
        self._planned += 1

    def _plan(self, user_id: str) -> Plan:
        plan = self._plans.get(user_id)
        if plan is None:
            mailbox = self._mailboxes.get(user_id)
            if mailbox is None:
                mailbox = self._mailboxes[user_id] = Mailbox(user_id, self._limits, epoch=SOLE_EPOCH)
            plan = self._plans[user_id] = mailbox.plan(wall_clock_us())
        return plan

    async def _commit(self, keep: Iterable[str]) -> None:
        await self._store.mutate(
            [
                RowMutation(row_key(user_id, self._store.shards), list(map(codec.encode, plan.cells())))
                for user_id, plan in self._plans.items()
            ],
            wall_clock_us() // US_PER_MS,
        )
        for user_id, plan in self._plans.items():
            self._mailboxes[user_id].apply(plan)
        self._plans.clear()
        self._planned = 0
        self._mailboxes = {user_id: self._mailboxes[user_id] for user_id in keep if user_id in self._mailboxes}


async def _run(data_dir: str, talks: Sequence[Talks]) -> None:
    settings = load({"server.data_dir": data_dir}, {}, None).settings
    store = open_embedded(settings)
    filler, began_s = _Filler(store, settings), time.monotonic()
    try:
        for some in talks:
            await filler.write(some)
    finally:
        await store.close()
    print(json.dumps({"messages": filler.sends, "seconds": time.monotonic() - began_s}))


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    asyncio.run(_run(given["data_dir"], [Talks(*some) for some in given["talks"]]))

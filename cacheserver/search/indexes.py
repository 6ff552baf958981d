"""The indexes of an owner: of which mailboxes there are any, how much room they take, and when they have to go.

An index is a cache and nothing else. Every one of them may be thrown away at any time, and is where its mailbox leaves
this owner, where the mailbox's epoch is another one, where its file fails, where all take more room than they may, and
a day at the latest after something in it was unsent, edited or expired: its words are in the file until then.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.search.build import Build
from rowbox.cacheserver.search.folder import IndexFolder
from rowbox.cacheserver.search.index_file import IndexFile, IndexLost
from rowbox.cacheserver.search.workers import Workers
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.clocks.clock import US_PER_MS

MOST_INDEXES: Final = 10_000
"""An index takes some kilobytes of memory, too."""
MOST_OPEN: Final = 16
"""Files that are open at a time."""
REMOVED_LIFE_US: Final = 23 * 3_600_000_000
"""How long words may stay in a file after their message was unsent or edited, or has expired."""
NEVER_US: Final = 1 << 62


_T = TypeVar("_T")


class NoRoom(Exception):
    """The device of the indexes has less room left than they have to leave."""


class Index:
    """The index of one mailbox, and what is still missing in it."""

    __slots__ = (
        "build",
        "count",
        "ends_us",
        "epoch",
        "file",
        "is_capped",
        "lock",
        "oldest_us",
        "removed_us",
        "user_id",
        "wanted",
    )

    def __init__(self, file: IndexFile, mailbox: Mailbox) -> None:
        """A new one, of the mailbox as it is now: what it has by now is taken in, what comes later is told of."""
        self.user_id = mailbox.user_id
        self.epoch = mailbox.epoch
        self.file = file
        count = len(mailbox.index)
        self.build = Build([*mailbox.index.newest(0, count), *mailbox.index.requests(None, count)])
        self.lock = asyncio.Lock()
        """Held while something is taken in."""
        self.count = 0
        """Messages that were taken in."""
        self.is_capped = False
        """Whether it has as many messages as an index may: older ones are not found."""
        self.wanted = 0
        """The newest head of the mailbox that somebody has searched."""
        self.oldest_us = NEVER_US
        """When the first of its messages came."""
        self.ends_us = NEVER_US
        """When one of its messages first comes to an end of its own."""
        self.removed_us = NEVER_US
        """When one of its messages was first unsent or edited."""

    def is_current(self, head: int) -> bool:
        """Whether it has all that the mailbox had at `head`, up to the most that an index may have."""
        return self.build.is_over and self.file.checkpoint >= head

    def took(self, lives: Sequence[tuple[int, int]], count: int) -> None:
        """Notes that `count` messages were added, of those that came and end (0: by retention) at these times."""
        self.count += count
        self.oldest_us = min([self.oldest_us, *(came for came, _ in lives)])
        self.ends_us = min([self.ends_us, *(ends_us for _, ends_us in lives if ends_us)])


class Indexes:
    """The indexes of one owner, and the folder of their files."""

    def __init__(
        self,
        folder: IndexFolder,
        workers: Workers,
        *,
        most_bytes: int,
        min_free_bytes: int,
        retention_ms: int,
        now_us: NowUs,
    ) -> None:
        self._folder = folder
        self._workers = workers
        self.most_bytes = most_bytes
        self._min_free_bytes = min_free_bytes
        self._retention_us = retention_ms * US_PER_MS
        self._now_us = now_us
        self._indexes: OrderedDict[str, Index] = OrderedDict()  # the least recently used one first
        self._open: OrderedDict[str, IndexFile] = OrderedDict()
        self._numbers = 0
        self.made = 0
        """Indexes that were begun."""
        self.lost = 0
        """Indexes that were thrown away because their file failed, or there was no room."""

    def __len__(self) -> int:
        return len(self._indexes)

    @property
    def size_bytes(self) -> int:
        """What the files take."""
        return sum(index.file.size_bytes for index in self._indexes.values())

    def unfinished(self) -> list[Index]:
        """Those that lack messages that somebody looked for, the least recently used one first."""
        return [index for index in self._indexes.values() if not index.is_current(index.wanted)]

    async def of(self, mailbox: Mailbox) -> Index:
        """The index of a mailbox; a new one where there is none of this epoch. NoRoom."""
        index = self._indexes.get(mailbox.user_id)
        if index is not None and (index.epoch != mailbox.epoch or self._is_over(index)):
            self.drop(index)
            index = None
        if index is None:
            index = await self._new(mailbox)
        self._indexes.move_to_end(mailbox.user_id)
        self.note_open(index)
        return index

    async def _new(self, mailbox: Mailbox) -> Index:
        path = await self.at_the_device(self._folder.path)
        index = self._indexes.get(mailbox.user_id)  # another search may have made it meanwhile
        if index is None:
            self._numbers += 1
            self.made += 1
            file = IndexFile(path / f"{self._numbers}.db", mailbox.user_id, mailbox.epoch, mailbox.head)
            index = self._indexes[mailbox.user_id] = Index(file, mailbox)
        return index

    async def at_the_device(self, work: Callable[[], _T]) -> _T:
        """Does what takes room, in a worker. NoRoom, and then no index is left: what they took is for the messages."""
        try:
            return await self._workers.run(partial(self._with_room, work))
        except NoRoom:
            self.drop_all()
            raise

    def has(self, index: Index) -> bool:
        """Whether it was not thrown away."""
        return self._indexes.get(index.user_id) is index

    def drop(self, index: Index) -> None:
        """Throws an index away."""
        if self.has(index):
            del self._indexes[index.user_id]
            self._open.pop(index.user_id, None)
        self._workers.begin(index.file.discard)

    def drop_lost(self, index: Index) -> None:
        """Throws away an index whose file failed. One that was thrown away meanwhile did not fail."""
        self.lost += self.has(index)
        self.drop(index)

    def drop_all(self) -> None:
        """Throws all away, because their device has no room."""
        self.lost += len(self._indexes)
        for index in [*self._indexes.values()]:
            self.drop(index)

    def give_away(self, is_given: Callable[[str], bool]) -> None:
        """Throws away those of users that another server owns from now on."""
        for index in [index for user_id, index in self._indexes.items() if is_given(user_id)]:
            self.drop(index)

    def note_removed(self, user_id: str) -> None:
        """Notes that words of a user's message are to be forgotten: it was unsent or edited."""
        index = self._indexes.get(user_id)
        if index is not None:
            index.removed_us = min(index.removed_us, self._now_us())

    def make_room(self) -> None:
        """Throws away the least recently used ones, where all take more than they may."""
        size = self.size_bytes
        while len(self._indexes) > 1 and (size > self.most_bytes or len(self._indexes) > MOST_INDEXES):
            index = next(iter(self._indexes.values()))
            size -= index.file.size_bytes
            self.drop(index)

    async def tidy(self) -> None:
        """Throws away what has to go by now."""
        for index in [index for index in self._indexes.values() if self._is_over(index)]:
            self.drop(index)
        if self._indexes:
            await self.at_the_device(_nothing)

    def _is_over(self, index: Index) -> bool:
        ends_us = min(index.removed_us, index.oldest_us + self._retention_us, index.ends_us)
        return ends_us + REMOVED_LIFE_US <= self._now_us()

    def _with_room(self, work: Callable[[], _T]) -> _T:
        try:
            if self._folder.free_bytes() < self._min_free_bytes:
                raise NoRoom("the device of the search indexes is nearly full")
        except OSError as error:
            raise NoRoom(f"the folder of the search indexes: {error}") from error
        return work()

    def note_open(self, index: Index) -> None:
        """Notes that its file is going to be read or written, which opens it. An open file takes memory and a place
        among the process's files: the least recently used ones are closed.
        """
        if not self.has(index):
            return
        self._open[index.user_id] = index.file
        self._open.move_to_end(index.user_id)
        while len(self._open) > MOST_OPEN:
            _, file = self._open.popitem(last=False)
            self._workers.begin(partial(_closed, file))


def _closed(file: IndexFile) -> None:
    try:
        file.close()
    except IndexLost:
        return


def _nothing() -> None:
    """Asks for nothing but whether there is room."""

"""Pages of the feed: from memory where that reaches, from the row where it does not (mailbox/pages/feed.py).

A page is the mailbox as of its View's head. What is committed while it is read is in the page after it.
"""

from collections.abc import Sequence

import msgspec

from rowbox.cacheserver.fetch.log_tail import LOG_COLUMNS
from rowbox.cacheserver.fetch.page_reader import PageReader
from rowbox.cacheserver.rows.view import View
from rowbox.mailbox.cells import BRINGS_MESSAGE, LogCell
from rowbox.mailbox.pages.feed import FeedCut, tells_of_a_message

MAX_LOG_READS = 8
"""Calls for the log entries of one page; after so many it ends where it got to, with `has_more`."""


class FeedPage(msgspec.Struct, frozen=True, gc=False):
    """What changed up to the version `reached`. The others are as in rowbox.cacheserver.port.Changes."""

    messages: Sequence[bytes]
    conversations: Sequence[bytes]
    reached: int
    has_more: bool
    account: bool


class FeedPages:
    """Makes pages of the feed of loaded mailboxes."""

    def __init__(self, reader: PageReader) -> None:
        self._reader = reader

    async def since(self, view: View, version: int, size: int, max_bytes: int) -> FeedPage:
        """The first changes after `version`, which the log reaches: at most `size` messages, and `max_bytes`.

        HandoverInProgress where another owner has claimed the row.
        """
        if version == view.as_of:
            return FeedPage((), (), version, has_more=False, account=False)
        entries, reached = await self._entries(view, version, size)
        index, horizon = view.mailbox.index, view.horizon

        def conversation_at(entry: LogCell) -> bytes | None:
            conversation_id = entry.conversation_id
            is_newest = index.version_of(conversation_id) == entry.version
            return index.json_of(conversation_id, horizon) if is_newest else None

        cut = FeedCut(entries, conversation_at, size=size, max_bytes=max_bytes)
        await self._reader.of_entries(view, [entry for entry in entries if _gives_its_message(view, entry)], cut)
        cut.finish()
        if cut.has_more:
            reached = cut.reached
        return FeedPage(cut.messages, cut.conversations, reached, reached < view.as_of, cut.account)

    async def _entries(self, view: View, version: int, size: int) -> tuple[Sequence[LogCell], int]:
        """The first log entries after `version`, enough for a page, and the version up to which they are all."""
        if version >= view.mailbox.log_floor:
            return view.mailbox.changes_after(version), view.as_of
        found: list[LogCell] = []
        reached, messages = version, 0
        for _ in range(MAX_LOG_READS):
            entries, reached = await self._reader.changes(view, reached, view.as_of, LOG_COLUMNS)
            found += entries
            messages += sum([entry.kind in BRINGS_MESSAGE for entry in entries])
            if messages > size or reached >= view.as_of:
                break
        return found, reached


def _gives_its_message(view: View, entry: LogCell) -> bool:
    """Whether an entry tells of a message that is still there and, as far as memory says, has not changed since."""
    if not tells_of_a_message(entry, view.horizon, view.now_us, view.floors):
        return False
    copy = view.mailbox.copy_in_memory(entry.conversation_id, entry.message_id)
    return copy is None or copy.version == entry.version

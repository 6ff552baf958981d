"""Pages of the feed, over logs of any shape: whoever takes page after page has what a fresh fetch gives."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.cells import ChangeKind, LogCell
from rowbox.mailbox.message import MessageCopy
from rowbox.mailbox.pages.feed import MOST_CONVERSATIONS, FeedCut
from rowbox.mailbox.pages.page_cut import TAIL_BYTES

kinds = st.sampled_from([ChangeKind.MESSAGE, ChangeKind.MESSAGE, ChangeKind.READ_MARK])
changes = st.tuples(kinds, st.integers(0, 3), st.integers(1, 400))
"""What happened, in which conversation, and how large the message is."""


class Log(NamedTuple):
    """A mailbox, as far as its feed is concerned."""

    entries: list[LogCell]
    copies: dict[int, MessageCopy]

    @property
    def newest(self) -> dict[bytes, int]:
        return {entry.conversation_id: entry.version for entry in self.entries}

    def page(self, version: int, size: int, max_bytes: int, until: int | None = None) -> FeedCut:
        """As the owner makes it: `until` is the head when the page was begun."""
        newest = self.newest

        def conversation_at(entry: LogCell) -> bytes | None:
            if newest[entry.conversation_id] != entry.version:
                return None
            return b"%b@%d" % (entry.conversation_id, entry.version)

        entries = [entry for entry in self.entries if version < entry.version <= (until or 1 << 40)]
        cut = FeedCut(entries, conversation_at, size=size, max_bytes=max_bytes)
        cut.take_all([self.copies[entry.version] for entry in entries if entry.version in self.copies])
        cut.finish()
        return cut


def log_of(happened: list[tuple[ChangeKind, int, int]], gone: set[int], after: int = 0) -> Log:
    """Versions rise by three. `gone`: the places of messages that retention has taken."""
    entries, copies = [], {}
    for place, (kind, number, length) in enumerate(happened, 1):
        version = after + 3 * place
        entries.append(LogCell(version, 0, kind, b"c%d" % number, b"m%d" % version))
        if kind is ChangeKind.MESSAGE and place not in gone:
            copies[version] = MessageCopy(b"m%d" % version, version, 0, b"m%d:" % version + b"x" * length, version)
    return Log(entries, copies)


@given(st.lists(changes, max_size=40), st.sets(st.integers(1, 40)), st.data())
def test_any_pages_from_any_token_give_each_message_once_and_each_conversation_as_it_is(
    happened: list[tuple[ChangeKind, int, int]], gone: set[int], data: st.DataObject
) -> None:
    log = log_of(happened, gone)
    token = begun = data.draw(st.integers(0, 3 * len(happened)))
    messages: list[bytes] = []
    conversations: list[bytes] = []
    while True:
        size, room = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 1_000))
        page = log.page(token, size, TAIL_BYTES + room)
        parts = [*page.messages, *page.conversations]
        assert len(page.messages) <= size
        assert sum(map(len, parts)) + len(parts) <= room or len(page.messages) <= 1
        messages += page.messages
        conversations += page.conversations
        if not page.has_more:
            break
        assert page.reached > token, "a page that ends early makes progress"
        token = page.reached
    assert messages == [copy.json for version, copy in log.copies.items() if version > begun]
    assert conversations == [b"%b@%d" % one for one in sorted(log.newest.items(), key=_version) if one[1] > begun]


def _version(item: tuple[bytes, int]) -> int:
    return item[1]


@given(
    st.lists(changes, min_size=1, max_size=30), st.lists(changes, max_size=30), st.integers(1, 5), st.integers(0, 500)
)
def test_what_changes_while_a_client_pages_comes_behind_the_page_that_was_begun(
    before: list[tuple[ChangeKind, int, int]], after: list[tuple[ChangeKind, int, int]], size: int, room: int
) -> None:
    """A conversation that changes again is then in a later page, and not in two."""
    first = log_of(before, set())
    head = first.entries[-1].version
    added = log_of(after, set(), after=head)
    both = Log([*first.entries, *added.entries], {**first.copies, **added.copies})
    held: dict[bytes, int] = {}
    messages: list[bytes] = []
    log, token = first, 0
    while True:
        page = log.page(token, size, TAIL_BYTES + room, until=head if log is first else None)
        held |= {name: int(version) for name, version in (one.split(b"@") for one in page.conversations)}
        messages += page.messages
        if page.has_more:
            token = page.reached
        elif log is first:
            log, token = both, head
        else:
            break
        log = both if token >= head // 2 else log
    assert held == both.newest
    assert messages == [copy.json for copy in both.copies.values()]


def test_a_page_ends_before_one_conversation_too_many() -> None:
    marks = [LogCell(version, 0, ChangeKind.READ_MARK, b"c%d" % version, b"") for version in range(1, 300)]
    cut = FeedCut(marks, lambda entry: entry.conversation_id, size=1, max_bytes=1 << 20)
    cut.finish()
    assert (len(cut.conversations), cut.reached, cut.has_more) == (MOST_CONVERSATIONS, MOST_CONVERSATIONS, True)

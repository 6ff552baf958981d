"""Makes a conversation index of what a load reads, part by part: others may have their turn between two parts."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from rowbox.mailbox.aggregate.endings import Endings
from rowbox.mailbox.aggregate.index import MOST_CHANGES, ConversationIndex, Position
from rowbox.mailbox.conversation import NEVER, Conversation, ends_after, pack


class StoredState(NamedTuple):
    """A conversation's state as the store has it, and the fields of it by which an index is made."""

    conversation_id: bytes
    packed: bytes
    """`conversation.pack` of the state."""
    version: int
    last_message_id: bytes
    created_version: int
    ends_after: int


def stored(conversation_id: bytes, state: Conversation) -> StoredState:
    """The StoredState of a state that was decoded already."""
    packed = pack(state)
    return StoredState(
        conversation_id, packed, state.version, state.last_message_id, state.created_version, state.ends_after
    )


class Outline(msgspec.Struct, array_like=True, gc=False):
    """A Conversation of which only the fields that a load needs are decoded."""

    version: int
    epoch: msgspec.Raw
    participants: msgspec.Raw
    last_message_id: bytes
    last_message_version: int
    snippet: msgspec.Raw
    read_mark: msgspec.Raw
    unread_count: int
    created_version: int
    unread_since: int = 0

    @property
    def ends_after(self) -> int:
        """The value of `Conversation.ends_after` for this state."""
        return ends_after(
            has_snippet=bytes(self.snippet) != _NO_TEXT,
            last_message_version=self.last_message_version,
            unread_count=self.unread_count,
            unread_since=self.unread_since or self.created_version,
        )

    def of(self, conversation_id: bytes, packed: bytes) -> StoredState:
        """The StoredState of the state that this is the outline of."""
        ends = self.ends_after
        return StoredState(conversation_id, packed, self.version, self.last_message_id, self.created_version, ends)


_NO_TEXT = pack("")
assert Conversation.__struct_fields__[: len(Outline.__struct_fields__)] == Outline.__struct_fields__
_outline = msgspec.msgpack.Decoder(Outline).decode


def stored_packed(conversation_id: bytes, packed: bytes) -> StoredState:
    """The StoredState of a state that is packed. msgspec.MsgspecError where the bytes are none."""
    return _outline(packed).of(conversation_id, packed)


class IndexDraft:
    """An index in the making, of states that come in parts and in any order, each conversation once.

    The list is sorted part by part, and then its sorted runs are merged two by two: all that sorting the whole would
    do, in pieces, of which the longest takes 5 ms for 100,000 conversations (in one piece: 50 to 110).
    """

    def __init__(self) -> None:
        self._states: dict[bytes, Conversation | bytes] = {}
        self._packed_bytes = 0
        self._runs: deque[list[Position]] = deque()
        self._changes: list[tuple[int, bytes]] = []
        self._endings = Endings()
        self._born = 0

    def add(self, part: Sequence[StoredState]) -> None:
        """Takes in some states, of conversations that were not added before."""
        if not part:
            return
        self._states.update([(one.conversation_id, one.packed) for one in part])
        self._packed_bytes += sum([len(one.packed) for one in part])
        oldest = min([one.created_version for one in part])
        self._born = min(self._born, oldest) if self._born else oldest
        self._runs.append(sorted([one.last_message_id + one.conversation_id for one in part]))
        self._endings.extend([(one.ends_after, one.conversation_id) for one in part if one.ends_after != NEVER])
        oldest_change = self._changes[-1][0] if len(self._changes) == MOST_CHANGES else 0
        newer = [(one.version, one.conversation_id) for one in part if one.version > oldest_change]
        if newer:
            self._changes = sorted(self._changes + newer, reverse=True)[:MOST_CHANGES]

    def add_shown(self, versions: Iterable[tuple[bytes, int]]) -> None:
        """Takes in versions with which something beside their states changed that clients are shown, by conversation.

        Each conversation at most once. To be called after all of `add`.
        """
        oldest_change = self._changes[-1][0] if len(self._changes) == MOST_CHANGES else 0
        newer = {one: version for one, version in versions if version > oldest_change and one in self._states}
        if newer:
            changes = {conversation_id: version for version, conversation_id in self._changes}
            changes.update((one, max(version, changes.get(one, 0))) for one, version in newer.items())
            self._changes = sorted(((version, one) for one, version in changes.items()), reverse=True)[:MOST_CHANGES]

    def merges(self) -> Iterator[None]:
        """Merges two runs before each `yield`, until one run is left."""
        while len(self._runs) > 1:
            run = self._runs.popleft()
            run += self._runs.popleft()
            run.sort()
            self._runs.append(run)
            yield

    def index(self) -> ConversationIndex:
        """The index of all that was added. The draft is at its end: the index takes over what it holds."""
        for _ in self.merges():
            pass
        order = self._runs.pop() if self._runs else []
        changes = [(conversation_id, version) for version, conversation_id in reversed(self._changes)]
        return ConversationIndex(
            self._states, order, changes, self._endings, packed_bytes=self._packed_bytes, born=self._born
        )


def index_of(states: Iterable[StoredState], shown: Iterable[tuple[bytes, int]] = ()) -> ConversationIndex:
    """An index of a few states, made in one go. `shown` is as of `add_shown`."""
    draft = IndexDraft()
    draft.add(list(states))
    draft.add_shown(shown)
    return draft.index()

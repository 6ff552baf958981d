"""Makes a conversation index of what a load reads, part by part: others may have their turn between two parts."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from rowbox.mailbox.aggregate.endings import Endings
from rowbox.mailbox.aggregate.index import MOST_CHANGES, ConversationIndex, Position
from rowbox.mailbox.conversation import NEVER, Conversation, ends_after, expires_at, pack


class StoredState(NamedTuple):
    """A conversation's state as the store has it, and the fields of it by which an index is made."""

    conversation_id: bytes
    packed: bytes
    """`conversation.pack` of the state."""
    version: int
    last_message_id: bytes
    created_version: int
    kept_until: int
    expires_us: int
    """As of Conversation, these two."""


def stored(conversation_id: bytes, state: Conversation) -> StoredState:
    """The StoredState of a state that was decoded already."""
    packed = pack(state)
    ends = state.kept_until, state.expires_us
    return StoredState(conversation_id, packed, state.version, state.last_message_id, state.created_version, *ends)


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
    last_sender: int = 0
    changed_at: int = 0
    last_is_unsent: bool = False
    group: msgspec.Raw = msgspec.Raw()
    last_received_id: msgspec.Raw = msgspec.Raw()
    snippet_expires: int = 0
    unread_expires: int = 0

    def of(self, conversation_id: bytes, packed: bytes) -> StoredState:
        """The StoredState of the state that this is the outline of."""
        has_snippet, unread_count = bytes(self.snippet) != _NO_TEXT, self.unread_count
        kept_until = ends_after(
            has_snippet=has_snippet,
            last_message_version=self.last_message_version,
            unread_count=unread_count,
            unread_since=self.unread_since or self.created_version,
        )
        expires_us = 0
        if self.snippet_expires or self.unread_expires:
            expires_us = expires_at(
                has_snippet=has_snippet,
                snippet_expires=self.snippet_expires,
                unread_count=unread_count,
                unread_expires=self.unread_expires,
            )
        told = self.version, self.last_message_id, self.created_version
        return StoredState(conversation_id, packed, *told, kept_until, expires_us)


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
        self._expiring: list[tuple[bytes, int]] = []
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
        self._endings.extend([(one.kept_until, one.conversation_id) for one in part if one.kept_until != NEVER])
        self._expiring += [(one.conversation_id, one.expires_us) for one in part if one.expires_us]
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
            self._states,
            order,
            changes,
            self._endings,
            packed_bytes=self._packed_bytes,
            born=self._born,
            expiring=self._expiring,
        )


def index_of(states: Iterable[StoredState], shown: Iterable[tuple[bytes, int]] = ()) -> ConversationIndex:
    """An index of a few states, made in one go. `shown` is as of `add_shown`."""
    draft = IndexDraft()
    draft.add(list(states))
    draft.add_shown(shown)
    return draft.index()

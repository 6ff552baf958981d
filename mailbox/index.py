"""The conversation index of a mailbox in memory: by id, in the order of the newest messages, in the order of change.

The two orders make a page and a delta cost what they return, not what the mailbox holds. Memory per conversation is
about ENTRY_BYTES plus its texts.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator

from rowbox.mailbox.conversation import Conversation

ENTRY_BYTES = 900
"""A conversation in the three structures, without its texts. Measured: see tests/unit/test_index.py."""

Position = tuple[bytes, bytes]
"""Where a conversation stands in the list: (newest messageId, conversationId). Greater is nearer to the top."""


def _snippet_bytes(state: Conversation) -> int:
    """In the state and in its JSON; emoji take 4 bytes in each."""
    return len(state.snippet) * (2 if state.snippet.isascii() else 8)


def _entry_bytes(state: Conversation) -> int:
    return ENTRY_BYTES + _snippet_bytes(state) + sum(map(len, state.participants))


class ConversationIndex:
    """All conversations of one mailbox, newest state each."""

    __slots__ = ("_by_change", "_json", "_order", "size_bytes")

    def __init__(self) -> None:
        # The last one changed last: versions only rise. An OrderedDict, because a dict that is read from its end walks
        # over every place that a moved entry left.
        self._by_change: OrderedDict[bytes, Conversation] = OrderedDict()
        self._order: list[Position] = []  # ascending: the newest stands at the end
        self._json: dict[bytes, bytes] = {}
        self.size_bytes = 0

    @classmethod
    def of(cls, states: dict[bytes, Conversation]) -> "ConversationIndex":
        """An index of what was loaded, in any order."""
        index = cls()
        index._by_change = OrderedDict(sorted(states.items(), key=lambda item: item[1].version))
        index._order = sorted((state.last_message_id, conversation_id) for conversation_id, state in states.items())
        index.size_bytes = sum(map(_entry_bytes, states.values()))
        return index

    def __len__(self) -> int:
        return len(self._by_change)

    def __iter__(self) -> Iterator[tuple[bytes, Conversation]]:
        return iter(self._by_change.items())

    def get(self, conversation_id: bytes) -> Conversation | None:
        """The state of a conversation; None when the user is not in it."""
        return self._by_change.get(conversation_id)

    def put(self, conversation_id: bytes, state: Conversation) -> None:
        """Takes in a state whose version is greater than all others here."""
        old = self._by_change.get(conversation_id)
        self._by_change[conversation_id] = state
        self._by_change.move_to_end(conversation_id)
        self._json.pop(conversation_id, None)
        if old is None:
            self.size_bytes += _entry_bytes(state)
        else:
            self.size_bytes += _snippet_bytes(state) - _snippet_bytes(old)
            if old.last_message_id == state.last_message_id:
                return
            del self._order[bisect_left(self._order, (old.last_message_id, conversation_id))]
        position = (state.last_message_id, conversation_id)
        if self._order and position < self._order[-1]:
            insort(self._order, position)
        else:
            self._order.append(position)  # as most do: what is newest comes last

    def newest(self, skip: int, count: int) -> list[Position]:
        """Positions `skip` to `skip + count` of the list, newest first."""
        end = len(self._order) - skip
        return self._order[max(0, end - count) : max(0, end)][::-1]

    def below(self, position: Position, count: int) -> list[Position]:
        """The `count` positions under `position` as the list stands now, newest first."""
        end = bisect_left(self._order, position)
        return self._order[max(0, end - count) : end][::-1]

    def changed_since(self, version: int, most: int) -> list[Position] | None:
        """The conversations changed after `version`, in the order of the list; None when there are more than `most`."""
        changed: list[Position] = []
        for conversation_id, state in reversed(self._by_change.items()):
            if state.version <= version:
                break
            if len(changed) == most:
                return None
            changed.append((state.last_message_id, conversation_id))
        changed.sort(reverse=True)
        return changed

    def json_of(self, conversation_id: bytes, now_us: int, retention_ms: int) -> bytes:
        """The conversation as fetchConversation shows it at `now_us`; encoded once per state."""
        state = self._by_change[conversation_id]
        if state.snippet_expires_us(retention_ms) <= now_us:
            return state.to_json(conversation_id, with_snippet=False)
        cached = self._json.get(conversation_id)
        if cached is None:
            cached = self._json[conversation_id] = state.to_json(conversation_id, with_snippet=True)
        return cached

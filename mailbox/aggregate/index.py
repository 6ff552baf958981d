"""The conversation index of a mailbox in memory: by id, in the order of the newest messages, in the order of change.
Those that wait to be accepted are in a list of their own.

The two orders make a page and a delta cost what they return, not what the mailbox holds. A state is kept as the bytes
in which it is stored, and decoded whenever it is asked for: a mailbox of a hundred thousand conversations takes less
than half of what it would take as objects, and is loaded in a fraction of the time. What changed lately is kept as
objects, what was shown lately as JSON: a bounded number of each, whatever the mailbox holds.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from rowbox.mailbox.aggregate.endings import Endings
from rowbox.mailbox.conversation import Conversation, is_unread, pack, unpack
from rowbox.mailbox.expiry.ttl import Ttl
from rowbox.mailbox.group import Membership
from rowbox.mailbox.ids import ID_BYTES
from rowbox.mailbox.people.own_settings import OwnSettings
from rowbox.mailbox.receipts import ReceiptMarks

MOST_CHANGES = 512
"""The conversations that changed last: those whose states are objects, and whose order of change is known. More than a
delta shows (conversation_pages.MAX_DELTA)."""
MOST_TEXTS = 512
"""JSON texts kept; when there are more, all are forgotten."""
ENTRY_BYTES = 270
"""A conversation beside its packed state; an entry of `endings` is in it. This and the next three: see
tests/unit/mailbox/aggregate/test_index.py."""
STATE_BYTES = 300
"""A state as an object, without its texts."""
CHANGE_BYTES = 120
"""A place in the order of change."""
TEXT_BYTES = 200
"""A JSON text beside its length."""

_NO_MEMBERSHIPS: Final[Mapping[bytes, Membership]] = {}
_NOTHING_SET: Final[Mapping[bytes, OwnSettings]] = {}

Position = bytes
"""A conversation's place in the list: its newest messageId, then its id. A greater position is nearer to the top."""


def _state_bytes(state: Conversation | bytes) -> int:
    if isinstance(state, bytes):
        return len(state)
    wide = 1 if state.snippet.isascii() else 4  # emoji take 4 bytes for each character
    return STATE_BYTES + len(state.snippet) * wide + sum(map(len, state.participants))


_NOBODYS: Mapping[bytes, ReceiptMarks] = MappingProxyType({})
_NO_TTLS: Mapping[bytes, Ttl] = MappingProxyType({})


class ConversationIndex:
    """All conversations of one mailbox, newest state each. Made empty, or by an IndexDraft.

    `endings`: which of them tell of messages that are gone. `marks`: the mailbox's states of receipts, which belong
    to what clients are shown of a conversation; the mailbox sets and changes them, and says so (`touch`).
    """

    __slots__ = (
        "_changes",
        "_expiring",
        "_order",
        "_requests",
        "_retention_us",
        "_states",
        "_texts",
        "born",
        "endings",
        "floors",
        "marks",
        "memberships",
        "own",
        "size_bytes",
        "ttls",
    )

    def __init__(
        self,
        states: dict[bytes, Conversation | bytes] | None = None,
        order: list[Position] | None = None,
        changes: Iterable[tuple[bytes, int]] = (),
        endings: Endings | None = None,
        *,
        packed_bytes: int = 0,
        born: int = 0,
        expiring: Sequence[tuple[bytes, int]] = (),
    ) -> None:
        """An empty index, or that of an IndexDraft: packed `states`, their positions ascending, and of the
        MOST_CHANGES newest (conversation, version), ascending by version.

        `born`: the least version with which a conversation was created; 0 where there is none. `endings` say when
        retention ends something; what ends by itself earlier is in `expiring`, with its time, until `keep_for`.
        """
        self._states = {} if states is None else states
        self._order = [] if order is None else order
        self._requests: list[Position] = []
        # The last one changed last: versions only rise. An OrderedDict, because a dict that is read from its end walks
        # over every place that a moved entry left.
        self._changes: OrderedDict[bytes, int] = OrderedDict(changes)
        self._texts: dict[bytes, bytes] = {}
        self.endings = endings if endings is not None else Endings()
        self.marks = _NOBODYS
        self.born = born
        self._expiring = expiring
        self._retention_us = 0
        self.ttls = _NO_TTLS
        """For how long messages last, by conversation: changed only with the state."""
        self.memberships: Mapping[bytes, Membership] = _NO_MEMBERSHIPS
        """What the user knows of groups beside their states, by conversation: changed only with the state."""
        self.own: Mapping[bytes, OwnSettings] = _NOTHING_SET
        """How the user has set conversations for himself: what clients see of it is changed only with the state."""
        self.floors: dict[bytes, int] = {}
        """Of conversations of which he has deleted his copy: what came up to this version is gone (OwnSettings)."""
        self.size_bytes = len(self._states) * ENTRY_BYTES + packed_bytes + len(self._changes) * CHANGE_BYTES

    def __len__(self) -> int:
        return len(self._states)

    def __contains__(self, conversation_id: bytes) -> bool:
        return conversation_id in self._states

    def get(self, conversation_id: bytes) -> Conversation | None:
        """The state of a conversation; None when the user is not in it."""
        state = self._states.get(conversation_id)
        return unpack(state) if isinstance(state, bytes) else state

    def version_of(self, conversation_id: bytes) -> int:
        """The version of what clients are shown of a conversation; 0 when the user is not in it."""
        version = self._changes.get(conversation_id)
        if version is None:
            state, marks = self.get(conversation_id), self.marks.get(conversation_id)
            version = state.version if state is not None else 0
            if state is not None and marks is not None:
                version = max(version, marks.shown)
        return version

    def packed(self) -> dict[bytes, bytes]:
        """All states by conversation, packed."""
        return {one: state if isinstance(state, bytes) else pack(state) for one, state in self._states.items()}

    def unread(self) -> Iterator[bytes]:
        """The conversations that have unread messages, in no order. Looks at all: a quarter of a microsecond each."""
        return (one for one, state in self._states.items() if is_unread(state))

    def put(self, conversation_id: bytes, state: Conversation) -> None:
        """Takes in a state whose version is greater than all others here."""
        known = self._states.get(conversation_id)
        old = unpack(known) if isinstance(known, bytes) else known
        self._states[conversation_id] = state
        self._forget_text(conversation_id)
        self._note_change(conversation_id, state.version)
        has_end = state.snippet_expires or state.unread_expires  # else a state never ends before the one it replaces
        if state.can_end and (old is None or not old.can_end or (has_end and self._ends_sooner(state, old))):
            self.endings.add(conversation_id, state.ends_after(self._retention_us))
        if known is None or old is None:
            self.size_bytes += ENTRY_BYTES + _state_bytes(state)
        else:
            self.size_bytes += _state_bytes(state) - _state_bytes(known)
            if old.last_message_id == state.last_message_id and conversation_id not in self.own:
                return
            self._leave_out(old.last_message_id + conversation_id)
        self._list(conversation_id, state.last_message_id)

    def keep_for(self, retention_us: int) -> None:
        """Sets for how long messages are kept, in microseconds: before anything is asked of what has ended."""
        self._retention_us = retention_us
        for conversation_id, expires_us in self._expiring:
            self.endings.add(conversation_id, expires_us - retention_us)
        self._expiring = ()

    def touch(self, conversation_id: bytes, version: int) -> None:
        """Notes that its `marks` were changed, with a version that is greater than all others here.

        Clients are shown the conversation anew; its state and its place in the list stay.
        """
        if conversation_id in self._states:
            self._forget_text(conversation_id)
            self._note_change(conversation_id, version)

    def _leave_out(self, position: Position) -> None:
        """Takes a conversation out of the list in which it is, if it is in one: its user may have set it meanwhile."""
        for order in (self._order, self._requests):
            place = bisect_left(order, position)
            if order[place : place + 1] == [position]:
                del order[place]
                return

    def _list(self, conversation_id: bytes, last_message_id: bytes) -> None:
        own = self.own.get(conversation_id)
        if own is not None and own.is_deleted:
            return
        order = self._order if own is None or not own.is_request else self._requests
        position = last_message_id + conversation_id
        if order and position < order[-1]:
            insort(order, position)
        else:
            order.append(position)  # as most do: what is newest comes last

    def requests(self, below: Position | None, count: int) -> list[Position]:
        """Of the conversations that wait to be accepted the `count` positions under `below`; None: the newest ones."""
        end = len(self._requests) if below is None else bisect_left(self._requests, below)
        return self._requests[max(0, end - count) : end][::-1]

    def newest(self, skip: int, count: int) -> list[Position]:
        """Positions `skip` to `skip + count` of the list, newest first."""
        end = len(self._order) - skip
        return self._order[max(0, end - count) : max(0, end)][::-1]

    def below(self, position: Position, count: int) -> list[Position]:
        """The `count` positions under `position` as the list stands now, newest first."""
        end = bisect_left(self._order, position)
        return self._order[max(0, end - count) : end][::-1]

    def changed_since(self, version: int, most: int) -> list[Position] | None:
        """The conversations changed after `version`, in the order of the list; None when there are more than `most`.

        `most` is less than MOST_CHANGES.
        """
        changed: list[Position] = []
        for conversation_id, changed_at in reversed(self._changes.items()):
            if changed_at <= version:
                break
            if len(changed) == most:
                return None
            state = self.get(conversation_id)
            assert state is not None
            changed.append(state.last_message_id + conversation_id)
        changed.sort(reverse=True)
        return changed

    def latest(self, since: int, most: int) -> list[tuple[bytes, int]]:
        """Of the conversations that changed after `since` the `most` that changed last, each with its version."""
        found: list[tuple[bytes, int]] = []
        for conversation_id, changed_at in reversed(self._changes.items()):
            if changed_at <= since or len(found) == most:
                break
            found.append((conversation_id, changed_at))
        return found

    def ended(self, horizon: int, most: int) -> list[bytes]:
        """Conversations that tell of messages that are gone: see Endings.ended."""
        return self.endings.ended(horizon, self._ends_after, most)

    def ended_of(self, positions: Sequence[Position], horizon: int) -> Sequence[bytes]:
        """Those of the conversations at `positions` that tell of messages that are gone by `horizon`."""
        if self.endings.first > horizon:
            return ()
        shown = [position[ID_BYTES:] for position in positions]
        return [conversation_id for conversation_id in shown if self._ends_after(conversation_id) <= horizon]

    def json_of(self, conversation_id: bytes, horizon: int) -> bytes:
        """The conversation as fetchConversation shows it; encoded once per state, until that has ended."""
        known = self._texts.get(conversation_id)
        if known is not None and self.endings.first > horizon:
            return known
        state, marks, ttl = self.get(conversation_id), self.marks.get(conversation_id), self.ttls.get(conversation_id)
        assert state is not None
        membership, own = self._membership(state, conversation_id), self.own.get(conversation_id)
        now_us = horizon + self._retention_us
        if state.has_ended(horizon, now_us):
            return state.at(horizon, now_us).to_json(conversation_id, membership, marks, own, ttl)
        if known is None:
            known = state.to_json(conversation_id, membership, marks, own, ttl)
            self._keep_text(conversation_id, known)
        return known

    def _membership(self, state: Conversation, conversation_id: bytes) -> Membership | None:
        return None if state.group is None else self.memberships.get(conversation_id)

    def is_deleted(self, conversation_id: bytes) -> bool:
        """Whether the user has deleted his copy, and no message has come since: then it is in no list."""
        own = self.own.get(conversation_id)
        return own is not None and own.is_deleted

    def take_floors(self, settings: Mapping[bytes, OwnSettings]) -> None:
        """Takes in what of new settings is about copies that were deleted."""
        for conversation_id, own in settings.items():
            if own.floor:
                self.floors[conversation_id] = own.floor

    def is_request(self, conversation_id: bytes) -> bool:
        """Whether a stranger began it, and the user has not accepted it: then it is in no list but `requests`."""
        own = self.own.get(conversation_id)
        return own is not None and own.is_request

    def leave_out(self) -> None:
        """Takes conversations that are deleted, or wait to be accepted, out of the list: of an index that was just
        made, once.
        """
        if any(own.is_deleted or own.is_request for own in self.own.values()):
            every, self._order = self._order, []
            for position in every:
                self._list(position[ID_BYTES:], position[:ID_BYTES])

    def is_muted(self, conversation_id: bytes, at_us: int) -> bool:
        """Whether the user is not to be called by a message that comes to a conversation at that time."""
        own = self.own.get(conversation_id)
        return own is not None and own.is_muted(at_us)

    def _ends_after(self, conversation_id: bytes) -> int:
        state = self.get(conversation_id)
        assert state is not None
        return state.ends_after(self._retention_us)

    def _ends_sooner(self, state: Conversation, old: Conversation) -> bool:
        """Whether a state ends before the one that it replaces did."""
        return state.ends_after(self._retention_us) < old.ends_after(self._retention_us)

    def _note_change(self, conversation_id: bytes, version: int) -> None:
        """Makes it the one that changed last. What leaves the order is packed."""
        changes = self._changes
        if conversation_id in changes:
            changes[conversation_id] = version
            changes.move_to_end(conversation_id)
            return
        changes[conversation_id] = version
        self.size_bytes += CHANGE_BYTES
        if len(changes) > MOST_CHANGES:
            gone, _ = changes.popitem(last=False)
            self.size_bytes -= CHANGE_BYTES
            state = self._states[gone]
            if not isinstance(state, bytes):
                packed = self._states[gone] = pack(state)
                self.size_bytes += len(packed) - _state_bytes(state)

    def _keep_text(self, conversation_id: bytes, text: bytes) -> None:
        if len(self._texts) >= MOST_TEXTS:
            self.size_bytes -= sum(TEXT_BYTES + len(other) for other in self._texts.values())
            self._texts.clear()
        self._forget_text(conversation_id)
        self._texts[conversation_id] = text
        self.size_bytes += TEXT_BYTES + len(text)

    def _forget_text(self, conversation_id: bytes) -> None:
        known = self._texts.pop(conversation_id, None)
        if known is not None:
            self.size_bytes -= TEXT_BYTES + len(known)

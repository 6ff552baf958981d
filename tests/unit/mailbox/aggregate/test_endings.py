"""The search for what has ended, against the plainest model: a look at every conversation."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from rowbox.hbase_schema.codec import decode_sole_state, encode
from rowbox.mailbox.aggregate.endings import Endings
from rowbox.mailbox.aggregate.index import ConversationIndex
from rowbox.mailbox.aggregate.index_draft import index_of, stored
from rowbox.mailbox.cells import CONVERSATION
from rowbox.mailbox.conversation import NEVER, Conversation, Unread
from rowbox.mailbox.ids import direct_conversation_id, message_id
from rowbox.mailbox.message import Message
from rowbox.mailbox.two_states import cells_of, nothing_before

conversations = st.integers(0, 5).map(lambda n: n.to_bytes(16, "big"))


class EndingsMachine(RuleBasedStateMachine):
    """States change as a mailbox changes them; the horizon rises, and sometimes the clock is set back.

    An end that a message has of its own is on the horizon's scale here: the index keeps messages for no time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.index = ConversationIndex()
        self.states: dict[bytes, Conversation] = {}
        self.version = 100
        self.horizon = 0
        self.sooner = 0
        """How often a state ended sooner than the one before it."""

    def _put(self, conversation: bytes, state: Conversation) -> None:
        old = self.states.get(conversation)
        self.sooner += old is not None and state.ends_after(0) < old.ends_after(0)
        self.index.put(conversation, state)
        self.states[conversation] = state

    @rule(conversation=conversations, is_own=st.booleans(), age=st.integers(0, 30), lasts=st.integers(-5, 40))
    def a_message_comes(self, conversation: bytes, is_own: bool, age: int, lasts: int) -> None:
        self.version += 1
        old = self.index.get(conversation) or Conversation.new(("a", "b"), self.version)
        said = Message(message_id(self.version - age * (not is_own), self.version), conversation, "b", ("a", "b"), "x")
        if lasts > 0 and self.version + lasts > self.horizon:  # what has ended does not come any more
            said = replace(said, expires_us=self.version + lasts)
        change = old.with_sent if is_own else old.with_delivered
        self._put(conversation, change(said, self.version, 1))

    @precondition(lambda self: bool(self.states))
    @rule(data=st.data())
    def a_mark_moves(self, data: st.DataObject) -> None:
        conversation, old = data.draw(st.sampled_from(list(self.states.items())))
        unread = data.draw(st.integers(0, old.unread_count))
        self.version += 1
        since = data.draw(st.integers(old.unread_since, self.version - 1)) if unread else 0
        expires_us = old.unread_expires + data.draw(st.integers(0, 5)) if unread and old.unread_expires else 0
        left = Unread(unread, since, expires_us)
        self._put(conversation, old.with_read_mark(old.last_message_id, left, self.version, 1))

    @rule(by=st.integers(-20, 60))
    def time_passes(self, by: int) -> None:
        self.horizon = min(max(0, self.horizon + by), self.version)

    @rule(most=st.integers(1, 4))
    def what_has_ended_is_settled(self, most: int) -> None:
        for conversation in self.index.ended(self.horizon, most):
            state = self.states[conversation]
            self.version += 1
            now = self.horizon, self.horizon
            unread = Unread(1, self.version - 1) if state.needs_recount(*now) else None
            self._put(conversation, state.settled(*now, unread, self.version, 1))

    @rule(is_cluster=st.booleans())
    def reload(self, is_cluster: bool) -> None:
        cells = cells_of(CONVERSATION.letter, 1, self.states, nothing_before)
        if is_cluster:
            loaded = [stored(cell.key, cell.current) for cell in cells]
        else:
            loaded = [decode_sole_state(*encode(cell)[1:]) for cell in cells]
        self.index = index_of(loaded)
        self.index.keep_for(0)

    def _ended(self) -> set[bytes]:
        return {
            conversation for conversation, state in self.states.items() if state.has_ended(self.horizon, self.horizon)
        }

    @invariant()
    def nothing_has_ended_below_the_first_entry(self) -> None:
        assert not self._ended() or self.index.endings.first <= self.horizon
        assert len(self.index.endings) <= 3 * len(self.index) + self.sooner, "entries do not pile up"

    @invariant()
    def enough_looks_find_all(self) -> None:
        assert set(self.index.ended(self.horizon, 1000)) == self._ended()
        assert (self.index.endings.first <= self.horizon) == bool(self._ended())

    @invariant()
    def pages_name_what_has_ended_in_them(self) -> None:
        positions = self.index.newest(0, 100)
        assert set(self.index.ended_of(positions, self.horizon)) == self._ended()


EndingsMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestEndings = EndingsMachine.TestCase


def test_few_looks_go_over_what_has_moved_on_and_come_to_an_end() -> None:
    endings = Endings()
    for n in range(100):
        endings.add(n.to_bytes(16, "big"), n)
    looks = 0
    while endings.first <= 99:
        assert endings.ended(99, lambda _: 1000, most=10) == []
        looks += 1
    assert (looks, len(endings)) == (10, 100)


def test_what_cannot_end_any_more_leaves() -> None:
    endings = Endings()
    endings.add(direct_conversation_id("a", "b"), 5)
    assert endings.ended(5, lambda _: NEVER, most=10) == []
    assert (len(endings), endings.first) == (0, NEVER)


def test_a_conversation_that_could_not_end_for_a_time_is_found_again() -> None:
    index = ConversationIndex()
    conversation = direct_conversation_id("a", "b")

    def say(old: Conversation, version: int) -> None:
        said = Message(message_id(version, 1), conversation, "a", ("a", "b"), "x")
        index.put(conversation, old.with_sent(said, version, 1))

    say(Conversation.new(("a", "b"), 10), 10)
    (ended,) = index.ended(10, most=10)
    state = index.get(ended)
    assert state is not None
    index.put(conversation, state.settled(10, 10, None, 20, 1))
    assert index.ended(30, most=10) == []
    say(state, 40)
    assert index.ended(39, most=10) == []
    assert index.ended(40, most=10) == [conversation]

"""The conversation index against the plainest model: a dict that is sorted anew for each question."""

import tracemalloc

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.ids import message_id
from rowbox.mailbox.index import ConversationIndex

conversations = st.integers(1, 12).map(lambda n: n.to_bytes(16, "big"))
newest_ids = st.integers(1, 40).map(lambda n: n.to_bytes(16, "big"))
BIRTH_US = 1_800_000_000_000_000


def state_of(version: int, newest: bytes, snippet: str = "hi", users: tuple[str, ...] = ("a", "b")) -> Conversation:
    return replace(
        Conversation.new(users, version), last_message_id=newest, last_message_version=version, snippet=snippet
    )


class IndexMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.index = ConversationIndex()
        self.model: dict[bytes, Conversation] = {}
        self.version = 0

    @rule(conversation=conversations, newest=newest_ids, snippet=st.text(max_size=3))
    def put(self, conversation: bytes, newest: bytes, snippet: str) -> None:
        self.version += 1
        state = state_of(self.version, newest, snippet)
        self.index.put(conversation, state)
        self.model[conversation] = state

    @rule()
    def reload(self) -> None:
        size = self.index.size_bytes
        self.index = ConversationIndex.of(dict(self.model))
        assert self.index.size_bytes == size

    @property
    def order(self) -> list[tuple[bytes, bytes]]:
        return sorted(((state.last_message_id, one) for one, state in self.model.items()), reverse=True)

    @invariant()
    def pages_are_the_model_s(self) -> None:
        order = self.order
        assert len(self.index) == len(order)
        for skip in (0, 1, 3, 20):
            for count in (1, 4, 20):
                assert self.index.newest(skip, count) == order[skip : skip + count]
        for position in (*order, (b"\x00" * 16, b""), (b"\xff" * 16, b"\xff")):
            assert self.index.below(position, 3) == [other for other in order if other < position][:3]

    @invariant()
    def changes_are_the_model_s(self) -> None:
        for version in range(max(0, self.version - 6), self.version + 1):
            changed = [position for position in self.order if self.model[position[1]].version > version]
            assert self.index.changed_since(version, 3) == (changed if len(changed) <= 3 else None)

    @invariant()
    def json_is_of_the_newest_state(self) -> None:
        for conversation, state in self.model.items():
            assert self.index.get(conversation) == state
            shown = self.index.json_of(conversation, BIRTH_US, 1 << 50)
            assert shown == state.to_json(conversation, with_snippet=True)
            gone = self.index.json_of(conversation, BIRTH_US, 0)
            assert gone == state.to_json(conversation, with_snippet=False)


IndexMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestIndex = IndexMachine.TestCase


def _measured(count: int, snippet: str) -> tuple[int, int]:
    """(estimate, what tracemalloc sees), with every JSON cached."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        index = ConversationIndex()
        for n in range(count):
            users = (f"user-{n}", f"other-{n}")
            conversation = n.to_bytes(16, "big")
            index.put(
                conversation, state_of(n + BIRTH_US, message_id(n + BIRTH_US, n), (snippet + str(n))[:100], users)
            )
            index.json_of(conversation, BIRTH_US, 1 << 50)
        return index.size_bytes, tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def test_the_estimate_is_within_a_factor_of_two_of_the_memory() -> None:
    for snippet in ("", "x" * 100, "\u00e4" * 100, "\u4e16" * 100, "\U0001f600" * 100):
        estimate, measured = _measured(2000, snippet)
        assert measured / 2 <= estimate <= measured * 2, (snippet[:1], estimate / 2000, measured / 2000)

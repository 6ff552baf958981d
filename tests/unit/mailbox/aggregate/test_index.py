"""The conversation index against the plainest model: a dict that is sorted anew for each question."""

import tracemalloc
from collections.abc import Callable, Iterator
from itertools import islice

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace

from rowbox.mailbox.aggregate import index as index_module
from rowbox.mailbox.aggregate import index_draft
from rowbox.mailbox.aggregate.index import (
    CHANGE_BYTES,
    ENTRY_BYTES,
    MOST_CHANGES,
    TEXT_BYTES,
    ConversationIndex,
    _state_bytes,
)
from rowbox.mailbox.aggregate.index_draft import IndexDraft, stored
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.ids import message_id

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

    @rule(conversation=conversations, newest=newest_ids, snippet=st.text(max_size=3), unread=st.integers(0, 1))
    def put(self, conversation: bytes, newest: bytes, snippet: str, unread: int) -> None:
        self.version += 1
        state = replace(
            state_of(self.version, newest, snippet), unread_count=unread, unread_since=self.version * unread
        )
        self.index.put(conversation, state)
        self.model[conversation] = state

    @rule(parts=st.integers(1, 4))
    def reload(self, parts: int) -> None:
        draft = IndexDraft()
        states = [stored(conversation, state) for conversation, state in self.model.items()]
        for part in range(parts):
            draft.add(states[part::parts])
        self.index = draft.index()
        assert self.index.born == min((state.created_version for state in self.model.values()), default=0)

    @property
    def order(self) -> list[bytes]:
        return sorted((state.last_message_id + one for one, state in self.model.items()), reverse=True)

    @invariant()
    def pages_are_the_model_s(self) -> None:
        order = self.order
        assert len(self.index) == len(order)
        for skip in (0, 1, 3, 20):
            for count in (1, 4, 20):
                assert self.index.newest(skip, count) == order[skip : skip + count]
        for position in (*order, b"\x00" * 32, b"\xff" * 32):
            assert self.index.below(position, 3) == [other for other in order if other < position][:3]

    @invariant()
    def changes_are_the_model_s(self) -> None:
        for version in range(max(0, self.version - 6), self.version + 1):
            changed = [position for position in self.order if self.model[position[16:]].version > version]
            assert self.index.changed_since(version, 3) == (changed if len(changed) <= 3 else None)

    @invariant()
    def unread_are_those_that_say_so(self) -> None:
        assert set(self.index.unread()) == {one for one, state in self.model.items() if state.unread_count}

    @invariant()
    def json_is_of_the_newest_state(self) -> None:
        for conversation, state in self.model.items():
            assert self.index.get(conversation) == state
            assert self.index.json_of(conversation, 0) == state.to_json(conversation)
            assert self.index.json_of(conversation, self.version) == state.at(self.version, self.version).to_json(
                conversation
            )

    @invariant()
    def its_size_is_that_of_what_it_holds(self) -> None:
        index = self.index
        texts = sum(TEXT_BYTES + len(text) for text in index._texts.values())
        states = sum(ENTRY_BYTES + _state_bytes(state) for state in index._states.values())
        assert index.size_bytes == texts + states + CHANGE_BYTES * len(index._changes)


@pytest.mark.parametrize("most_changes", [4, MOST_CHANGES])
def test_index(most_changes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (index_module, index_draft):
        monkeypatch.setattr(module, "MOST_CHANGES", most_changes)
    monkeypatch.setattr(index_module, "MOST_TEXTS", most_changes)
    run_state_machine_as_test(IndexMachine, settings=settings(max_examples=40, stateful_step_count=20, deadline=None))


def _states(count: int, snippet: str) -> Iterator[tuple[bytes, Conversation]]:
    for n in range(count):
        users = (f"user-{n}", f"other-{n}")
        text = (snippet + str(n))[:100]
        yield n.to_bytes(16, "big"), state_of(n + BIRTH_US, message_id(n + BIRTH_US, n), text, users)


def put_one_by_one(count: int, snippet: str) -> ConversationIndex:
    index = ConversationIndex()
    for conversation, state in _states(count, snippet):
        index.put(conversation, state)
        index.json_of(conversation, 0)
    return index


def loaded(count: int, snippet: str) -> ConversationIndex:
    draft = IndexDraft()
    states = _states(count, snippet)
    while part := [stored(*one) for one in islice(states, 500)]:
        draft.add(part)
    return draft.index()


def _measured(make: Callable[[int, str], ConversationIndex], count: int, snippet: str) -> tuple[int, int]:
    """(estimate, what tracemalloc sees)."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        index = make(count, snippet)
        return index.size_bytes, tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [100, 5000])
@pytest.mark.parametrize("make", [put_one_by_one, loaded])
def test_the_estimate_is_within_a_factor_of_two_of_the_memory(
    make: Callable[[int, str], ConversationIndex], count: int
) -> None:
    for snippet in ("", "x" * 100, "\u00e4" * 100, "\u4e16" * 100, "\U0001f600" * 100):
        estimate, measured = _measured(make, count, snippet)
        assert measured / 2 <= estimate <= measured * 2, (snippet[:1], estimate / count, measured / count)


def test_a_conversation_among_many_takes_less_than_450_bytes() -> None:
    """At 80c87b5: 950."""
    for make in (put_one_by_one, loaded):
        assert _measured(make, 20_000, "some words of the newest message")[1] / 20_000 < 450


def test_what_is_shown_of_many_conversations_does_not_stay_for_all() -> None:
    index = loaded(5000, "hi")
    before = index.size_bytes
    for position in index.newest(0, 5000):
        index.json_of(position[16:], 0)
    assert index.size_bytes < before + 400_000


def test_a_change_among_many_is_in_the_delta_and_the_rest_is_too_much_to_tell() -> None:
    index = loaded(5000, "hi")
    newest = 5000 + BIRTH_US
    conversation = (17).to_bytes(16, "big")
    index.put(conversation, state_of(newest, message_id(newest, 1)))
    assert index.changed_since(newest - 1, 200) == [message_id(newest, 1) + conversation]
    assert index.changed_since(BIRTH_US, 200) is None
    assert index.changed_since(newest - 200, 200) is not None


def test_no_step_of_making_an_index_is_more_than_a_merge_of_two_runs() -> None:
    """The work of each step, counted in positions: sorting all of them at once was one step."""
    draft = IndexDraft()
    states = _states(20_000, "hi")
    while part := [stored(*one) for one in islice(states, 500)]:
        draft.add(part)
    steps = sum(1 for _ in draft.merges())
    assert steps == 20_000 // 500 - 1
    index = draft.index()
    assert index.newest(0, 2) == [message_id(n + BIRTH_US, n) + n.to_bytes(16, "big") for n in (19_999, 19_998)]

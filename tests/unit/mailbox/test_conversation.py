import orjson
from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.conversation import NEVER, NOTHING_UNREAD, SNIPPET_CHARACTERS, UNREAD_CAP, Conversation, Unread
from rowbox.mailbox.ids import ZERO_ID, message_id
from rowbox.mailbox.message import Message

CONVERSATION = bytes(16)
steps = st.lists(st.tuples(st.sampled_from(["sent", "delivered"]), st.integers(0, 200)), max_size=20)


def message(sent_us: int, content: str = "x", sender: str = "bob") -> Message:
    return Message(message_id(sent_us, sent_us), CONVERSATION, sender, ("ann", "bob"), content)


@given(steps)
def test_the_state_is_what_a_recount_of_the_messages_says(plays: list[tuple[str, int]]) -> None:
    state = Conversation.new(("ann", "bob"), 1)
    others: list[bytes] = []
    newest, mark, clock = ZERO_ID, ZERO_ID, 10_000
    for version, (kind, ago) in enumerate(plays, 2):
        clock += 1000
        if kind == "sent":
            said = message(clock, f"own {version}", "ann")
            state = state.with_sent(said, version, 7)
            mark = said.message_id
        else:
            said = message(clock - ago * 20, f"other {version}")
            if said.message_id in others or said.message_id == newest:
                continue
            others.append(said.message_id)
            state = state.with_delivered(said, version, 7)
        if said.message_id > newest:
            newest = said.message_id
            assert state.snippet == said.content
            assert state.last_message_version == version
        assert (state.last_message_id, state.version, state.epoch) == (newest, version, 7)
        assert state.unread_count == sum(other > mark for other in others)
        newest_of_others = max(others, default=b"")
        assert state.read_of_others == (min(mark, newest_of_others) if mark != ZERO_ID else b"")
        assert state.created_version == 1


def test_unread_stops_at_its_cap() -> None:
    state = Conversation.new(("ann", "bob"), 1)
    for n in range(UNREAD_CAP + 5):
        state = state.with_delivered(message(n + 1), n + 2, 1)
        assert state.unread_count == min(n + 1, UNREAD_CAP)


def test_a_snippet_is_the_first_characters_and_goes_with_the_message() -> None:
    state = Conversation.new(("ann", "bob"), 1).with_sent(message(5, "\U0001f600" * 150), 10_000_000, 1)
    assert state.snippet == "\U0001f600" * SNIPPET_CHARACTERS
    assert not state.has_ended(9_999_999)
    assert state.has_ended(10_000_000)
    left = state.at(10_000_000)
    assert (left.snippet, left.ends_after, left.last_message_id) == ("", NEVER, state.last_message_id)
    assert orjson.loads(left.to_json(CONVERSATION))["snippet"] is None


def test_a_read_mark_leaves_everything_else() -> None:
    before = Conversation.new(("ann", "bob"), 1).with_delivered(message(5, "hi"), 2, 1)
    after = before.with_read_mark(before.last_message_id, NOTHING_UNREAD, 3, 2)
    assert (after.read_mark, after.unread_count, after.version, after.epoch) == (before.last_message_id, 0, 3, 2)
    assert (after.snippet, after.last_message_id, after.last_message_version) == ("hi", before.last_message_id, 2)


@given(
    st.lists(
        st.tuples(st.sampled_from(["sent", "delivered", "settled"]), st.integers(0, 200), st.integers(0, 9)),
        max_size=40,
    )
)
def test_under_retention_a_state_is_what_a_recount_of_what_is_there_says(plays: list[tuple[str, int, int]]) -> None:
    """A state is right until it says that it has ended; what is then counted of it is exact again."""
    state = Conversation.new(("ann", "bob"), 1)
    others: dict[bytes, int] = {}
    newest, newest_version, mark, clock, version, horizon = ZERO_ID, 0, ZERO_ID, 10_000, 1, 0
    for kind, ago, life in plays:
        clock, version = clock + 1000, version + 1
        horizon = max(horizon, version - life)
        if kind == "sent":
            said = message(clock, "x", "ann")
            state = state.with_sent(said, version, 7)
            mark = newest = said.message_id
            newest_version = version
        elif kind == "delivered":
            said = message(clock - ago * 20)
            if said.message_id in others or said.message_id == newest:
                continue
            others[said.message_id] = version
            state = state.with_delivered(said, version, 7)
            if said.message_id > newest:
                newest, newest_version = said.message_id, version
        versions = [came for one, came in others.items() if one > mark and came > horizon]
        if newest == ZERO_ID:
            continue
        exact = (len(versions), "x" if newest_version > horizon else "")
        shown = state.at(horizon)
        if not state.has_ended(horizon):
            assert (state.unread_count, state.snippet) == exact
            assert shown == state
        assert shown.snippet == exact[1]
        assert shown.unread_count == exact[0] or (state.needs_recount(horizon) and shown.unread_count > exact[0])
        if kind == "settled" and state.has_ended(horizon):
            unread = Unread(len(versions), min(versions, default=0)) if state.needs_recount(horizon) else None
            state = state.settled(horizon, unread, version, 7)
            assert (state.unread_count, state.snippet, state.version) == (*exact, version)
            assert not state.has_ended(horizon)


def test_a_state_that_was_written_without_it_is_counted_anew_when_its_oldest_message_can_have_expired() -> None:
    before = Conversation(2, 1, ("ann", "bob"), message(5).message_id, 2, "hi", ZERO_ID, 3, 1)
    assert before.unread_since == 0
    assert not before.has_ended(0)
    assert before.has_ended(1)
    assert before.needs_recount(1)
    assert not before.needs_recount(2), "its newest message is gone, and so are all"
    later = before.with_delivered(message(6), 3, 1)
    assert (later.unread_count, later.needs_recount(1)) == (4, True)

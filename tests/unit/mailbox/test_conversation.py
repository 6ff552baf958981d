import orjson
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rowbox.mailbox.conversation import NEVER, NOTHING_UNREAD, SNIPPET_CHARACTERS, UNREAD_CAP, Conversation, unread_of
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
    assert not state.has_ended(9_999_999, 0)
    assert state.has_ended(10_000_000, 0)
    left = state.at(10_000_000, 0)
    assert (left.snippet, left.kept_until, left.last_message_id) == ("", NEVER, state.last_message_id)
    assert orjson.loads(left.to_json(CONVERSATION))["snippet"] is None


def test_a_read_mark_leaves_everything_else() -> None:
    before = Conversation.new(("ann", "bob"), 1).with_delivered(message(5, "hi"), 2, 1)
    after = before.with_read_mark(before.last_message_id, NOTHING_UNREAD, 3, 2)
    assert (after.read_mark, after.unread_count, after.version, after.epoch) == (before.last_message_id, 0, 3, 2)
    assert (after.snippet, after.last_message_id, after.last_message_version) == ("hi", before.last_message_id, 2)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["sent", "delivered", "settled"]),
            st.integers(0, 200),
            st.integers(0, 9),
            st.sampled_from([0, 0, 1, 3, 9]),
        ),
        max_size=40,
    )
)
def test_a_state_is_what_a_recount_of_what_is_there_says(plays: list[tuple[str, int, int, int]]) -> None:
    """A state is right until it says that it has ended; what is then counted of it is exact again.

    Retention takes some messages, and some have an end of their own: that is on the horizon's scale here.
    """
    state = Conversation.new(("ann", "bob"), 1)
    others: dict[bytes, tuple[int, int]] = {}
    newest, newest_lives, mark, clock, version, horizon = ZERO_ID, (0, 0), ZERO_ID, 10_000, 1, 0

    def is_there(lives: tuple[int, int]) -> bool:
        came, ends = lives
        return came > horizon and not 0 < ends <= horizon

    for kind, ago, life, lasts in plays:
        clock, version = clock + 1000, version + 1
        horizon = max(horizon, version - life)
        ends = max(version, horizon) + lasts if lasts else 0
        if kind == "sent":
            said = replace(message(clock, "x", "ann"), expires_us=ends)
            state = state.with_sent(said, version, 7)
            mark = newest = said.message_id
            newest_lives = version, ends
        elif kind == "delivered":
            said = replace(message(clock - ago * 20), expires_us=ends)
            if said.message_id in others or said.message_id == newest:
                continue
            others[said.message_id] = version, ends
            state = state.with_delivered(said, version, 7)
            if said.message_id > newest:
                newest, newest_lives = said.message_id, (version, ends)
        left = [lives for one, lives in others.items() if one > mark and is_there(lives)]
        if newest == ZERO_ID:
            continue
        exact = (len(left), "x" if is_there(newest_lives) else "")
        now = horizon, horizon
        shown = state.at(*now)
        if not state.has_ended(*now):
            assert (state.unread_count, state.snippet) == exact
            assert shown == state
        assert shown.snippet == exact[1]
        assert shown.unread_count == exact[0] or (state.needs_recount(*now) and shown.unread_count > exact[0])
        if kind == "settled" and state.has_ended(*now):
            unread = unread_of(left) if state.needs_recount(*now) else None
            state = state.settled(*now, unread, version, 7)
            assert (state.unread_count, state.snippet, state.version) == (*exact, version)
            assert not state.has_ended(*now)


def test_a_state_that_was_written_without_it_is_counted_anew_when_its_oldest_message_can_have_expired() -> None:
    before = Conversation(2, 1, ("ann", "bob"), message(5).message_id, 2, "hi", ZERO_ID, 3, 1)
    assert before.unread_since == 0
    assert not before.has_ended(0, 0)
    assert before.has_ended(1, 0)
    assert before.needs_recount(1, 0)
    assert not before.needs_recount(2, 0), "its newest message is gone, and so are all"
    later = before.with_delivered(message(6), 3, 1)
    assert (later.unread_count, later.needs_recount(1, 0)) == (4, True)


def test_a_deleted_conversation_takes_no_end_of_what_was_in_it_into_what_comes_later() -> None:
    ends = replace(message(5), expires_us=10_000)
    state = Conversation.new(("ann", "bob"), 1).with_delivered(ends, 2, 1).with_deleted(3, 1)
    assert (state.snippet_expires, state.unread_expires) == (0, 0)
    later = state.with_delivered(message(6), 4, 1)
    assert (later.unread_count, later.expires_us) == (1, 0)

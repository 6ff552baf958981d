import orjson
from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.conversation import SNIPPET_CHARACTERS, UNREAD_CAP, Conversation
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
        assert state.created_version == 1


def test_unread_stops_at_its_cap() -> None:
    state = Conversation.new(("ann", "bob"), 1)
    for n in range(UNREAD_CAP + 5):
        state = state.with_delivered(message(n + 1), n + 2, 1)
        assert state.unread_count == min(n + 1, UNREAD_CAP)


def test_a_snippet_is_the_first_characters_and_goes_with_the_message() -> None:
    state = Conversation.new(("ann", "bob"), 1).with_sent(message(5, "\U0001f600" * 150), 10_000_000, 1)
    assert state.snippet == "\U0001f600" * SNIPPET_CHARACTERS
    assert state.snippet_expires_us(1000) == 11_000_000
    assert orjson.loads(state.to_json(CONVERSATION, with_snippet=False))["snippet"] is None


def test_a_read_mark_leaves_everything_else() -> None:
    before = Conversation.new(("ann", "bob"), 1).with_delivered(message(5, "hi"), 2, 1)
    after = before.with_read_mark(before.last_message_id, 0, 3, 2)
    assert (after.read_mark, after.unread_count, after.version, after.epoch) == (before.last_message_id, 0, 3, 2)
    assert (after.snippet, after.last_message_id, after.last_message_version) == ("hi", before.last_message_id, 2)

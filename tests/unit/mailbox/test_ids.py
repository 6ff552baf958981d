import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox import ids
from rowbox.mailbox.errors import BadRequest

sent_times = st.integers(0, (1 << 48) * 1000 - 1)
entropies = st.integers(0, (1 << 62) - 1)
users = st.text("ab1._@+:-", min_size=1, max_size=6)


@given(sent_times, entropies)
def test_a_message_id_tells_its_time_and_is_a_uuid_of_version_7(sent_us: int, entropy: int) -> None:
    made = ids.message_id(sent_us, entropy)
    assert len(made) == ids.ID_BYTES
    assert ids.sent_timestamp(made) == sent_us
    as_uuid = uuid.UUID(bytes=made)
    assert (as_uuid.version, as_uuid.variant) == (7, uuid.RFC_4122)


@given(sent_times, entropies, sent_times, entropies)
def test_message_ids_sort_by_time_whatever_the_entropy(one: int, entropy: int, other: int, other_entropy: int) -> None:
    if one < other:
        assert ids.message_id(one, entropy) < ids.message_id(other, other_entropy)


@given(sent_times, entropies, entropies)
def test_equal_times_are_set_apart_by_the_entropy(sent_us: int, one: int, other: int) -> None:
    assert (ids.message_id(sent_us, one) == ids.message_id(sent_us, other)) == (one == other)


@given(users, users)
def test_both_sides_of_a_conversation_compute_one_id(one: str, other: str) -> None:
    assert ids.direct_conversation_id(one, other) == ids.direct_conversation_id(other, one)


@given(users, users, users, users)
def test_other_pairs_have_other_conversations(a: str, b: str, c: str, d: str) -> None:
    same = ids.direct_conversation_id(a, b) == ids.direct_conversation_id(c, d)
    assert same == ({a, b} == {c, d})


def test_the_conversation_id_is_a_contract_with_the_stores_that_exist() -> None:
    assert ids.direct_conversation_id("bob", "ann").hex() == "513444bd0623127f106eb54f7e08e37b"


@given(users, st.integers(1, 65536))
def test_a_shard_is_in_its_range(user: str, shards: int) -> None:
    assert 0 <= ids.shard_of(user, shards) < shards


@given(st.binary(min_size=16, max_size=16))
def test_the_text_of_an_id_reads_back(identifier: bytes) -> None:
    assert ids.from_text(ids.to_text(identifier), "messageId") == identifier


@pytest.mark.parametrize("text", ["", "0" * 31, "0" * 33, "G" * 32, "A" * 32, "0" * 31 + "\n", "\u0660" * 32])
def test_what_is_no_id_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadRequest, match="messageId"):
        ids.from_text(text, "messageId")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [(text, True) for text in ("a", "a" * 128, "A.b_c@d+e:f-9")]
    + [(text, False) for text in ("", "a" * 129, "a b", "a/b", "a\n", "\u00e4", "a\0")],
)
def test_user_ids(text: str, is_one: bool) -> None:
    assert ids.is_user_id(text) == is_one


@given(st.text(min_size=1, max_size=5), st.text(min_size=1, max_size=5))
def test_payloads_differ_by_their_content(one: str, other: str) -> None:
    conversation = bytes(16)
    assert (ids.payload_hash(conversation, one) == ids.payload_hash(conversation, other)) == (one == other)
    assert ids.payload_hash(bytes(15) + b"\x01", one) != ids.payload_hash(conversation, one)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.hbase_schema import keys
from rowbox.mailbox.cells import KINDS
from rowbox.mailbox.ids import shard_of

identifiers = st.binary(min_size=16, max_size=16)
few_identifiers = st.integers(0, 3).map(lambda n: bytes(15) + bytes([n]))
stamps = st.integers(0, (1 << 64) - 2)
few_stamps = st.integers(0, 5)
users = st.text("aZ9._@+:-", min_size=1, max_size=12)


@given(users, st.integers(64, 65536))
def test_a_row_key_tells_its_user_and_its_shard(user: str, shards: int) -> None:
    row = keys.row_key(user, shards)
    assert keys.name_of(row, shards) == user
    assert keys.shard_of_row(row) == shard_of(user, shards)


@given(users, st.integers(0, 65535), st.integers(1, 65536))
def test_a_range_of_shards_holds_their_rows_and_no_others(user: str, first: int, count: int) -> None:
    shards = range(first, min(first + count, keys.MAX_SHARDS))
    start, stop = keys.shard_range(shards)
    assert (start <= keys.row_key(user, keys.MAX_SHARDS) < stop) == (shard_of(user, keys.MAX_SHARDS) in shards)


@pytest.mark.parametrize("row", [keys.SCHEMA_ROW, keys.CLUSTER_ROW])
def test_a_row_of_no_user_sorts_behind_every_shard(row: bytes) -> None:
    assert row >= keys.META_START >= keys.shard_range(range(keys.MAX_SHARDS))[1]


@given(st.sampled_from(list(KINDS)), st.binary(max_size=16), stamps)
def test_qualifiers_of_the_index_read_back(kind: bytes, key: bytes, epoch: int) -> None:
    qualifier = keys.state_qualifier(kind, key, epoch)
    assert keys.split_state_qualifier(qualifier) == (key, epoch)
    assert len(qualifier) == keys.state_bytes(len(key))
    assert (qualifier[:1], keys.index_epoch(qualifier)) == (kind, epoch)
    assert keys.index_epoch(keys.fence_qualifier(epoch)) == epoch


def test_no_two_kinds_of_the_index_have_one_letter() -> None:
    assert all(len(letter) == 1 and letter == kind.letter for letter, kind in KINDS.items())
    assert keys.FENCE_PREFIX not in KINDS


@given(identifiers, identifiers, stamps, stamps)
def test_qualifiers_of_messages_read_back(conversation: bytes, message: bytes, epoch: int, version: int) -> None:
    qualifier = keys.message_qualifier(conversation, message, epoch, version)
    assert keys.split_message_qualifier(qualifier) == (conversation, message, epoch, version, 0, 0)


@given(identifiers, stamps, stamps)
def test_the_other_qualifiers_read_back(identifier: bytes, one: int, other: int) -> None:
    assert keys.split_log_qualifier(keys.log_qualifier(one, other)) == (one, other)
    assert keys.split_dedupe_qualifier(keys.dedupe_qualifier(identifier, one)) == (identifier, one)
    assert keys.split_outbox_qualifier(keys.outbox_qualifier(identifier, one)) == (identifier, one)


@given(identifiers, identifiers)
def test_inversion_turns_the_order_round_and_is_its_own_inverse(one: bytes, other: bytes) -> None:
    assert keys.invert(keys.invert(one)) == one
    assert (one < other) == (keys.invert(one) > keys.invert(other))


MessageKeyTuple = tuple[bytes, bytes, int, int]
message_keys = st.tuples(few_identifiers, few_identifiers, few_stamps, few_stamps)


@given(message_keys, message_keys)
def test_messages_sort_by_conversation_then_newest_first_then_by_who_wrote_them(
    one: MessageKeyTuple, other: MessageKeyTuple
) -> None:
    def logical(key: MessageKeyTuple) -> tuple[bytes, int, int, int]:
        return key[0], -int.from_bytes(key[1], "big"), key[2], key[3]

    assert (keys.message_qualifier(*one) < keys.message_qualifier(*other)) == (logical(one) < logical(other))


@given(few_identifiers, st.none() | few_identifiers, st.none() | few_identifiers, message_keys)
def test_a_range_of_messages_holds_exactly_those_between(
    conversation: bytes, above: bytes | None, below: bytes | None, key: MessageKeyTuple
) -> None:
    start, stop = keys.message_range(conversation, above, below)
    is_between = (above is None or above < key[1]) and (below is None or key[1] < below)
    assert (start <= keys.message_qualifier(*key) < stop) == (key[0] == conversation and is_between)


@given(identifiers, st.sampled_from([b"\xff" * 16, bytes(16)]), st.sampled_from([0, (1 << 64) - 1]))
def test_a_range_without_bounds_holds_the_first_and_the_last(conversation: bytes, message: bytes, stamp: int) -> None:
    start, stop = keys.message_range(conversation, None, None)
    assert start <= keys.message_qualifier(conversation, message, stamp, stamp) < stop
    start, stop = keys.copies_range(conversation, message)
    assert start <= keys.message_qualifier(conversation, message, stamp, stamp) < stop


@given(few_identifiers, few_identifiers, message_keys)
def test_the_copies_of_a_message_are_those_of_all_writers_and_of_no_other_message(
    conversation: bytes, message: bytes, key: MessageKeyTuple
) -> None:
    start, stop = keys.copies_range(conversation, message)
    assert (start <= keys.message_qualifier(*key) < stop) == (key[:2] == (conversation, message))


@given(few_stamps, few_stamps, few_stamps, stamps)
def test_a_range_of_the_log_holds_exactly_what_came_after_and_not_later(
    after: int, through: int, version: int, epoch: int
) -> None:
    start, stop = keys.log_range(after, through)
    assert (start <= keys.log_qualifier(version, epoch) < stop) == (after < version <= through)


@given(stamps, stamps, stamps, stamps)
def test_the_log_sorts_upwards_by_version(one: int, epoch: int, other: int, other_epoch: int) -> None:
    if one < other:
        assert keys.log_qualifier(one, epoch) < keys.log_qualifier(other, other_epoch)


@given(few_identifiers, few_identifiers, stamps)
def test_a_range_of_dedupe_holds_all_epochs_of_one_id(one: bytes, other: bytes, epoch: int) -> None:
    start, stop = keys.dedupe_range(one)
    assert (start <= keys.dedupe_qualifier(other, epoch) < stop) == (one == other)


@given(st.binary(max_size=4), st.binary(max_size=4))
def test_nothing_sorts_between_a_key_and_the_one_after(key: bytes, other: bytes) -> None:
    assert key < keys.after(key)
    assert not key < other < keys.after(key)

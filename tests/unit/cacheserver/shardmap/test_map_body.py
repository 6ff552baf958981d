"""The bytes of a map: they read back as it, later fields are passed over, and what is no map is damage."""

import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rowbox.cacheserver.features import KNOWN
from rowbox.cacheserver.shardmap.map_body import FORMAT, FORMAT_OF_FEATURES, decode_map, digest_of, encode_map
from rowbox.cacheserver.shardmap.shard_map import NOBODY, ListedNode, ShardMap, Wish
from rowbox.mailbox.errors import StoreDamaged
from tests.unit.cacheserver.shardmap.maps import SHARDS, listed, maps


def fields_of(body: bytes) -> list[object]:
    fields = msgspec.msgpack.decode(zlib.decompress(body[1:]), strict=False)
    assert isinstance(fields, list)
    return fields


def packed(fields: object) -> bytes:
    return FORMAT + zlib.compress(msgspec.msgpack.encode(fields))


@given(maps())
def test_a_map_reads_back_as_it_was_written(shard_map: ShardMap) -> None:
    assert decode_map(encode_map(shard_map)) == shard_map


def test_fields_of_a_later_format_are_passed_over() -> None:
    shard_map = listed("a", "b").giving(range(SHARDS), "a-1").wishing("a", Wish(weight=50))
    fields = fields_of(encode_map(shard_map))
    nodes, wishes = fields[2], fields[3]
    assert isinstance(nodes, list)
    assert isinstance(wishes, dict)
    nodes[0].append("later")
    wishes["a"].append({"later": 1})
    assert decode_map(packed([*fields, "later", 7])) == shard_map


def test_a_node_with_fewer_fields_has_the_defaults() -> None:
    fields = fields_of(encode_map(listed("a")))
    fields[2] = [["a-1", "a"]]
    assert decode_map(packed(fields)).nodes == (ListedNode("a-1", "a"),)


def test_another_format_is_not_guessed_at() -> None:
    with pytest.raises(StoreDamaged, match="format 03"):
        decode_map(b"\x03" + encode_map(listed("a"))[1:])


def test_features_have_a_format_of_their_own() -> None:
    """An older Rowbox would write the next map without them; so it must not read this one."""
    plain = listed("a")
    on = replace(plain, features=KNOWN)
    assert encode_map(plain)[:1] == FORMAT != encode_map(on)[:1]
    assert decode_map(encode_map(on)) == on
    for body in (FORMAT + encode_map(on)[1:], FORMAT_OF_FEATURES + encode_map(plain)[1:]):
        with pytest.raises(StoreDamaged):
            decode_map(body)
    with pytest.raises(StoreDamaged, match="does not know: telepathy"):
        decode_map(encode_map(replace(plain, features=(*KNOWN, "telepathy"))))


@given(maps(), st.data())
def test_damage_is_named_and_nothing_else_is_raised(shard_map: ShardMap, data: st.DataObject) -> None:
    body = bytearray(encode_map(shard_map))
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(body)))
    with pytest.raises(StoreDamaged):
        decode_map(bytes(body[:cut]))
    with pytest.raises(StoreDamaged):
        decode_map(encode_map(shard_map) + b"x")


CONTRADICTIONS = {
    "an owner that is not listed": {"owners": (1, *[0] * 7)},
    "a target that is not listed": {"moving_to": (1, *[NOBODY] * 7)},
    "a move to the owner": {"moving_to": (0, *[NOBODY] * 7)},
    "a move of what nobody owns": {"owners": (NOBODY, *[0] * 7), "moving_to": (0, *[NOBODY] * 7)},
    "columns of different lengths": {"owners": (0,) * 7},
    "a later version than its own": {"since": (9, *[1] * 7)},
    "nodes in another order": {"nodes": (ListedNode("b-1", "b"), ListedNode("a-1", "a"))},
    "a node twice": {"nodes": (ListedNode("a-1", "a"), ListedNode("a-1", "a"))},
    "a pin of a shard that is not": {"pins": {8: "a"}},
}


@pytest.mark.parametrize("changes", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_map_that_contradicts_itself_is_damage(changes: dict[str, object]) -> None:
    shard_map = listed("a").giving(range(SHARDS), "a-1")
    assert decode_map(encode_map(shard_map)) == shard_map
    with pytest.raises(StoreDamaged):
        decode_map(encode_map(msgspec.structs.replace(shard_map, **changes)))


def test_a_column_that_is_cut_within_a_number_is_damage() -> None:
    fields = fields_of(encode_map(listed("a")))
    fields[6] = b"\xff" * (2 * SHARDS - 1)
    with pytest.raises(StoreDamaged):
        decode_map(packed(fields))


def test_the_digest_tells_bodies_apart() -> None:
    one, other = digest_of(encode_map(listed("a"))), digest_of(encode_map(listed("b")))
    assert one != other
    assert len(bytes.fromhex(one)) == 16

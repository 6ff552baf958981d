"""The bytes of a map: a byte for the format, and behind it, compressed by zlib, a msgpack array.

    [version, plan, nodes, wishes, pins, hand_overs, owners, since's versions, since, moving_to, features]

The columns are one unsigned 16-bit number a shard, big-endian: a place in `nodes` (65,535: nobody), and for `since` a
place in the versions that occur. Fields behind the last known one are passed over, in the array and in each node's and
wish's; whoever writes the next map writes it without them (docs/formats.md). That must not happen to features: a map in
which some are on has a format of its own, which no Rowbox reads that knows none, and this one reads it only where it
knows all of them.
"""

import sys
import zlib
from array import array
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final

import msgspec

from rowbox.cacheserver.features import KNOWN
from rowbox.cacheserver.shardmap.shard_map import NOBODY, ListedNode, ShardMap, Wish
from rowbox.mailbox.errors import StoreDamaged

FORMAT: Final = b"\x01"
FORMAT_OF_FEATURES: Final = b"\x02"
MOST_BYTES: Final = 64 << 20
"""Of a body that was decompressed: more is damage, and must not fill the memory."""
_NOBODY: Final = 0xFFFF


class _Body(msgspec.Struct, frozen=True, array_like=True):
    version: int
    plan: int
    nodes: tuple[ListedNode, ...]
    wishes: Mapping[str, Wish]
    pins: Mapping[int, str]
    hand_overs: Mapping[int, str]
    owners: bytes
    versions: tuple[int, ...]
    since: bytes
    moving_to: bytes
    features: tuple[str, ...] = ()


_decoder = msgspec.msgpack.Decoder(_Body)


def encode_map(shard_map: ShardMap) -> bytes:
    """The bytes of a map."""
    versions = tuple(sorted(set(shard_map.since)))
    places = {version: place for place, version in enumerate(versions)}
    body = _Body(
        shard_map.version,
        shard_map.plan,
        shard_map.nodes,
        dict(sorted(shard_map.wishes.items())),
        dict(sorted(shard_map.pins.items())),
        dict(sorted(shard_map.hand_overs.items())),
        _column(_NOBODY if place == NOBODY else place for place in shard_map.owners),
        versions,
        _column(places[version] for version in shard_map.since),
        _column(_NOBODY if place == NOBODY else place for place in shard_map.moving_to),
        shard_map.features,
    )
    return (FORMAT_OF_FEATURES if shard_map.features else FORMAT) + zlib.compress(msgspec.msgpack.encode(body))


def decode_map(value: bytes) -> ShardMap:
    """The inverse of `encode_map`. StoreDamaged where the bytes are no map, or one that breaks a map's rules."""
    if value[:1] not in (FORMAT, FORMAT_OF_FEATURES):
        raise StoreDamaged(f"a map of the cluster has format {value[:1].hex()}, which this Rowbox cannot read")
    try:
        unpacking = zlib.decompressobj()
        body = _decoder.decode(unpacking.decompress(value[1:], MOST_BYTES))
        whole = unpacking.eof and not unpacking.unused_data
        shard_map = _map_of(body)
    except (zlib.error, msgspec.MsgspecError, IndexError, ValueError) as error:
        raise StoreDamaged(f"a map of the cluster does not read back: {error}") from error
    unknown = [feature for feature in shard_map.features if feature not in KNOWN]
    if unknown:
        raise StoreDamaged(f"the cluster has switched on what this Rowbox does not know: {', '.join(unknown)}")
    is_of_format = bool(shard_map.features) == (value[:1] == FORMAT_OF_FEATURES)
    if not whole or not is_of_format or not _keeps_rules(shard_map):
        raise StoreDamaged("a map of the cluster does not read back: it contradicts itself")
    return shard_map


def digest_of(value: bytes) -> str:
    """What the map's cell says of a body: by it a reader knows that it has the bytes that were meant."""
    return blake2b(value, digest_size=16).hexdigest()


def _map_of(body: _Body) -> ShardMap:
    return ShardMap(
        body.version,
        body.plan,
        body.nodes,
        body.wishes,
        body.pins,
        _places(body.owners),
        tuple(body.versions[place] for place in _numbers(body.since)),
        _places(body.moving_to),
        body.hand_overs,
        body.features,
    )


def _keeps_rules(shard_map: ShardMap) -> bool:
    incarnations = [node.incarnation for node in shard_map.nodes]
    owners, moving_to, count = shard_map.owners, shard_map.moving_to, len(incarnations)
    return (
        len(owners) == len(shard_map.since) == len(moving_to)
        and incarnations == sorted(set(incarnations))
        and max(owners, default=NOBODY) < count
        and max(moving_to, default=NOBODY) < count
        and max(shard_map.since, default=0) <= shard_map.version
        and all(0 <= shard < len(owners) for shard in shard_map.pins)
        and not any(to != NOBODY and owner in {to, NOBODY} for owner, to in zip(owners, moving_to, strict=True))
    )


def _column(numbers: Iterable[int]) -> bytes:
    return _big_endian(array("H", numbers)).tobytes()


def _numbers(column: bytes) -> "array[int]":
    return _big_endian(array("H", column))


def _big_endian(numbers: "array[int]") -> "array[int]":
    """Exchanges the bytes of each number, on a machine that is not big-endian: its own inverse."""
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def _places(column: bytes) -> tuple[int, ...]:
    return tuple(NOBODY if number == _NOBODY else number for number in _numbers(column))

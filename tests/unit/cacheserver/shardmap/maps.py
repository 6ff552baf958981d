"""Maps for tests: any that a few edits can make."""

from hypothesis import strategies as st

from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap, Wish, empty_map

SHARDS = 8
NAMES = ("a", "b", "c", "d")
_some_shards = st.sets(st.integers(0, SHARDS - 1), min_size=1)


def listed(*names: str) -> ShardMap:
    """Version 1 of a map: the incarnation `a-1` of the node `a` and so on are listed, and nobody owns anything."""
    return empty_map(SHARDS).next().listing(ListedNode(f"{name}-1", name, f"{name}:1") for name in names)


@st.composite
def maps(draw: st.DrawFn) -> ShardMap:
    """A map after a random life: nodes come and go, shards are given, put on the move, pinned."""
    drawn = listed(*NAMES)
    for _ in range(draw(st.integers(0, 8))):
        drawn = _edited(draw, drawn.next())
    return drawn


def _edited(draw: st.DrawFn, drawn: ShardMap) -> ShardMap:
    shards = draw(_some_shards)
    somebody = st.sampled_from([node.incarnation for node in drawn.nodes])
    match draw(st.sampled_from(["give", "hand over", "anew", "send", "join", "leave", "wish", "pin"])):
        case "give":
            return drawn.giving(shards, draw(somebody))
        case "hand over":
            return drawn.giving(shards, draw(somebody), draw(st.text(max_size=4)))
        case "anew":
            return drawn.giving_anew(shards)
        case "send":
            return drawn.sending(shards - set(drawn.ownerless), draw(somebody))
        case "join":
            return drawn.listing([ListedNode(draw(st.text(max_size=3)), draw(st.text(max_size=3)), zone="é")])
        case "leave" if len(drawn.nodes) > 1:
            return drawn.unlisting({draw(somebody)})
        case "wish":
            wish = Wish(draw(st.none() | st.integers(0, 400)), draw(st.none() | st.booleans()), draw(st.booleans()))
            return drawn.wishing(draw(st.sampled_from(NAMES)), wish)
        case _:
            return drawn.pinning(shards, draw(st.none() | st.sampled_from(NAMES)))

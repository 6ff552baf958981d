"""Where shards are: what decides it may change only with the version of the plan, or servers would undo each other's
moves. Another version of uhashring, too, must put nodes and shards where they were.
"""

from base64 import b64decode
from zlib import decompress

import pytest

from rowbox.cacheserver.shardmap.placement import place
from rowbox.cacheserver.shardmap.plan import PLAN
from rowbox.cacheserver.shardmap.shard_map import ListedNode, empty_map
from tests.golden.lines import Line, lines


@pytest.mark.parametrize("line", lines("placements"), ids=lambda line: line["case"])
def test_shards_are_placed_as_they_ever_were(line: Line) -> None:
    assert line["plan"] == PLAN
    nodes = [ListedNode(node_id, node_id, weight=weight) for node_id, weight in line["nodes"].items()]
    shard_map = empty_map(line["shards"]).listing(nodes)
    wanted = [shard_map.nodes[owner].node_id for owner in place(shard_map)]
    names = sorted(line["nodes"])
    assert bytes(map(names.index, wanted)) == decompress(b64decode(line["owners"]))

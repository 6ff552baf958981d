"""The embedded folder: what it says of itself, and how a column lies in it."""

import re
from pathlib import Path

from rocksdict import AccessType, Options, Rdict

from rowbox.cacheserver.stores.port import Put, RowMutation
from rowbox.hbase_schema.families import Family
from tests.golden.lines import lines, of_today
from tests.integration.rocksdb.rocksdb_fixture import opened

SHARDS = 4096
OF_EACH_OPENING = {"place"}
"""Its value stands in the golden line as a regular expression: inode, generation, run."""
PLACE_BEFORE = r"[0-9]+ [0-9]+ ([0-9a-f]{16}|\?)"
"""What later builds note beside it: the place before; of a new folder's first opening the run has no name."""
HISTORY_KEY = b"meta/schema" + b"\x00" + b"history"
COLUMN_KEY = b"0a89/alice" + b"\x00" + b"qualifier"
COLUMN_VALUE = (1_767_225_600_123).to_bytes(8, "big") + b"value"


async def test_a_folder_says_what_it_was_made_with_and_holds_columns_as_ever(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    async with opened(folder, shards=SHARDS) as store:
        put = Put(Family.INDEX, b"qualifier", b"value")
        await store.mutate([RowMutation(b"0a89/alice", [put])], 1_767_225_600_123)
    (line,) = of_today(line for line in lines("meta") if line["case"] == "embedded store")
    options = Options(raw_mode=True)
    raw = Rdict(
        str(folder), options, {family.value: Options(raw_mode=True) for family in Family}, AccessType.read_only()
    )
    try:
        own = _as_text(raw)
        made = {name: value for name, value in line["columns"].items() if name not in OF_EACH_OPENING}
        assert re.fullmatch(PLACE_BEFORE, own.pop("place_before"))
        assert own == made | {"place": own["place"]}
        assert re.fullmatch(line["columns"]["place"], own["place"])
        index = dict(raw.get_column_family("i").items())
        history = index.pop(HISTORY_KEY)
        assert re.fullmatch(b"[0-9a-f]{32}", history[8:])
        assert index == {COLUMN_KEY: COLUMN_VALUE}
    finally:
        raw.close()


def _as_text(raw: Rdict) -> dict[str, str]:
    found = {}
    for key, value in raw.items():
        assert isinstance(key, bytes)
        assert isinstance(value, bytes)
        found[key.decode()] = value.decode()
    return found

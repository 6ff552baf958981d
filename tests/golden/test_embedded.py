"""The embedded folder: what it says of itself, and how a column lies in it."""

from pathlib import Path

from rocksdict import AccessType, Options, Rdict

from rowbox.cacheserver.store import Put, RowMutation
from rowbox.hbase_schema.families import Family
from tests.golden.lines import lines, of_today
from tests.integration.rocksdb_fixture import opened

SHARDS = 4096
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
        written = {name.encode(): value.encode() for name, value in line["columns"].items()}
        assert dict(raw.items()) == written
        assert list(raw.get_column_family("i").items()) == [(COLUMN_KEY, COLUMN_VALUE)]
    finally:
        raw.close()

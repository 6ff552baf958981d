"""Files that do not read back as they were written: nothing confirmed is lost without a word, files stay untouched."""

import asyncio
import shutil
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
from rocksdict import DBRecoveryMode

from rowbox.hbase_schema.families import Family
from rowbox.mailbox.errors import StoreDamaged

from .rocksdb_fixture import files, group, line, numbers, open_store, opened, writer

COMMITS = 46
"""Two blocks of the log and a bit."""
DATA = ("*.sst", "*.log", "MANIFEST-*", "CURRENT")
_BLOCK = 32 << 10
_HEADER = 7


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a process that was killed after COMMITS commits, all of them in the write-ahead log only."""
    folder = tmp_path_factory.mktemp("killed")
    with writer(folder, "0", str(COMMITS)) as process:
        assert [line(process) for _ in range(COMMITS + 1)][-1] == str(COMMITS - 1)
        process.kill()
        process.wait()
    return folder


@pytest.fixture
def folder(killed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(killed, tmp_path / "store")


def _log(folder: Path) -> Path:
    (log,) = (path for path in folder.glob("*.log") if path.stat().st_size)
    return log


def _records(data: bytes) -> list[int]:
    """Where the log's records begin (rocksdb/wal.py tells the format)."""
    at, begins = 0, list[int]()
    while at < len(data):
        if _BLOCK - at % _BLOCK < _HEADER:
            at += _BLOCK - at % _BLOCK
        begins.append(at)
        at += _HEADER + int.from_bytes(data[at + 4 : at + 6], "little")
    return begins


def _flip(path: Path, at: int, mask: int = 0x40) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= mask
    path.write_bytes(data)


def _cut(path: Path, end: int) -> None:
    path.write_bytes(path.read_bytes()[:end])


def _refused(folder: Path) -> str:
    """Opens the folder, which must be refused with the way out and without a change to its data."""
    before = files(folder, *DATA)
    with pytest.raises(
        StoreDamaged, match=r"(?s)is damaged: .*`rowbox restore BACKUP --replace --data-dir "
    ) as refusal:
        open_store(folder)
    assert files(folder, *DATA) == before
    return str(refusal.value)


async def test_what_a_killed_process_had_confirmed_is_there(folder: Path) -> None:
    async with opened(folder) as store:
        assert await numbers(store) == list(range(COMMITS))


@pytest.mark.parametrize("missing", [1, 8, 100])
async def test_a_record_torn_by_the_kill_was_never_confirmed_and_is_dropped(folder: Path, missing: int) -> None:
    log = _log(folder)
    _cut(log, -missing)
    for _ in range(2):
        async with opened(folder) as store:
            assert await numbers(store) == list(range(COMMITS - 1))


async def test_a_log_torn_within_a_records_header_opens(folder: Path) -> None:
    log = _log(folder)
    _cut(log, _records(files(folder)[log.name])[-1] + 3)
    async with opened(folder) as store:
        assert await numbers(store) == list(range(COMMITS - 1))


@pytest.mark.parametrize("offset", range(_HEADER + 2), ids=lambda offset: f"byte{offset}")
@pytest.mark.parametrize("record", [0, 20, -3], ids=["first", "middle", "in the last block"])
def test_a_damaged_record_with_others_behind_it_is_refused(folder: Path, record: int, offset: int) -> None:
    """Also where the damage is in the length, which RocksDB itself takes for a torn end."""
    log = _log(folder)
    _flip(log, _records(files(folder)[log.name])[record] + offset)
    _refused(folder)


@pytest.mark.parametrize("beyond", [0, 3, 7, 8, 100])
async def test_a_log_torn_where_a_record_goes_on_in_the_next_block_opens(folder: Path, beyond: int) -> None:
    _cut(_log(folder), _BLOCK + beyond)
    for _ in range(2):
        async with opened(folder) as store:
            found = await numbers(store)
            assert found == list(range(len(found)))
            assert 10 < len(found) < COMMITS


def test_a_torn_log_with_a_newer_one_behind_it_is_refused(folder: Path) -> None:
    """Also where the newer one is torn as well: a kill tears the newest only."""
    log = _log(folder)
    _cut(log, -5)
    shutil.copy(log, folder / f"{int(log.stem) + 100:06d}.log")
    _refused(folder)


def test_a_last_record_that_claims_to_leave_its_block_is_refused(folder: Path) -> None:
    """No writer ends in that way: its length is damaged, and it may have been confirmed."""
    log = _log(folder)
    _flip(log, _records(files(folder)[log.name])[-1] + 5, 0x80)
    _refused(folder)


def test_a_damaged_last_record_is_refused(folder: Path) -> None:
    _flip(_log(folder), -10)
    _refused(folder)


def test_a_log_torn_and_damaged_before_is_refused(folder: Path) -> None:
    log = _log(folder)
    _cut(log, -5)
    _flip(log, _records(files(folder)[log.name])[2] + 20)
    _refused(folder)


async def test_point_in_time_recovery_would_have_lost_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why rocksdb/folder.py does not use rocksdict's default: the rule switched off, rows are gone without a word."""
    log = _log(folder)
    _flip(log, _records(files(folder)[log.name])[20] + 20)
    lenient = SimpleNamespace(absolute_consistency=DBRecoveryMode.point_in_time)
    monkeypatch.setattr("rowbox.cacheserver.stores.rocksdb.folder.DBRecoveryMode", lenient)
    async with opened(folder) as store:
        assert len(await numbers(store)) < COMMITS


async def _flushed(folder: Path) -> list[Path]:
    """Closes the store in order, with several blocks in each family; the families' table files."""
    async with opened(folder) as store:
        for number in range(COMMITS, 100):
            await store.mutate(group(number, value=Random(number).randbytes(1200)), number)
    return _tables(folder)


def _tables(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.sst") if path.stat().st_size > 4000]


def _manifests(folder: Path) -> list[Path]:
    return list(folder.glob("MANIFEST-*"))


@pytest.mark.parametrize("at", [100, 40_000], ids=["the first a read needs", "one further on"])
async def test_a_damaged_block_is_an_error_of_the_reads_that_need_it(folder: Path, at: int) -> None:
    """One further on: there rocksdict's own iteration ends without a word."""
    for table in await _flushed(folder):
        _flip(table, at)
    first, last = b"0001/user00", b"0001/user03"
    async with opened(folder) as store:
        answers = await asyncio.gather(
            store.get_row(first, [Family.INDEX, Family.MESSAGES]),
            store.get_range(first, Family.MESSAGES, b"", b"\xff", 100),
            store.get_columns(first, Family.MESSAGES, [b"%08d" % number for number in range(100)]),
            store.scan(range(1, 2), Family.MESSAGES, None, 10),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers] == [StoreDamaged] * 4
        assert all("`rowbox restore BACKUP --replace --data-dir " in str(answer) for answer in answers)
        assert len(await store.get_range(last, Family.MESSAGES, b"00000090", b"\xff", 10)) == 10


async def test_a_missing_table_file_is_refused(folder: Path) -> None:
    (await _flushed(folder))[0].unlink()
    assert ".sst" in _refused(folder)


async def test_a_cut_table_file_is_refused(folder: Path) -> None:
    _cut((await _flushed(folder))[0], 500)
    _refused(folder)


async def test_a_damaged_manifest_is_refused(folder: Path) -> None:
    await _flushed(folder)
    for manifest in _manifests(folder):
        _flip(manifest, 30)
    _refused(folder)


async def test_a_missing_manifest_is_refused(folder: Path) -> None:
    for manifest in _manifests(folder):
        manifest.unlink()
    _refused(folder)


async def test_a_missing_current_is_refused_and_nothing_is_made_anew(folder: Path) -> None:
    (folder / "CURRENT").unlink()
    assert "CURRENT" in _refused(folder)


async def test_a_damaged_current_is_refused(folder: Path) -> None:
    (folder / "CURRENT").write_bytes(b"MANIFEST-999999\n")
    _refused(folder)

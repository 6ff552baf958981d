"""`rowbox backup` and `rowbox restore` over an embedded store that no server has open."""

import asyncio
import errno
import json
import os
import shlex
import shutil
import signal
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from click.testing import CliRunner, Result

from rowbox.cacheserver.clocks import wall_clock_us
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import Send
from rowbox.cacheserver.stores.clock_memory import encoded
from rowbox.cacheserver.stores.files import durable_files
from rowbox.cacheserver.stores.files.beside import checkpoint_of, last_backup, restoring_of
from rowbox.cacheserver.stores.files.clock_file import ClockFile
from rowbox.cacheserver.stores.files.durable_files import scratch_folder
from rowbox.cacheserver.stores.history import history_of
from rowbox.cacheserver.stores.port import StoreStats
from rowbox.cacheserver.stores.rocksdb import backup as rocksdb_backup
from rowbox.cacheserver.stores.rocksdb import folder as rocksdb_folder
from rowbox.cacheserver.stores.rocksdb import restore as rocksdb_restore
from rowbox.cacheserver.stores.rocksdb.backup import read_contents
from rowbox.cacheserver.stores.rocksdb.database import Database
from rowbox.cacheserver.stores.rocksdb.folder import FolderLock
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.cacheserver.stores.statistics import StoreStatistics
from rowbox.cli.main import main
from rowbox.cli.verbs import restore
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.clocks.clock_trust import Remembered
from rowbox.mailbox.errors import StoreLocked, StoreUnusable
from rowbox.mailbox.settings.config import Settings
from tests.cli.stores.store_folder import in_store, nothing, settings_of, three_messages


def rowbox(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def small(data_dir: Path, shards: int = 64) -> Path:
    """A data folder for the shards of these tests."""
    data_dir.mkdir(exist_ok=True)
    (data_dir / "rowbox.toml").write_text(f"[store]\nshards = {shards}")
    return data_dir


def assert_fails(result: Result, says: str) -> None:
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1), result.stderr
    assert says in result.stderr


def messages(data_dir: Path) -> int:
    result = rowbox("check", "--json", "--data-dir", data_dir)
    assert result.exit_code == 0, result.output
    copies = int(result.stdout.partition('"messages": ')[2].partition(",")[0])
    return copies // 2


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def modes_of(folder: Path) -> set[tuple[bool, int]]:
    return {(path.is_dir(), path.stat().st_mode & 0o777) for path in (folder, *folder.rglob("*"))}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """With a store of three messages."""
    folder = small(tmp_path / "data")
    in_store(folder, three_messages)
    return folder


@pytest.fixture
def backup(data_dir: Path, tmp_path: Path) -> Path:
    result = rowbox("backup", tmp_path / "backup", "--data-dir", data_dir)
    assert (result.exit_code, result.stderr) == (0, "")
    return tmp_path / "backup"


def test_a_backup_is_whole_private_and_leaves_nothing_else_behind(data_dir: Path, tmp_path: Path) -> None:
    before = {path.name for path in data_dir.iterdir()}
    result = rowbox("backup", tmp_path / "to", "--data-dir", data_dir)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "the store as of 2" in result.stdout
    assert "Not in it: token-secret, rowbox.toml." in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"data", "to"}
    assert {path.name for path in data_dir.iterdir()} - before == {"store.last-backup"}
    assert modes_of(tmp_path / "to") == {(True, 0o700), (False, 0o600)}
    noted = last_backup(data_dir / "store")
    assert noted is not None
    assert noted.folder == str(tmp_path / "to")


def test_it_reads_like_a_data_folder_and_reading_changes_nothing(backup: Path) -> None:
    before = bytes_of(backup)
    assert messages(backup) == 3
    assert bytes_of(backup) == before


def test_its_large_files_are_the_stores_on_one_file_system_and_copies_on_another(
    data_dir: Path, backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = list((backup / "store").glob("*.sst"))
    assert tables
    assert all((data_dir / "store" / path.name).samefile(path) for path in tables)

    link = os.link

    def link_within_the_data_folder(source: Path, target: Path) -> None:
        if data_dir not in target.parents:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        link(source, target)

    monkeypatch.setattr(os, "link", link_within_the_data_folder)
    assert rowbox("backup", tmp_path / "copied", "--data-dir", data_dir).exit_code == 0
    monkeypatch.undo()
    assert all(path.stat().st_nlink == 1 for path in (tmp_path / "copied").rglob("*") if path.is_file())
    assert modes_of(tmp_path / "copied") == {(True, 0o700), (False, 0o600)}
    assert messages(tmp_path / "copied") == 3


@pytest.mark.parametrize("verb", ["backup", "restore"])
def test_whatever_it_copies_is_synced_before_it_gets_its_name(
    backup: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    copy, fsync, rename = shutil.copyfileobj, os.fsync, Path.rename
    waiting: set[int] = set()
    copied: list[int] = []

    def note_copy(source: BinaryIO, target: BinaryIO, length: int) -> None:
        copy(source, target, length)
        copied.append(os.fstat(target.fileno()).st_ino)
        waiting.add(copied[-1])

    def note_sync(descriptor: int) -> None:
        fsync(descriptor)
        waiting.discard(os.fstat(descriptor).st_ino)

    def look(path: Path, target: Path) -> Path:
        assert not waiting
        return rename(path, target)

    monkeypatch.setattr(shutil, "copyfileobj", note_copy)
    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "rename", look)
    arguments = {"backup": (tmp_path / "to",), "restore": (backup, "--replace")}[verb]
    result = rowbox(verb, *arguments, "--data-dir", data_dir)
    assert result.exit_code == 0, result.exception
    assert len(copied) > 3


def test_an_empty_folder_will_do(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    assert rowbox("backup", tmp_path / "to", "--data-dir", data_dir).exit_code == 0
    assert messages(tmp_path / "to") == 3


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("data/backup", "is in the data folder"),
        ("through/backup", "is in the data folder"),
        ("data", "is in the data folder"),
        ("nowhere/backup", "is no folder: make it (or mount it) first"),
        ("full", "is there already"),
        ("full/file", "is there already"),
        ("through", "is in the data folder"),
        ("device/backup", "is in the data folder"),
        ("loop", "no backup was made in "),
        ("loop/backup", "no backup was made in "),
    ],
)
def test_it_refuses_a_place_that_will_not_do(data_dir: Path, tmp_path: Path, to: str, says: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "through").symlink_to(data_dir)
    (tmp_path / "loop").symlink_to("loop")
    (data_dir / "store").rename(tmp_path / "device")
    (data_dir / "store").symlink_to(tmp_path / "device")
    before = {path.name for path in (*tmp_path.iterdir(), *data_dir.iterdir())}
    assert_fails(rowbox("backup", tmp_path / to, "--data-dir", data_dir), says)
    assert {path.name for path in (*tmp_path.iterdir(), *data_dir.iterdir())} == before


def test_it_refuses_a_mount_point_before_it_begins(data_dir: Path, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "to").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path / "to")
    assert_fails(rowbox("backup", tmp_path / "to", "--data-dir", data_dir), "is a mount point: name a folder in it")


def test_a_folder_that_it_may_not_look_into_is_refused_in_one_line(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lstat = Path.lstat

    def refuse(path: Path) -> os.stat_result:
        if path.name == "to":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", refuse)
    assert_fails(rowbox("backup", tmp_path / "to", "--data-dir", data_dir), "Permission denied")


def test_the_checkpoint_is_made_on_the_device_of_a_store_that_is_a_link(data_dir: Path, tmp_path: Path) -> None:
    """Elsewhere its files would be copied, in the server, which stands still meanwhile."""
    (data_dir / "store").rename(tmp_path / "device")
    (data_dir / "store").symlink_to(tmp_path / "device")
    assert tmp_path / "device" in checkpoint_of(data_dir / "store").resolve().parents
    assert rowbox("backup", tmp_path / "to", "--data-dir", data_dir).exit_code == 0
    assert messages(tmp_path / "to") == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_backup_that_is_ended_leaves_nothing(
    data_dir: Path, tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name for path in (data_dir / "store").iterdir()}
    fill = rocksdb_backup._fill
    inherited = signal.signal(number, signal.SIG_DFL)  # nohup has it ignored, and a backup then goes on

    def fill_and_be_ended(*arguments: Path) -> None:
        fill(*arguments)
        signal.raise_signal(number)

    monkeypatch.setattr(rocksdb_backup, "_fill", fill_and_be_ended)
    assert rowbox("backup", tmp_path / "to", "--data-dir", data_dir).exit_code == 128 + number
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert checkpoint_of(data_dir / "store").name not in before
    assert not checkpoint_of(data_dir / "store").exists()
    assert signal.signal(number, inherited) is signal.SIG_DFL


def test_a_device_without_room_is_found_out_before_anything_is_copied(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rocksdb_backup, "_is_one_file_system", lambda *_: False)
    monkeypatch.setattr(rocksdb_backup, "free_bytes", lambda _: 100)
    assert_fails(rowbox("backup", tmp_path / "to", "--data-dir", data_dir), "0 left")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_device_that_fills_while_it_copies_is_named_and_nothing_is_left(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_device(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfileobj", fill_the_device)
    says = f"no backup was made in {tmp_path / 'to'}: No space left on device"
    result = rowbox("backup", tmp_path / "to", "--data-dir", data_dir)
    assert_fails(result, says)
    assert result.stderr.endswith("device\n")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_it_makes_no_store_where_there_is_none(tmp_path: Path) -> None:
    assert_fails(rowbox("backup", tmp_path / "to", "--data-dir", small(tmp_path / "data")), "there is no store in")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["rowbox.toml"]


def test_a_store_that_something_else_has_open_is_named_with_what_to_do(data_dir: Path, tmp_path: Path) -> None:
    outcomes: list[Result] = []

    async def meanwhile(store: RocksStore, settings: Settings) -> None:
        arguments = ("backup", tmp_path / "to", "--data-dir", data_dir, "--admin-port", "1")
        (data_dir / "token-secret").write_bytes(bytes(32))
        (data_dir / "token-secret").chmod(0o600)
        outcomes.append(await asyncio.to_thread(rowbox, *arguments))

    in_store(data_dir, meanwhile)
    assert_fails(outcomes[0], "name its --admin-port: no Rowbox listens at 127.0.0.1")
    assert not (tmp_path / "to").exists()


def test_two_backups_at_once_are_one(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second says that one is at work, and takes nothing of the first away."""
    seconds: list[Result] = []
    fill = rocksdb_backup._fill

    def fill_while_another_one_comes(*arguments: Path) -> None:
        seconds.append(rowbox("backup", tmp_path / "second", "--data-dir", data_dir))
        fill(*arguments)

    monkeypatch.setattr(rocksdb_backup, "_fill", fill_while_another_one_comes)
    assert rowbox("backup", tmp_path / "first", "--data-dir", data_dir).exit_code == 0
    assert_fails(seconds[0], "is being made: wait for it")
    assert messages(tmp_path / "first") == 3
    assert not (tmp_path / "second").exists()


def test_a_backup_is_not_served(backup: Path) -> None:
    before = bytes_of(backup)
    assert_fails(rowbox("restored", "--yes", "--data-dir", small(backup)), "is a backup: put it in a store's place")
    (backup / "rowbox.toml").unlink()
    assert bytes_of(backup) == before


def test_the_store_tells_of_the_last_backup_and_of_the_room_on_its_device(data_dir: Path, tmp_path: Path) -> None:
    figures: list[StoreStats] = []

    exported: list[set[str]] = []

    async def ask(store: RocksStore, settings: Settings) -> None:
        figures.append(await store.stats())
        statistics = StoreStatistics(store)
        await statistics._ask()
        exported.append({name for name, *_ in statistics.samples()})

    in_store(data_dir, ask)
    assert rowbox("backup", tmp_path / "to", "--data-dir", data_dir).exit_code == 0
    in_store(data_dir, ask)
    device = os.statvfs(data_dir)
    before, after = figures
    assert exported[1] - exported[0] == {"rowbox_last_backup_timestamp_seconds"}
    assert (before.last_backup_us, after.last_backup_us) == (-1, read_contents(tmp_path / "to").as_of_us)
    assert after.device_bytes == device.f_blocks * device.f_frsize
    assert 0 < after.device_free_bytes < after.device_bytes
    assert (after.min_free_bytes, after.refused) == (settings_of(data_dir).store.min_free_bytes, 0)


# ---------------------------------------------------------------------- restore


def history(data_dir: Path) -> str:
    found: list[bytes] = []

    async def read(store: RocksStore, settings: Settings) -> None:
        found.append(await history_of(store))

    in_store(data_dir, read)
    return found[0].hex()


def test_a_restored_store_is_the_one_of_the_backup_in_another_history(backup: Path, tmp_path: Path) -> None:
    before = bytes_of(backup)
    new = small(tmp_path / "new")
    result = rowbox("restore", backup, "--data-dir", new)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "in another history" in result.stdout
    assert "Put token-secret beside it" in result.stdout
    assert {path.name for path in new.iterdir()} == {"rowbox.toml", "store"}
    assert modes_of(new / "store") == {(True, 0o700), (False, 0o600)}
    assert messages(new) == 3
    assert history(new) != history(tmp_path / "data")
    assert history(new) == history(new)
    assert bytes_of(backup) == before


def test_a_restore_begins_a_history_by_itself_and_not_only_where_a_copy_shows(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_as_if_it_were_no_copy(database: Database, lock: FolderLock) -> None:
        database.note_place(lock.place, lock.left, None)

    monkeypatch.setattr(rocksdb_folder, "_begin_history_if_put_back", open_as_if_it_were_no_copy)
    before = history(tmp_path / "data")
    assert rowbox("restore", backup, "--data-dir", small(tmp_path / "new")).exit_code == 0
    assert history(tmp_path / "new") != before


def test_a_backup_so_old_that_the_clock_will_not_be_believed_is_restored_with_a_word_of_it(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "clock" not in rowbox("restore", backup, "--data-dir", small(tmp_path / "now")).stdout
    later_us = wall_clock_us() + 200 * 86_400 * US_PER_S
    monkeypatch.setattr(restore, "wall_clock_us", lambda: later_us)
    result = rowbox("restore", backup, "--data-dir", small(tmp_path / "new"))
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"where it is right: rowbox clock accept --data-dir {tmp_path / 'new'}" in result.stdout


def test_what_the_store_remembers_of_the_time_comes_back(data_dir: Path, tmp_path: Path) -> None:
    """Without it the time that no server saw would count as seen, and retention would take what is in the backup."""
    remembered = Remembered(wall_clock_us() - 3600 * US_PER_S)
    (data_dir / "store" / "rowbox.clock").write_bytes(encoded(remembered))
    rowbox("backup", tmp_path / "to", "--data-dir", data_dir)
    rowbox("restore", tmp_path / "to", "--data-dir", small(tmp_path / "new"))
    assert asyncio.run(ClockFile(tmp_path / "new" / "store").read()) == remembered


def test_the_backup_shares_nothing_with_what_was_restored_from_it(backup: Path, tmp_path: Path) -> None:
    rowbox("restore", backup, "--data-dir", small(tmp_path / "new"))
    inodes = {path.stat().st_ino for path in backup.rglob("*")}
    assert not inodes & {path.stat().st_ino for path in (tmp_path / "new").rglob("*")}


def test_a_store_that_is_there_is_replaced_only_by_word_and_then_kept(
    backup: Path, data_dir: Path, tmp_path: Path
) -> None:
    in_store(data_dir, a_fourth)
    assert messages(data_dir) == 4
    assert_fails(rowbox("restore", backup, "--data-dir", data_dir), "say --replace")
    assert messages(data_dir) == 4
    result = rowbox("restore", backup, "--data-dir", data_dir, "--replace")
    assert (result.exit_code, result.stderr) == (0, "")
    assert messages(data_dir) == 3
    (replaced,) = data_dir.glob("store.replaced-*")
    assert str(replaced) in result.stdout
    small(tmp_path / "old")
    replaced.rename(tmp_path / "old" / "store")
    assert messages(tmp_path / "old") == 4


async def a_fourth(store: RocksStore, settings: Settings) -> None:
    owner = Owner(store, settings)
    await owner.start()
    await owner.send(Send("dave", "alice", "late", "c9"))
    await owner.close()


@pytest.mark.parametrize("name", ["backup", "of today"])
def test_a_damaged_store_names_the_verb_and_the_backup_and_is_replaced_by_them(
    data_dir: Path, tmp_path: Path, name: str
) -> None:
    backup = tmp_path / name
    rowbox("backup", backup, "--data-dir", data_dir)
    data_dir = data_dir.rename(tmp_path / f"data {name}")
    (data_dir / "store" / "CURRENT").write_text("garbage")
    result = rowbox("restored", "--yes", "--data-dir", data_dir)
    command = f"rowbox restore {shlex.quote(str(backup))} --replace --data-dir '{data_dir}'"
    assert_fails(result, "Put the backup of 20")
    assert f"`{command}`" in result.stderr
    assert rowbox(*shlex.split(command)[1:]).exit_code == 0
    assert messages(data_dir) == 3


@pytest.mark.parametrize("kind", ["link", "mount point"])
def test_a_store_that_cannot_be_moved_aside_is_refused_before_anything_is_copied(
    backup: Path, data_dir: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "link":
        (data_dir / "store").rename(tmp_path / "device")
        (data_dir / "store").symlink_to(tmp_path / "device")
    else:
        monkeypatch.setattr(Path, "is_mount", lambda path: path == data_dir / "store")
    monkeypatch.setattr(rocksdb_restore, "copy_new", None)
    says = f"{data_dir / 'store'} is a {kind}, and a folder is to take its place: let {data_dir} be the {kind}"
    assert_fails(rowbox("restore", backup, "--data-dir", data_dir, "--replace"), says)
    assert messages(data_dir) == 3


def test_a_device_without_room_is_found_out_before_anything_is_restored(
    backup: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for the backup and not for what stays free, the restored store would refuse every send."""
    size = read_contents(backup).size_bytes
    monkeypatch.setattr(rocksdb_restore, "free_bytes", lambda _: size + (64 << 20) - 1)
    monkeypatch.setattr(rocksdb_restore, "copy_new", None)
    says = "64 stay free (store.min_free_bytes)"
    assert_fails(rowbox("restore", backup, "--data-dir", data_dir, "--replace"), says)
    assert messages(data_dir) == 3


def test_a_damaged_store_without_a_backup_names_the_verb(data_dir: Path) -> None:
    (data_dir / "store" / "CURRENT").write_text("garbage")
    result = rowbox("restored", "--yes", "--data-dir", data_dir)
    assert_fails(result, f"`rowbox restore BACKUP --replace --data-dir {data_dir}`")


def test_a_backup_that_is_not_whole_is_refused_and_nothing_is_touched(backup: Path, data_dir: Path) -> None:
    before = bytes_of(data_dir)
    table = next((backup / "store").glob("*.sst"))
    whole = table.read_bytes()
    table.unlink()
    assert_fails(rowbox("restore", backup, "--data-dir", data_dir, "--replace"), f"{table} is not there")
    table.write_bytes(whole[:-1])
    assert_fails(rowbox("restore", backup, "--data-dir", data_dir, "--replace"), "bytes and not")
    table.write_bytes(whole)
    contents = backup / "store" / "rowbox.backup"
    contents.write_bytes(contents.read_bytes()[:-5])
    assert_fails(rowbox("restore", backup, "--data-dir", data_dir, "--replace"), "does not read back")
    contents.unlink()
    assert_fails(rowbox("restore", backup, "--data-dir", data_dir, "--replace"), "is no backup that `rowbox backup`")
    assert bytes_of(data_dir) == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2, "files": ["other"]}, "was made by Rowbox 9.9, in a format of later: use that"),
        ({"schema_version": 99}, "has schema version 99, this Rowbox has 1: restore it with Rowbox 9.9"),
        ({"files": {"../token-secret": 32}}, "is not whole"),
    ],
    ids=["format", "schema", "elsewhere"],
)
def test_a_backup_of_a_later_rowbox_and_one_that_names_files_elsewhere_are_refused(
    backup: Path, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    contents = backup / "store" / "rowbox.backup"
    (backup / "token-secret").write_bytes(bytes(32))
    contents.write_text(json.dumps({**json.loads(contents.read_bytes()), "rowbox": "9.9", **change}))
    assert_fails(rowbox("restore", backup, "--data-dir", small(tmp_path / "new")), says)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["rowbox.toml"]


def test_what_does_not_open_is_no_backup(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Database.checkpoint

    def make_and_damage(database: Database, folder: Path) -> None:
        make(database, folder)
        next(folder.glob("MANIFEST-*")).write_bytes(b"garbage")

    monkeypatch.setattr(Database, "checkpoint", make_and_damage)
    assert_fails(rowbox("backup", tmp_path / "to", "--data-dir", data_dir), f"`rowbox check --data-dir {data_dir}`")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_no_checkpoint_is_made_on_a_device_that_takes_no_writes(data_dir: Path, tmp_path: Path) -> None:
    """It flushes, and what RocksDB begins on a full device stops the store."""
    (data_dir / "rowbox.toml").write_text("[store]\nshards = 64\nmin_free_bytes = 1099511627776")
    assert_fails(rowbox("backup", tmp_path / "to", "--data-dir", data_dir), "min_free_bytes asks for 1048576 MiB")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_nothing_is_put_into_a_folder_of_another_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that somebody has made under that name: what is put there is his."""
    account = os.geteuid()
    (tmp_path / ".to.partial").mkdir()
    (tmp_path / ".to.partial" / "his").touch()
    monkeypatch.setattr(os, "geteuid", lambda: account + 1)
    with pytest.raises(PermissionError), scratch_folder(tmp_path / ".to.partial", "busy"):
        pass
    assert [path.name for path in (tmp_path / ".to.partial").iterdir()] == ["his"]


def test_another_accounts_store_is_left_to_it(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: account + 1)
    assert_fails(rowbox("backup", tmp_path / "to", "--data-dir", data_dir), "belongs to another user: run this as")


def test_a_backup_of_other_shards_is_refused(backup: Path, tmp_path: Path) -> None:
    new = small(tmp_path / "new", shards=128)
    assert_fails(rowbox("restore", backup, "--data-dir", new), "set shards = 64")
    assert [path.name for path in new.iterdir()] == ["rowbox.toml"]


def test_a_store_that_is_in_use_is_not_replaced(backup: Path, data_dir: Path) -> None:
    outcomes: list[Result] = []

    async def meanwhile(store: RocksStore, settings: Settings) -> None:
        outcomes.append(await asyncio.to_thread(rowbox, "restore", backup, "--data-dir", data_dir, "--replace"))

    in_store(data_dir, meanwhile)
    assert_fails(outcomes[0], "stop that first")
    assert messages(data_dir) == 3


def test_no_server_starts_on_a_store_that_is_being_replaced(
    backup: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it confirmed would be moved aside with the store."""
    copy = durable_files.copy_new
    refused: list[pytest.ExceptionInfo[StoreLocked]] = []

    def copy_while_a_server_starts(source: Path, target: Path) -> None:
        with pytest.raises(StoreLocked) as refusal:
            FolderLock(data_dir / "store")
        refused.append(refusal)
        copy(source, target)

    monkeypatch.setattr(rocksdb_restore, "copy_new", copy_while_a_server_starts)
    assert rowbox("restore", backup, "--data-dir", data_dir, "--replace").exit_code == 0
    assert refused


def test_no_empty_store_is_begun_where_a_restore_was_interrupted(tmp_path: Path) -> None:
    data_dir = small(tmp_path / "data")
    restoring_of(data_dir / "store").mkdir()
    with pytest.raises(StoreUnusable, match="run `rowbox restore` again"):
        in_store(data_dir, nothing)
    assert not (data_dir / "store").exists()


def test_a_start_removes_what_an_interrupted_restore_left_beside_a_store_that_stands(data_dir: Path) -> None:
    """It has the size of a store, and whoever is told to run the restore again loses what was sent since."""
    (restoring_of(data_dir / "store") / "store").mkdir(parents=True)
    in_store(data_dir, nothing)
    assert not restoring_of(data_dir / "store").exists()
    assert messages(data_dir) == 3


@pytest.mark.parametrize("verb", ["backup", "restore"])
def test_an_hbase_store_has_other_means(tmp_path: Path, verb: str) -> None:
    result = rowbox(verb, tmp_path / "x", "--data-dir", tmp_path, "--store", "hbase://127.0.0.1:1/x")
    assert_fails(result, "for HBase ")

"""`rowbox doctor` over an embedded store."""

import asyncio
import os
import resource
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from rowbox.cacheserver.clocks import wall_clock_us
from rowbox.cacheserver.stores.clock_memory import encoded
from rowbox.cacheserver.stores.files.beside import LastBackup, note_backup, restoring_of
from rowbox.cacheserver.stores.files.device_probe import PROBES, SyncTimes, measure_syncs
from rowbox.cacheserver.stores.rocksdb import doctor as rocksdb_doctor
from rowbox.cacheserver.stores.rocksdb.doctor import BACKUP_US, examine_folder, judge_syncs
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.cli.main import main
from rowbox.cli.secret import load_or_create
from rowbox.hbase_schema.doctor.diagnosis import State
from rowbox.mailbox.clocks.clock_trust import Remembered
from rowbox.mailbox.settings.config import Settings
from tests.cli.stores.store_folder import in_store, nothing

Checks = dict[str, tuple[str, str]]
SUBJECTS = {
    "data folder",
    "store",
    "token secret",
    "server",
    "format",
    "files",
    "room",
    "open files",
    "remembered time",
    "last backup",
    "fsync",
}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(0o700)
    (folder / "rowbox.toml").write_text("[store]\nshards = 64")
    (folder / "rowbox.toml").chmod(0o600)
    load_or_create(folder)
    in_store(folder, nothing)
    for path in (folder / "store").iterdir():  # no command of ours made them, which sets the umask
        path.chmod(0o600)
    return folder


def examined(data_dir: Path) -> tuple[int, Checks]:
    result = CliRunner().invoke(main, ["doctor", "--json", "--data-dir", str(data_dir)])
    assert result.stderr == ""
    found = orjson.loads(result.stdout)
    assert found["well"] == (result.exit_code == 0)
    return result.exit_code, {check["subject"]: (check["state"], check["finding"]) for check in found["checks"]}


def assert_wrong(data_dir: Path, subject: str, says: str) -> None:
    """That and nothing else is wrong."""
    code, checks = examined(data_dir)
    assert code == 1
    wrong = {subject: finding for subject, (state, finding) in checks.items() if state == State.WRONG}
    assert wrong.keys() == {subject}
    assert says in wrong[subject]


def test_a_store_that_is_well_passes_and_the_probe_leaves_nothing(data_dir: Path) -> None:
    before = {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}
    code, checks = examined(data_dir)
    assert code == 0
    assert checks.keys() == SUBJECTS
    assert {state for subject, (state, _) in checks.items() if subject not in {"last backup", "fsync"}} == {State.OK}
    assert checks["last backup"][0] == State.UNKNOWN
    assert checks["format"][1] == "opens; schema version 1, 64 shards"
    assert "compression kLZ4Compression" in checks["files"][1]
    assert {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()} == before


def test_it_prints_a_line_for_each_thing(data_dir: Path) -> None:
    lines = CliRunner().invoke(main, ["doctor", "--data-dir", str(data_dir)]).stdout.splitlines()
    assert lines[0] == f"ok       data folder: {data_dir}, for this account alone"
    assert len(lines) == len(SUBJECTS)


def open_the_store(data_dir: Path) -> None:
    (data_dir / "store").chmod(0o755)


def open_a_file(data_dir: Path) -> None:
    (data_dir / "store" / "CURRENT").chmod(0o644)


def open_the_secret(data_dir: Path) -> None:
    (data_dir / "token-secret").chmod(0o640)


def damage(data_dir: Path) -> None:
    (data_dir / "store" / "CURRENT").write_text("garbage")


def lose_a_file(data_dir: Path) -> None:
    (data_dir / "store" / "CURRENT").unlink()


def other_shards(data_dir: Path) -> None:
    (data_dir / "rowbox.toml").write_text("[store]\nshards = 128")


def no_room(data_dir: Path) -> None:
    (data_dir / "rowbox.toml").write_text("[store]\nshards = 64\nmin_free_bytes = 1099511627776")


def a_clock_that_is_behind(data_dir: Path) -> None:
    (data_dir / "store" / "rowbox.clock").write_bytes(encoded(Remembered(wall_clock_us() + 3_600_000_000)))
    (data_dir / "store" / "rowbox.clock").chmod(0o600)


def an_old_backup(data_dir: Path) -> None:
    note_backup(data_dir / "store", LastBackup(wall_clock_us() - BACKUP_US - 1, "/backups/old"))


def an_interrupted_restore(data_dir: Path) -> None:
    restoring_of(data_dir / "store").mkdir(0o700)
    (data_dir / "store").rename(data_dir / "store.replaced-20261127T120000Z")


@pytest.mark.parametrize(
    ("ail", "subject", "says"),
    [
        (open_the_store, "store", "(mode 0755): chmod -R go= "),
        (open_a_file, "store", "open to other accounts"),
        (damage, "format", "`rowbox restore BACKUP --replace"),
        (lose_a_file, "format", "there is no store in"),
        (other_shards, "format", "made with 64 shards, the settings say 128"),
        (no_room, "room", "free some, or give it a larger device"),
        (a_clock_that_is_behind, "remembered time", "rowbox clock accept"),
        (an_old_backup, "last backup", "/backups/old, where it is not now: rowbox backup TO"),
        (an_interrupted_restore, "restore", "run it again, or remove "),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_ails_is_named_with_what_to_do(
    data_dir: Path, ail: Callable[[Path], None], subject: str, says: str
) -> None:
    ail(data_dir)
    assert_wrong(data_dir, subject, says)


def test_a_good_store_beside_what_an_interrupted_restore_left_is_not_to_be_replaced(data_dir: Path) -> None:
    restoring_of(data_dir / "store").mkdir(0o700)
    code, checks = examined(data_dir)
    assert (code, checks["restore"][0]) == (0, State.OK)
    assert "again" not in checks["restore"][1]


def test_files_that_go_while_it_looks_are_no_defect(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a server compacts meanwhile."""
    (data_dir / "store" / "gone.sst").touch()
    is_file = Path.is_file

    def see_it_before_it_goes(path: Path) -> bool:
        was_there = is_file(path)
        if path.name == "gone.sst":
            path.unlink(missing_ok=True)
        return was_there

    monkeypatch.setattr(Path, "is_file", see_it_before_it_goes)
    assert examined(data_dir)[1]["store"][0] == State.OK


def test_a_secret_that_others_can_read_is_wrong(data_dir: Path) -> None:
    """It lies in the data folder, so that is open, too."""
    open_the_secret(data_dir)
    _, checks = examined(data_dir)
    assert checks["token secret"][0] == checks["data folder"][0] == State.WRONG


def test_a_data_folder_of_another_account_is_wrong(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: account + 1)
    diagnosis = examine_folder(data_dir, "data folder")
    assert diagnosis.state is State.WRONG
    assert f"account {account}'s" in diagnosis.finding


def test_it_says_which_process_has_the_store_open(data_dir: Path) -> None:
    found: list[Checks] = []

    async def meanwhile(store: RocksStore, settings: Settings) -> None:
        for path in (data_dir / "store").iterdir():
            path.chmod(0o600)
        found.append((await asyncio.to_thread(examined, data_dir))[1])

    in_store(data_dir, meanwhile)
    assert found[0]["server"] == (State.OK, f"process {os.getpid()} has the store open")
    assert found[0]["format"][0] == State.OK
    in_store(data_dir, nothing)  # and its look at the lock has not taken it


def test_few_descriptors_are_named_with_what_they_lower_or_end(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 2048))
    assert "server.max_connections is " in examined(data_dir)[1]["open files"][1]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    assert_wrong(data_dir, "open files", "at least 512 descriptors")


@pytest.mark.parametrize(
    ("median_s", "state"),
    [(1e-6, State.UNKNOWN), (1e-4, State.OK), (0.012, State.OK), (0.06, State.WRONG)],
)
def test_an_fsync_is_judged_by_how_long_it_takes(median_s: float, state: State) -> None:
    assert judge_syncs(SyncTimes(median_s, 1.0)).state is state


def test_an_fsync_that_fails_is_wrong(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    assert_wrong(data_dir, "fsync", "Input/output error: no send could be confirmed")
    assert not list(data_dir.rglob(".rowbox-probe-*"))


def test_the_device_that_is_probed_is_the_stores(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which may be another one than the data folder's: a mount, or a link."""
    probed: list[Path] = []

    def probe(folder: Path) -> SyncTimes:
        probed.append(folder)
        return SyncTimes(0.001, 0.001)

    monkeypatch.setattr(rocksdb_doctor, "measure_syncs", probe)
    examined(data_dir)
    assert probed == [data_dir / "store"]


def test_the_probe_measures_the_syncs_alone(tmp_path: Path) -> None:
    ticks = iter(range(2 * PROBES))
    assert measure_syncs(tmp_path, lambda: float(next(ticks))) == SyncTimes(1.0, 1.0)
    assert list(tmp_path.iterdir()) == []


def test_it_wants_a_store(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", "--data-dir", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no store in" in result.stderr


def test_a_clusters_options_are_for_a_cluster(data_dir: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", "--data-dir", str(data_dir), "--gateway-info", "127.0.0.1:1"])
    assert result.exit_code == 1
    assert "are for HBase" in result.stderr

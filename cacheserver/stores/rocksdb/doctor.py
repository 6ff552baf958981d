"""The checks of `rowbox doctor` on an embedded store: its folder, its files, its device, its backups.

Each function examines one thing and changes nothing. The one exception is the probe of fsync, which writes a small file
and removes it.
"""

import fcntl
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_IMODE
from typing import Final

from rowbox.cacheserver.stores.files.beside import last_backup, restoring_of, utc_text
from rowbox.cacheserver.stores.files.device_probe import SyncTimes, measure_syncs
from rowbox.cacheserver.stores.files.disk import device_bytes
from rowbox.cacheserver.stores.files.private import is_open_to_others
from rowbox.cacheserver.stores.rocksdb.folder import LOCK
from rowbox.cacheserver.stores.rocksdb.view import open_reader
from rowbox.hbase_schema.doctor.diagnosis import Diagnosis, State, judged
from rowbox.hbase_schema.families import SCHEMA_VERSION
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.clocks.clock_trust import duration
from rowbox.mailbox.errors import RowboxError, StoreVersionMismatch

SLOW_S: Final = 0.05
"""Seconds of the median fsync from which a device is too slow. A spinning disk takes 10 ms; at 50 ms people notice how
long a send takes."""
NO_DEVICE_S: Final = 2e-5
"""Seconds of the median fsync below which no device is behind it. Even the fastest devices, whose cache survives a
power cut, take longer; memory does not."""
ROOM_TIMES: Final = 4
"""How many times store.min_free_bytes have to be free. The alert RowboxDiskFilling has the same number."""
BACKUP_US: Final = 8 * 86_400 * US_PER_S
"""The age from which the last backup is too old. The alert RowboxBackupOld has the same number."""
_OPTIONS: Final = ("compression", "write_buffer_size", "max_open_files", "wal_recovery_mode")


def examine_folder(folder: Path, subject: str) -> Diagnosis:
    """Examines which account a folder belongs to, and which others may look into it and its files."""
    found = folder.stat()
    if found.st_uid != os.geteuid():
        return Diagnosis(
            State.WRONG, subject, f"{folder} is account {found.st_uid}'s: run this, and the server, as that"
        )
    if is_open_to_others(folder) or any(map(_is_open_file, folder.iterdir())):
        advice = f"chmod -R go= {shlex.quote(str(folder))}"
        finding = f"{folder} or files in it are open to other accounts (mode {S_IMODE(found.st_mode):04o})"
        return Diagnosis(State.WRONG, subject, f"{finding}: {advice}")
    return Diagnosis(State.OK, subject, f"{folder.absolute()}, for this account alone")


def _is_open_file(path: Path) -> bool:
    """Whether other accounts may read the file. False where it is gone: a running server removes files."""
    with suppress(FileNotFoundError):
        return path.is_file() and is_open_to_others(path)
    return False


def holder(store: Path) -> int | None:
    """The id of the process that has the store open. None where no process has; -1 where the lock file does not tell
    it.

    This takes a shared lock for a moment. A server that starts in that moment is told that the store is in use.
    """
    try:
        with (store / LOCK).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                number = file.read(20).split(maxsplit=1)
                return int(number[0]) if number and number[0].isdigit() else -1
    except FileNotFoundError:
        pass
    return None


def examine_format(store: Path, shards: int) -> Diagnosis:
    """Examines whether the store opens, by a reader that changes nothing, and has the settings' number of shards."""
    subject = "format"
    try:
        view = open_reader(store, {})
        try:
            if view.shards != shards:
                raise StoreVersionMismatch(f"it was made with {view.shards} shards, the settings say {shards}")
        finally:
            view.close_now()
    except RowboxError as error:
        return Diagnosis(State.WRONG, subject, str(error))
    return Diagnosis(State.OK, subject, f"opens; schema version {SCHEMA_VERSION}, {shards} shards")


def examine_files(store: Path, max_open_files: int) -> Diagnosis:
    """Examines how many files the store has, and the options that RocksDB noted when it was last opened."""
    tables = sum(path.suffix == ".sst" for path in store.iterdir())
    noted = max(store.glob("OPTIONS-*"), key=lambda path: path.name, default=None)
    text = noted.read_text(encoding="utf-8", errors="replace") if noted is not None else ""
    found = [
        f"{name} {match[1]}" for name in _OPTIONS if (match := re.search(rf"^ *{name}=(\S+)$", text, re.MULTILINE))
    ]
    beyond = (
        f", of which it keeps {max_open_files:,} open: raise store.max_open_files" if tables > max_open_files else ""
    )
    return Diagnosis(State.OK, "files", f"{tables:,} tables{beyond}; options of the last start: {', '.join(found)}")


def examine_room(store: Path, min_free_bytes: int) -> Diagnosis:
    """Examines the room that is left on the device, against the bound below which writes are refused."""
    size, free = device_bytes(store)
    return judged(
        well=free >= ROOM_TIMES * min_free_bytes,
        subject="room",
        finding=(
            f"{free >> 20:,} of {size >> 20:,} MiB are left on the device ({100 * free // max(size, 1)}%); with less "
            f"than {min_free_bytes >> 20:,} writes are refused (store.min_free_bytes)"
        ),
        advice="free some, or give it a larger device",
    )


def examine_syncs(folder: Path) -> Diagnosis:
    """Examines whether an fsync works, whether it reaches a device, and how long it takes."""
    try:
        return judge_syncs(measure_syncs(folder))
    except OSError as error:
        return Diagnosis(State.WRONG, "fsync", f"fails in {folder}: {error.strerror}: no send could be confirmed")


def judge_syncs(times: SyncTimes) -> Diagnosis:
    """Judges measured fsyncs, for `examine_syncs`."""
    finding = f"takes {1000 * times.median_s:.2f} ms, {1000 * times.longest_s:.2f} at the longest"
    if times.median_s < NO_DEVICE_S:
        advice = (
            "no device is asked that fast; in memory, or on a disk that ignores it, a power cut loses confirmed sends"
        )
        return Diagnosis(State.UNKNOWN, "fsync", f"{finding}: {advice}")
    return judged(
        well=times.median_s < SLOW_S,
        subject="fsync",
        finding=finding,
        advice="each commit waits for one: take a device that is faster, or less busy",
    )


def examine_backup(store: Path, now_us: int) -> Diagnosis:
    """Examines the last backup that `rowbox backup` made: its age, and where it is."""
    subject, last = "last backup", last_backup(store)
    if last is None:
        return Diagnosis(State.UNKNOWN, subject, "none that `rowbox backup` made; others it does not know of")
    device = _device_of(Path(last.folder))
    where = last.folder if device is not None else f"{last.folder}, where it is not now"
    if device == store.stat().st_dev:
        where += ", on the store's own file system: copy it to another device"
    return judged(
        well=now_us - last.as_of_us < BACKUP_US,
        subject=subject,
        finding=f"as of {utc_text(last.as_of_us)}, {duration(max(0, now_us - last.as_of_us))} ago, in {where}",
        advice="rowbox backup TO",
    )


def _device_of(path: Path) -> int | None:
    try:
        return path.stat().st_dev
    except OSError:
        return None


def examine_leftovers(store: Path) -> Iterator[Diagnosis]:
    """Examines what restores left beside the store. Empty where they left nothing."""
    if restoring_of(store).exists():
        yield judged(
            well=(store / "CURRENT").exists(),  # else an operator might put an old backup in a good store's place
            subject="restore",
            finding=f"one to {store} is at work, or was interrupted",
            advice=f"run it again, or remove {restoring_of(store)}",
        )
    if replaced := sorted(store.parent.glob(f"{store.name}.replaced-*")):
        finding = f"{len(replaced)} moved aside by restores, the last is {replaced[-1].name}: yours to remove"
        yield Diagnosis(State.OK, "old stores", finding)

"""What `rowbox doctor` says of an embedded store: its folder, its files, its device, its backups.

Each function looks at one thing and changes nothing, but for the probe of fsync, which writes a small file and
removes it.
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
"""Median. A disk that turns takes 10 ms; at 50 a send takes longer than people wait for without noticing."""
NO_DEVICE_S: Final = 2e-5
"""The fastest devices with a cache that survives a power cut take longer; memory does not."""
ROOM_TIMES: Final = 4
"""Of store.min_free_bytes, as the alert RowboxDiskFilling has it."""
BACKUP_US: Final = 8 * 86_400 * US_PER_S
"""As the alert RowboxBackupOld has it."""
_OPTIONS: Final = ("compression", "write_buffer_size", "max_open_files", "wal_recovery_mode")


def examine_folder(folder: Path, subject: str) -> Diagnosis:
    """Whose a folder is, and who else may look into it and its files."""
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
    """False where it is gone: a server that has the store open removes files."""
    with suppress(FileNotFoundError):
        return path.is_file() and is_open_to_others(path)
    return False


def holder(store: Path) -> int | None:
    """The process that has the store open; None where none has. -1 where its number does not stand there.

    It takes a shared lock for a moment, so a server that starts in that very moment is told that the store is in use.
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
    """Whether it opens, by a reader that changes nothing, and is what the settings say."""
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
    """How many there are, and the options that RocksDB noted when it was opened last."""
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
    """What is left on the device, beside what writes are refused at."""
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
    """Whether an fsync works, reaches a device, and how long it takes."""
    try:
        return judge_syncs(measure_syncs(folder))
    except OSError as error:
        return Diagnosis(State.WRONG, "fsync", f"fails in {folder}: {error.strerror}: no send could be confirmed")


def judge_syncs(times: SyncTimes) -> Diagnosis:
    """The rule of `examine_syncs`."""
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
    """The last one that `rowbox backup` made."""
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
    """What restores left beside the store."""
    if restoring_of(store).exists():
        yield judged(
            well=(store / "CURRENT").exists(),  # nobody who reads this is to put an old backup in a good store's place
            subject="restore",
            finding=f"one to {store} is at work, or was interrupted",
            advice=f"run it again, or remove {restoring_of(store)}",
        )
    if replaced := sorted(store.parent.glob(f"{store.name}.replaced-*")):
        finding = f"{len(replaced)} moved aside by restores, the last is {replaced[-1].name}: yours to remove"
        yield Diagnosis(State.OK, "old stores", finding)

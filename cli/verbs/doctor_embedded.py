"""What `rowbox doctor` examines on one machine: the data folder, the store in it, and the descriptors of a server."""

import asyncio
import re
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from rowbox.cacheserver.clocks import wall_clock_us
from rowbox.cacheserver.stores.files.clock_file import ClockFile
from rowbox.cacheserver.stores.files.durable_files import told
from rowbox.cacheserver.stores.files.private import holds
from rowbox.cacheserver.stores.rocksdb.doctor import (
    examine_backup,
    examine_files,
    examine_folder,
    examine_format,
    examine_leftovers,
    examine_room,
    examine_syncs,
    holder,
)
from rowbox.cli.data_dir import SIGNING_FILE, as_the_server, existing_store, store_folder
from rowbox.cli.secret import load
from rowbox.cli.serving.descriptors import within
from rowbox.hbase_schema.doctor.cluster import judge_remembered
from rowbox.hbase_schema.doctor.diagnosis import Diagnosis, State
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.settings.config import ConfigError, LoadedSettings

_UNLIMITED: Final = 1 << 20


def examine_embedded(loaded: LoadedSettings) -> Iterator[Diagnosis]:
    """Examines all of it. StoreUnusable where there is no store and no restore that was interrupted."""
    settings = loaded.settings
    data_dir, store = Path(settings.server.data_dir), store_folder(settings)
    with as_the_server(store), told(f"{data_dir} cannot be examined"):
        leftovers = list(examine_leftovers(store))
        if not leftovers and not holds(store, "CURRENT") and not (store.is_dir() and any(store.iterdir())):
            existing_store(settings)
        yield examine_folder(data_dir, "data folder")
        if store.exists():
            yield from _examine_store(loaded, store)
        yield examine_syncs(store if store.exists() else data_dir)
        yield from leftovers


def _examine_store(loaded: LoadedSettings, store: Path) -> Iterator[Diagnosis]:
    kept = loaded.settings.store
    yield examine_folder(store, "store")
    yield _examine_secret(store.parent)
    process = holder(store)
    serving = "none has the store open" if process is None else f"process {process} has the store open"
    yield Diagnosis(State.OK, "server", serving)
    yield examine_format(store, kept.shards)
    yield examine_files(store, kept.max_open_files)
    yield examine_room(store, kept.min_free_bytes)
    yield _examine_descriptors(loaded, process)
    yield _examine_remembered(store)
    yield examine_backup(store, wall_clock_us())


def _examine_secret(data_dir: Path) -> Diagnosis:
    subject = "token secret"
    if not (data_dir / SIGNING_FILE).exists():
        return Diagnosis(State.OK, subject, "none yet: the next start makes one")
    try:
        load(data_dir)
    except RowboxError as error:
        return Diagnosis(State.WRONG, subject, str(error))
    return Diagnosis(State.OK, subject, "for this account alone; keep a copy apart from the backups")


def _examine_descriptors(loaded: LoadedSettings, process: int | None) -> Diagnosis:
    """How the descriptors of the running server, or else of this process, are shared (cli/serving/descriptors.py)."""
    limit = _limit_of(process)
    whose = "this process" if limit is None else "the server"
    if limit is None:
        limit = _known(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    try:
        notes = within(loaded, limit).notes
    except ConfigError as error:
        return Diagnosis(State.WRONG, "open files", str(error))
    lowered = f": {'; '.join(notes)}" if notes else ", enough for all that the settings ask for"
    return Diagnosis(State.OK, "open files", f"{whose} may open {limit:,}{lowered}")


def _limit_of(process: int | None) -> int | None:
    """A process's hard limit of open files; None where it cannot be asked."""
    with suppress(OSError):
        if match := re.search(
            r"^Max open files +\S+ +(\S+)", Path(f"/proc/{process}/limits").read_text(), re.MULTILINE
        ):
            return _UNLIMITED if match[1] == "unlimited" else int(match[1])
    return None


def _known(limit: int) -> int:
    return _UNLIMITED if limit == resource.RLIM_INFINITY else limit


def _examine_remembered(store: Path) -> Diagnosis:
    try:
        return judge_remembered(asyncio.run(ClockFile(store).read()), wall_clock_us())
    except RowboxError as error:
        return Diagnosis(State.WRONG, "remembered time", str(error))

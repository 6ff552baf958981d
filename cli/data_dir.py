"""The data directory: where the embedded store lies in it, and which account of the machine may read it.

It also holds the secret (secret.py) and the file of settings (options.py).
"""

import codecs
import logging
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_IMODE
from typing import Final

from rowbox.cacheserver.stores.files.private import FOLDER_MODE, OTHERS, holds, make_folder
from rowbox.cli.options import DEFAULT_FILE
from rowbox.mailbox.errors import StoreUnusable
from rowbox.mailbox.settings.config import Settings

STORE: Final = "store"
SEARCH: Final = "search"
SIGNING_FILE: Final = "token-secret"
PREVIOUS_FILE: Final = f"{SIGNING_FILE}.previous"
_OURS: Final = frozenset({STORE, SEARCH, SIGNING_FILE, PREVIOUS_FILE, DEFAULT_FILE})
_MADE_BY_ROCKSDB: Final = "CURRENT"
_log = logging.getLogger(__name__)


def store_folder(settings: Settings) -> Path:
    """Where the embedded store lies."""
    return Path(settings.server.data_dir) / STORE


def search_folder(settings: Settings) -> Path:
    """Below which folder search indexes are kept."""
    return Path(settings.search.dir or Path(settings.server.data_dir) / SEARCH)


def existing_store(settings: Settings) -> Path:
    """The folder of an embedded store that is there already. StoreUnusable where there is none."""
    folder = store_folder(settings)
    if not holds(folder, _MADE_BY_ROCKSDB):
        raise StoreUnusable(f"there is no store in {folder}: name the folder that the server is started with")
    return folder


def prepare_data_dir(data_dir: Path) -> None:
    """Makes a data directory that only this account can enter, or closes to others one that an earlier build left open.

    A directory that holds other things as well, or belongs to another account, is left as it is with a warning in the
    log; the files that Rowbox keeps in it are closed to others all the same (cacheserver/stores/files/private.py).
    StoreUnusable where the directory cannot be made.
    """
    try:
        make_folder(data_dir)
        found = data_dir.stat()
        names = {path.name for path in data_dir.iterdir()}
    except OSError as error:
        raise StoreUnusable(f"{data_dir}: {error.strerror}; give --data-dir a folder of your own") from error
    mode = S_IMODE(found.st_mode)
    if not mode & OTHERS:
        return
    if found.st_uid == os.geteuid() and all(map(_is_ours, names)):
        data_dir.chmod(FOLDER_MODE)
        _log.info("%s was open to other accounts of this machine (mode %04o): closed", data_dir, mode)
        return
    command = f"chmod 700 {shlex.quote(str(data_dir))}"
    _log.warning("%s is open to other accounts (mode %04o); if Rowbox alone uses it: %s", data_dir, mode, command)


def _is_ours(name: str) -> bool:
    return name in _OURS or name.startswith((f".{SIGNING_FILE}", f"{STORE}.", f".{STORE}."))


@contextmanager
def as_the_server(folder: Path) -> Iterator[None]:
    """Within it, root acts as the account that last served the store in `folder`. Other accounts act as themselves.

    A file that root made could be opened by root alone, and the server would not start again. Where there is no store
    the account is the owner of its folder, or else of the data directory.
    """
    owner = _owner_of_first(folder / _MADE_BY_ROCKSDB, folder, folder.parent) if os.geteuid() == 0 else None
    if owner is None or owner[0] == 0:
        yield
        return
    for encoding in ("ascii", "idna"):  # Python loads them late, and that account may not be able to read root's Python
        codecs.lookup(encoding)
    user_id, group_id = owner
    own_group = os.getegid()
    os.setegid(group_id)
    os.seteuid(user_id)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(own_group)


def _owner_of_first(*paths: Path) -> tuple[int, int] | None:
    """The account and the group of the first path that exists. None where no path does."""
    return next(filter(None, map(_account_of, paths)), None)


def _account_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None  # whoever opens the store says what is wrong
    return found.st_uid, found.st_gid

"""The secrets that sign and verify tokens: files in the data directory, readable by their owner only.

`token-secret` signs and verifies. `token-secret.previous` is there while a rotation lasts (secret_rotation.py), and
only verifies.
"""

import os
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE
from typing import Final

from rowbox.cacheserver.stores.files.private import make_folder
from rowbox.cli.data_dir import PREVIOUS_FILE, SIGNING_FILE
from rowbox.mailbox.errors import StoreUnusable
from rowbox.mailbox.settings.config import Settings

FILE: Final = SIGNING_FILE
SECRET_BYTES: Final = 32
_OPEN: Final = 0o077
_OPEN_OF_ROOT: Final = 0o037
"""Mode bits that a secret of root must not have. Its group may read it, because that is how root gives a file to this
account. PostgreSQL has the same rule for keys; secrets that are mounted into containers need it."""


def load_or_create(data_dir: Path) -> bytes:
    """The secret of a data directory. It is made (0600) where there is none; two processes that make it at once get the
    same one.

    StoreUnusable where the file cannot be read or made, is no secret, or can be read by other accounts.
    """
    path = data_dir / FILE
    try:
        make_folder(data_dir)
        return read_secret(path) if path.exists() else _create(path)
    except OSError as error:
        raise StoreUnusable(f"{path}: {error.strerror}; give --data-dir a folder of your own") from error


def load(data_dir: Path) -> bytes:
    """The secret that a server made in its data directory. StoreUnusable as of `load_or_create`, and where there is
    none.
    """
    path = data_dir / FILE
    try:
        return read_secret(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreUnusable(
            f"no server's secret is in {data_dir.absolute()}: name the folder of the server with --data-dir,"
            " or start the server there first, which makes one"
        ) from error
    except OSError as error:
        raise StoreUnusable(f"{path}: {error.strerror}; run this as the account of the server") from error


def load_all(data_dir: Path) -> list[bytes]:
    """The secrets that verify tokens, the one that signs first. StoreUnusable as of `load`.

    The files are read in this order, so that a rotation between the two reads gives the old secret twice. In the other
    order it could give the new secret alone, and every token that is in use would be refused.
    """
    current = load(data_dir)
    path = data_dir / PREVIOUS_FILE
    try:
        previous = read_secret(path)
    except FileNotFoundError:
        return [current]
    except OSError as error:
        raise StoreUnusable(f"{path}: {error.strerror}; run this as the account of the server") from error
    return [current] if previous == current else [current, previous]


def cluster_secret(settings: Settings) -> bytes:
    """What the servers of a cluster prove to each other. StoreUnusable: there is none."""
    path = settings.cluster.secret_file
    if not path:
        raise StoreUnusable("the servers of a cluster need a secret in common: give cluster.secret_file")
    try:
        return read_secret(Path(path))
    except OSError as error:
        raise StoreUnusable(f"{path}: {error.strerror}; it holds the secret of the cluster") from error


def read_secret(path: Path) -> bytes:
    """The secret in a file. OSError; StoreUnusable where the file holds none, or other accounts can read it."""
    with path.open("rb") as file:
        _require_closed(path, os.fstat(file.fileno()))
        secret = file.read()
    if len(secret) < SECRET_BYTES:
        raise StoreUnusable(f"{path} is no secret: {SECRET_BYTES} bytes or more; remove it, and all tokens end")
    return secret


def is_open(found: os.stat_result) -> bool:
    """Whether other accounts can read a file, beside those to which root gives it."""
    is_of_root = found.st_uid == 0 and os.geteuid() != 0
    return bool(found.st_mode & (_OPEN_OF_ROOT if is_of_root else _OPEN))


def _require_closed(path: Path, found: os.stat_result) -> None:
    if is_open(found):
        raise StoreUnusable(
            f"{path} is open to other accounts (mode {S_IMODE(found.st_mode):04o}), and whoever reads it can be any"
            f" user: chmod 600 {shlex.quote(str(path))}; if one may have read it, remove it, and all tokens end"
        )


def _create(path: Path) -> bytes:
    """Writes a new secret to a file beside `path` and links it into place, so that nobody ever reads half a secret."""
    with (
        drafted_secret(path) as draft,
        suppress(FileExistsError),
    ):  # another process made it first: its secret is the one
        os.link(draft, path)
    return read_secret(path)


@contextmanager
def drafted_secret(path: Path) -> Iterator[Path]:
    """A file (0600) beside `path` with a new secret, synced to the device. It is removed after the block."""
    draft = path.with_name(f".{FILE}.{secrets.token_hex(8)}")  # containers that share a folder share process ids too
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)

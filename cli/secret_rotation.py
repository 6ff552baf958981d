"""Another secret in place of the one that signs tokens, without ending those that are out.

    rotate   the secret that signs becomes the previous one, which still verifies, and a new one signs
    retire   the previous one is removed: what it signed is refused

Each step is one rename, link or removal: a server that reads in between has a state in which every token that was
accepted is. A second rotation before `retire` would end the tokens of the first secret unasked, so it is refused. The
folder is locked meanwhile; a rotation that was interrupted is finished by the next one.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from stat import S_IMODE
from typing import NamedTuple

from rowbox.cli.data_dir import PREVIOUS_FILE, SIGNING_FILE
from rowbox.cli.secret import drafted_secret, load, load_all, read_secret
from rowbox.mailbox.errors import RowboxError, StoreUnusable


class RotationRefused(RowboxError):
    """The secrets are not in the state that the step begins with. Nothing was changed."""

    code = "rotation_refused"


class SecretShown(NamedTuple):
    """What may be said of a secret: the time at which its file was written, and a name that it alone has."""

    role: str
    written_s: float
    fingerprint: str


def rotate(data_dir: Path) -> None:
    """Makes a new secret that signs; the one before verifies on. RotationRefused; StoreUnusable: nothing was changed.

    The new file belongs to whom the old one does, with its modes, whoever asked: the server has to read it.
    """
    path, previous_path = data_dir / SIGNING_FILE, data_dir / PREVIOUS_FILE
    with _locked(data_dir) as folder, drafted_secret(path) as draft:
        if previous_path.exists() and read_secret(previous_path) != load(data_dir):
            raise RotationRefused(
                "the previous secret still counts: when its tokens have expired, end it with "
                "`rowbox token retire`, then rotate again"
            )
        found = path.stat()
        os.chown(draft, found.st_uid, found.st_gid)
        draft.chmod(S_IMODE(found.st_mode))
        if not previous_path.exists():
            os.link(path, previous_path)
            os.fsync(folder)
        draft.replace(path)
        os.fsync(folder)


def retire(data_dir: Path) -> None:
    """Removes the previous secret. RotationRefused where there is none; StoreUnusable: nothing was changed."""
    with _locked(data_dir) as folder:
        try:
            (data_dir / PREVIOUS_FILE).unlink()
        except FileNotFoundError as error:
            raise RotationRefused("there is no previous secret: `rowbox token rotate` makes one") from error
        os.fsync(folder)


def shown(data_dir: Path) -> list[SecretShown]:
    """The secrets of a data directory, the one that signs first. StoreUnusable as of `load_all`."""
    roles = (("signs and verifies", SIGNING_FILE), ("verifies", PREVIOUS_FILE))
    return [
        SecretShown(role, (data_dir / name).stat().st_mtime, blake2b(secret, digest_size=4).hexdigest())
        for (role, name), secret in zip(roles, load_all(data_dir), strict=False)
    ]


@contextmanager
def _locked(data_dir: Path) -> Iterator[int]:
    """Keeps others out who rotate; gives the folder's descriptor. OSError inside is told as StoreUnusable.

    StoreUnusable where the folder holds no secret of a server, as of `load`.
    """
    load(data_dir)
    try:
        folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreUnusable(f"{data_dir}: {error.strerror}; run this as the account of the server") from error

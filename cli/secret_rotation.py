"""Replaces the secret that signs tokens, without ending the tokens that are in use.

    rotate   the secret that signs becomes the previous one, which still verifies, and a new one signs
    retire   the previous secret is removed: tokens that it signed are refused

Each step of a rotation is one rename, link or removal. A server that reads between two steps still accepts every token
that it accepted before. A second rotation before `retire` is refused, because it would end the tokens of the first
secret unasked. The folder is locked meanwhile; a rotation that was interrupted is finished by the next one.
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
    """The secrets are not in the state in which `rotate` or `retire` can begin. Nothing was changed."""

    code = "rotation_refused"


class SecretShown(NamedTuple):
    """What may be shown of a secret: its role, a fingerprint to compare it by, and when its file was written."""

    role: str
    written_s: float
    fingerprint: str


def rotate(data_dir: Path) -> None:
    """Makes a new secret that signs; the one before it still verifies.

    RotationRefused; StoreUnusable, with nothing changed. The new file has the owner and the mode of the old one,
    whoever runs this, so that the server can read it.
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
    """Removes the previous secret. RotationRefused where there is none; StoreUnusable, with nothing changed."""
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
    """Locks the folder against other rotations, and gives its descriptor. An OSError inside becomes StoreUnusable.

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

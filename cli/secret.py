"""The secret that signs and verifies tokens: a file in the data directory, readable by its owner only."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from rowbox.mailbox.errors import StoreUnusable

FILE: Final = "token-secret"
SECRET_BYTES: Final = 32


def load_or_create(data_dir: Path) -> bytes:
    """The secret of a data directory, made (0600) where there is none yet: two that make it at once agree on one.

    StoreUnusable where the file cannot be read, made or is no secret.
    """
    path = data_dir / FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        return _read(path) if path.exists() else _create(path)
    except OSError as error:
        raise StoreUnusable(f"{path}: {error.strerror}; give --data-dir a folder of your own") from error


def load(data_dir: Path) -> bytes:
    """The secret of a data directory. StoreUnusable where there is none, or none that can be read."""
    path = data_dir / FILE
    try:
        return _read(path)
    except FileNotFoundError as error:
        raise StoreUnusable(
            f"{path} is missing: no server has run on this folder; give --data-dir the server's"
        ) from error
    except OSError as error:
        raise StoreUnusable(f"{path}: {error.strerror}; run this as the user that runs the server") from error


def _read(path: Path) -> bytes:
    secret = path.read_bytes()
    if len(secret) < SECRET_BYTES:
        raise StoreUnusable(f"{path} is no secret: {SECRET_BYTES} bytes or more; remove it, and all tokens end")
    return secret


def _create(path: Path) -> bytes:
    """Written beside it whole, then linked into place: nobody ever reads half a secret."""
    draft = path.with_name(f".{FILE}.{secrets.token_hex(8)}")  # containers that share a folder share process ids too
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process made it first: its secret is the one
            os.link(draft, path)
    finally:
        draft.unlink()
    return _read(path)

"""Writes files that are on the disk when a call returns, and makes folders that are there whole or not at all.

All functions raise OSError, which `told` translates. What they make is readable by its owner alone (0600, 0700).
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rowbox.mailbox.errors import StoreLocked, StoreUnusable

_COPY_BYTES: Final = 1 << 20
_NO_LINK: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})
"""The errors of a link to another file system or mount, or on one without hard links. Then the file is copied."""


def write_whole(path: Path, content: bytes) -> None:
    """Replaces the file at `path` by one with `content`. A reader sees the old file or the new one, whole."""
    draft = path.with_name(f".{path.name}.next")
    _write(draft, content)
    draft.replace(path)
    sync_folder(path.parent)


def write_new(path: Path, content: bytes) -> None:
    """Makes the file `path`, which must not exist, and syncs it. The caller has to sync its folder."""
    _write(path, content)


def copy_new(source: Path, target: Path) -> None:
    """Makes `target`, a copy that shares no bytes with `source`, and syncs it. The caller has to sync its folder."""
    with source.open("rb") as read, _created(target).open("wb") as written:
        shutil.copyfileobj(read, written, _COPY_BYTES)
        written.flush()
        os.fsync(written.fileno())


def link_or_copy(source: Path, target: Path) -> None:
    """Makes `target` a hard link to `source`, or a copy where no link can be made. For files that nobody ever changes.

    The caller has to sync the folder.
    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        copy_new(source, target)


def sync_folder(folder: Path) -> None:
    """Syncs the folder: files that were made, renamed and removed in it stay so after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def scratch_folder(path: Path, busy: str) -> Iterator[Path]:
    """Makes an empty folder `path` for this process alone. It is removed in the end, unless it was renamed.

    If a killed process left such a folder, its files are removed. StoreLocked, with the text `busy`, while another
    process works in it; flock(2) on the folder tells the two cases apart.
    """
    descriptor = _claimed(path, busy)
    try:
        _clear(path)
        yield path
    finally:
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                shutil.rmtree(path)
        os.close(descriptor)


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turns an OSError inside into a StoreUnusable, whose text is `what` and the reason."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("Symlink loop"):  # pathlib's, before Python 3.13
            raise
        raise StoreUnusable(f"{what}: {error}") from error
    except OSError as error:
        where = str(error.filename) if error.filename is not None else ""  # the error of a write names no file
        account = f"as account {os.geteuid()}" if isinstance(error, PermissionError) else ""
        details = ", ".join(filter(None, (where, account)))
        raise StoreUnusable(f"{what}: {error.strerror}{f' ({details})' if details else ''}") from error


def remove_leftover(path: Path) -> None:
    """Removes a scratch folder that a killed process left. One that is in use or of another account stays."""
    if path.exists():
        with suppress(StoreLocked, OSError), scratch_folder(path, ""):
            pass


def _claimed(path: Path, busy: str) -> int:
    """Locks the folder, which is made where it does not exist. Returns its descriptor."""
    while True:
        path.mkdir(0o700, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            _check_own(descriptor, path)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                path.chmod(0o700)
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise StoreLocked(busy) from error
        except FileNotFoundError:
            pass  # the process that had the folder has removed it meanwhile, so the next try makes it anew
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _check_own(descriptor: int, path: Path) -> None:
    """PermissionError where the folder belongs to another account, which could then change what is put into it."""
    if os.fstat(descriptor).st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "the folder belongs to somebody else", str(path))


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _write(path: Path, content: bytes) -> None:
    with _created(path).open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _created(path: Path) -> Path:
    """Makes an empty private file at `path`, in place of one that a killed process left. Returns the path."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return path

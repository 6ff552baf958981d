"""Files that are on the disk when a call returns, and folders that are there whole or not at all.

Everything here raises OSError (`told` translates it), and is readable by its owner alone (0600, 0700).
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
"""Another file system or mount, or one that has no hard links; what a link cannot be made of is copied."""


def write_whole(path: Path, content: bytes) -> None:
    """Puts `content` in the place of the file: whoever reads sees the old one or this one."""
    draft = path.with_name(f".{path.name}.next")
    _write(draft, content)
    draft.replace(path)
    sync_folder(path.parent)


def write_new(path: Path, content: bytes) -> None:
    """A file that was not there. Its folder is the caller's to sync."""
    _write(path, content)


def copy_new(source: Path, target: Path) -> None:
    """A copy that shares nothing with `source`. Its folder is the caller's to sync."""
    with source.open("rb") as read, _created(target).open("wb") as written:
        shutil.copyfileobj(read, written, _COPY_BYTES)
        written.flush()
        os.fsync(written.fileno())


def link_or_copy(source: Path, target: Path) -> None:
    """For a file that nobody ever changes: at once, where both are on one file system. Its folder is not synced."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        copy_new(source, target)


def sync_folder(folder: Path) -> None:
    """What was made, renamed and removed in it is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def scratch_folder(path: Path, busy: str) -> Iterator[Path]:
    """An empty folder of this name, of this process alone, and gone in the end, unless it was given another name.

    What a killed process left of it is removed. StoreLocked, with the text `busy`, while another process is at work in
    it: flock(2) on the folder tells the two apart.
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
    """What fails inside with an OSError is a StoreUnusable: `what` did not work out, and why."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("Symlink loop"):  # pathlib's, before Python 3.13
            raise
        raise StoreUnusable(f"{what}: {error}") from error
    except OSError as error:
        where = str(error.filename) if error.filename is not None else ""  # a write does not say
        account = f"as account {os.geteuid()}" if isinstance(error, PermissionError) else ""
        details = ", ".join(filter(None, (where, account)))
        raise StoreUnusable(f"{what}: {error.strerror}{f' ({details})' if details else ''}") from error


def remove_leftover(path: Path) -> None:
    """Removes a scratch folder that a killed process left. One that is in use, or somebody else's, stays."""
    if path.exists():
        with suppress(StoreLocked, OSError), scratch_folder(path, ""):
            pass


def _claimed(path: Path, busy: str) -> int:
    """The descriptor of the folder, made where it is not there, with the lock."""
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
            pass  # whoever had it has removed it meanwhile: another try makes it anew
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _check_own(descriptor: int, path: Path) -> None:
    """What we put into a folder of somebody else's is his."""
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
    """The path, with an empty file of our modes there. One that is there is left from a killed process."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return path

"""The folder of an owner's indexes: what a killed process has left goes, and nothing else that lies there."""

import os
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from rowbox.cacheserver.search import folder
from rowbox.cacheserver.search.folder import LOCK, IndexFolder, _Locked


def left_by_a_killed_one(parent: Path) -> Path:
    """The folder of an owner whose lock the kernel has taken back."""
    killed = IndexFolder(parent)
    own = killed.path()
    (own / "alice.db").write_bytes(b"words")
    os.close(killed._lock)
    return own


def test_what_a_killed_process_has_left_goes(tmp_path: Path) -> None:
    left = left_by_a_killed_one(tmp_path)
    IndexFolder(tmp_path).tidy()
    assert not left.exists()


def test_the_folder_of_one_that_runs_stays(tmp_path: Path) -> None:
    running = IndexFolder(tmp_path)
    own = running.path()
    IndexFolder(tmp_path).tidy()
    assert own.is_dir()
    running.remove()
    assert not own.exists()


def test_two_first_searches_at_once_make_one_folder(tmp_path: Path) -> None:
    """A second one would stay behind, with what is said in it, until another process tidies up."""
    both = IndexFolder(tmp_path)
    with ThreadPoolExecutor(2) as threads, _Locked(tmp_path / LOCK):
        made = [threads.submit(both.path) for _ in range(2)]
        _, waiting = wait(made, timeout=0.1)  # for the lock of the parent, or one for the other
    assert len(waiting) == 2
    assert made[0].result() == made[1].result()
    both.remove()
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_what_is_no_index_stays(tmp_path: Path) -> None:
    """`search.dir` may be any folder that its operator names: the data folder, or his home."""
    store = tmp_path / "store"
    store.mkdir()
    (store / "CURRENT").write_text("MANIFEST-000005")
    (store / LOCK).touch()
    left = left_by_a_killed_one(tmp_path)
    IndexFolder(tmp_path).tidy()
    assert (store / "CURRENT").read_text() == "MANIFEST-000005"
    assert [path.name for path in sorted(tmp_path.iterdir())] == [LOCK, "store"]
    assert not left.exists()


def test_a_folder_whose_lock_cannot_be_had_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process would take it for one that was left, and remove it under whoever reads and writes there."""
    folder_of_one = IndexFolder(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(folder, "_try_lock", lambda _: -1)
        for _ in range(2):
            with pytest.raises(OSError, match="lock"):
                folder_of_one.path()
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    assert folder_of_one.path().is_dir()
    folder_of_one.remove()

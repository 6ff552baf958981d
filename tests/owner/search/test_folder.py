"""The folder of an owner's indexes: what a killed process has left goes, and nothing else that lies there."""

import os
from pathlib import Path

from rowbox.cacheserver.search.folder import LOCK, IndexFolder


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

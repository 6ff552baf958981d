"""`rowbox clock`, over the embedded store: beside no server, and before a server's first start."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from rowbox.cacheserver.stores.files.clock_file import NAME, ClockFile
from rowbox.cli.main import main
from rowbox.mailbox.clocks.clock_trust import Gap, Remembered
from tests.cli.stores.store_folder import in_store, nothing

DAY_US = 86_400_000_000


def now_us() -> int:
    return time.time_ns() // 1000


def remember(folder: Path, remembered: Remembered) -> None:
    async def swap() -> None:
        memory = ClockFile(folder / "store")
        assert await memory.swap(await memory.read(), remembered) == remembered

    asyncio.run(swap())


def rowbox(folder: Path, *args: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["clock", *args, "--data-dir", str(folder)])
    return result.exit_code, result.output


def test_a_clock_that_agrees_is_believed(tmp_path: Path) -> None:
    in_store(tmp_path, nothing)
    remember(tmp_path, Remembered(now_us() - 3_000_000))
    code, text = rowbox(tmp_path, "show")
    assert code == 0
    assert "3 s ago" in text
    assert "believed" in text


@pytest.mark.parametrize(("ahead_us", "says"), [(3 * DAY_US, "behind the latest time"), (-400 * DAY_US, "ahead of")])
def test_a_clock_that_contradicts_the_store_is_not_until_it_is_accepted(
    tmp_path: Path, ahead_us: int, says: str
) -> None:
    in_store(tmp_path, nothing)
    remember(tmp_path, Remembered(now_us() + ahead_us))
    code, text = rowbox(tmp_path, "show")
    assert code == 1
    assert says in text
    assert "rowbox clock accept" in text
    code, text = rowbox(tmp_path, "accept")
    assert code == 0
    assert text.startswith("Accepted: it is 2")
    assert rowbox(tmp_path, "show")[0] == 0


def test_time_that_was_not_seen_is_shown_and_a_word_makes_it_count(tmp_path: Path) -> None:
    in_store(tmp_path, nothing)
    remember(tmp_path, Remembered(now_us(), (Gap(3 * DAY_US, 2 * DAY_US),)))
    assert "3 d while no server ran" in rowbox(tmp_path, "show")[1]
    rowbox(tmp_path, "accept")
    assert json.loads(rowbox(tmp_path, "show", "--json")[1])["unseen"] == 0


def test_a_folder_from_before_has_a_witness_in_its_files(tmp_path: Path) -> None:
    """A server of an older version left no memory of the time: its last written file tells of it."""
    in_store(tmp_path, nothing)
    store = tmp_path / "store"
    (store / NAME).unlink(missing_ok=True)
    for path in store.iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    os.utime(store / "CURRENT", (1_700_000_500, 1_700_000_500))
    assert json.loads(rowbox(tmp_path, "show", "--json")[1])["remembered"] == 1_700_000_500_000_000


def test_without_a_store_there_is_nothing_to_accept(tmp_path: Path) -> None:
    code, text = rowbox(tmp_path, "accept")
    assert code == 1
    assert "there is no store" in text
    assert not (tmp_path / "store").exists()


def test_a_memory_that_does_not_read_back_is_said_in_one_line(tmp_path: Path) -> None:
    in_store(tmp_path, nothing)
    (tmp_path / "store" / NAME).write_text("{")
    code, text = rowbox(tmp_path, "show")
    assert code == 1
    assert "does not read back" in text
    assert "Traceback" not in text

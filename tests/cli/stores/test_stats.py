from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from rowbox.cli.main import main
from rowbox.cli.sizes import size_text
from tests.cli.stores.store_folder import in_store, nothing, three_messages


def run(data_dir: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["stats", "--data-dir", str(data_dir), *options])


def test_for_people(tmp_path: Path) -> None:
    in_store(tmp_path, three_messages)
    result = run(tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in result.stdout.replace(" message ", "-message ").splitlines())
    assert lines["Store"] == str(tmp_path / "store")
    assert lines["Shards"] == "64"
    assert lines["Mailboxes"] == "3"
    assert lines["Conversations"].startswith("4 (")
    assert lines["Messages"].startswith("6 (")
    assert lines["Oldest-message"] < lines["Newest-message"]
    assert "Block" not in lines, "a figure that nobody knows"


def test_json(tmp_path: Path) -> None:
    in_store(tmp_path, three_messages)
    shown = orjson.loads(run(tmp_path, "--json").stdout)
    assert (shown["shards"], shown["mailboxes"], shown["conversations"], shown["messages"]) == (64, 3, 4, 6)
    assert 0 < shown["oldestMessage"] < shown["newestMessage"]
    assert shown["diskBytes"] > 0
    assert shown["blockCacheBytes"] is None


def test_an_empty_store(tmp_path: Path) -> None:
    in_store(tmp_path, nothing)
    shown = orjson.loads(run(tmp_path, "--json").stdout)
    assert (shown["mailboxes"], shown["messages"], shown["oldestMessage"]) == (0, 0, None)
    assert "Oldest message  none\n" in run(tmp_path).stdout


@pytest.mark.parametrize(
    ("size_bytes", "shown"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB"), (-1, "")]
)
def test_a_size_is_shown_in_the_unit_a_person_would_choose(size_bytes: int, shown: str) -> None:
    assert size_text(size_bytes) == shown

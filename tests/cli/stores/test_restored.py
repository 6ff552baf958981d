import asyncio
import re
from pathlib import Path

from click.testing import CliRunner, Result

from rowbox.cacheserver.stores.history import history_of
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.cli.main import main
from rowbox.mailbox.settings.config import Settings
from tests.cli.stores.store_folder import in_store, nothing, three_messages


def run(data_dir: Path, *options: str) -> Result:
    (data_dir / "rowbox.toml").write_text("[store]\nshards = 64")
    return CliRunner().invoke(main, ["restored", "--data-dir", str(data_dir), *options])


def history(data_dir: Path) -> str:
    found: list[bytes] = []

    async def read(store: RocksStore, settings: Settings) -> None:
        found.append(await history_of(store))

    in_store(data_dir, read)
    return found[0].hex()


def test_it_begins_another_history_and_touches_nothing_else(tmp_path: Path) -> None:
    in_store(tmp_path, three_messages)
    before = history(tmp_path)
    result = run(tmp_path, "--yes")
    assert (result.exit_code, result.stderr) == (0, "")
    (told,) = re.findall(r"[0-9a-f]{32}", result.stdout)
    assert told == history(tmp_path) != before
    stats = CliRunner().invoke(main, ["stats", "--data-dir", str(tmp_path)])
    assert "Mailboxes       3\n" in stats.stdout
    assert CliRunner().invoke(main, ["check", "--data-dir", str(tmp_path)]).exit_code == 0


def test_it_wants_to_hear_yes(tmp_path: Path) -> None:
    in_store(tmp_path, nothing)
    before = history(tmp_path)
    result = run(tmp_path)
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert history(tmp_path) == before


def test_it_makes_no_store_where_there_is_none(tmp_path: Path) -> None:
    result = run(tmp_path, "--yes")
    assert result.exit_code == 1
    assert "there is no store" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["rowbox.toml"]


def test_it_leaves_a_store_alone_that_a_server_has_open(tmp_path: Path) -> None:
    outcomes: list[Result] = []

    async def meanwhile(store: RocksStore, settings: Settings) -> None:
        before = await history_of(store)
        outcomes.append(await asyncio.to_thread(run, tmp_path, "--yes"))
        assert await history_of(store) == before

    in_store(tmp_path, meanwhile)
    (result,) = outcomes
    assert result.exit_code == 1
    assert "stop that first" in result.stderr

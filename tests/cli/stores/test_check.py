import asyncio
import time
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from rowbox.cacheserver.stores.port import RowDelete
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.cli.main import main
from rowbox.cli.verbs.mail import findings
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.settings.config import Settings
from tests.cli.stores.store_folder import in_store, nothing, three_messages
from tests.support.hbase_cluster import RUNNING


def run(data_dir: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["check", "--data-dir", str(data_dir), *options])


async def lose_carols_copy(store: RocksStore, settings: Settings) -> None:
    """Alice no longer has what carol sent."""
    await three_messages(store, settings)
    for family in (Family.MESSAGES, Family.LOG):
        row = row_key("alice", settings.store.shards)
        columns = (await store.get_row(row, (family,)))[family]
        gone = [(family, qualifier) for qualifier, value in columns if b"carol" in value or family is Family.LOG]
        await store.delete([RowDelete(row, gone)], time.time_ns() // 1_000_000)


def test_a_sound_store(tmp_path: Path) -> None:
    in_store(tmp_path, three_messages)
    result = run(tmp_path)
    assert result.output == "Checked 3 mailboxes, 4 conversations, 6 copies of messages: nothing found.\n"
    assert result.exit_code == 0


def test_a_damaged_store(tmp_path: Path) -> None:
    in_store(tmp_path, lose_carols_copy)
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "copy_missing  carol: alice has no copy of message " in result.stdout
    assert "last_message  alice: conversation " in result.stdout
    assert result.stdout.splitlines()[-1].endswith(" findings.")
    assert "number 2" not in result.stdout, "a finding tells what somebody wrote"


def test_json(tmp_path: Path) -> None:
    in_store(tmp_path, three_messages)
    result = run(tmp_path, "--json")
    assert result.exit_code == 0
    counted = {"shards": 64, "mailboxes": 3, "conversations": 4, "messages": 6}
    assert orjson.loads(result.stdout) == {"clean": True, **counted, "findingCount": 0, "findings": []}


def test_json_of_a_damaged_store(tmp_path: Path) -> None:
    in_store(tmp_path, lose_carols_copy)
    result = run(tmp_path, "--json")
    assert result.exit_code == 1
    shown = orjson.loads(result.stdout)
    assert not shown["clean"]
    assert shown["findingCount"] == len(shown["findings"]) > 1
    assert {(finding["code"], finding["userId"]) for finding in shown["findings"]} >= {("copy_missing", "carol")}


def test_more_findings_than_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "MOST_SHOWN", 1)
    in_store(tmp_path, lose_carols_copy)
    lines = run(tmp_path).stdout.splitlines()
    assert len(lines) == 4
    assert "An audit finds something" in lines[2]
    assert lines[1].startswith("... and ")


def test_an_empty_store(tmp_path: Path) -> None:
    in_store(tmp_path, nothing)
    result = run(tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "Checked 0 mailboxes, 0 conversations, 0 copies of messages: nothing found.\n"


@pytest.mark.parametrize("verb", ["check", "stats"])
def test_a_folder_without_a_store(tmp_path: Path, verb: str) -> None:
    result = CliRunner().invoke(main, [verb, "--data-dir", str(tmp_path / "nowhere")])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: there is no store in {tmp_path}/nowhere/store: ")
    assert not (tmp_path / "nowhere").exists(), "looking made a folder"


@pytest.mark.parametrize("verb", ["check", "stats"])
def test_a_cluster_that_does_not_answer(verb: str) -> None:
    result = CliRunner().invoke(main, [verb, "--store", "hbase://127.0.0.1:1/rowbox"], env={RUNNING: None})
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: gateway 127.0.0.1:1 cannot be reached: ")
    assert result.stderr.count("\n") == 1


def test_beside_the_process_that_owns_the_store(tmp_path: Path) -> None:
    results: list[Result] = []

    async def check_beside(store: RocksStore, settings: Settings) -> None:
        await three_messages(store, settings)
        results.append(await asyncio.to_thread(run, tmp_path))

    in_store(tmp_path, check_beside)
    assert results[0].stdout == "Checked 3 mailboxes, 4 conversations, 6 copies of messages: nothing found.\n"

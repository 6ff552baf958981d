"""`rowbox user`, over a folder that a real owner wrote."""

from pathlib import Path

import orjson
from click.testing import CliRunner, Result

from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import ChangeAccount
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.cli.main import main
from rowbox.mailbox.account.deeds import AccountDeed, CreateProfile, DeleteUser, UpdateProfile
from rowbox.mailbox.settings.config import Settings
from tests.cli.stores.store_folder import in_store

DEEDS: tuple[AccountDeed, ...] = (
    CreateProfile("Alice Liddell", "https://a.example/alice", {"locale": "en", "note": "two\nlines\x1b[2J"}),
    UpdateProfile("Alice"),
)


def run(data_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["user", "show", *arguments, "--data-dir", str(data_dir)])


async def alice_is_known(store: RocksStore, settings: Settings) -> None:
    owner = Owner(store, settings)
    await owner.start()
    for deed in DEEDS:
        await owner.change_account(ChangeAccount("alice", deed))
    await owner.close()


def test_show_tells_who_a_user_is(tmp_path: Path) -> None:
    in_store(tmp_path, alice_is_known)
    result = run(tmp_path, "alice")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[:3] == ["User            alice", "Name            Alice", "Picture         https://a.example/alice"]
    assert [line[:15].rstrip() for line in lines[3:]] == [
        "Seen online by",
        "Known since",
        "Last change",
        "Attributes",
        "",
    ]
    assert lines[6:] == ["Attributes      locale: en", "                note: 'two\\nlines\\x1b[2J'"]


def test_show_as_json(tmp_path: Path) -> None:
    in_store(tmp_path, alice_is_known)
    shown = orjson.loads(run(tmp_path, "alice", "--json").stdout)
    assert (shown["userId"], shown["name"], shown["attributes"]["locale"]) == ("alice", "Alice", "en")
    assert 0 < shown["createdTimestamp"] < shown["lastUpdatedTimestamp"]


def test_of_a_deleted_user_it_is_shown_how_far_that_is(tmp_path: Path) -> None:
    async def alice_is_deleted(store: RocksStore, settings: Settings) -> None:
        await alice_is_known(store, settings)
        owner = Owner(store, settings)
        await owner.start()
        await owner.change_account(ChangeAccount("alice", DeleteUser()))
        await owner.close()

    in_store(tmp_path, alice_is_deleted)
    result = run(tmp_path, "alice")
    assert result.exit_code == 0, result.output
    assert [line[:15].rstrip() for line in result.stdout.splitlines()] == ["User", "Deleted", "Removed", "Erased"]
    assert "Alice" not in result.stdout
    shown = orjson.loads(run(tmp_path, "alice", "--json").stdout)
    assert (shown["name"], shown["attributes"]) == ("", {})
    assert shown["deletedTimestamp"] > shown["createdTimestamp"]


def test_who_is_not_known(tmp_path: Path) -> None:
    in_store(tmp_path, alice_is_known)
    result = run(tmp_path, "bob")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nobody has made bob known" in result.output


def test_the_changes_of_an_account_are_printed_as_they_come(tmp_path: Path) -> None:
    in_store(tmp_path, alice_is_known)
    tail = CliRunner().invoke(main, ["mailbox", "tail", "alice", "--all", "--no-follow", "--data-dir", str(tmp_path)])
    assert [line.split("  ")[1].strip() for line in tail.stdout.splitlines()] == ["account", "account"]
    checked = CliRunner().invoke(main, ["check", "--data-dir", str(tmp_path)])
    assert checked.exit_code == 0, checked.output

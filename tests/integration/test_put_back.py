"""An embedded store whose folder was put back from a copy, by the means that operators have."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from rowbox.cacheserver.stores.history import history_of
from rowbox.cacheserver.stores.rocksdb.database import Database
from rowbox.cacheserver.stores.rocksdb.folder import FolderLock
from tests.integration.rocksdb.rocksdb_fixture import opened
from tests.integration.support.client import Client
from tests.integration.support.server_process import ServerProcess, rowbox

pytestmark = pytest.mark.integration


def copied_anew(copy: Path, store: Path) -> None:
    """The folder goes, and the copy comes in its place. The kernel gives a freed inode number to the next file."""
    shutil.rmtree(store)
    shutil.copytree(copy, store)


def files_put_back(copy: Path, store: Path) -> None:
    """As a backup program that knows RocksDB's files does, and leaves the lock file alone that is none of them."""
    for path in store.iterdir():
        if path.name != "rowbox.lock":
            path.unlink()
    for path in copy.iterdir():
        if path.name != "rowbox.lock":
            shutil.copy2(path, store)


def written_over(copy: Path, store: Path) -> None:
    """File by file into the files that are there, lock file and all: as if the whole device were set back."""
    for path in store.iterdir():
        if not (copy / path.name).exists():
            path.unlink()
    for path in copy.iterdir():
        (store / path.name).write_bytes(path.read_bytes())


class Given(NamedTuple):
    """What bob's client was given in the time that is lost."""

    messages: str | None
    conversations: str | None
    cursor: str | None


async def given_to(bob: Client) -> Given:
    page, listed = await bob.messages(page_size=1), await bob.conversations()
    return Given(page.last_updated_timestamp, listed.last_updated_timestamp, page.next_cursor)


async def lose(server: ServerProcess, put_back: Callable[[Path, Path], None]) -> Given:
    """A copy, something written after it, the copy put back. The server is stopped in the end."""
    alice, bob = server.client("alice"), server.client("bob")
    store, copy = server.data_dir / "store", server.data_dir / "copy"
    await alice.send("bob", "before", "1")
    await server.stop()
    shutil.copytree(store, copy)
    await server.start()
    for number in range(3):
        await alice.send("bob", f"lost {number}", f"lost-{number}")
    given = await given_to(bob)
    await server.stop()
    put_back(copy, store)
    return given


async def assert_begins_anew(server: ServerProcess, given: Given) -> None:
    """The server runs again: what is written now is beyond all that was lost, and nobody misses any of it."""
    alice, bob = server.client("alice"), server.client("bob")
    for number in range(5):
        await alice.send("bob", f"after {number}", f"after-{number}")
    expected = [message.message_id for message in await bob.all_messages()]
    assert len(expected) == 6
    delta = await bob.messages(last_updated_timestamp=given.messages)
    assert (delta.is_delta_update, delta.reset_reason) == (False, "restored")
    assert [message.message_id for message in delta.messages] == expected
    listed = await bob.conversations(last_updated_timestamp=given.conversations)
    assert (listed.is_delta_update, listed.reset_reason, len(listed.conversations)) == (False, "restored", 1)
    page = await bob.messages(cursor=given.cursor)
    assert (page.reset_reason, [message.message_id for message in page.messages]) == ("restored", expected)
    again = await bob.messages(last_updated_timestamp=delta.last_updated_timestamp)
    assert (again.is_delta_update, again.messages) == (True, [])


@pytest.mark.parametrize("put_back", [copied_anew, files_put_back, written_over])
async def test_after_the_verb_no_client_misses_what_is_written_in_place_of_the_lost(
    tmp_path: Path, put_back: Callable[[Path, Path], None]
) -> None:
    async with ServerProcess(tmp_path) as server:
        given = await lose(server, put_back)
        done = await rowbox("restored", "--yes", "--data-dir", tmp_path)
        assert done.code == 0, done
        await server.start()
        await assert_begins_anew(server, given)


@pytest.mark.parametrize("put_back", [copied_anew, files_put_back])
async def test_a_folder_that_was_put_back_by_files_shows_itself_without_the_verb(
    tmp_path: Path, put_back: Callable[[Path, Path], None]
) -> None:
    async with ServerProcess(tmp_path) as server:
        given = await lose(server, put_back)
        await server.start()
        assert any("put back from a copy" in line for line in server.lines)
        await assert_begins_anew(server, given)


async def test_a_device_that_was_set_back_as_a_whole_does_not_show_itself(tmp_path: Path) -> None:
    """Why the verb is needed: nothing in such a store differs from one that was stopped and started."""
    async with ServerProcess(tmp_path) as server:
        given = await lose(server, written_over)
        await server.start()
        await server.client("alice").send("bob", "after", "after")
        page = await server.client("bob").messages(last_updated_timestamp=given.messages)
        assert (page.is_delta_update, page.reset_reason) == (True, None)


async def test_the_verb_refuses_while_the_server_runs(tmp_path: Path) -> None:
    async with ServerProcess(tmp_path) as server:
        await server.client("alice").send("bob", "x", "1")
        token = (await server.client("bob").messages()).last_updated_timestamp
        refused = await rowbox("restored", "--yes", "--data-dir", tmp_path)
        assert refused.code == 1
        assert "stop that first" in refused.err
        assert (await server.client("bob").messages(last_updated_timestamp=token)).is_delta_update


async def test_starts_kills_and_a_folder_that_moves_keep_the_history(tmp_path: Path) -> None:
    async with opened(tmp_path / "store") as store:
        first = await history_of(store)
    (tmp_path / "store").rename(tmp_path / "moved")
    for _ in range(2):
        async with opened(tmp_path / "moved") as store:
            assert await history_of(store) == first


@pytest.mark.parametrize("put_back", [copied_anew, files_put_back])
async def test_each_copy_that_is_put_back_begins_a_history_once(
    tmp_path: Path, put_back: Callable[[Path, Path], None]
) -> None:
    folder, copy = tmp_path / "store", tmp_path / "copy"
    histories = []
    async with opened(folder) as store:
        histories.append(await history_of(store))
    shutil.copytree(folder, copy)
    async with opened(folder) as store:
        assert await history_of(store) == histories[-1]
    for _ in range(2):
        put_back(copy, folder)
        for _ in range(2):
            async with opened(folder) as store:
                histories.append(await history_of(store))
    assert [histories[place] == histories[place + 1] for place in range(4)] == [False, True, False, True]


class _EndedError(BaseException):
    """As kill -9 in this moment: nothing that the process had still to write is written."""


@pytest.mark.parametrize(
    ("of", "name"),
    [(Database, "places"), (Database, "note_place"), (FolderLock, "name_run")],
    ids=["while it recovers", "before the database knows its run", "before the file knows its run"],
)
async def test_a_start_that_is_killed_makes_no_copy_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: type, name: str
) -> None:
    async with opened(tmp_path) as store:
        before = await history_of(store)
    for _ in range(2):
        with monkeypatch.context() as patch:

            def end(*_arguments: object) -> None:
                raise _EndedError

            patch.setattr(of, name, end)
            with pytest.raises(_EndedError):
                async with opened(tmp_path):
                    pass
    async with opened(tmp_path) as store:
        assert await history_of(store) == before

"""Backups under load, and kills in the middle of a backup and of a restore."""

import asyncio
import shutil
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from rowbox.cacheserver.stores.files.beside import checkpoint_of
from rowbox.cacheserver.stores.rocksdb.backup import read_contents
from rowbox.mailbox.errors import StoreUnusable
from tests.cli.stores.store_folder import in_store, nothing, three_messages
from tests.cli.stores.test_backup import a_fourth, messages, small
from tests.conftest import require
from tests.integration.support.dies_at import dying_verbs
from tests.integration.support.server_process import ROWBOX, ServerProcess, rowbox

pytestmark = pytest.mark.integration
SENDERS: Final = 8
CONFIRMED_BEFORE: Final = 100


class Load:
    """People who send to bob, one message after the other, and what was confirmed to them."""

    def __init__(self, server: ServerProcess) -> None:
        self.confirmed: set[str] = set()
        self._server = server
        self._news = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._send(f"user{number}")) for number in range(SENDERS)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until(self, number: int) -> None:
        async with self._news:
            await self._news.wait_for(lambda: len(self.confirmed) >= number)

    async def _send(self, user_id: str) -> None:
        client = self._server.client(user_id)
        for number in count():
            answer = await client.send("bob", f"{user_id} {number}", f"{number}")
            async with self._news:
                self.confirmed.add(answer.message_id)
                self._news.notify_all()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def admin_port(server: ServerProcess) -> str:
    return server.admin_url.rpartition(":")[2]


async def test_a_backup_under_load_holds_what_was_confirmed_before_it_and_restores_to_it(tmp_path: Path) -> None:
    data_dir, to = tmp_path / "data", tmp_path / "backup"
    async with ServerProcess(data_dir) as server:
        load = Load(server)
        load.start()
        await load.until(CONFIRMED_BEFORE)
        before = set(load.confirmed)
        made = await rowbox("backup", to, "--data-dir", data_dir, "--admin-port", admin_port(server))
        assert (made.code, made.err) == (0, "")
        await load.until(len(load.confirmed) + CONFIRMED_BEFORE)  # it goes on, and what comes now is not in it
        await load.stop()
        assert (await rowbox("check", "--data-dir", to)).code == 0
        bob = server.client("bob")
        lost = (await bob.messages(page_size=1)).last_updated_timestamp
        assert names(data_dir) == {"store", "store.last-backup", "token-secret"}

        server.kill()
        await server.ended()
        restored = await rowbox("restore", to, "--data-dir", data_dir, "--replace")
        assert (restored.code, restored.err) == (0, "")
        await server.start()
        found = {message.message_id for message in await bob.all_messages()}
        assert before <= found < load.confirmed | found
        assert len(found - before) < len(load.confirmed - before)
        page = await bob.messages(last_updated_timestamp=lost)
        assert (page.is_delta_update, page.reset_reason) == (False, "restored")
        assert (await server.client("alice").send("bob", "goes on", "after")).pending_recipients == 0
        assert (await rowbox("check", "--data-dir", data_dir)).code == 0


@pytest.mark.tools("strace")
async def test_a_server_that_is_killed_in_the_middle_of_its_checkpoint_leaves_no_backup(tmp_path: Path) -> None:
    """At the second table that is linked into the checkpoint; the first it has linked by then."""
    data_dir, to = tmp_path / "data", tmp_path / "backup"
    async with ServerProcess(data_dir) as server:
        await server.client("alice").send("bob", "hello", "1")
        await server.stop()
    kill = ("-e", "trace=link,linkat", "-e", "inject=link,linkat:signal=KILL:when=2")
    command = (require("strace"), "-D", "-f", "-qq", *kill, "-o", str(tmp_path / "trace"), ROWBOX)
    async with ServerProcess(data_dir, command=command) as server:
        made = await rowbox("backup", to, "--data-dir", data_dir, "--admin-port", admin_port(server))
        assert (await server.ended(), made.code) == (-9, 1)
        assert "did not answer" in made.err
        assert not to.exists()
        assert names(tmp_path) == {"data", "trace"}
    async with ServerProcess(data_dir) as server:
        assert not checkpoint_of(data_dir / "store").exists()
        made = await rowbox("backup", to, "--data-dir", data_dir, "--admin-port", admin_port(server))
        assert (made.code, made.err) == (0, "")
    assert (await rowbox("check", "--data-dir", to)).code == 0


def test_a_start_removes_what_a_killed_backup_left_in_the_data_folder(tmp_path: Path) -> None:
    """Its links would keep the room of files that the store has long done with."""
    in_store(small(tmp_path), three_messages)
    left = checkpoint_of(tmp_path / "store") / "store"
    shutil.copytree(tmp_path / "store", left)
    in_store(tmp_path, nothing)
    assert not left.parent.exists()


def moments(calls: int, last: int) -> list[int]:
    """Of so many calls: the first ones, one of those that copy, and the `last` ones."""
    return [1, 4, calls // 2, *range(calls - last + 1, calls + 1)]


def test_a_backup_that_is_killed_at_any_moment_is_whole_or_not_there_and_a_retry_works(tmp_path: Path) -> None:
    """One kill after the other, each on what the ones before have left."""
    data_dir, to = small(tmp_path / "data"), tmp_path / "to"
    in_store(data_dir, three_messages)
    store = shutil.copytree(data_dir / "store", tmp_path / "copy")
    whole = []
    with dying_verbs() as run:
        for number in moments(run(0, "backup", tmp_path / "first", "--data-dir", data_dir).calls, last=6):
            shutil.rmtree(to, ignore_errors=True)
            shutil.rmtree(data_dir / "store")  # each open adds files to it, and so calls to the next one
            shutil.copytree(store, data_dir / "store")
            assert run(number, "backup", to, "--data-dir", data_dir).died
            whole.append(_is_whole(to))
        shutil.rmtree(to)
        assert run(0, "backup", to, "--data-dir", data_dir).code == 0
    assert whole == sorted(whole)
    assert whole.count(False) > 4
    assert whole.count(True) > 2  # it had its name, and what was left was to make a note of it
    assert names(tmp_path) == {"copy", "data", "first", "to"}
    assert names(data_dir) == {"rowbox.toml", "store", "store.last-backup"}
    assert messages(to) == messages(data_dir) == 3


def _is_whole(to: Path) -> bool:
    """Whether there is a backup; fails where there is a part of one."""
    if not to.exists():
        return False
    assert read_contents(to).size_bytes
    return True


def test_a_restore_that_is_killed_at_any_moment_leaves_a_whole_store_or_none_and_a_retry_works(tmp_path: Path) -> None:
    """The store that is there has four messages, the backup has three."""
    data_dir, backup = small(tmp_path / "data"), tmp_path / "backup"
    in_store(data_dir, three_messages)
    found = []
    with dying_verbs() as run:
        assert run(0, "backup", backup, "--data-dir", data_dir).code == 0
        in_store(data_dir, a_fourth)
        old = shutil.copytree(data_dir / "store", tmp_path / "old")
        for number in moments(run(0, "restore", backup, "--data-dir", data_dir, "--replace").calls, last=4):
            shutil.rmtree(data_dir / "store", ignore_errors=True)
            shutil.copytree(old, data_dir / "store")
            assert run(number, "restore", backup, "--data-dir", data_dir, "--replace").died
            found.append(_messages_or_none(data_dir))
        assert found == sorted(found, key=[4, 0, 3].index)
        assert found.count(4) > 3
        assert found.count(0) == 1  # between the two renames
        assert found.count(3) >= 1
        shutil.rmtree(data_dir / "store")
        assert run(0, "restore", backup, "--data-dir", data_dir).code == 0
    assert {name for name in names(data_dir) if "replaced" not in name} == {"rowbox.toml", "store", "store.last-backup"}
    assert messages(data_dir) == 3


def _messages_or_none(data_dir: Path) -> int:
    """How many messages are in the store; 0 where there is none, and none can be begun by mistake."""
    if (data_dir / "store").exists():
        return messages(data_dir)
    with pytest.raises(StoreUnusable, match="run `rowbox restore` again"):
        in_store(data_dir, nothing)
    return 0

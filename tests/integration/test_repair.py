"""`rowbox mailbox repair` beside a real server: copies that somebody lost come back, each once."""

import time
from pathlib import Path

import pytest

from rowbox.cacheserver.clocks import BareTime
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import MarkRead, Send
from rowbox.cacheserver.stores.port import RowDelete
from rowbox.cli.serving.backends import open_embedded
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from tests.cli.stores.store_folder import settings_of
from tests.integration.support.server_process import Finished, ServerProcess, rowbox

pytestmark = pytest.mark.integration
SETTINGS = {"ROWBOX_STORE_SHARDS": "64"}
HOUR_US = 3_600_000_000


async def an_hour_ago(folder: Path) -> None:
    """Five messages of alice to bob, which he has read, and of which his row has lost the second and the third."""
    settings = settings_of(folder)
    store = open_embedded(settings)
    owner = Owner(store, settings, time=BareTime(lambda: time.time_ns() // 1000 - HOUR_US))
    await owner.start()
    sent = [await owner.send(Send("alice", "bob", f"number {number}", f"c{number}")) for number in range(5)]
    await owner.mark_read(MarkRead("bob", sent[-1].conversation_id, sent[-1].message_id))  # else they count twice
    await owner.close()
    bob, lost = row_key("bob", 64), []
    for family in (Family.MESSAGES, Family.LOG):
        columns = (await store.get_row(bob, (family,)))[family]
        columns = columns[::-1] if family is Family.MESSAGES else columns  # by time: ids of messages are inverted there
        lost += [(family, qualifier) for qualifier, _ in columns[1:3]]
    await store.delete([RowDelete(bob, lost)], time.time_ns() // 1_000_000)
    await store.close()


async def test_lost_copies_come_back_once_and_are_in_the_next_delta(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    await an_hour_ago(folder)
    async with ServerProcess(folder, SETTINGS) as server:
        bob = server.client("bob")
        before = await bob.messages()
        assert [message.message_content for message in before.messages] == ["number 4", "number 3", "number 0"]

        async def verb(*arguments: str) -> Finished:
            return await rowbox("mailbox", *arguments, "--data-dir", folder, settings=SETTINGS)

        def asks(*more: str) -> tuple[str, ...]:
            return ("repair", "alice", "--admin-port", server.admin_url.rpartition(":")[2], *more)

        assert (await verb("verify", "alice")).out.count("copy_missing  alice: bob has no copy of message ") == 2
        dry = await verb(*asks("--dry-run"))
        assert (dry.code, dry.out.splitlines()[0]) == (1, "bob is without 2 of alice's messages.")
        unasked = await verb(*asks())
        assert (unasked.code, "say --yes" in unasked.err) == (1, True)
        assert len((await bob.messages()).messages) == 3
        done = await verb(*asks("--yes"))
        assert (done.code, done.out.splitlines()[1:]) == (
            0,
            ["Delivered 2 copies.", "Of alice's messages no copy is missing."],
        )
        assert (await verb(*asks("--yes"))).out == "Of alice's messages no copy is missing.\n"
        everything = await bob.messages(conversation_id=before.messages[0].conversation_id)
        assert [message.message_content for message in everything.messages] == [f"number {n}" for n in (4, 3, 2, 1, 0)]
        delta = await bob.messages(last_updated_timestamp=before.last_updated_timestamp)
        assert [message.message_content for message in delta.messages] == ["number 1", "number 2"]
        assert (await verb("verify", "bob")).code == 0
        assert (await rowbox("check", "--data-dir", folder, settings=SETTINGS)).code == 0


async def test_where_no_server_runs_nothing_is_delivered(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    await an_hour_ago(folder)
    async with ServerProcess(folder, SETTINGS) as server:
        await server.stop()
    done = await rowbox("mailbox", "repair", "alice", "--yes", "--data-dir", folder, "--admin-port", "1")
    assert done.code == 1
    assert "no Rowbox listens at 127.0.0.1, admin port 1" in done.err

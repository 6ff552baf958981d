"""What bench/fill.py leaves in a store is what the owner leaves after the same sends."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.fill import BATCH, Talks, fill
from bench.load.workload import CONTENT
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import Send
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.cli.main import main
from rowbox.cli.serving.backends import open_embedded
from rowbox.hbase_schema.codec import decode_index, decode_message
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.settings.config import Settings, load
from rowbox.mailbox.two_states import IndexCell

TALKS = [Talks("pair", 3, 2), Talks("hub", 4, 1, is_hub=True), Talks("long", 1, BATCH + 3)]
Seen = dict[tuple[str, str], Any]


def users(talks: Talks) -> set[str]:
    return {user for number in range(talks.conversations) for user in talks.users(number)}


def in_store(data_dir: Path, work: Callable[[RocksStore, Settings], Awaitable[Any]]) -> Any:
    options = {"server.data_dir": str(data_dir), "rate_limits.enabled": "off", "messages.receipts": "none"}
    settings = load(options, {}, None).settings

    async def run() -> Any:
        store = open_embedded(settings)
        try:
            return await work(store, settings)
        finally:
            await store.close()

    return asyncio.run(run())


async def send_all(store: RocksStore, settings: Settings) -> None:
    owner, sends = Owner(store, settings), 0
    await owner.start()
    for talks in TALKS:
        for number in range(talks.conversations):
            for message in range(talks.messages):
                sender, recipient = talks.users(number)[:: -1 if message % 2 else 1]
                await owner.send(Send(sender, recipient, CONTENT, f"filled-{sends:010}"))
                sends += 1
    await owner.close()


async def seen(store: RocksStore, settings: Settings) -> Seen:
    """All that does not hang on the time and on chance, by user and family."""
    found: Seen = {}
    for user in set().union(*map(users, TALKS)):
        columns = await store.get_row(row_key(user, store.shards), tuple(Family))
        for family, cells in columns.items():
            found[user, family] = len(cells)
        index = [decode_index(*column) for column in columns[Family.INDEX]]
        states = [(cell.key, cell.epoch, cell.current) for cell in index if isinstance(cell, IndexCell)]
        found[user, "states"] = sorted(
            (conversation_id, epoch, state.epoch, state.participants, state.unread_count, state.snippet)
            for conversation_id, epoch, state in states
        )
        messages = [decode_message(*column) for column in columns[Family.MESSAGES]]
        found[user, "messages"] = [(m.conversation_id, m.epoch, m.sender_id, m.client_message_id) for m in messages]
        found[user, "dedupe"] = [qualifier for qualifier, _ in columns[Family.DEDUPE]]
    return found


@pytest.mark.integration
def test_it_leaves_what_sends_leave(tmp_path: Path) -> None:
    fill(tmp_path / "filled", TALKS)
    in_store(tmp_path / "sent", send_all)
    assert in_store(tmp_path / "filled", seen) == in_store(tmp_path / "sent", seen)


@pytest.mark.integration
def test_the_checker_finds_nothing(tmp_path: Path) -> None:
    fill(tmp_path, TALKS)
    result = CliRunner().invoke(main, ["check", "--data-dir", str(tmp_path)])
    copies = 2 * sum(talks.conversations * talks.messages for talks in TALKS)
    assert result.output.endswith(f", {copies:,} copies of messages: nothing found.\n")
    assert result.exit_code == 0

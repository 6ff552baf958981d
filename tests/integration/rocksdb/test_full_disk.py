"""A full disk: sends are refused in time and reads go on; and where nothing refuses in time, nothing is lost."""

import asyncio
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from rowbox.mailbox.errors import StoreFull
from tests.integration.support.client import UNKNOWN_OUTCOME, Refused
from tests.integration.support.history import History, SendRecord, breaches
from tests.integration.support.server_process import DEADLINE_S, ServerProcess, rowbox
from tests.integration.support.small_disk import SmallDisk

pytestmark = pytest.mark.integration

MIB = 1 << 20
SIZE = 200 * MIB
MIN_FREE = 32 * MIB
LITTLE = 8 * MIB


class Sends:
    """ann writes to ben, one message after the other."""

    def __init__(self, server: ServerProcess) -> None:
        self.history = History()
        self.ann = server.client("ann")
        self.ben = server.client("ben")

    async def one(self, content: str) -> None:
        await self.settle(self.history.begin("ann", "ben", content))

    async def settle(self, record: SendRecord) -> None:
        answer = await self.ann.send(record.recipient_id, record.content, record.client_message_id)
        self.history.confirm(record, answer.message_id, answer.conversation_id)

    async def until_refused(self, content: str) -> Refused:
        """Sends until one is refused. The guard looks at the disk ten times a second, so some may still pass."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    await self.one(content)
                except Refused as refused:
                    return refused

    async def until_accepted(self, record: SendRecord) -> None:
        """Sends the same one until it passes."""
        async with asyncio.timeout(DEADLINE_S):
            while record.confirmed is None:
                with suppress(Refused):
                    await self.settle(record)

    async def breaches(self) -> list[str]:
        return breaches(self.history, {"ann": await self.ann.all_messages(), "ben": await self.ben.all_messages()})


async def test_sends_are_refused_while_there_is_too_little_room_and_reads_go_on(tmp_path: Path) -> None:
    settings = {"ROWBOX_STORE_MIN_FREE_BYTES": str(MIN_FREE)}
    with SmallDisk.mounted(tmp_path / "disk", SIZE) as disk:
        async with ServerProcess(disk.folder, settings) as server:
            sends = Sends(server)
            for number in range(50):
                await sends.one(f"number {number}")
            disk.fill(MIN_FREE // 2)
            refused = await sends.until_refused("x" * 1000)
            assert (refused.problem.status, refused.problem.code) == (503, "store_unavailable")
            assert refused.problem.retryable
            assert refused.problem.detail == StoreFull.told
            await server.line(r"refused: store_unavailable: the store's device has \d+ MiB left")

            refused_record = sends.history.sends[-1]
            for client in (sends.ann, sends.ben):
                assert len(await client.all_messages()) == len(sends.history.confirmed)
                assert len(await client.all_conversations()) == 1

            disk.free()
            await sends.until_accepted(refused_record)
            await sends.one("and on it goes")
            assert await sends.breaches() == []
            await server.stop()


async def test_a_write_that_meets_a_full_disk_ends_the_server_and_loses_nothing(tmp_path: Path) -> None:
    settings = {"ROWBOX_STORE_MIN_FREE_BYTES": "0"}
    with SmallDisk.mounted(tmp_path / "disk", SIZE) as disk:
        disk.fill(
            LITTLE
        )  # less than the log wants to reserve, and than a memtable holds: it is the log that meets the end
        async with ServerProcess(disk.folder, settings) as server:
            sends = Sends(server)
            for number in range(50):
                await sends.one(f"number {number}")
            await send_until_it_ends(sends)
            assert await server.ended() == 1
            errors = [line for line in server.lines if line.startswith("Error: ")]
            assert len(errors) == 1, server.lines
            assert errors[0].startswith("Error: writing to the store in")
            assert "No space left" in errors[0]
            assert "Traceback" not in "".join(server.lines)

            disk.free()
            await server.start()
            for record in sends.history.sends:  # a confirmed one is the same message, an unknown one is settled
                await sends.settle(record)
            assert await sends.breaches() == []
            await server.stop()
        checked = await rowbox("check", "--data-dir", disk.folder)
        assert checked.code == 0, checked


async def send_until_it_ends(sends: Sends) -> None:
    """Large messages, until there is no room and then no server."""
    async with asyncio.timeout(DEADLINE_S):
        for number in count():
            try:
                await sends.one(f"{number} " + "x" * 60_000)
            except (Refused, *UNKNOWN_OUTCOME):
                return

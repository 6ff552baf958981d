"""Two gateways in the URL: one is killed, or stopped for so long that its writes land when they count no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import pytest

from rowbox.cacheserver.check.row_cells import RowCells, ignore
from rowbox.hbase_schema.keys import row_key
from tests.integration.support import mutants
from tests.integration.support.chat import Chat, seeded_random
from tests.integration.support.client import Refused
from tests.integration.support.hbase_server import SHARDS, in_time, made_store_on, opened, until_answered
from tests.integration.support.server_process import DEADLINE_S, ROWBOX, ServerProcess
from tests.integration.support.verdict import check_everything, check_finds_nothing
from tests.support.hbase_cluster import HBaseCluster

pytestmark = pytest.mark.integration

CALL_S = 1.0
SETTINGS = {"ROWBOX_HBASE_CALL_TIMEOUT_MS": "1000"}
FAILOVER_S = CALL_S + 1.0
BUSY_MACHINE_S = 3.0
"""Without a failover there is no answer at all while the gateway is away."""
USERS = ("ann", "ben", "cleo", "dan")
ANNS_ROW = row_key("ann", SHARDS)


# A gateway that is killed


async def test_a_killed_gateway_costs_no_more_than_a_call_and_is_used_again(
    hbase_cluster: HBaseCluster, tmp_path: Path
) -> None:
    random = seeded_random()
    with made_store_on(hbase_cluster) as store:
        async with ServerProcess(tmp_path, SETTINGS | store) as server:
            chat = Chat(server, USERS, random, may_pend=True)
            chat.is_up.set()

            used = cycle(("gateway-1", "gateway-2"))  # the next one, whenever one was killed

            async def without(name: str) -> float:
                """How long a send and a fetch take behind the death of a gateway; then it is there again."""
                await asyncio.to_thread(hbase_cluster.kill, name)
                took_s = await chat.exchange("ann", "ben")
                await asyncio.to_thread(hbase_cluster.heal)
                return took_s

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(chat.talk(senders_per_user=1))
                await chat.exchange("ann", "ben")
                took_s = [await in_time(lambda: without(next(used)), FAILOVER_S + BUSY_MACHINE_S) for _ in range(2)]
                chat.finish()
            print(f"answered after {took_s} s, {chat.history}")  # noqa: T201
            await check_everything(server, chat, random)


# A gateway that is stopped, and goes on


class LateWrite(NamedTuple):
    """Ann wrote `before` and `late` to ben; a first write of `late`, which was given up, stands in ann's row too.

    `tokens` are of between the two. `message_id` is the one in that first write.
    """

    server: ServerProcess
    row: RowCells
    tokens: dict[str, str | None]
    message_id: bytes


@asynccontextmanager
async def late_write(
    cluster: HBaseCluster, data_dir: Path, *, command: tuple[str, ...] = (ROWBOX,)
) -> AsyncIterator[LateWrite]:
    async with AsyncExitStack() as stack:
        url = stack.enter_context(made_store_on(cluster))
        server = await stack.enter_async_context(ServerProcess(data_dir, SETTINGS | url, command=command))
        row = RowCells(await stack.enter_async_context(opened(server.settings)), ignore)
        ann, ben = server.client("ann"), server.client("ben")
        await until_answered(lambda: ann.send("ben", "before", "before"))
        tokens = {client.user_id: (await client.messages()).last_updated_timestamp for client in (ann, ben)}
        failovers = int(await server.metric("rowbox_gateway_failovers_total"))  # on a busy machine there may be some
        used = f"gateway-{failovers % 2 + 1}"
        cluster.pause(used)
        with pytest.raises(Refused) as refused:
            await ann.send("ben", "late", "late")
        assert refused.value.problem.code == "store_unavailable"
        await until_answered(lambda: ann.send("ben", "late", "late"))  # by the other one
        cluster.resume(used)
        known = {bytes.fromhex(message.message_id) for message in await ann.all_messages()}
        async with asyncio.timeout(DEADLINE_S):
            while not (late := {cell.message_id async for (cell, *_) in row.messages(ANNS_ROW)} - known):
                pass
        yield LateWrite(server, row, tokens, late.pop())


async def test_what_lands_late_is_never_shown_and_is_swept(hbase_cluster: HBaseCluster, tmp_path: Path) -> None:
    async with late_write(hbase_cluster, tmp_path) as late:
        assert await families_of(late) == set("mldo")
        assert await seen(late) == {"ann": ["late", "before"], "ben": ["late", "before"]}
        await late.server.stop()
        await late.server.start()
        assert await seen(late) == {"ann": ["late", "before"], "ben": ["late", "before"]}
        async with asyncio.timeout(DEADLINE_S):
            while await families_of(late):
                pass
        await late.server.stop()
        await check_finds_nothing(late.server, copies=4)


async def test_a_server_that_goes_by_no_fence_is_found_out(hbase_cluster: HBaseCluster, tmp_path: Path) -> None:
    async with late_write(hbase_cluster, tmp_path, command=mutants.command("without-fence")) as late:
        await late.server.stop()
        await late.server.start()
        texts = [message.message_content for message in await late.server.client("ann").all_messages()]
        assert texts == ["late", "late", "before"]


async def families_of(late: LateWrite) -> set[str]:
    """The families in which the late write stands, whether it counts there or not."""
    frame = await late.row.frame(ANNS_ROW)
    cells = {
        "m": [cell.message_id async for (cell, *_) in late.row.messages(ANNS_ROW)],
        "l": [cell.message_id async for cell in late.row.log(ANNS_ROW)],
        "d": [cell.message_id for cell in frame.dedupe],
        "o": [cell.message_id for cell in frame.outbox],
    }
    return {family for family, message_ids in cells.items() if late.message_id in message_ids}


async def seen(late: LateWrite) -> dict[str, list[str]]:
    """The messages that each of the two gets, which are the same by each way there is to ask."""
    found = {}
    for user_id, token in late.tokens.items():
        client = late.server.client(user_id)
        messages = await client.all_messages()
        texts = [message.message_content for message in messages]
        (conversation,) = await client.all_conversations()
        assert await client.all_messages(conversation.conversation_id) == messages
        assert (conversation.last_message_id, conversation.snippet) == (messages[0].message_id, texts[0])
        assert conversation.unread_count == (0 if user_id == "ann" else 2)
        delta = await client.messages(last_updated_timestamp=token)
        assert delta.is_delta_update
        assert [message.message_content for message in delta.messages] == texts[:1]
        found[user_id] = texts
    return found

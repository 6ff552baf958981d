"""SIGTERM: who waits is answered, what the owner was asked for is finished, and what was confirmed is there."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from rowbox.api.v1.responses import FetchConversationResponse, FetchMessagesResponse
from tests.integration.support.client import UNKNOWN_OUTCOME, Client, Refused
from tests.integration.support.half_send import HalfSend
from tests.integration.support.history import History, SendRecord, breaches
from tests.integration.support.server_process import IN_PROCESSES, ServerProcess

pytestmark = pytest.mark.integration

POLLS = 500
POLLS_PER_USER = 8
HALF_SENDS = 10
SPREAD_MS = 3000
EXIT_S = 10.0
AT_ONCE_S = 8.0
"""Of an exit that nobody's body holds up, on a busy machine."""
SENDERS = 32
CONFIRMED_BEFORE_TERM = 200


async def begin_polls(
    server: ServerProcess, tasks: asyncio.TaskGroup
) -> list["asyncio.Task[FetchMessagesResponse | FetchConversationResponse]"]:
    """POLLS long polls of many users, of both kinds, all of them waiting when this returns."""
    users = [f"user{number:03}" for number in range(-(-POLLS // POLLS_PER_USER))]
    polls = [tasks.create_task(poll(server.client(users[at // POLLS_PER_USER]), at)) for at in range(POLLS)]
    await server.metric_reaches("rowbox_waiters", POLLS)
    return polls


async def poll(client: Client, number: int) -> FetchMessagesResponse | FetchConversationResponse:
    fetch = client.messages if number % 2 else client.conversations
    head = (await fetch()).last_updated_timestamp
    return await fetch(last_updated_timestamp=head, wait=55)


@IN_PROCESSES
async def test_every_poll_is_answered_and_half_a_send_is_refused_at_once(
    tmp_path: Path, processes: Mapping[str, str]
) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(ServerProcess(tmp_path, processes))
        sender = server.client("user000")
        before = await sender.send("user001", "before", "before")
        async with asyncio.TaskGroup() as tasks:
            polls = await begin_polls(server, tasks)
            half_sends = [
                await stack.enter_async_context(HalfSend.begun(server.url, sender.headers, body(number)))
                for number in range(HALF_SENDS)
            ]
            await server.metric_reaches("rowbox_http_requests_in_flight", POLLS + HALF_SENDS)
            assert await server.ready_status() == 200
            server.terminate()
            terminated = time.monotonic()
        answered_s = time.monotonic() - terminated
        pages = [task.result() for task in polls]
        assert all(page.is_delta_update and page.reset_reason is None for page in pages)
        delays = [page.retry_after_ms for page in pages]
        assert all(isinstance(delay, int) and 0 <= delay <= SPREAD_MS for delay in delays)
        assert len({delay // 300 for delay in delays if isinstance(delay, int)}) == SPREAD_MS // 300  # spread over all

        refusals = [await half_send.refused() for half_send in half_sends]
        assert await server.ended() == 0
        ended_s = time.monotonic() - terminated
        print(f"{POLLS} polls answered after {answered_s:.2f} s, ended after {ended_s:.2f} s")  # noqa: T201
        assert ended_s < AT_ONCE_S

        await server.start()
        assert refusals == ["handover_in_progress"] * HALF_SENDS
        sender = server.client("user000")
        for number in range(HALF_SENDS):
            await sender.send("user001", f"begun {number}", f"begun-{number}")
        for user_id in ("user000", "user001"):
            held = await server.client(user_id).all_messages()
            assert len(held) == len({message.message_id for message in held}) == HALF_SENDS + 1
            assert before.message_id in {message.message_id for message in held}


def body(number: int) -> dict[str, str]:
    return {"recipientId": "user001", "messageContent": f"begun {number}", "clientMessageId": f"begun-{number}"}


class Load:
    """Senders that go on until the server refuses or is gone. What they were told stands in the history."""

    def __init__(self, server: ServerProcess) -> None:
        self.history = History()
        self.is_enough = asyncio.Event()
        self._server = server

    async def send_until_refused(self, number: int) -> None:
        client = self._server.client(f"user{number % 8}")
        while True:
            record = self.history.begin(client.user_id, f"user{number % 3}", f"from {number}")
            try:
                await self.settle(client, record)
            except (Refused, *UNKNOWN_OUTCOME):
                return
            if len(self.history.confirmed) >= CONFIRMED_BEFORE_TERM:
                self.is_enough.set()

    async def settle(self, client: Client, record: SendRecord) -> None:
        answer = await client.send(record.recipient_id, record.content, record.client_message_id)
        self.history.confirm(record, answer.message_id, answer.conversation_id)


@IN_PROCESSES
async def test_under_load_every_send_is_confirmed_and_kept_or_an_error(
    tmp_path: Path, processes: Mapping[str, str]
) -> None:
    async with ServerProcess(tmp_path, processes) as server:
        load = Load(server)
        async with asyncio.TaskGroup() as tasks:
            for number in range(SENDERS):
                tasks.create_task(load.send_until_refused(number))
            await load.is_enough.wait()
            server.terminate()
        assert await server.ended(EXIT_S) == 0
        unsettled = [record for record in load.history.sends if record.confirmed is None]
        await server.start()
        for record in unsettled:
            await load.settle(server.client(record.sender_id), record)
        mailboxes = {f"user{number}": await server.client(f"user{number}").all_messages() for number in range(8)}
        assert breaches(load.history, mailboxes) == []

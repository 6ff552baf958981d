"""API processes that are killed, drained, refused and counted, and the server that they are a part of."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from rowbox.api.web.pages import pages
from tests.integration.support.chat import Chat, seeded_random
from tests.integration.support.client import UNKNOWN_OUTCOME
from tests.integration.support.server_process import DEADLINE_S, ServerProcess, rowbox
from tests.integration.support.verdict import check_everything

pytestmark = pytest.mark.integration

TWO: Final = {"ROWBOX_SERVER_API_PROCESSES": "2"}
USERS: Final = ("ann", "ben", "cleo", "dan")
KILLS: Final = 10
AT_ONCE_S: Final = 1.0
SENDS: Final = 40
CONFIRMED_BEFORE: Final = 200


def is_alive(pid: int) -> bool:
    """Whether it runs: nothing of it is left, or only its code, which nobody has asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until(happens: Callable[[], Awaitable[bool]], within_s: float = DEADLINE_S) -> None:
    """Looks again and again: of other processes' doings there is no event."""
    async with asyncio.timeout(within_s):
        while not await happens():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def all_end(pids: Sequence[int], within_s: float) -> None:
    async def have_ended() -> bool:
        return not any(map(is_alive, pids))

    await until(have_ended, within_s)


async def two_again(server: ServerProcess, besides: Sequence[int]) -> None:
    """Returns when two processes accept connections, and none of them is one of `besides`."""

    async def are_there() -> bool:
        there = set(server.api_processes()) - set(besides)
        return len(there) == 2 and await server.metric("rowbox_api_processes") == 2

    await until(are_there)


async def ready_is(server: ServerProcess, status: int) -> None:
    async def says() -> bool:
        return await server.ready_status() == status

    await until(says)


class TestKilled:
    async def test_people_chat_on_while_one_after_the_other_is_killed(self, tmp_path: Path) -> None:
        """Its connections end, the owner goes on: nothing confirmed is lost, doubled or misordered."""
        random = seeded_random()
        async with ServerProcess(tmp_path, TWO) as server:
            chat = Chat(server, USERS, random)
            chat.is_up.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(chat.talk(2))
                await kill_children(server, random)
                chat.finish()
            assert chat.history.unknown_outcomes > 0  # else the kills hit nobody
            assert await server.metric("rowbox_api_process_restarts_total") == KILLS
            await check_everything(server, chat, random)

    async def test_the_other_one_serves_and_the_counts_stay(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path, TWO) as server:
            ann = server.client("ann")
            for number in range(SENDS):
                await ann.send("ben", "hello", f"{number}")
            assert await requests(server) == SENDS
            cpu_s = await server.metric("process_cpu_seconds_total")
            killed = server.api_processes()
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
                await server.line("api-. ended by signal 9 .SIGKILL.; it is started again in 0.1 s")
                assert await server.ready_status() in {200, 503}
            await two_again(server, killed)
            assert await requests(server) == SENDS
            assert await server.metric("process_cpu_seconds_total") >= cpu_s
            await ann.send("ben", "hello", "last")
            assert await requests(server) == SENDS + 1
            assert await server.ready_status() == 200

    async def test_while_none_accepts_connections_the_server_is_not_ready(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path, TWO) as server:
            for pid in server.api_processes():
                os.kill(pid, signal.SIGSTOP)
                os.kill(pid, signal.SIGKILL)
            await ready_is(server, 503)
            await ready_is(server, 200)


async def kill_children(server: ServerProcess, random: Random) -> None:
    """Kills the one that has been there longer, each time: the pause before a place is filled again doubles, so nine
    kills of one and the same place in a row of random ones would be half a minute.
    """
    longest, next_one = server.api_processes()
    for _ in range(KILLS):
        await server.stays_up(random.uniform(0.1, 0.6))
        os.kill(longest, signal.SIGKILL)
        await two_again(server, [longest])
        longest, next_one = next_one, next(pid for pid in server.api_processes() if pid != next_one)


async def requests(server: ServerProcess) -> int:
    """Sends that were answered with 201, by all processes."""
    return int(await server.metric(r'rowbox_http_requests_total\{method="POST",route="/v1/sendMessage",status="201"\}'))


def names_in(folder: str) -> list[str]:
    return [path.name for path in Path(folder).iterdir()]


class TestOwnerGone:
    async def test_children_end_with_a_killed_parent_and_the_next_start_works(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path, TWO, keeps_port=True) as server:
            sent = await server.client("ann").send("ben", "hello", "first")
            children = server.api_processes()
            assert len(children) == 2
            server.kill()
            await all_end(children, AT_ONCE_S)
            await server.ended()
            await server.start()
            assert [one.message_id for one in await server.client("ben").all_messages()] == [sent.message_id]
            await server.stop()

    async def test_one_that_can_do_nothing_itself_ends_with_its_parent_too(self, tmp_path: Path) -> None:
        """It would go on as soon as it could, and take connections from the next server."""
        async with ServerProcess(tmp_path, TWO) as server:
            children = server.api_processes()
            for pid in children:
                os.kill(pid, signal.SIGSTOP)
            server.kill()
            await all_end(children, AT_ONCE_S)
            await server.ended()

    async def test_children_of_a_parent_that_is_killed_while_they_start_end_too(self, tmp_path: Path) -> None:
        server = ServerProcess(tmp_path, TWO)
        async with server.unstarted():
            await server.launch()

            async def have_begun() -> bool:
                return len(server.api_processes()) == 2

            await until(have_begun)
            children = server.api_processes()
            server.kill()
            await all_end(children, DEADLINE_S)
            await server.ended()

    async def test_nothing_is_left_of_a_server_that_was_stopped(self, tmp_path: Path) -> None:
        with TemporaryDirectory() as short:  # the path of a socket has 107 bytes at most
            async with ServerProcess(tmp_path / "data", TWO | {"TMPDIR": short}) as server:
                children = server.api_processes()
                assert [name.startswith("rowbox-owner-") for name in names_in(short)] == [True]
                await server.stop()
                assert not any(map(is_alive, children))
                assert names_in(short) == []


class TestDrained:
    @pytest.mark.parametrize("is_group", [False, True], ids=["the-server-alone", "all-of-its-processes"])
    async def test_no_send_that_was_accepted_fails(self, tmp_path: Path, *, is_group: bool) -> None:
        """A supervisor may signal every process of a service at once, as systemd does."""
        async with ServerProcess(tmp_path, TWO) as server:
            senders = Senders(server)
            async with asyncio.TaskGroup() as tasks:
                for number in range(16):
                    tasks.create_task(senders.send_until_closed(f"user{number}"))
                await senders.many.wait()
                for pid in server.api_processes() if is_group else ():
                    os.kill(pid, signal.SIGTERM)
                server.terminate()
            assert await server.ended() == 0
            await server.start()
            kept = {message.message_id for message in await server.client("ben").all_messages()}
            assert senders.confirmed == kept, "what was not answered was not accepted: nothing of it was done"

    async def test_one_that_is_asked_to_end_finishes_and_is_replaced(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path, TWO) as server, asyncio.TaskGroup() as tasks:
            polls = [
                tasks.create_task(server.client(f"user{number}").messages(last_updated_timestamp=0, wait=55))
                for number in range(20)
            ]
            await server.metric_reaches("rowbox_waiters", len(polls))
            before = server.api_processes()
            os.kill(before[0], signal.SIGTERM)
            await two_again(server, before[:1])
            ended = [poll for poll in polls if poll.done()]
            assert 0 < len(ended) < len(polls), "those of the other process wait on"
            assert all(poll.result().retry_after_ms is not None for poll in ended)
            assert set(server.api_processes()) > set(before[1:])
            server.terminate()

    async def test_what_a_terminal_sends_to_all_reaches_the_server_alone(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path, TWO) as server:
            children = server.api_processes()
            assert [os.getsid(pid) for pid in children] == children, "each leads a session of its own"
            for number in (signal.SIGHUP, signal.SIGINT):
                for pid in children:
                    os.kill(pid, number)
            await server.client("ann").send("ben", "hello", "first")
            assert server.api_processes() == children
            server.send(signal.SIGINT)
            assert await server.ended() == 0
            assert not any(map(is_alive, children))
            assert not any("started again" in line for line in server.lines)


class Senders:
    """People who send to ben on connections that stay open, until these are closed. Any refusal is a failure."""

    def __init__(self, server: ServerProcess) -> None:
        self.confirmed: set[str] = set()
        self.many = asyncio.Event()
        self._server = server

    async def send_until_closed(self, user_id: str) -> None:
        client = self._server.client(user_id)
        for number in count():
            try:
                answer = await client.send("ben", "hello", f"{number}")
            except UNKNOWN_OUTCOME:
                return
            self.confirmed.add(answer.message_id)
            if len(self.confirmed) >= CONFIRMED_BEFORE:
                self.many.set()


class TestRefusedStart:
    @pytest.mark.parametrize("api_processes", ["1", "3"])
    async def test_what_an_api_process_cannot_do_ends_the_start_with_one_line(
        self, tmp_path: Path, api_processes: str
    ) -> None:
        keys = tmp_path / "keys.json"
        keys.write_text("{")
        finished = await rowbox(
            *("serve", "--data-dir", tmp_path, "--port", "0", "--admin-port", "0", "--api-processes", api_processes),
            settings={"ROWBOX_AUTH_JWKS": str(keys)},
        )
        assert finished.code == 1
        assert finished.err.startswith("Error: api-")
        assert "cannot serve: not a JSON Web Key Set" in finished.err
        assert finished.err.count("\n") == 1, finished.err

    async def test_two_servers_of_one_account_do_not_share_a_port(self, tmp_path: Path) -> None:
        """Each would get half of the other's clients."""
        async with ServerProcess(tmp_path / "one", TWO) as server:
            port = server.url.rpartition(":")[2]
            finished = await rowbox(
                "serve", "--data-dir", tmp_path / "two", "--port", port, "--admin-port", "0", settings=TWO
            )
            assert finished.code == 1
            assert f"cannot listen on 127.0.0.1 port {port}" in finished.err


class TestOneServer:
    async def test_polls_and_sends_of_many_connections_meet_at_one_owner(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path, TWO) as server, asyncio.TaskGroup() as tasks:
            polls = [
                tasks.create_task(server.client("ben").messages(last_updated_timestamp=0, wait=55)) for _ in range(8)
            ]
            await server.metric_reaches("rowbox_waiters", len(polls))
            assert await server.metric("rowbox_http_requests_in_flight") == len(polls)
            sent = await server.client("ann").send("ben", "hello", "first")
            pages_of_polls = [await poll for poll in polls]
            assert all([one.message_id for one in page.messages] == [sent.message_id] for page in pages_of_polls)

    async def test_the_limits_are_of_the_server_and_not_of_each_process(self, tmp_path: Path) -> None:
        limits = {"ROWBOX_POLL_MAX_PER_USER": "2", "ROWBOX_RATE_LIMITS_SEND_BURST": "5"}
        flags = ("--port", "0", "--admin-port", "0")
        async with ServerProcess(tmp_path, TWO | limits, flags=flags) as server:
            sends = [server.client("ann").send("ben", "hello", f"{number}") for number in range(20)]
            answers = await asyncio.gather(*sends, return_exceptions=True)
            refused = [str(answer) for answer in answers if isinstance(answer, Exception)]
            assert all("429 rate_limited" in text for text in refused)
            assert 13 <= len(refused) <= 15

    async def test_every_page_is_served(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path, TWO) as server:
            for page in pages():
                async with server.session.get(f"{server.url}{page.path}") as response:
                    assert response.status == 200, page.path

    async def test_an_operators_verbs_work_beside_it(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path / "data", TWO) as server:
            for number in range(SENDS):
                await server.client("ann").send("ben", "hello", f"{number}")
            port = server.admin_url.rpartition(":")[2]
            beside = ("--data-dir", tmp_path / "data", "--admin-port", port)
            backup = await rowbox("backup", tmp_path / "backup", *beside, settings=server.settings)
            assert backup.code == 0, backup
            doctor = await rowbox("doctor", "--data-dir", tmp_path / "data", settings=server.settings)
            assert doctor.code == 0, doctor
            assert (await rowbox("health", "--admin-port", port)).code == 0
            await server.stop()
        restored = await rowbox("restore", tmp_path / "backup", "--data-dir", tmp_path / "restored")
        assert restored.code == 0, restored
        check = await rowbox("check", "--data-dir", tmp_path / "restored")
        assert check.code == 0, check

    async def test_each_line_of_the_log_says_which_process_wrote_it(self, tmp_path: Path) -> None:
        logged = TWO | {"ROWBOX_SERVER_ACCESS_LOG": "on", "ROWBOX_SERVER_LOG_FORMAT": "text"}
        async with ServerProcess(tmp_path, logged) as server:
            with suppress(AssertionError):
                await server.client("ann").conversations()
            await server.line(r" INFO    api-[12] rowbox\.api\.telemetry\.access_log \[.*fetchConversation")

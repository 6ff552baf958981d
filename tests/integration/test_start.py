"""Starting, and starting again: what the operator gets, what he is told when it cannot be, and that all is there."""

import asyncio
import json
import os
import pty
import re
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from rowbox.api.v1.responses import SendMessageResponse
from rowbox.mailbox.settings.config import Settings
from tests.conftest import require
from tests.integration.support.chat import Chat
from tests.integration.support.history import breaches
from tests.integration.support.server_process import DEADLINE_S, IN_PROCESSES, ROWBOX, Finished, ServerProcess, rowbox

pytestmark = pytest.mark.integration

MESSAGES = 25
FREE_PORTS = ("--port", "0", "--admin-port", "0")


async def say(server: ServerProcess, messages: int = MESSAGES) -> list[str]:
    """The ids of the messages that alice writes to bob, oldest first."""
    alice = server.client("alice")
    return [(await alice.send("bob", f"number {at}", f"id-{at}")).message_id for at in range(messages)]


async def heard(server: ServerProcess, user_id: str = "bob") -> list[str]:
    """The ids of a user's messages, oldest first."""
    return [message.message_id for message in reversed(await server.client(user_id).all_messages())]


def the_one_line(finished: Finished, code: int = 1) -> str:
    """What a verb that failed on purpose said: one line, on stderr."""
    assert finished.code == code, finished
    assert finished.err.startswith("Error: "), finished
    assert finished.err.count("\n") == 1, finished
    return finished.err


class TestFirstStart:
    async def test_makes_a_secret_that_only_its_owner_can_read(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path / "new" / "data") as server:
            secret = server.data_dir / "token-secret"
            assert stat.S_IMODE(secret.stat().st_mode) == 0o600
            assert len(secret.read_bytes()) >= 32
            assert await server.ready_status() == 200

    async def test_nothing_that_it_makes_can_be_read_by_other_accounts(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path / "data") as server:
            await say(server, 1)
            await server.stop()
            accept = await rowbox("clock", "accept", "--data-dir", server.data_dir)
            assert accept.code == 0, accept
        made = [server.data_dir, *server.data_dir.rglob("*")]
        assert {path.name for path in made} >= {
            "data",
            "store",
            "token-secret",
            "CURRENT",
            "rowbox.lock",
            "rowbox.clock",
        }
        assert {path: oct(path.stat().st_mode & 0o077) for path in made} == dict.fromkeys(made, "0o0")

    async def test_takes_tokens_that_are_made_beside_it(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path) as server:
            token = await rowbox("token", "--user", "alice", "--data-dir", tmp_path)
            assert token.code == 0, token
            headers = {"Authorization": f"Bearer {token.out.strip()}"}
            async with server.session.get(f"{server.url}/v1/fetchMessages", headers=headers) as response:
                assert response.status == 200

    @pytest.mark.tools("curl")
    async def test_prints_curl_lines_that_work_when_pasted(self, tmp_path: Path) -> None:
        require("curl")
        async with ServerProcess(tmp_path, flags=(*FREE_PORTS, "--demo-tokens")) as server:
            await server.line("fetchMessages")
            sent, conversations, messages = [
                await pasted(line) for line in server.lines if line.lstrip().startswith("curl ")
            ]
        message = json.loads(sent)
        assert set(message) == {camel(name) for name in SendMessageResponse.__struct_fields__}
        assert [one["snippet"] for one in json.loads(conversations)["conversations"]] == ["hello"]
        assert [one["messageId"] for one in json.loads(messages)["messages"]] == [message["messageId"]]

    async def test_shows_tokens_on_a_terminal(self, tmp_path: Path) -> None:
        terminal, standard_out = pty.openpty()
        server = await asyncio.create_subprocess_exec(
            ROWBOX, "serve", "--data-dir", tmp_path, *FREE_PORTS, stdout=standard_out, stderr=asyncio.subprocess.DEVNULL
        )
        os.close(standard_out)
        try:
            async with asyncio.timeout(DEADLINE_S):
                lines = b""
                while b"pageSize=10" not in lines:
                    lines += await asyncio.to_thread(os.read, terminal, 1 << 16)
        finally:
            server.terminate()
            await server.wait()
            os.close(terminal)
        assert b"Chat as both: http://127.0.0.1:" in lines
        assert b"alice's token: eyJ" in lines

    async def test_a_pipe_gets_no_token_and_json_lines_alone(self, tmp_path: Path) -> None:
        """At 80c87b5 the ready lines were text, with tokens, whatever the format of the log."""
        async with json_server(tmp_path) as (ready, server):
            assert set(ready) == {"time", "level", "logger", "message", "urls", "adminUrls"}
            refused = await rowbox("serve", "--data-dir", tmp_path, *FREE_PORTS, "--log-format", "json")
            server.terminate()
            out, err = await server.communicate()
        assert (server.returncode, out) == (0, b"")
        for line in (*err.decode().splitlines(), *refused.err.splitlines()):
            assert set(json.loads(line)) >= {"time", "level", "logger", "message"}
        assert (refused.code, refused.out) == (1, "")
        assert "stop that first" in json.loads(refused.err.splitlines()[-1])["message"]

    async def test_names_each_family_of_metrics_once(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path) as server:
            await say(server, 1)
            async with server.session.get(f"{server.admin_url}/metrics") as response:
                families = re.findall(r"^# TYPE (\S+)", await response.text(), re.MULTILINE)
        assert families
        assert sorted(families) == sorted(set(families))


@asynccontextmanager
async def json_server(data_dir: Path) -> AsyncIterator[tuple[dict[str, object], asyncio.subprocess.Process]]:
    """A server whose streams are kept apart, and what it says when it is ready."""
    pipe = asyncio.subprocess.PIPE
    flags = (*FREE_PORTS, "--log-format", "json")
    server = await asyncio.create_subprocess_exec(
        ROWBOX, "serve", "--data-dir", data_dir, *flags, stdout=pipe, stderr=pipe
    )
    assert server.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield json.loads(await server.stdout.readline()), server
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()


async def pasted(line: str) -> str:
    """What a shell prints for `line`."""
    bash = await asyncio.create_subprocess_exec(
        require("bash"), "-c", line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    out, _ = await bash.communicate()
    assert bash.returncode == 0, line
    return out.decode()


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


class TestRestart:
    async def test_after_a_kill_at_rest_everything_is_there(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path) as server:
            sent = await say(server)
            before = await server.client("bob").all_conversations()
            server.kill()
            await server.ended()
            await server.start()
            assert await heard(server, "alice") == await heard(server, "bob") == sent
            assert await server.client("bob").all_conversations() == before

    async def test_a_cursor_and_a_token_go_on_behind_it(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path, flags=FREE_PORTS) as server:  # rate limits too: all as it comes
            sent = await say(server)
            bob = server.client("bob")
            page = await bob.messages(page_size=20)
            token, pages = page.last_updated_timestamp, [page]
            late = (await server.client("alice").send("bob", "between the pages", "late")).message_id
            while pages[-1].next_cursor is not None:
                await server.stop()
                await server.start()
                pages.append(await bob.messages(page_size=20, cursor=pages[-1].next_cursor))
            found = [message.message_id for page in pages for message in page.messages]
            assert found == sent[::-1]
            assert {page.last_updated_timestamp for page in pages} == {token}
            delta = await bob.messages(last_updated_timestamp=token)
            assert (delta.is_delta_update, [message.message_id for message in delta.messages]) == (True, [late])

    @IN_PROCESSES
    async def test_a_poll_waits_for_news_over_a_pause_of_the_server(
        self, tmp_path: Path, processes: Mapping[str, str]
    ) -> None:
        """A machine that was suspended goes on as if nothing had been."""
        async with ServerProcess(tmp_path, processes) as server, asyncio.TaskGroup() as tasks:
            poll = tasks.create_task(server.client("bob").messages(last_updated_timestamp=0, wait=55))
            await server.metric_reaches("rowbox_waiters", 1)
            server.pause()
            send = tasks.create_task(say(server, 1))
            done, _ = await asyncio.wait({send, poll}, timeout=0.3)
            assert not done
            server.resume()
            assert [message.message_id for message in (await poll).messages] == await send


class TestRefusedStart:
    async def test_a_second_server_on_the_same_folder(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path) as server:
            line = the_one_line(await rowbox("serve", "--data-dir", tmp_path, *FREE_PORTS))
            assert f"is open in process {server.pid}: stop that first, or name another folder" in line
            assert await heard(server) == await heard(server, "alice") == []
            assert len(await say(server, 1)) == 1

    @IN_PROCESSES
    @pytest.mark.parametrize("flag", ["--port", "--admin-port"])
    async def test_a_port_that_is_taken(self, tmp_path: Path, flag: str, processes: Mapping[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            arguments = ("serve", "--data-dir", tmp_path, *FREE_PORTS, flag, port)
            line = the_one_line(await rowbox(*arguments, settings=processes))
        assert port in line
        assert "give another host or port" in line

    @pytest.mark.parametrize(
        ("settings", "flags", "file"),
        [
            ({"ROWBOX_STORE_SHARDS": "many"}, (), ""),
            ({"ROWBOX_STORE_SHRADS": "64"}, (), ""),
            ({}, ("--port", "99999"), ""),
            ({}, ("--no-such-flag",), ""),
            ({}, (), "[store]\nmin_free_bytes = '-1'\n"),
            ({}, (), "[store\n"),
        ],
        ids=["value", "unknown-key", "flag", "unknown-flag", "file", "broken-file"],
    )
    async def test_a_wrong_setting(
        self, tmp_path: Path, settings: dict[str, str], flags: tuple[str, ...], file: str
    ) -> None:
        if file:
            (tmp_path / "rowbox.toml").write_text(file)
        finished = await rowbox("serve", "--data-dir", tmp_path, *flags, settings=settings)
        assert finished.code == 2, finished
        assert "Error: " in finished.err
        assert "Traceback" not in finished.err
        assert not (tmp_path / "store").exists()

    async def test_another_number_of_shards(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path) as server:
            sent = await say(server)
            await server.stop()
            other = await rowbox("serve", "--data-dir", tmp_path, settings={"ROWBOX_STORE_SHARDS": "128"})
            assert f"set shards = {Settings().store.shards}" in the_one_line(other)
            await server.start()
            assert await heard(server) == sent

    async def test_a_damaged_store_is_left_as_it_is(self, tmp_path: Path) -> None:
        async with ServerProcess(tmp_path) as server:
            sent = await say(server)
            server.kill()
            await server.ended()
            for pattern in ("MANIFEST-*", "*.log"):
                path = max((tmp_path / "store").glob(pattern), key=lambda one: one.stat().st_size)
                whole = path.read_bytes()
                middle = len(whole) // 2
                damaged = whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]
                path.write_bytes(damaged)
                line = the_one_line(await rowbox("serve", "--data-dir", tmp_path, *FREE_PORTS))
                assert f"the store in {tmp_path / 'store'} is damaged" in line
                assert "`rowbox restore BACKUP --replace --data-dir " in line
                assert path.read_bytes() == damaged
                path.write_bytes(whole)
            await server.start()
            assert await heard(server) == sent


async def test_check_and_stats_beside_a_busy_server(tmp_path: Path) -> None:
    users = ("ann", "ben", "cleo")
    async with ServerProcess(tmp_path) as server:
        chat = Chat(server, users, Random(0))
        chat.is_up.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(chat.talk(senders_per_user=2))
            looks = [await rowbox(verb, "--json", "--data-dir", tmp_path) for verb in ("check", "stats")]
            chat.finish()
        for look in looks:
            assert look.code == 0, look
            found = json.loads(look.out)
            assert 0 < found["messages"] <= 2 * len(chat.history.sends)
            assert found.get("findings", []) == []
        mailboxes = {user_id: await server.client(user_id).all_messages() for user_id in users}
        assert breaches(chat.history, mailboxes) == []
        assert not chat.resets

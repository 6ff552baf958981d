"""How verbs reach the running server: what they say when it is not there, says no, or is something else."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from rowbox.api.operator.calls import OperatorCall
from rowbox.cli.operator import NoServer, OperatorOutcomeUnknown, OperatorRefused, ask_server
from rowbox.cli.secret import FILE
from rowbox.mailbox.errors import StoreUnusable
from rowbox.mailbox.settings.config import Settings
from tests.cli.beside_server import put_secret
from tests.cli.test_health import listening
from tests.http.api import SETTINGS, serving
from tests.http.scripted_port import ScriptedPort
from tests.support.alone import own_port

DEADLINE_S = 10.0


def _settings(folder: Path, port: int) -> Settings:
    put_secret(folder)
    server = msgspec.structs.replace(SETTINGS.server, data_dir=str(folder), admin_port=port)
    return msgspec.structs.replace(SETTINGS, server=server)


async def _asked(folder: Path, handle: Callable[[bytes], Awaitable[bytes]], deadline_s: float = DEADLINE_S) -> bytes:
    async with serving(ScriptedPort(), calls=[OperatorCall("test", handle)]) as api:
        settings = _settings(folder, api.server.admin_port)
        return await asyncio.to_thread(ask_server, settings, "test", b"[1]", deadline_s)


async def test_the_server_of_the_folder_answers(tmp_path: Path) -> None:
    async def handle(body: bytes) -> bytes:
        return body + b" "

    assert await _asked(tmp_path, handle) == b"[1] "


async def test_it_says_no_in_its_own_words(tmp_path: Path) -> None:
    async def handle(_: bytes) -> bytes:
        raise StoreUnusable("there is a folder of this name already")

    with pytest.raises(OperatorRefused, match=r"^there is a folder of this name already$"):
        await _asked(tmp_path, handle)


async def test_it_does_not_answer_in_time(tmp_path: Path) -> None:
    async def handle(_: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    with pytest.raises(OperatorOutcomeUnknown, match="the server was asked and did not answer"):
        await _asked(tmp_path, handle, deadline_s=0.05)


async def test_it_does_not_know_the_call(tmp_path: Path) -> None:
    async with serving(ScriptedPort()) as api:
        settings = _settings(tmp_path, api.server.admin_port)
        with pytest.raises(OperatorRefused, match="there is nothing at this path"):
            await asyncio.to_thread(ask_server, settings, "test", b"[1]", DEADLINE_S)


def test_none_listens(tmp_path: Path) -> None:
    with (
        own_port() as port,
        pytest.raises(NoServer, match=f"no Rowbox listens at 127.0.0.1, admin port {port}: Connection refused"),
    ):
        ask_server(_settings(tmp_path, port), "test", b"[1]", DEADLINE_S)


def test_something_else_listens(tmp_path: Path) -> None:
    with (
        listening(lambda _: b"") as port,
        pytest.raises(OperatorRefused, match="no Rowbox: it answered with status 501"),
    ):
        ask_server(_settings(tmp_path, port), "test", b"[1]", DEADLINE_S)


def test_a_folder_without_a_secret(tmp_path: Path) -> None:
    settings = _settings(tmp_path, 1)
    (tmp_path / FILE).unlink()
    with pytest.raises(StoreUnusable, match="secret is in"):
        ask_server(settings, "test", b"[1]", DEADLINE_S)

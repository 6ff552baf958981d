"""docs/how-to/login.md: the tokens that its programs sign are accepted, and what it says is refused is refused."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Final

import pytest

from tests.integration.documents.fenced import block
from tests.integration.support.server_process import DEADLINE_S, ServerProcess
from tests.javascript.program import NODE

pytestmark = pytest.mark.integration

PAGE: Final = Path(__file__).parents[3] / "docs" / "how-to" / "login.md"
SETTINGS: Final = "rowbox.toml"
KEY_SET: Final = "/etc/rowbox/jwks.json"


async def run(folder: Path, program: str, *arguments: str | Path) -> str:
    """One of the page's programs, and what it printed."""
    (folder / program).write_text(block(PAGE, program))
    command = sys.executable if program.endswith(".py") else NODE
    process = await asyncio.create_subprocess_exec(*map(str, [command, program, *arguments]), cwd=folder, stdout=PIPE)
    async with asyncio.timeout(DEADLINE_S):
        out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().strip()


async def answer(server: ServerProcess, token: str) -> tuple[int, str]:
    """The status and the body of a user's first call."""
    headers = {"Authorization": f"Bearer {token}"}
    async with server.session.get(f"{server.url}/v1/fetchConversation", headers=headers) as response:
        return response.status, await response.text()


async def test_a_backend_in_python_signs_with_the_shared_secret(tmp_path: Path) -> None:
    async with ServerProcess(tmp_path / "data") as server:
        token = await run(tmp_path, "mint.py", "alice", server.data_dir / "token-secret")
        status, body = await answer(server, token)
        assert (status, '"conversations":[]' in body) == (200, True)


async def test_a_backend_in_node_signs_with_a_key_of_its_own(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    assert await run(tmp_path, "keys.mjs") == ""
    assert (tmp_path / "signing-key.pem").stat().st_mode & 0o077 == 0
    assert '"d":' not in (tmp_path / "jwks.json").read_text()  # the private half
    settings = block(PAGE, SETTINGS)
    assert KEY_SET in settings
    (data / SETTINGS).write_text(settings.replace(KEY_SET, str(tmp_path / "jwks.json")))
    async with ServerProcess(data) as server:
        assert (await answer(server, await run(tmp_path, "mint.mjs", "alice")))[0] == 200
        status, body = await answer(server, await run(tmp_path, "mint.mjs", "auth0|5f7c"))
        assert (status, "sub is not a userId" in body) == (401, True)
        program = tmp_path / "mint.mjs"
        program.write_text(program.read_text().replace("15 * 60", "3600"))
        process = await asyncio.create_subprocess_exec(NODE, program, "alice", cwd=tmp_path, stdout=PIPE)
        longer, _ = await process.communicate()
        status, body = await answer(server, longer.decode().strip())
        assert (status, "auth.max_token_life_ms" in body) == (401, True)
        (tmp_path / "secret").write_bytes(b"s" * 32)
        status, body = await answer(server, await run(tmp_path, "mint.py", "alice", tmp_path / "secret"))
        assert (status, "not signed by a known key" in body) == (401, True)

"""What `npm pack` makes of the JavaScript client is a package that works, as docs/how-to/clients.md says."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Final

import pytest

import rowbox
from tests.client.steady_server import access_token, client_for, steady_server
from tests.integration.documents.fenced import block
from tests.integration.support.server_process import DEADLINE_S
from tests.javascript.program import NODE

pytestmark = pytest.mark.integration

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "api" / "web" / "client"
NPM: Final = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


async def npm(cwd: Path, *arguments: str | Path) -> str:
    """Without a registry: what needs one fails."""
    settings = {
        "npm_config_cache": str(cwd / "cache"),
        "npm_config_offline": "true",
        "npm_config_update_notifier": "false",
    }
    process = await asyncio.create_subprocess_exec(
        *map(str, [NODE, NPM, *arguments]), cwd=cwd, stdout=PIPE, env=os.environ | settings
    )
    async with asyncio.timeout(DEADLINE_S):
        out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


def program() -> str:
    """The page's lines, of the package and not of the file."""
    return block(ROOT / "docs" / "how-to" / "clients.md", "client.js").replace('"./rowbox.js"', '"rowbox"')


async def test_it_holds_the_client_and_its_types_and_runs_the_pages_lines(tmp_path: Path) -> None:
    (packed,) = json.loads(await npm(tmp_path, "pack", PACKAGE, "--json"))
    assert [file["path"] for file in packed["files"]] == [
        "LICENSE",
        "feed.js",
        "package.json",
        "rowbox.d.ts",
        "rowbox.js",
        "seen.js",
        "servers.js",
        "tabs_people.js",
        "tabs.js",
        "two_lists.js",
    ]
    assert (PACKAGE / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (packed["name"], packed["version"]) == ("rowbox", rowbox.__version__)
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    await npm(tmp_path, "install", tmp_path / packed["filename"])
    async with steady_server(tmp_path / "data") as server, await client_for(server, "bob") as bob:
        token = await access_token(server, "alice")
        text = program().replace("http://127.0.0.1:8080", server.url)
        (tmp_path / "program.js").write_text(f"const token = {json.dumps(token)};\n{text}")
        process = await asyncio.create_subprocess_exec(NODE, tmp_path / "program.js", stdout=PIPE)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(DEADLINE_S):
                await process.stdout.readuntil(b"messageContent: 'hello'")
                await bob.send("alice", "and now?")
                await process.stdout.readuntil(b"messageContent: 'and now?'")
        finally:
            process.kill()
            await process.wait()


def test_it_runs_where_it_says() -> None:
    described = json.loads((PACKAGE / "package.json").read_text())
    assert described["engines"] == {"node": ">=20.3"}
    assert {(PACKAGE / name).is_file() for name in described["files"]} == {True}
    assert "dependencies" not in described

"""`rowbox token revoke` beside a real server, that is killed afterwards: what was revoked stays so."""

import asyncio
from pathlib import Path

import jwt
import pytest

from tests.integration.support.client import Client, Refused
from tests.integration.support.server_process import ServerProcess, rowbox

pytestmark = pytest.mark.integration


def id_of(client: Client) -> str:
    """The `jti` of a client's token."""
    claims = jwt.decode(client.headers["Authorization"].removeprefix("Bearer "), options={"verify_signature": False})
    return str(claims["jti"])


async def is_refused(client: Client) -> bool:
    try:
        await client.conversations()
    except Refused as refused:
        return refused.problem.code == "token_revoked"
    return False


async def test_what_was_revoked_stays_so_when_the_server_is_killed(tmp_path: Path) -> None:
    async with ServerProcess(tmp_path) as server:

        async def revoke(option: str, value: str) -> None:
            port = server.admin_url.rpartition(":")[2]
            done = await rowbox("token", "revoke", option, value, "--data-dir", tmp_path, "--admin-port", port)
            assert (done.code, done.err) == (0, "")

        stolen, bobs, others = server.client("alice"), server.client("bob"), server.client("bob")
        token = (await stolen.messages()).last_updated_timestamp
        poll = asyncio.create_task(stolen.messages(last_updated_timestamp=token, wait=50))
        await server.metric_reaches("rowbox_waiters", 1)
        await revoke("--user", "alice")
        with pytest.raises(Refused, match="401 token_revoked"):
            await poll
        new = server.client("alice")
        await revoke("--id", id_of(bobs))
        for _ in range(2):
            assert [await is_refused(client) for client in (stolen, bobs, new, others)] == [True, True, False, False]
            server.kill()
            await server.ended()
            await server.start()

"""`rowbox token revoke` beside real servers, that are killed afterwards: what was revoked stays so."""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

import jwt
import pytest

from tests.integration.support.client import Client, Refused
from tests.integration.support.hbase_server import QUICK_LEASE, made_store
from tests.integration.support.server_process import IN_PROCESSES, Finished, ServerProcess, rowbox
from tests.integration.support.verdict import check_finds_nothing
from tests.support.hbase_cluster import HBase

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


async def revoke(server: ServerProcess, *what: str) -> Finished:
    """The verb, beside a server."""
    port = server.admin_url.rpartition(":")[2]
    return await rowbox(
        "token", "revoke", *what, "--data-dir", server.data_dir, "--admin-port", port, settings=server.settings
    )


@IN_PROCESSES
async def test_what_was_revoked_stays_so_when_the_server_is_killed(
    tmp_path: Path, processes: Mapping[str, str]
) -> None:
    async with ServerProcess(tmp_path, processes) as server:
        stolen, bobs, others = server.client("alice"), server.client("bob"), server.client("bob")
        token = (await stolen.messages()).last_updated_timestamp
        poll = asyncio.create_task(stolen.messages(last_updated_timestamp=token, wait=50))
        await server.metric_reaches("rowbox_waiters", 1)
        assert (await revoke(server, "--user", "alice")).code == 0
        with pytest.raises(Refused, match="401 token_revoked"):
            await poll
        new = server.client("alice")
        assert (await revoke(server, "--id", id_of(bobs))).code == 0
        for _ in range(2):
            assert [await is_refused(client) for client in (stolen, bobs, new, others)] == [True, True, False, False]
            server.kill()
            await server.ended()
            await server.start()


async def test_over_hbase_the_server_that_takes_over_refuses_them_too(hbase: HBase, tmp_path: Path) -> None:
    with made_store(hbase) as store:
        async with ServerProcess(tmp_path / "first", QUICK_LEASE | store) as first:
            (tmp_path / "second").mkdir()
            shutil.copy(first.data_dir / "token-secret", tmp_path / "second")
            second = ServerProcess(tmp_path / "second", first.settings)
            async with second.unstarted():
                await second.launch()
                listening = await second.line(r"metrics on port (\d+)")
                second.admin_url = f"http://127.0.0.1:{listening[1]}"
                await second.line("owns the mailboxes")
                refused = await revoke(second, "--user", "alice")
                assert refused.code == 1
                assert "owns this mailbox: revoke there" in refused.err
                stolen, bobs, others = first.client("alice"), first.client("bob"), first.client("bob")
                await stolen.send("bob", "hello", "first")
                assert (await revoke(first, "--user", "alice")).code == 0
                assert (await revoke(first, "--id", id_of(bobs))).code == 0
                new = first.client("alice")
                assert [await is_refused(one) for one in (stolen, bobs, new, others)] == [True, True, False, False]
                first.kill()
                await first.ended()
                ready = await second.line(r"Rowbox is ready: (http://\S+) ")
                first.url = ready[1]
                assert [await is_refused(one) for one in (stolen, bobs, new, others)] == [True, True, False, False]
                await second.stop()
                await check_finds_nothing(second, copies=2)

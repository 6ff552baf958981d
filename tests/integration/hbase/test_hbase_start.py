"""What a server on HBase does, and says, where it cannot serve yet, or never will."""

import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import happybase
import pytest

from rowbox.cli.secret import load_or_create
from rowbox.hbase_schema.families import SCHEMA_VERSION
from rowbox.hbase_schema.keys import SCHEMA_ROW
from rowbox.hbase_schema.schema_row import VERSION_QUALIFIER
from rowbox.mailbox.settings.config import StoreSettings
from tests.integration.support.client import Client, Refused
from tests.integration.support.hbase_server import QUICK_LEASE, SHARDS
from tests.integration.support.server_process import ServerProcess, rowbox
from tests.support.alone import own_port
from tests.support.hbase_cluster import HBase
from tests.support.hbase_table import made_table
from tests.support.scripted_gateway import foreign_gateway, is_deaf
from tests.support.tcp_proxy import running_proxy

pytestmark = pytest.mark.integration

CALL_S = 4.0
"""Less than what a call to a gateway may take (hbase.call_timeout_ms), more than a stop takes on a busy machine."""


@asynccontextmanager
async def launched(data_dir: Path, store_url: str) -> AsyncIterator[ServerProcess]:
    """A server that runs, ready or not, and whose ports are known: one that is not ready has not said which it took."""
    with own_port() as port, own_port() as admin_port:
        flags = ("--port", str(port), "--admin-port", str(admin_port), "--store", store_url)
        server = ServerProcess(data_dir, QUICK_LEASE, flags=flags)
        server.url, server.admin_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}"
        async with server.unstarted():
            await server.launch()
            yield server


async def refusal(client: Client) -> str:
    with pytest.raises(Refused) as refused:
        await client.messages()
    return refused.value.problem.code


async def test_a_store_that_is_away_is_waited_for(hbase: HBase, tmp_path: Path) -> None:
    with made_table(hbase, StoreSettings(shards=SHARDS)) as table:
        async with running_proxy(hbase.gateways[0]) as proxy:
            await proxy.refuse()
            host, port = proxy.address
            async with launched(tmp_path, f"hbase://{host}:{port}/{table.prefix}") as server:
                await server.line(f"waiting for the store: gateway {host}:{port} cannot be reached: ")
                assert await server.ready_status() == 503
                assert await refusal(server.client("ann")) == "handover_in_progress"
                await proxy.listen()
                await server.line("Rowbox is ready")
                assert await server.ready_status() == 200
                assert (await server.client("ann").messages()).messages == []
                await server.stop()


async def test_a_schema_of_another_version_ends_the_start(hbase: HBase, tmp_path: Path) -> None:
    with made_table(hbase, StoreSettings(shards=SHARDS)) as table:
        connection = happybase.Connection(*hbase.gateways[0], timeout=20_000)
        connection.table(table.table).put(SCHEMA_ROW, {b"i:" + VERSION_QUALIFIER: b"%d" % (SCHEMA_VERSION + 1)})
        connection.close()
        async with launched(tmp_path, hbase.url(table.prefix)) as server:
            assert await server.ended() == 1
            versions = f"has schema version {SCHEMA_VERSION + 1}, this Rowbox needs {SCHEMA_VERSION}"
            assert errors(server) == [f"Error: table {table.table} {versions}; see: rowbox schema plan"]


async def test_a_table_that_was_not_made_ends_the_start(hbase: HBase, tmp_path: Path) -> None:
    async with launched(tmp_path, hbase.url("nobody_made_this")) as server:
        assert await server.ended() == 1
        assert errors(server) == [
            "Error: there is no table nobody_made_this_mailboxes; make it with: rowbox schema apply"
        ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_while_the_store_is_waited_for_is_quiet_and_at_once(
    tmp_path: Path, number: signal.Signals
) -> None:
    """The gateway takes connections and answers nothing: a call is under way when the signal comes."""
    with foreign_gateway(is_deaf) as (host, port):
        async with launched(tmp_path, f"hbase://{host}:{port}/nowhere") as server:
            await server.line("listening on port")
            before = len(server.lines)
            began = time.monotonic()
            server.send(number)
            assert await server.ended() == 0
            assert time.monotonic() - began < CALL_S
            news = [line for line in server.lines[before:] if "(RLIMIT_NOFILE)" not in line]
            assert [line.partition("rowbox.cli.verbs.serve: ")[2] for line in news] == [
                "stopping: finishing what has begun"
            ]


def errors(server: ServerProcess) -> list[str]:
    """What it printed, but for its log."""
    return [line for line in server.lines if " rowbox.cli." not in line]


async def test_tokens_need_no_store(tmp_path: Path) -> None:
    load_or_create(tmp_path)  # a server did, which may be away as well
    with own_port() as port:
        nowhere = {"ROWBOX_STORE_URL": f"hbase://127.0.0.1:{port}/nowhere"}
        token = await rowbox("token", "--user", "ann", "--data-dir", tmp_path, settings=nowhere)
    assert (token.code, token.err) == (0, "")
    assert token.out.count(".") == 2

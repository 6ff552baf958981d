"""The ways in which Rowbox is run, each as the addresses at which its clients call it."""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

from rowbox.cli.data_dir import SIGNING_FILE
from rowbox.cli.secret import load_or_create
from tests.integration.cluster.support.fleet import running_fleet
from tests.integration.support.hbase_server import SHARDS
from tests.integration.support.server_process import DEADLINE_S, ServerProcess
from tests.support.alone import own_port
from tests.support.hbase_cluster import HBase

SETTINGS: Final = {"ROWBOX_COMMIT_DELIVERY_WAIT_MS": "30000", "ROWBOX_MESSAGES_RECEIPTS": "none"}
"""A send is answered once its recipient has the message, however busy the machine is: what is read next shows it."""
_FLAGS: Final = ("--port", "0", "--admin-port", "0")


class Deployment(NamedTuple):
    """Where clients call, in turn, and the secret that signs their tokens."""

    urls: tuple[str, ...]
    secret: bytes


Deploy = Callable[[Path, Mapping[str, str]], AbstractAsyncContextManager[Deployment]]
"""Starts a deployment in a folder, with settings that name its store; it ends when the context is left."""


@asynccontextmanager
async def one_server(folder: Path, store: Mapping[str, str]) -> AsyncIterator[Deployment]:
    """`rowbox serve`: all in one process, over the embedded store where `store` names none."""
    async with ServerProcess(folder, SETTINGS | dict(store), flags=_FLAGS) as server:
        yield Deployment((server.url,), load_or_create(folder))


@asynccontextmanager
async def with_api_processes(folder: Path, store: Mapping[str, str]) -> AsyncIterator[Deployment]:
    """`rowbox serve --api-processes 2`: the API in processes of its own, at one port."""
    async with ServerProcess(folder, SETTINGS | dict(store), flags=(*_FLAGS, "--api-processes", "2")) as server:
        yield Deployment((server.url,), load_or_create(folder))


@asynccontextmanager
async def equal_servers(folder: Path, store: Mapping[str, str]) -> AsyncIterator[Deployment]:
    """Two equal `rowbox serve` over one HBase: each owns mailboxes, and forwards what is the other's."""
    folder.joinpath("peer-secret").write_text(secrets.token_hex(32))
    folder.joinpath("peer-secret").chmod(0o600)
    signing = load_or_create(folder / "0")
    load_or_create(folder / "1")
    shutil.copy(folder / "0" / SIGNING_FILE, folder / "1")
    async with AsyncExitStack() as stack:
        servers = []
        for number in ("0", "1"):
            cluster = {
                "ROWBOX_CLUSTER_SECRET_FILE": str(folder / "peer-secret"),
                "ROWBOX_CLUSTER_NODE_ID": f"node-{number}",
                "ROWBOX_CLUSTER_PEER_LISTEN": f"127.0.0.1:{stack.enter_context(own_port())}",
            }
            settings = SETTINGS | dict(store) | cluster
            server = await stack.enter_async_context(ServerProcess(folder / number, settings, flags=_FLAGS))
            servers.append(server)
        async with asyncio.timeout(DEADLINE_S):  # while shards move, a message may be said to be on its way
            while not all([await server.metric("rowbox_shards_owned") == SHARDS / 2 for server in servers]):
                pass
        yield Deployment(tuple(server.url for server in servers), signing)


@asynccontextmanager
async def three_servers_behind_two(hbase: HBase, folder: Path, store: Mapping[str, str]) -> AsyncIterator[Deployment]:
    """Three servers that own the mailboxes, behind two API servers, which clients ask in turn."""
    async with running_fleet(hbase, store, folder, SETTINGS, rate_limits=True) as fleet:
        await fleet.shared()
        yield Deployment(tuple(api.server.url for api in fleet.apis), load_or_create(fleet.data_dir))

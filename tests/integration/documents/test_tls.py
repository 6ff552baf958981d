"""deploy/proxy/tls.cfg, in front of a real server: docs/how-to/tls.md."""

import asyncio
import datetime as dt
import re
import ssl
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.client.steady_server import access_token
from tests.conftest import require
from tests.integration.support.server_process import DEADLINE_S, ServerProcess
from tests.support.alone import own_port

pytestmark = [pytest.mark.integration, pytest.mark.tools("haproxy")]

FILE: Final = Path(__file__).parents[3] / "deploy" / "proxy" / "tls.cfg"


def certificate(path: Path) -> Path:
    """Certificate and private key of "localhost", in one file, as HAProxy has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@asynccontextmanager
async def proxy(folder: Path, server: ServerProcess, plain: int, door: int) -> AsyncIterator[Process]:
    """HAProxy in front of the server, once it has found it ready."""
    api, admin = urlsplit(server.url), urlsplit(server.admin_url)
    text = FILE.read_text()
    for theirs, here in {
        "bind :80\n": f"bind 127.0.0.1:{plain}\n",
        "bind :443 ": f"bind 127.0.0.1:{door} ",
        "/etc/haproxy/rowbox.pem": str(certificate(folder / "rowbox.pem")),
        "127.0.0.1:8080": str(api.netloc),
        "port 8081": f"port {admin.port}",
        "maxconn 60000": "maxconn 100",
    }.items():
        assert text.count(theirs) == 1
        text = text.replace(theirs, here)
    (folder / "haproxy.cfg").write_text(text)
    process = await asyncio.create_subprocess_exec(
        require("haproxy"), "-db", "-f", str(folder / "haproxy.cfg"), stdout=PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()


@asynccontextmanager
async def caller(folder: Path) -> AsyncIterator[aiohttp.ClientSession]:
    trust = ssl.create_default_context(cafile=str(folder / "rowbox.pem"))
    connector = aiohttp.TCPConnector(ssl=trust, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


async def is_there(session: aiohttp.ClientSession, url: str) -> None:
    """Returns when the proxy listens and has found the server ready."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with suppress(aiohttp.ClientConnectionError):
                async with session.get(f"{url}/openapi.json") as answer:
                    if answer.status == 200:
                        return


async def test_a_chat_through_it(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        plain, door = (stack.enter_context(own_port()) for _ in range(2))
        server = await stack.enter_async_context(ServerProcess(tmp_path / "data"))
        process = await stack.enter_async_context(proxy(tmp_path, server, plain, door))
        session = await stack.enter_async_context(caller(tmp_path))
        url = f"https://localhost:{door}"
        await is_there(session, url)
        alice, bob = [{"Authorization": f"Bearer {await access_token(server, user)}"} for user in ("alice", "bob")]
        async with session.get(f"{url}/v1/fetchMessages", headers=bob) as page:
            token = (await page.json())["lastUpdatedTimestamp"]
        query = {"lastUpdatedTimestamp": token, "wait": "55"}
        async with asyncio.TaskGroup() as tasks:

            async def poll() -> list[str]:
                async with session.get(f"{url}/v1/fetchMessages", headers=bob, params=query) as delta:
                    return [message["messageContent"] for message in (await delta.json())["messages"]]

            held = tasks.create_task(poll())
            await server.metric_reaches("rowbox_waiters", 1)
            body = {"recipientId": "bob", "messageContent": "hello", "clientMessageId": "first"}
            async with session.post(f"{url}/v1/sendMessage", headers=alice, json=body) as sent:
                assert sent.status == 201
                assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f-]{27}", sent.headers["X-Request-Id"])
        assert held.result() == ["hello"]
        async with session.get(f"http://127.0.0.1:{plain}/docs", allow_redirects=False) as moved:
            assert (moved.status, moved.headers["Location"]) == (308, f"https://127.0.0.1:{plain}/docs")
        assert process.returncode is None

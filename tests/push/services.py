"""Services on this machine that pushes go to: a push service that reads what browsers would, and webhooks."""

import asyncio
import base64
import hmac
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import http_ece
import jwt
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rowbox.cacheserver.push.services.guarded import GuardedSession
from rowbox.mailbox.push.target import PushTarget
from tests.links.certificates import made_certificate

HOSTS = ("push.test", "hook.test", "other.test")


class Names(AbstractResolver):
    """What names mean. Each asking takes the next of a name's meanings; the last one stays."""

    def __init__(self, meanings: Mapping[str, list[list[str]]]) -> None:
        self._meanings = {name: list(answers) for name, answers in meanings.items()}
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answers = self._meanings.get(host)
        if not answers:
            raise OSError("no such name")
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [_result(host, address, port) for address in addresses]

    async def close(self) -> None:
        """Nothing is open."""


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)


def tls_of(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What the services of HOSTS show, and what somebody believes who knows their authority."""
    authority = made_certificate(folder, "ca")
    made_certificate(folder, "service", authority, hosts=HOSTS)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / "service.pem", folder / "service.key")
    return server, ssl.create_default_context(cafile=str(folder / "ca.pem"))


def session_here(client: ssl.SSLContext, timeout_s: float = 5.0) -> GuardedSession:
    """A session for which HOSTS are on this machine, and this machine may be called."""
    names = Names({host: [["127.0.0.1"]] for host in HOSTS})
    return GuardedSession(resolver=names, may_call=lambda _: True, tls=client, timeout_s=timeout_s)


@asynccontextmanager
async def serving(
    handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], tls: ssl.SSLContext
) -> AsyncIterator[int]:
    """A server that answers every request with `handle`: its port."""
    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


class Told(NamedTuple):
    """A push as a browser gets it."""

    path: str
    note: dict[str, Any]
    headers: Mapping[str, str]


class Browser:
    """A subscription of a browser, and the keys that it keeps to itself."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._auth = b"sixteen bytes!!!"

    @property
    def point(self) -> bytes:
        """Its public key."""
        return self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    def target(self, url: str) -> PushTarget:
        return PushTarget("web", url, self.point + self._auth)

    def keys(self) -> dict[str, str]:
        """As `PushSubscription.toJSON()` has them."""
        return {
            "p256dh": base64.urlsafe_b64encode(self.point).rstrip(b"=").decode(),
            "auth": base64.urlsafe_b64encode(self._auth).rstrip(b"=").decode(),
        }

    def decrypted(self, body: bytes) -> bytes:
        text: bytes = http_ece.decrypt(body, private_key=self._key, auth_secret=self._auth, version="aes128gcm")
        return text


class PushService:
    """A push service as RFC 8030 has it, with the rules of RFC 8292: what it takes, `told` has decrypted."""

    def __init__(self, browsers: Mapping[str, Browser], server_key: str, now_s: Callable[[], float]) -> None:
        self._browsers = browsers
        self._server_key = server_key
        self._now_s = now_s
        self.port = 0
        self.told: list[Told] = []
        self.tokens: set[str] = set()
        self.answers: list[web.Response] = []
        """What it says next, before it takes anything again."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        browser = self._browsers.get(request.path)
        if self.answers:
            return self.answers.pop(0)
        if browser is None:
            return web.Response(status=410)
        if (reason := self._wrong(request, body)) is not None:
            return web.Response(status=400, text=reason)
        self.told.append(Told(request.path, json.loads(browser.decrypted(body)), dict(request.headers)))
        return web.Response(status=201, headers={"Location": f"https://push.test/m/{len(self.told)}"})

    def _wrong(self, request: web.BaseRequest, body: bytes) -> str | None:
        headers = request.headers
        if len(body) > 4096 or headers.get("Content-Encoding") != "aes128gcm" or not headers["TTL"].isdigit():
            return "what it is told"
        topic = headers.get("Topic", "")
        if len(topic) > 32 or headers.get("Urgency", "normal") not in {"very-low", "low", "normal", "high"}:
            return "how it is told"
        kind, _, rest = headers.get("Authorization", "").partition(" ")
        parts = dict(part.split("=", 1) for part in rest.split(","))
        if kind != "vapid" or parts.get("k") != self._server_key:
            return "by whom"
        point = base64.urlsafe_b64decode(parts["k"] + "=" * (-len(parts["k"]) % 4))
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        claims = jwt.decode(
            parts["t"],
            key,
            algorithms=["ES256"],
            audience=f"https://push.test:{self.port}",
            options={"verify_exp": False},
        )
        self.tokens.add(parts["t"])
        is_contact = str(claims["sub"]).startswith("mailto:")
        return None if is_contact and self._now_s() < claims["exp"] <= self._now_s() + 86_400 else "the token's time"


class Hook:
    """A webhook's server that looks at signatures as Standard Webhooks has it."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.told: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.status = 204

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.digest(self._secret, signed, sha256)).decode()
        if request.headers["webhook-signature"] != f"v1,{expected}":
            return web.Response(status=401)
        self.ids.append(request.headers["webhook-id"])
        self.told.append(json.loads(body))
        return web.Response(status=self.status)


class Stalled:
    """Takes what it is sent and does not answer before the test is over."""

    def __init__(self) -> None:
        self.is_over = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        await self.is_over.wait()
        return web.Response()


async def never_ends(request: web.BaseRequest) -> web.StreamResponse:
    """Says 200, and goes on with it for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 65536)

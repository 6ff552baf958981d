"""A push service and webhooks at an address of the public internet, which the servers of a fleet alone are led to.

Rowbox calls no other addresses, believes the machine's authorities, and asks the machine for names. So its servers run
with a hosts file and an authority of their own; of Rowbox nothing is replaced.
"""

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from rowbox.cacheserver.push.services.web_push import made_key, read_key, server_key_of
from tests.integration.cluster.support.network import Network
from tests.push.services import HOSTS, Browser, Hook, PushService, tls_of

ADDRESS: Final = "93.184.215.14"
"""Of the public internet, and not called: only places of the network are led to it, and to a place of the network."""
_PORT: Final = 8443
_PUSH, _HOOK, _ = HOSTS
_SECRET_BYTES: Final = 32
_IN_OWN_NAMES: Final = 'mount --bind "$0" /etc/hosts && exec "$@"'


class PushPlace:
    """Takes what devices are told. `push_place` makes one."""

    def __init__(self, folder: Path) -> None:
        self.told: list[tuple[str, Mapping[str, Any], float]] = []
        """Which device was told what, and when, by time.monotonic()."""
        self._news = asyncio.Condition()
        self._folder = folder
        self._browsers: dict[str, Browser] = {}
        key, secret = made_key(), secrets.token_bytes(_SECRET_BYTES)
        (folder / "vapid.pem").touch(0o600)
        (folder / "vapid.pem").write_bytes(key)
        (folder / "hosts").write_text("".join(f"{ADDRESS} {host}\n" for host in HOSTS))
        self._service = PushService(self._browsers, server_key_of(read_key(key)), time.time)
        self._service.port = _PORT
        self._hook = Hook(secret)
        self._secret = f"whsec_{base64.b64encode(secret).decode()}"

    @property
    def settings(self) -> dict[str, str]:
        """ROWBOX_* variables of servers that tell devices here."""
        return {
            "ROWBOX_PUSH_ALLOWED_HOSTS": ",".join(HOSTS),
            "ROWBOX_PUSH_VAPID_KEY_FILE": str(self._folder / "vapid.pem"),
            "ROWBOX_PUSH_CONTACT": "mailto:ops@example.com",
        }

    @property
    def inside(self) -> Sequence[str]:
        """Before the command of such a server: it runs in the process that was started."""
        own_names = ("unshare", "--mount", "sh", "-c", _IN_OWN_NAMES, str(self._folder / "hosts"))
        return (*own_names, "env", f"SSL_CERT_FILE={self._folder / 'ca.pem'}")

    def browser(self, device: str) -> dict[str, object]:
        """The subscription of a browser."""
        browser = self._browsers.setdefault(f"/{device}", Browser())
        return {"kind": "web", "endpoint": f"https://{_PUSH}:{_PORT}/{device}", "keys": browser.keys()}

    def webhook(self, device: str, code: str = "") -> dict[str, object]:
        """A webhook; `code`: as it was told."""
        target: dict[str, object] = {"kind": "webhook", "url": f"https://{_HOOK}:{_PORT}/{device}"}
        return {**target, "secret": self._secret, **({"code": code} if code else {})}

    def code_of(self, device: str) -> str:
        """The newest code that a webhook was told; "" where it was told none."""
        codes = [note["code"] for name, note, _ in self.told if name == device and note["type"] == "confirm"]
        return codes[-1] if codes else ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Everything that is told here."""
        is_web = request.host.partition(":")[0] == _PUSH
        response = await (self._service if is_web else self._hook).handle(request)
        if response.status < 300:
            note = self._service.told[-1].note if is_web else self._hook.told[-1]
            async with self._news:
                self.told.append((request.path.removeprefix("/"), note, time.monotonic()))
                self._news.notify_all()
        return response

    async def comes_to(self, is_so: Callable[[], bool], within_s: float) -> None:
        """Returns once it is so, as far as that can change by what is told."""
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(is_so)


@asynccontextmanager
async def push_place(network: Network, folder: Path) -> AsyncIterator[PushPlace]:
    """One more place. `folder` is to be empty; servers' places have to be made after it."""
    tls, _ = tls_of(folder)
    made = PushPlace(folder)
    place = await network.place("push")
    await network.publish(place, ADDRESS)
    runner = web.ServerRunner(web.Server(made.handle), shutdown_timeout=0)
    await runner.setup()
    site = web.SockSite(runner, network.listening(place, _PORT, ADDRESS), ssl_context=tls)
    await site.start()
    try:
        yield made
    finally:
        await runner.cleanup()

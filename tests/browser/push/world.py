"""A server that pushes, in the test's own process, and a browser that is told: the way of a message to a notification.

All of it is real but two pieces. Chromium without a network has no push service, so the page's subscription is one of
the push service of the tests (tests/push/services.py), which decrypts as a browser does; what it has decrypted DevTools
hands to the service worker, as Chromium would.
"""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from msgspec.structs import replace
from playwright.async_api import BrowserContext, CDPSession, Page, Worker

from rowbox.api.auth.authenticator import issue_token, make_authenticator
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.push.services.services import PushServices
from rowbox.cacheserver.push.services.web_push import made_key, read_key, server_key_of
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cli.secret import load_or_create
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.settings.config import PushSettings
from tests.http.api import SETTINGS, Api, serving
from tests.integration.support.server_process import DEADLINE_S
from tests.push.services import Browser, PushService, Told, session_here
from tests.push.services import serving as serving_pushes

KEY: Final = made_key()
SUBSCRIBES: Final = """
    {
      const subscriptions = new Map();
      window.subscribed = [];
      window.endpoint = %(endpoint)s;
      PushManager.prototype.subscribe = async function ({ applicationServerKey, userVisibleOnly }) {
        subscribed.push([applicationServerKey, userVisibleOnly]);
        const [endpoint, keys] = [window.endpoint, %(keys)s];
        return { toJSON: () => ({ endpoint, keys, expirationTime: null }) };
      };
      const ask = Notification.requestPermission;
      window.asked = 0;
      Notification.requestPermission = function () {
        window.asked += 1;
        return ask.call(Notification);
      };
    }
"""
SHOWN: Final = """
    async () => {
      const all = await registration.getNotifications();
      return all.map(({ title, body, tag }) => [title, body, tag]).sort();
    }
"""
PRESS: Final = """
    async () => {
      const [notification] = await registration.getNotifications();
      let done;
      const waitUntil = (promise) => (done = promise);
      self.opened = [];
      clients.openWindow = async (url) => void opened.push(url);
      WindowClient.prototype.focus = async () => void opened.push("a page that is there");
      self.dispatchEvent(Object.assign(new Event("notificationclick"), { notification, waitUntil }));
      await done;
      return opened;
    }
"""
"""No script may press a notification, nor open a window without a press: so a press is what the worker hears of one,
and what it would open is told."""
CHANGED: Final = """
    async () => {
      let done;
      const waitUntil = (promise) => (done = promise);
      self.dispatchEvent(Object.assign(new Event("pushsubscriptionchange"), { waitUntil }));
      await done;
    }
"""
BADGES: Final = """
    () => {
      if (self.badges) return;
      self.badges = [];
      navigator.setAppBadge = async (count) => void badges.push(count);
    }
"""
"""The last thing that the worker does with a push."""


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Returns when it is so; leaves the machine to the browser between two looks."""
    async with asyncio.timeout(DEADLINE_S):
        while not await is_so():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.02)


class World:
    """A server that tells devices by Web Push, and the push service that it tells."""

    def __init__(self, api: Api, service: PushService, browser: Browser, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.told = service.told
        self._api = api
        self._service = service
        self._browser = browser
        self._delivered = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._api.server.port}"

    @property
    def subscribes(self) -> str:
        """A script by which a page's subscription is one of the push service here."""
        endpoint = f"https://push.test:{self._service.port}/phone"
        return SUBSCRIBES % {"endpoint": json.dumps(endpoint), "keys": json.dumps(self._browser.keys())}

    async def send(self, text: str, sender: str = "bob", recipient: str = "alice") -> dict[str, Any]:
        """Sends a message: a push of it, as the server makes it."""
        fields = {"recipientId": recipient, "messageContent": text, "clientMessageId": uuid4().hex}
        answer = await self._api.request(
            "POST", "/v1/sendMessage", None, headers=self._as(sender), body=json.dumps(fields).encode()
        )
        assert answer.status == 201, answer.body
        sent = answer.json()
        return {"type": "message", "badge": 1, "sender": sender} | {
            name: sent[name] for name in ("conversationId", "messageId", "sentTimestamp")
        }

    async def targets(self, user: str = "alice") -> list[str]:
        """The hosts at which devices of a user are told."""
        devices = (await self._api.get("/v1/fetchDevices", None, headers=self._as(user))).json()["devices"]
        return [device["push"]["host"] for device in devices if "push" in device]

    async def sign_out_all(self, user: str = "alice") -> None:
        """As from another device."""
        answer = await self._api.request("POST", "/v1/signOut", None, headers=self._as(user), body=b'{"all": true}')
        assert answer.status == 200, answer.body

    def _as(self, user: str) -> dict[str, str]:
        token = issue_token(load_or_create(self.data_dir), user, 3600, admin=False, now=time.time())
        return {"Authorization": f"Bearer {token}"}

    async def next_push(self) -> Told:
        """The next push that the push service was told, decrypted."""

        async def is_told() -> bool:
            return len(self.told) > self._delivered

        await until(is_told)
        self._delivered += 1
        return self.told[self._delivered - 1]


@asynccontextmanager
async def pushing(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], data_dir: Path, *, has_key: bool = True
) -> AsyncIterator[World]:
    """`tls`: of the push service, and of who calls it. `has_key`: whether the server does Web Push."""
    secret = load_or_create(data_dir)
    settings = replace(SETTINGS, push=PushSettings(allowed_hosts=("push.test",), contact="mailto:ops@example.com"))
    browser = Browser()
    service = PushService({"/phone": browser, "/other": browser}, server_key_of(read_key(KEY)), time.time)
    store = MemoryStore(64, ttl_ms(settings.store), late_writes=False, now_ms=lambda: time.time_ns() // 1_000_000)
    push = PushServices(settings.push, KEY if has_key else None, session_here(tls[1]))
    owner = Owner(store, settings, push=push)
    authenticator = make_authenticator(settings.auth, lambda: [secret], time.time, time.monotonic)
    async with AsyncExitStack() as stack:
        service.port = await stack.enter_async_context(serving_pushes(service.handle, tls[0]))
        await owner.start()
        stack.push_async_callback(push.close)
        stack.push_async_callback(owner.close)
        api = await stack.enter_async_context(serving(owner, settings, authenticator=authenticator))
        yield World(api, service, browser, data_dir)


class Workers:
    """The service workers of a browser's context, through a page of it that stays open."""

    def __init__(self, page: Page, session: CDPSession) -> None:
        self.context: BrowserContext = page.context
        self._session = session
        self._registrations: dict[str, str] = {}
        session.on("ServiceWorker.workerRegistrationUpdated", self._updated)

    @classmethod
    async def of(cls, page: Page) -> "Workers":
        session = await page.context.new_cdp_session(page)
        workers = cls(page, session)
        await session.send("ServiceWorker.enable")
        return workers

    @property
    def scopes(self) -> list[str]:
        """Of those that are registered."""
        return sorted(self._registrations)

    async def deliver(self, note: dict[str, Any], user: str = "alice") -> int:
        """What Chromium does with a push: `user`'s worker is handed it. Returns the badge, when the worker is done."""
        await self.worker.evaluate(BADGES)
        (scope,) = [scope for scope in self._registrations if scope.endswith(f"/push/~{user}/")]
        origin = scope.partition("push/")[0]
        what = {"origin": origin, "registrationId": self._registrations[scope], "data": json.dumps(note)}
        done = await self.worker.evaluate("badges.length")
        await self._session.send("ServiceWorker.deliverPushMessage", what)

        async def is_done() -> bool:
            return bool(await self.worker.evaluate("badges.length") > done)

        await until(is_done)
        badge: int = await self.worker.evaluate("badges.at(-1)")
        return badge

    async def shown(self) -> list[list[str]]:
        """Title, body and tag of each notification of the one worker there is."""
        shown: list[list[str]] = await self.worker.evaluate(SHOWN)
        return shown

    @property
    def worker(self) -> Worker:
        return self.context.service_workers[-1]

    def _updated(self, event: dict[str, Any]) -> None:
        for one in event["registrations"]:
            if one["isDeleted"]:
                self._registrations.pop(one["scopeURL"], None)
            else:
                self._registrations[one["scopeURL"]] = one["registrationId"]

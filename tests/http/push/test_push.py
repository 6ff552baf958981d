"""setPush, and what is pushed then: over the real owner, to services on this machine that read as browsers do."""

import asyncio
import ssl
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from rowbox.api.v1.devices.types import Device, FetchDevicesResponse, Push
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.push.services.services import PushServices
from rowbox.cacheserver.push.services.web_push import made_key, read_key, server_key_of
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.mailbox.settings.config import PushSettings, Settings
from tests.http.api import SETTINGS, Api
from tests.http.calls.test_devices import asked
from tests.push.services import Browser, Hook, PushService, serving, session_here, tls_of

KEY = made_key()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # of an example
SERVER_KEY = server_key_of(read_key(KEY))


@pytest.fixture
def settings() -> Settings:
    """What the owner and the API run with."""
    push = PushSettings(content="preview", allowed_hosts=("push.test", "*.test"), contact="mailto:ops@example.com")
    return replace(SETTINGS, push=push)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server, and of who calls it."""
    return tls_of(tmp_path_factory.mktemp("push-tls"))


class Services(NamedTuple):
    browser: Browser
    service: PushService
    hook: Hook
    hook_port: int

    def web(self, **keys: str) -> dict[str, Any]:
        url = f"https://push.test:{self.service.port}/phone"
        return {"kind": "web", "endpoint": url, "keys": {**self.browser.keys(), **keys}}

    def webhook(self, **more: str) -> dict[str, Any]:
        return {"kind": "webhook", "url": f"https://hook.test:{self.hook_port}/in", "secret": SECRET, **more}


@pytest.fixture
async def services(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[Services]:
    """A push service and a webhook."""
    browser, hook = Browser(), Hook(b64decode(SECRET.removeprefix("whsec_")))
    service = PushService({"/phone": browser}, SERVER_KEY, time.time)
    async with AsyncExitStack() as stack:
        service.port = await stack.enter_async_context(serving(service.handle, tls[0]))
        hook_port = await stack.enter_async_context(serving(hook.handle, tls[0]))
        yield Services(browser, service, hook, hook_port)


@pytest.fixture
async def owner(
    store: MemoryStore, settings: Settings, reached: object, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> AsyncIterator[Owner]:
    """One that pushes to services on this machine."""
    push = PushServices(settings.push, KEY, session_here(tls[1]))
    owner = Owner(store, settings, push=push)
    await owner.start()
    yield owner
    await owner.close()
    await push.close()


async def until(is_so: Callable[[], bool]) -> None:
    """Returns when it is so; the test's own time ends it else."""
    while not is_so():  # noqa: ASYNC110 - what is waited for happens behind a socket
        await asyncio.sleep(0.01)


async def set_push(api: Api, push: Any, device: str = "phone") -> Device:
    return (await asked(api, "setPush", {"deviceId": device, "push": push})).decode(Device)


async def send(api: Api, text: str) -> None:
    body = b'{"recipientId": "alice", "messageContent": "%s", "clientMessageId": "%s"}' % (text.encode(), text.encode())
    assert (await api.request("POST", "/v1/sendMessage", "bob", body=body)).status == 201


async def test_a_browser_is_told_of_a_message(api: Api, services: Services) -> None:
    await asked(api, "registerDevice", {"deviceId": "phone"})
    shown = await set_push(api, services.web())
    assert shown.push == Push(kind="web", host="push.test", confirmed=True)
    await send(api, "hello")
    await until(lambda: bool(services.service.told))
    ((path, note, headers),) = services.service.told
    assert path == "/phone"
    assert {name: note[name] for name in ("type", "badge", "sender", "snippet")} == {
        "type": "message",
        "badge": 1,
        "sender": "bob",
        "snippet": "hello",
    }
    assert headers["Urgency"] == "high"
    listed = (await asked(api, "fetchDevices")).decode(FetchDevicesResponse)
    assert listed.push_key == SERVER_KEY
    assert listed.devices[0].push == shown.push
    secret = (await asked(api, "fetchDevices")).body
    assert b"/phone" not in secret
    assert services.browser.keys()["auth"].encode() not in secret
    assert (await set_push(api, None)).push is UNSET


async def test_a_program_is_told_once_it_gave_its_code_back(api: Api, services: Services) -> None:
    await asked(api, "registerDevice", {"deviceId": "bot"})
    shown = await set_push(api, services.webhook(), "bot")
    assert shown.push == Push(kind="webhook", host="hook.test", confirmed=False)
    await until(lambda: bool(services.hook.told))
    (first,) = services.hook.told
    assert first["type"] == "confirm"
    wrong = {"deviceId": "bot", "push": services.webhook(code="0" * 32)}
    (await asked(api, "setPush", wrong)).problem(400, "bad_request")
    shown = await set_push(api, services.webhook(code=first["code"]), "bot")
    assert shown.push == Push(kind="webhook", host="hook.test", confirmed=True)
    await send(api, "hello")
    await until(lambda: len(services.hook.told) > 1)
    assert (services.hook.told[1]["type"], services.hook.told[1]["snippet"]) == ("message", "hello")


@pytest.mark.parametrize(
    "push",
    [
        {"kind": "web", "endpoint": "http://push.test/a", "keys": Browser().keys()},
        {"kind": "web", "endpoint": "https://127.0.0.1/a", "keys": Browser().keys()},
        {"kind": "web", "endpoint": "https://push.example.com/a", "keys": Browser().keys()},
        {"kind": "web", "endpoint": "https://push.test/a", "keys": {**Browser().keys(), "auth": "AAAA"}},
        {"kind": "web", "endpoint": "https://push.test/a", "keys": {**Browser().keys(), "p256dh": "B" + "A" * 86}},
        {"kind": "web", "endpoint": "https://push.test/a", "keys": {**Browser().keys(), "p256dh": "!"}},
        {"kind": "web", "endpoint": "https://push.test/a"},
        {"kind": "webhook", "url": "https://hook.test/a", "secret": "whsec_AAAA"},
        {"kind": "webhook", "url": "https://hook.test/a", "secret": SECRET.removeprefix("whsec_")},
        {"kind": "webhook", "url": "https://hook.test/a", "secret": SECRET, "code": "x"},
        {"kind": "webhook", "url": "https://hook.test/a", "secret": SECRET, "code": "0" * 32},
        {"kind": "pigeon"},
        "https://hook.test/a",
    ],
)
async def test_what_is_no_target_is_refused_and_not_said_again(api: Api, push: Any) -> None:
    await asked(api, "registerDevice", {"deviceId": "phone"})
    answer = await asked(api, "setPush", {"deviceId": "phone", "push": push})
    answer.problem(400, "bad_request")
    assert b"whsec_" not in answer.body.replace(b"is whsec_", b"")
    assert (await asked(api, "fetchDevices")).decode(FetchDevicesResponse).devices[0].push is UNSET


async def test_a_device_that_is_none_and_another_device_are_refused(api: Api, services: Services) -> None:
    fields = {"deviceId": "phone", "push": services.web()}
    (await asked(api, "setPush", fields)).problem(404, "unknown_device")
    (await asked(api, "setPush", fields, device="laptop")).problem(403, "forbidden")
    (await asked(api, "setPush", {"deviceId": "phone"})).problem(400, "bad_request")

"""The chat page's push: switched on by a press, told while nobody looks, and over with the sign-in."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from rowbox.cacheserver.push import pushes
from tests.browser.people.test_names import look_at_dialog
from tests.browser.push.world import CHANGED, PRESS, Workers, World, pushing, until
from tests.browser.test_reading import HIDE
from tests.browser.windows import Pane, Windows, comes_to
from tests.push.services import tls_of

pytestmark = pytest.mark.integration

HOST: Final = "push.test"
SWITCH: Final = "Also while this page is closed"
SHOWS_ALL: Final = """
    () => {
      navigator.serviceWorker.addEventListener("message", ({ ports }) => ports[0]?.postMessage(true));
      navigator.serviceWorker.startMessages();
    }
"""
"""Has a page answer as a chat page of another server, below another path of a proxy, where a user has the same name."""


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return tls_of(tmp_path_factory.mktemp("push-tls"))


@pytest_asyncio.fixture(loop_scope="session")
async def world(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """Whoever has closed his page is told at once, and not once he has been away for a minute."""
    monkeypatch.setattr(pushes, "ACTIVE_S", 0.0)
    async with pushing(tls, tmp_path / "data") as world:
        yield world


@pytest_asyncio.fixture(loop_scope="session")
async def windows(browser: Browser, world: World) -> AsyncIterator[Windows]:
    windows = Windows(browser, world)
    yield windows
    await windows.close()
    assert windows.complaints == []


async def opened(
    windows: Windows,
    world: World,
    user: str,
    *,
    width: int = 1280,
    height: int = 800,
    scheme: Literal["light", "dark"] = "light",
) -> Page:
    """A page in a browser that grants what it is asked for."""
    page = await windows.open(user, width=width, height=height, scheme=scheme, before=world.subscribes)
    await page.context.grant_permissions(["notifications"])
    return page


async def switch_of(pane: Pane) -> Locator:
    """Opens the account, and gives the switch there."""
    await pane.root.get_by_role("button", name="your account").click()
    return pane.page.get_by_role("checkbox", name=SWITCH)


async def switched_on(windows: Windows, world: World) -> tuple[Pane, Workers]:
    """Alice's page with the switch on; and the browser's workers, seen from another page, which shows nobody."""
    page = await opened(windows, world, "alice")
    pane = Pane(page, "alice")
    other = await page.context.new_page()
    await other.goto(f"{world.url}/docs")
    workers = await Workers.of(other)
    await (await switch_of(pane)).click()
    await expect(pane.page.get_by_role("checkbox", name=SWITCH)).to_be_checked()
    return pane, workers


async def test_a_message_is_told_while_the_page_is_closed_and_a_press_opens_it(windows: Windows, world: World) -> None:
    """Nothing is asked for before the switch is pressed. A press of the notification leads to where it was written."""
    page = await opened(windows, world, "alice")
    other = await page.context.new_page()
    await other.goto(f"{world.url}/docs")
    workers = await Workers.of(other)
    switch = await switch_of(Pane(page, "alice"))
    await expect(switch).not_to_be_checked()
    assert (await page.evaluate("asked"), workers.scopes, await world.targets()) == (0, [], [])
    await switch.click()
    await expect(switch).to_be_checked()
    assert await page.evaluate("[asked, subscribed.length, subscribed[0][1]]") == [1, 1, True]
    assert (workers.scopes, await world.targets()) == ([f"{world.url}/push/~alice/"], [HOST])
    await page.close()

    await world.send("hello")
    note = (await world.next_push()).note
    assert await workers.deliver(note) == 1
    assert await workers.shown() == [["bob", "New message", note["conversationId"]]]
    (url,) = await workers.worker.evaluate(PRESS)
    assert await workers.shown() == []
    fresh = await other.context.new_page()
    await fresh.goto(url)
    await Pane(fresh, "alice").shows("hello")
    assert await fresh.evaluate("location.href") == f"{world.url}/"


async def test_what_is_told_says_who_writes_and_where(windows: Windows, world: World) -> None:
    """As much of it as the server says; the newest of a conversation; and no more what was read elsewhere."""
    pane, workers = await switched_on(windows, world)
    await pane.page.close()
    one, two, three = ("0" * 31 + digit for digit in "123")
    message = {"type": "message", "conversationId": one, "messageId": "b" * 32, "sentTimestamp": 1, "badge": 1}
    await workers.deliver(message)
    await workers.deliver({**message, "conversationId": two, "sender": "bob", "title": "Books"})
    await workers.deliver({**message, "conversationId": three, "sender": "carol", "snippet": "Lunch?", "badge": 3})
    assert await workers.shown() == [
        ["Books", "bob: New message", two],
        ["Rowbox", "New message", one],
        ["carol", "Lunch?", three],
    ]
    for message_id, text in (("c" * 32, "Dinner?"), ("a" * 32, "Breakfast?"), ("c" * 32, "Again")):
        await workers.deliver({**message, "conversationId": three, "messageId": message_id, "title": text})
    assert ["Dinner?", "New message", three] in await workers.shown()
    assert await workers.deliver({"type": "read", "conversationId": three, "badge": 2}) == 2
    assert [tag for _, _, tag in await workers.shown()] == [two, one]
    await workers.worker.evaluate("() => { Date.now = () => 5000; }")
    await workers.deliver({**message, "conversationId": three, "expiresTimestamp": 5_000_000})
    assert [tag for _, _, tag in await workers.shown()] == [two, one], "it has disappeared"
    await workers.deliver({**message, "conversationId": three, "expiresTimestamp": 5_001_000})
    assert [tag for _, _, tag in await workers.shown()] == [two, one, three]
    await workers.worker.evaluate("() => { Date.now = () => 5001; }")
    await workers.deliver({"type": "read", "conversationId": two, "badge": 2})
    assert [tag for _, _, tag in await workers.shown()] == [one], "whatever is told, what has disappeared goes"


async def test_nothing_is_told_while_the_page_is_in_sight(windows: Windows, world: World) -> None:
    """The page of its user; another user's in the same browser shows nothing of it. A press then leads to that page."""
    pane, workers = await switched_on(windows, world)
    await pane.page.keyboard.press("Escape")
    note = await world.send("hello")
    await expect(pane.conversation("bob")).to_contain_text("hello")
    await workers.deliver(note)
    assert await workers.shown() == []
    bob = await opened_beside(pane, windows, world)
    await pane.page.evaluate(HIDE, True)
    note = await world.send("and this")
    await expect(pane.conversation("bob")).to_contain_text("and this")
    await comes_to_show(workers, [["bob", "and this", note["conversationId"]]])
    await workers.deliver(note)
    assert await workers.worker.evaluate(PRESS) == ["a page that is there"]
    await pane.page.evaluate(HIDE, False)
    await pane.shows("hello", "and this")
    await pane.page.close()
    elsewhere = await pane.page.context.new_page()
    await elsewhere.goto(f"{world.url}/docs")
    await elsewhere.evaluate(SHOWS_ALL)
    await workers.deliver(note)
    assert len(await workers.shown()) == 1
    await expect(Pane(bob, "bob").root).to_be_visible()


async def opened_beside(pane: Pane, windows: Windows, world: World) -> Page:
    """Bob's page in the same browser."""
    page = await pane.page.context.new_page()
    await page.goto(windows.link("bob"))
    return page


async def comes_to_show(workers: Workers, notifications: list[list[str]]) -> None:
    """Waits until these are shown: for what a page shows in its own time."""

    async def is_shown() -> bool:
        return await workers.shown() == notifications

    await until(is_shown)


async def test_each_start_says_anew_where_it_is_told(windows: Windows, world: World) -> None:
    """A browser may have another subscription at any time. Where it says so while the page is open, that says it on."""
    pane, workers = await switched_on(windows, world)
    await pane.page.add_init_script(f"{world.subscribes}; endpoint = endpoint.replace('/phone', '/other');")
    await pane.page.reload()
    await expect(await switch_of(pane)).to_be_checked()
    await world.send("one")
    assert (await pane.page.evaluate("asked"), (await world.next_push()).path) == (0, "/other")
    await pane.page.evaluate("endpoint = endpoint.replace('/other', '/phone')")
    await workers.worker.evaluate(CHANGED)
    await comes_to(pane.page, "subscribed.length", 2)
    await pane.page.close()
    await world.send("two")
    assert (await world.next_push()).path == "/phone"


@pytest.mark.parametrize("how", ["switch", "bell", "sign-out", "signed out elsewhere"])
async def test_it_ends(windows: Windows, world: World, how: str) -> None:
    windows.expected = frozenset({"Failed to load resource: the server responded with a status of 401 (Unauthorized)"})
    pane, workers = await switched_on(windows, world)
    await workers.deliver({"type": "message", "conversationId": "0" * 32, "messageId": "b" * 32, "badge": 1})
    switch = pane.page.get_by_role("checkbox", name=SWITCH)
    if how == "switch":
        await switch.click()
        await expect(switch).not_to_be_checked()
    elif how == "signed out elsewhere":
        await world.sign_out_all()
        await expect(pane.banner).to_contain_text("You signed out here")
    else:
        await pane.page.keyboard.press("Escape")
        await pane.root.get_by_role("button", name="Notifications" if how == "bell" else "Sign out").click()

    async def is_over() -> bool:
        return not workers.scopes and not await world.targets()

    await until(is_over)
    assert await pane.page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('rowbox.push'))") == []
    await pane.page.reload()
    await comes_to(pane.page, "document.readyState", "complete")
    assert (workers.scopes, await pane.page.evaluate("asked")) == ([], 0)


async def test_where_it_cannot_be_switched_on_no_worker_is_left(windows: Windows, world: World) -> None:
    """Else messages might be told of though the switch is off: nobody knows what the server has done of what failed."""
    windows.expected = frozenset({"Failed to load resource: net::ERR_FAILED"})
    pane, workers = await switched_on(windows, world)
    switch = pane.page.get_by_role("checkbox", name=SWITCH)
    await switch.click()
    await expect(switch).not_to_be_checked()
    await pane.page.evaluate("endpoint = 'https://nobody.test/'")  # the server does not call there
    await switch.click()
    await expect(pane.page.get_by_role("region", name="Notifications").get_by_role("alert")).not_to_be_empty()

    async def is_over() -> bool:
        return not workers.scopes

    await until(is_over)


async def test_where_the_browser_forbids_it_the_switch_says_so(windows: Windows, world: World) -> None:
    page = await windows.open("alice")
    await page.context.grant_permissions([])  # nothing, and what is not granted is forbidden then
    await expect(await switch_of(Pane(page, "alice"))).to_be_disabled()
    await expect(page.get_by_role("region", name="Notifications")).to_contain_text("This browser forbids notifications")


async def test_a_server_without_pushes_offers_none(
    browser: Browser, tls: tuple[ssl.SSLContext, ssl.SSLContext], tmp_path: Path
) -> None:
    async with pushing(tls, tmp_path / "data", has_key=False) as world:
        windows = Windows(browser, world)
        pane = Pane(await opened(windows, world, "alice"), "alice")
        await expect(await switch_of(pane)).to_have_count(0)
        await expect(pane.page.get_by_role("region", name="Signed-in devices").get_by_role("listitem")).to_have_count(1)
        await expect(pane.page.get_by_role("checkbox", name=SWITCH)).to_have_count(0)
        await windows.close()
        assert windows.complaints == []


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_what_it_looks_like(
    windows: Windows, world: World, tmp_path: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    page = await opened(windows, world, "alice", width=width, height=720, scheme=scheme)
    switch = await switch_of(Pane(page, "alice"))
    await switch.click()
    await expect(switch).to_be_checked()
    await look_at_dialog(Pane(page, "alice"), tmp_path / f"push-{width}-{scheme}.png")
    await page.evaluate("() => { PushManager.prototype.subscribe = () => Promise.reject(new Error('none')); }")
    await switch.click()
    await expect(switch).not_to_be_checked()
    await switch.click()
    await expect(page.get_by_role("alert")).to_contain_text(["This browser does not reach its push service"])
    await look_at_dialog(Pane(page, "alice"), tmp_path / f"push-{width}-{scheme}-failed.png")

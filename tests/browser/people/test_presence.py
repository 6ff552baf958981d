"""Users see who of those they talk to is online, are so themselves while somebody looks, and may hide it."""

import json
import time
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from tests.browser.people.test_names import look_at_dialog, make_known
from tests.browser.test_looks import look
from tests.browser.test_reading import HIDE
from tests.browser.test_tabs import more_tabs
from tests.browser.windows import Pane, Windows
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration

ONLINE: Final = {"online": True, "lastSeen": None}
HOUR_US: Final = 3_600_000_000
DAYS_US: Final = 20 * 24 * HOUR_US


class Between:
    """Stands between a browser and its server: what its sockets say, and what they are told beside the server."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self._routes: list[WebSocketRoute] = []

    async def stand(self, page: Page) -> None:
        await page.context.route_web_socket("**/v1/ws", self._route)

    def _route(self, route: WebSocketRoute) -> None:
        self._routes.append(route)
        onward = route.connect_to_server()

        def passed_on(text: str | bytes) -> None:
            self.said.append(json.loads(text))
            onward.send(text)

        def passed_back(text: str | bytes) -> None:
            if json.loads(text)["t"] != "presence":  # that is the test's to tell
                route.send(text)

        route.on_message(passed_on)
        onward.on_message(passed_back)

    def tell(self, **users: Any) -> None:
        self._routes[-1].send(json.dumps({"t": "presence", "users": users}))

    @property
    def watched(self) -> set[str]:
        return next((set(frame["users"]) for frame in reversed(self.said) if frame["t"] == "watch"), set())

    @property
    def looks(self) -> int:
        return sum(frame.get("active", False) for frame in self.said)


async def comes(page: Page, is_so: Any) -> None:
    """Returns once it is so, which the page brings about in its own time."""
    await page.wait_for_function("true")
    deadline_s = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline_s
        await page.evaluate("new Promise((done) => requestAnimationFrame(done))")


def dot(pane: Pane, peer: str) -> Any:
    return pane.conversation(peer).locator(".dot")


async def test_who_looks_at_his_page_is_online_at_the_others(windows: Windows, server: ServerProcess) -> None:
    await server.client("bob").send("alice", "hello", "b1")
    alice = Pane(await windows.open("alice"), "alice")
    await alice.conversation("bob").click()
    await windows.open("bob")
    await expect(dot(alice, "bob")).to_be_visible()
    await expect(alice.root.locator(".thread .bar")).to_contain_text("Online")


@pytest.mark.parametrize("width", [1280, 360])
async def test_who_is_online_has_a_dot_and_who_was_has_a_time(
    windows: Windows, server: ServerProcess, tmp_path: Path, width: int
) -> None:
    await make_known(server, bob="Bob Miller")
    for peer in ("dan", "carol", "bob"):
        await server.client(peer).send("alice", f"{peer} here", peer)
    between = Between()
    page = await windows.open(width=width, height=760, touch=width < 500)
    await between.stand(page)
    await page.goto(windows.link("alice"))
    alice = Pane(page, "alice")
    await expect(alice.conversation("dan")).to_be_visible()
    await comes(page, lambda: between.watched == {"bob", "carol", "dan"})
    now_us = time.time_ns() // 1000
    between.tell(bob=ONLINE, carol={"online": False, "lastSeen": now_us - 30_000_000}, dan=None)
    await expect(dot(alice, "Bob Miller")).to_be_visible()
    await expect(alice.root.locator(".dot")).to_have_count(1)
    assert "online" in (await alice.conversation("Bob Miller").aria_snapshot())
    await look(page, tmp_path / f"online-{width}-list.png")

    header = alice.root.locator(".thread .bar")
    await alice.conversation("Bob Miller").click()
    await expect(header).to_contain_text("bob · Online")
    await look(page, tmp_path / f"online-{width}.png")
    between.tell(bob={"online": False, "lastSeen": now_us - DAYS_US})
    await expect(header).to_contain_text("Last seen")
    await expect(header.locator("time")).to_be_visible()
    await look(page, tmp_path / f"last-seen-{width}.png")
    between.tell(bob=None)
    await expect(header).not_to_contain_text("Last seen")
    await alice.root.get_by_role("button", name="Conversation actions").click()
    await page.get_by_role("menuitem", name="Block").click()
    await page.get_by_role("menuitem", name="Block").click()
    await comes(page, lambda: between.watched == {"carol", "dan"})


async def test_it_says_that_somebody_looks_only_while_somebody_does(windows: Windows) -> None:
    between = Between()
    page = await windows.open()
    await between.stand(page)
    await page.clock.install()
    await page.goto(windows.link("alice"))
    await expect(Pane(page, "alice").root.get_by_text("No conversations yet")).to_be_visible()
    await page.clock.run_for(5_000)
    await comes(page, lambda: between.looks > 0)
    await page.clock.run_for(60_000)
    seen = between.looks
    await page.clock.run_for(30_000)
    assert between.looks == seen  # nobody did anything for a minute
    await page.keyboard.press("Shift")
    await comes(page, lambda: between.looks == seen + 1)
    await page.clock.run_for(5_000)
    await comes(page, lambda: between.looks == seen + 2)
    await page.evaluate(HIDE, True)
    await page.clock.run_for(30_000)
    assert between.looks == seen + 2
    await page.evaluate(HIDE, False)
    await comes(page, lambda: between.looks == seen + 3)


async def test_tabs_watch_and_look_over_the_socket_of_one(windows: Windows, server: ServerProcess) -> None:
    await server.client("bob").send("alice", "hello", "b1")
    between = Between()
    page = await windows.open()
    await between.stand(page)
    await page.goto(windows.link("alice"))
    first = Pane(page, "alice")
    await expect(first.conversation("bob")).to_be_visible()
    await comes(page, lambda: between.watched == {"bob"})
    between.tell(bob=ONLINE)
    await expect(dot(first, "bob")).to_be_visible()
    await page.evaluate(HIDE, True)

    (tab,) = await more_tabs(windows, page, 1)
    second = Pane(tab, "alice")
    await expect(dot(second, "bob")).to_be_visible()  # it was told before this tab was there
    await second.write_to("dan")
    await comes(page, lambda: between.watched == {"bob", "dan"})
    between.tell(dan=ONLINE, bob=None)
    await expect(second.root.locator(".thread .bar")).to_contain_text("Online")
    await expect(second.root.locator(".dot")).to_have_count(0)
    await expect(first.root.locator(".dot")).to_have_count(0)
    looks = between.looks
    await comes(page, lambda: between.looks > looks)
    await tab.close()
    await comes(page, lambda: between.watched == {"bob"})


@pytest.mark.parametrize("width", [1280, 360])
async def test_a_user_chooses_whether_he_is_shown(
    windows: Windows, server: ServerProcess, tmp_path: Path, width: int
) -> None:
    alice, elsewhere = [Pane(await windows.open("alice", width=width, height=760), "alice") for _ in range(2)]
    for pane in (alice, elsewhere):
        await pane.root.get_by_role("button", name="your account").click()
    box = alice.page.get_by_role("checkbox", name="Show when I am online")
    await expect(box).to_be_disabled()
    await expect(alice.page.get_by_text("Once you have set your name")).to_be_visible()
    await make_known(server, alice="Alice")
    await expect(box).to_be_enabled()
    await expect(box).to_be_checked()
    await look_at_dialog(alice, tmp_path / f"privacy-{width}.png")
    await box.uncheck()
    await expect(elsewhere.page.get_by_role("checkbox", name="Show when I am online")).not_to_be_checked()

"""The tabs of a browser share one connection, and go on whatever becomes of the one that has it."""

import asyncio
import re
from typing import Final

import pytest
from playwright.async_api import BrowserContext, Page, WebSocketRoute, expect

from tests.browser.test_reading import HIDE
from tests.browser.windows import SERVER_AWAY, Pane, Windows, stop_time
from tests.integration.support.server_process import DEADLINE_S, ServerProcess

pytestmark = pytest.mark.integration

SOCKETS: Final = re.escape('rowbox_sockets_open{kind="socket"}')
DISPLACED: Final = re.escape('rowbox_socket_closes_total{code="4409"}')
TABS: Final = 10
DEAF: Final = """
    const heard = BroadcastChannel.prototype;
    Object.defineProperty(heard, "onmessage", { set(hear) {
        this.addEventListener("message", (event) => globalThis.isDeaf || hear(event));
    } });
"""
"""Has a tab hear nothing while `isDeaf`."""
HOLDS_BACK_THE_WORD: Final = """
    const held = new Promise((resolve) => { globalThis.letGo = resolve; });
    Object.defineProperty(BroadcastChannel.prototype, "onmessage", { set(hear) {
        this.addEventListener("message", async (event) => {
            if (event.data.is === "elsewhere") await held;
            hear(event);
        });
    } });
"""
"""Has a tab hear that all are to stop only once `letGo` is called."""
HEARS_THE_TEST: Final = """
    Object.defineProperty(BroadcastChannel.prototype, "onmessage", { set(hear) {
        if (!this.name.endsWith(" people")) globalThis.hear = (data) => hear({ data });
        this.addEventListener("message", hear);
    } });
"""
"""Lets a test say to this tab alone what another tab would say to all: of the following, not of who is online."""
HEARS_LATE_OF_ITS_LOCK: Final = """
    const { request, query } = LockManager.prototype;
    LockManager.prototype.request = function (...asked) {
        return request.apply(this, asked).catch((error) => new Promise((_, reject) => {
            globalThis.lose = () => reject(error);
        }));
    };
    LockManager.prototype.query = function () {
        globalThis.lose?.();
        return query.apply(this);
    };
"""
"""Has a tab hear that its lock was stolen as late as a browser may tell it: with the next that it asks about locks."""
TOO_MANY: Final = "connected in too many places"


OLD_OWNER: Final = """
    delete window.WebSocket;
    const old = { code: "peer_too_old", title: "old", status: 503, retryable: true, retryAfterMs: 500 };
    const { fetch } = window;
    window.fetch = (asked) => {
        const isFeed = new URL(asked.url).pathname === "/v1/fetchChanges" && !localStorage.isUpgraded;
        return isFeed ? Promise.resolve(Response.json(old, { status: 503 })) : fetch(asked);
    };
"""
"""The mailbox's owner does not know the feed until `isUpgraded`."""


async def more_tabs(windows: Windows, first: Page, count: int) -> list[Page]:
    """Further tabs of the same browser, each on the page of the same user."""
    context: BrowserContext = first.context
    tabs = [await context.new_page() for _ in range(count)]
    for tab in tabs:
        await tab.goto(windows.link("alice"))
    return tabs


def panes(tabs: list[Page]) -> list[Pane]:
    return [Pane(tab, "alice") for tab in tabs]


async def tab_without_time(windows: Windows, first: Page) -> Page:
    """A further tab in which no timer runs, as in the other tabs of its browser, which have one clock: what it does, it
    does about what it hears.
    """
    tab = await first.context.new_page()
    await tab.clock.install()
    await tab.goto(windows.link("alice"))
    await expect(Pane(tab, "alice").root).to_contain_text("No conversations yet")
    await stop_time(tab)
    return tab


async def leader_by_a_route(windows: Windows, server: ServerProcess) -> tuple[Page, list[WebSocketRoute]]:
    """Alice's tab that has a socket, and the ways of all sockets of its browser, in the order in which they began."""
    page = await windows.open()
    routes: list[WebSocketRoute] = []

    def between(route: WebSocketRoute) -> None:
        routes.append(route)
        route.connect_to_server()

    await page.context.route_web_socket("**/v1/ws", between)
    await page.goto(windows.link("alice"))
    await server.metric_reaches(SOCKETS, 1)
    return page, routes


async def test_ten_tabs_load_and_all_show_a_new_message_over_one_socket(
    windows: Windows, server: ServerProcess
) -> None:
    """A browser has six connections to a server: with a long poll in each tab the seventh did not even load."""
    first = await windows.open("alice")
    tabs = [first, *await more_tabs(windows, first, TABS - 1)]
    await server.client("bob").send("alice", "to all of you", "id-1")
    for pane in panes(tabs):
        await expect(pane.conversation("bob")).to_contain_text("to all of you")
    await server.metric_reaches(SOCKETS, 1)
    assert await server.metric("rowbox_waiters") == 0
    for pane in panes(tabs):
        await pane.conversation("bob").click()
        await pane.shows("to all of you")
    await server.client("bob").send("alice", "and again", "id-2")
    for pane in panes(tabs):
        await pane.shows("to all of you", "and again")
    await server.metric_reaches(SOCKETS, 1)


async def test_the_next_tab_takes_over_when_the_one_that_leads_is_closed(
    windows: Windows, server: ServerProcess
) -> None:
    first = await windows.open("alice")
    await server.metric_reaches(SOCKETS, 1)
    others = [await tab_without_time(windows, first) for _ in range(2)]  # so that none steals the lock
    for number, leading in enumerate([first, others[0]]):
        await leading.close()
        await server.client("bob").send("alice", f"number {number}", f"id-{number}")
        for pane in panes(others[number:]):
            await expect(pane.conversation("bob")).to_contain_text(f"number {number}")
    await server.metric_reaches(SOCKETS, 1)


async def test_a_tab_that_missed_something_asks_the_server(windows: Windows, server: ServerProcess) -> None:
    first = await windows.open("alice", before=DEAF)
    await server.metric_reaches(SOCKETS, 1)
    second = await tab_without_time(windows, first)
    leading, other = panes([first, second])
    await server.client("bob").send("alice", "one", "id-1")
    await other.conversation("bob").click()
    await other.shows("one")
    await second.evaluate("globalThis.isDeaf = true")
    await server.client("bob").send("alice", "two", "id-2")
    await expect(leading.conversation("bob")).to_contain_text("two")
    await second.evaluate("globalThis.isDeaf = false")
    await server.client("bob").send("alice", "three", "id-3")
    await other.shows("one", "two", "three")


async def test_the_lock_of_a_tab_that_says_nothing_is_stolen(windows: Windows, server: ServerProcess) -> None:
    """It follows like the others then."""
    first = await windows.open("alice")
    await server.metric_reaches(SOCKETS, 1)
    await first.evaluate("""() => {
        const { postMessage } = BroadcastChannel.prototype;
        BroadcastChannel.prototype.postMessage = () => {};
        globalThis.speak = () => void (BroadcastChannel.prototype.postMessage = postMessage);
    }""")
    second = await first.context.new_page()
    await second.clock.install()
    await second.goto(windows.link("alice"))
    silent, other = panes([first, second])
    await expect(other.root).to_contain_text("No conversations yet")
    await server.client("bob").send("alice", "does anybody hear me?", "id-1")
    await expect(silent.conversation("bob")).to_contain_text("does anybody")
    await second.clock.run_for(11_500)
    await expect(other.conversation("bob")).to_contain_text("does anybody")
    await first.evaluate("speak()")
    await server.client("bob").send("alice", "both do", "id-2")
    for pane in (silent, other):
        await expect(pane.conversation("bob")).to_contain_text("both do")
    await server.metric_reaches(SOCKETS, 1)


async def test_what_one_tab_writes_and_reads_the_others_show(windows: Windows, server: ServerProcess) -> None:
    await server.client("bob").send("alice", "hello", "id")
    first = await windows.open("alice")
    (second,) = await more_tabs(windows, first, 1)
    leading, other = panes([first, second])
    await other.conversation("bob").click()
    await expect(leading.conversation("bob")).not_to_contain_text("unread")
    await other.say("from the second")
    await leading.conversation("bob").click()
    await leading.say("from the first")
    for pane in (leading, other):
        await pane.shows("hello", "from the second", "from the first")


async def test_without_a_websocket_one_tab_polls_for_all(windows: Windows, server: ServerProcess) -> None:
    first = await windows.open("alice", before="delete window.WebSocket")
    tabs = [first, *await more_tabs(windows, first, TABS - 1)]
    await server.metric_reaches("rowbox_waiters", 1)
    await server.client("bob").send("alice", "by a poll", "id-1")
    for pane in panes(tabs):
        await expect(pane.conversation("bob")).to_contain_text("by a poll")
    assert await server.metric(SOCKETS) == 0


async def test_where_a_proxy_swallows_what_sockets_say_it_polls(windows: Windows, server: ServerProcess) -> None:
    page = await windows.open()
    await page.route_web_socket("**/v1/ws", lambda _: None)  # it is opened, and nothing ever comes
    await page.goto(windows.link("alice"))
    alice = Pane(page, "alice")
    await alice.write_to("bob")
    await alice.say("through it")
    await alice.shows("through it")
    await server.client("bob").send("alice", "and back", "id-1")
    await alice.shows("through it", "and back")


async def test_a_socket_that_died_without_a_word_is_noticed(windows: Windows, server: ServerProcess) -> None:
    page = await windows.open()
    routes: list[WebSocketRoute] = []
    is_dead = False

    def between(route: WebSocketRoute) -> None:
        routes.append(route)
        onward, is_first = route.connect_to_server(), len(routes) == 1
        route.on_message(lambda text: None if is_first and is_dead else onward.send(text))
        onward.on_message(lambda text: None if is_first and is_dead else route.send(text))

    await page.route_web_socket("**/v1/ws", between)
    await page.clock.install()
    await page.goto(windows.link("alice"))
    alice = Pane(page, "alice")
    await server.client("bob").send("alice", "before", "id-1")
    await expect(alice.conversation("bob")).to_contain_text("before")
    is_dead = True
    await server.client("bob").send("alice", "into a dead one", "id-2")
    await page.evaluate("dispatchEvent(new Event('online'))")
    await page.clock.run_for(6_000)
    await expect(alice.conversation("bob")).to_contain_text("into a dead one")
    assert len(routes) == 2


async def test_who_is_connected_in_too_many_places_may_go_on_here(windows: Windows, server: ServerProcess) -> None:
    windows.expected = SERVER_AWAY
    page = await windows.open()
    codes = [4409]

    async def between(route: WebSocketRoute) -> None:
        if codes:
            await route.close(code=codes.pop(), reason="the user has more than 20 connections")
        else:
            route.connect_to_server()

    await page.route_web_socket("**/v1/ws", between)
    await page.goto(windows.link("alice"))
    alice = Pane(page, "alice")
    alert = alice.root.get_by_role("alert")
    await expect(alert).to_contain_text(TOO_MANY)
    await alert.get_by_role("button", name="Use here").click()
    await server.client("bob").send("alice", "here", "id-1")
    await expect(alice.conversation("bob")).to_contain_text("here")
    await expect(alert).to_have_count(0)


async def test_where_the_user_is_connected_elsewhere_all_tabs_stop(windows: Windows, server: ServerProcess) -> None:
    """Else each in turn would throw out the others."""
    first, routes = await leader_by_a_route(windows, server)
    second = await tab_without_time(windows, first)
    await routes[0].close(code=4409, reason="the user has more than 20 connections")
    for pane in panes([second, first]):
        await expect(pane.root.get_by_role("alert")).to_contain_text(TOO_MANY)
    await server.metric_reaches(SOCKETS, 0)
    await server.client("bob").send("alice", "meanwhile", "id-1")
    for pane in panes([second, first]):
        await pane.root.get_by_role("button", name="Use here").click()
        await expect(pane.conversation("bob")).to_contain_text("meanwhile")
    await server.metric_reaches(SOCKETS, 1)


async def test_a_tab_whose_lock_was_stolen_goes_on_whatever_it_hears_first(
    windows: Windows, server: ServerProcess
) -> None:
    """As one that hung. The thief displaced its socket, as both are one device: that is no user with too many."""
    first = await windows.open("alice", before=HEARS_LATE_OF_ITS_LOCK)
    await server.metric_reaches(SOCKETS, 1)
    await first.context.add_init_script(HEARS_THE_TEST)
    second = await tab_without_time(windows, first)
    await second.evaluate("hear({ is: 'here', token: null, isConnected: true, isLame: true })")  # so it steals the lock
    await server.metric_reaches(DISPLACED, 1)
    await server.client("bob").send("alice", "to both of you", "id-1")
    for pane in panes([second, first]):
        await expect(pane.conversation("bob")).to_contain_text("to both of you")
        await expect(pane.root.get_by_role("alert")).to_have_count(0)
    await server.metric_reaches(SOCKETS, 1)


async def test_a_tab_that_leads_before_it_hears_that_all_are_to_stop_stops(
    windows: Windows, server: ServerProcess
) -> None:
    """A browser hands on the lock and the word by different ways: either may be first."""
    first, routes = await leader_by_a_route(windows, server)
    await first.context.add_init_script(HOLDS_BACK_THE_WORD)
    second = await tab_without_time(windows, first)
    await routes[0].close(code=4409, reason="the user has more than 20 connections")
    before, after = panes([first, second])
    await expect(before.root.get_by_role("alert")).to_contain_text(TOO_MANY)
    async with asyncio.timeout(DEADLINE_S):
        while len(routes) < 2:  # the second one leads
            await second.evaluate("0")
    await server.metric_reaches(SOCKETS, 1)
    await second.evaluate("letGo()")
    await expect(after.root.get_by_role("alert")).to_contain_text(TOO_MANY)
    await server.metric_reaches(SOCKETS, 0)


async def test_a_hidden_tab_that_cannot_come_back_in_time_gives_way(windows: Windows, server: ServerProcess) -> None:
    """A browser lets its timers run once a minute; here they do not run at all. Playwright's clock is that of all tabs,
    so it cannot be stopped for one of them.
    """
    windows.expected = SERVER_AWAY
    first = await windows.open("alice")
    await first.clock.install()
    await first.reload()
    await expect(Pane(first, "alice").root).to_contain_text("No conversations yet")
    second = await first.context.new_page()
    await second.goto(windows.link("alice"))
    other = Pane(second, "alice")
    await expect(other.root).to_contain_text("No conversations yet")
    await first.evaluate(HIDE, True)
    await first.evaluate("globalThis.setTimeout = () => 0")
    server.kill()
    await server.ended()
    await server.start()
    await server.client("bob").send("alice", "who sees this?", "id-1")
    await second.clock.run_for(16_000)
    await expect(other.conversation("bob")).to_contain_text("who sees this?")


async def test_while_the_owner_is_too_old_for_the_feed_all_tabs_show_what_the_lists_bring(
    windows: Windows, server: ServerProcess
) -> None:
    bob = server.client("bob")
    await bob.send("alice", "before it", "id-1")
    first = await windows.open("alice", before=OLD_OWNER)
    tabs = [first, *await more_tabs(windows, first, 1)]
    for pane in panes(tabs):
        await pane.conversation("bob").click()
        await pane.shows("before it")
    for number in range(
        3
    ):  # two lists answer one behind the other: a tab that has begun may have read the first of them
        await bob.send("alice", f"meanwhile {number}", f"id-2-{number}")
        for pane in panes(tabs):
            await expect(pane.texts).to_contain_text([f"meanwhile {number}"])
    await first.evaluate("localStorage.isUpgraded = true")
    await bob.send("alice", "behind it", "id-3")
    for pane in panes(tabs):
        await pane.shows("before it", "meanwhile 0", "meanwhile 1", "meanwhile 2", "behind it")

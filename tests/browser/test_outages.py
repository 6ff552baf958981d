"""The page while its server is away, or its network: what was written is sent once, and what was missed comes."""

import asyncio
import json
from itertools import groupby

import pytest
from playwright.async_api import Page, Request, Route, expect

from tests.browser.windows import DEADLINE_MS, NO_SOCKET, OFFLINE, SERVER_AWAY, Pane, Windows, stop_time
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration


async def kill(server: ServerProcess) -> None:
    server.kill()
    await server.ended()


async def stored(server: ServerProcess, user: str) -> list[str]:
    """The texts of a user's mailbox, oldest first."""
    return [message.message_content for message in reversed(await server.client(user).all_messages())]


async def test_the_server_is_killed_and_comes_back(windows: Windows, server: ServerProcess) -> None:
    windows.expected = SERVER_AWAY
    page = await windows.open("alice", "bob")
    alice, bob = Pane(page, "alice"), Pane(page, "bob")
    await alice.write_to("bob")
    await alice.say("before")
    await bob.conversation("alice").click()
    await bob.shows("before")
    await kill(server)
    for pane in (alice, bob):
        await expect(pane.banner).to_have_text("No connection to the server. Trying again…")
    await alice.say("while it is away", "and more")
    await expect(alice.waiting).to_contain_text(["Waiting to be sent", "Waiting to be sent"])
    await expect(alice.conversation("bob")).to_contain_text("Waiting to be sent: and more")
    await expect(alice.banner).to_contain_text("What you write is sent when it is back.")
    await server.start()
    for pane in (alice, bob):
        await expect(pane.banner).to_have_count(0)
        await pane.shows("before", "while it is away", "and more")
    await expect(alice.conversation("bob")).not_to_contain_text("Waiting")
    assert await stored(server, "bob") == ["before", "while it is away", "and more"]


async def test_offline_and_back(windows: Windows, server: ServerProcess) -> None:
    windows.expected = OFFLINE | SERVER_AWAY
    page = await windows.open("alice")
    alice = Pane(page, "alice")
    await alice.write_to("bob")
    await alice.say("before")
    await alice.shows("before")
    await page.context.set_offline(True)
    await expect(alice.banner).to_have_text("You are offline.")
    await server.client("bob").send("alice", "meanwhile", "id")
    await alice.say("into the void")
    await expect(alice.waiting).to_have_count(1)
    await page.context.set_offline(False)
    await expect(alice.banner).to_have_count(0)
    await alice.shows("before", "meanwhile", "into the void")


async def test_after_a_long_outage_what_waits_goes_as_soon_as_the_server_answers(
    windows: Windows, server: ServerProcess
) -> None:
    """And not when its own pause is over, which grows to half a minute."""
    windows.expected = OFFLINE
    page = await windows.open("alice", before=f"{NO_SOCKET} Math.random = () => 0.999")
    await page.clock.install()
    await page.reload()
    alice = Pane(page, "alice")
    await alice.write_to("bob")
    await page.context.set_offline(True)
    await alice.say("at last")
    for _ in range(12):
        async with page.expect_event("requestfailed", lambda request: "sendMessage" in request.url):
            await page.clock.run_for(31_000)
    await expect(alice.waiting).to_have_count(1)
    await stop_time(page)
    await page.context.set_offline(False)
    await alice.shows("at last")


async def test_a_conversation_that_did_not_load_waits_no_longer_than_the_list(
    windows: Windows, server: ServerProcess
) -> None:
    """Its page waits when the list hears from the server again, and no time passes until it is asked for."""
    windows.expected = SERVER_AWAY
    bob = server.client("bob")
    await bob.send("alice", "before", "id-0")
    page = await windows.open("alice", before=f"{NO_SOCKET} Math.random = () => 0.999")
    await page.clock.install()
    await page.reload()
    alice = Pane(page, "alice")
    await page.route("**/v1/fetchMessages?*", lambda route: route.abort("connectionrefused"))
    async with page.expect_event("requestfailed"):
        await alice.conversation("bob").click()
    for _ in range(4):
        async with page.expect_event("requestfailed"):
            await page.clock.run_for(3_500)
    await stop_time(page)
    await page.unroute("**/v1/fetchMessages?*")
    await bob.send("alice", "back", "id-2")
    await expect(alice.texts).to_have_text(["before", "back"])


async def lose_answers(page: Page, losses: int) -> list[str | None]:
    """Lets the server do the first sends, and the page never learn of it. Returns what is sent, as it is sent."""
    bodies: list[str | None] = []

    async def lose(route: Route, request: Request) -> None:
        bodies.append(request.post_data)
        if len(bodies) > losses:
            await route.continue_()
            return
        await route.fetch()
        await route.abort("connectionreset")

    await page.route("**/v1/sendMessage", lose)
    return bodies


@pytest.mark.parametrize("losses", [1, 3])
async def test_an_answer_that_is_lost_makes_no_second_message(
    windows: Windows, server: ServerProcess, losses: int
) -> None:
    windows.expected = SERVER_AWAY
    page = await windows.open("alice", before=NO_SOCKET)
    alice = Pane(page, "alice")
    await alice.write_to("bob")
    bodies = await lose_answers(page, losses)
    await alice.say("once")
    await alice.shows("once")
    await alice.say("next")
    await alice.shows("once", "next")
    assert bodies.count(bodies[0]) > 1
    assert len(list(groupby(bodies))) == 2  # how often it was tried hangs on when the page learns that it arrived
    assert await stored(server, "bob") == ["once", "next"]


async def test_the_next_message_waits_for_the_one_before_it(windows: Windows, server: ServerProcess) -> None:
    windows.expected = SERVER_AWAY
    page = await windows.open("alice", before=NO_SOCKET)
    alice = Pane(page, "alice")
    await alice.write_to("bob")
    bodies = await lose_answers(page, 2)
    texts = [f"number {at}" for at in range(8)]
    await alice.say(*texts)
    await alice.shows(*texts)
    assert await stored(server, "bob") == texts
    assert bodies.count(bodies[0]) > 1
    assert [json.loads(body or "")["messageContent"] for body, _ in groupby(bodies)] == texts


async def test_what_is_under_way_survives_a_reload_under_its_id(windows: Windows, server: ServerProcess) -> None:
    page = await windows.open("alice", before=NO_SOCKET)
    alice = Pane(page, "alice")
    await alice.write_to("bob")
    held: asyncio.Queue[str | None] = asyncio.Queue()

    async def hold(route: Route, request: Request) -> None:
        held.put_nowait(request.post_data)

    await page.route("**/v1/sendMessage", hold)
    await alice.say("first", "second")
    await expect(alice.root.locator(".is-sending")).to_have_count(2)
    await page.reload()
    async with asyncio.timeout(DEADLINE_MS / 1000):
        assert await held.get() == await held.get()
    await page.unroute("**/v1/sendMessage")  # lets go what was held
    await alice.conversation("bob").click()
    await alice.shows("first", "second")
    assert await stored(server, "bob") == ["first", "second"]


async def refuse_connections(page: Page) -> list[dict[str, str]]:
    """No send reaches the server, until the page's routes are removed. Returns what is sent, as it is sent."""
    bodies: list[dict[str, str]] = []

    async def refuse(route: Route, request: Request) -> None:
        bodies.append(json.loads(request.post_data or ""))
        await route.abort("connectionrefused")

    await page.route("**/v1/sendMessage", refuse)
    return bodies


async def test_what_waits_goes_by_itself_after_a_reload_in_its_order_and_under_its_id(
    windows: Windows, server: ServerProcess
) -> None:
    """The list shows it, although no conversation with its recipient exists yet."""
    windows.expected = OFFLINE | SERVER_AWAY
    page = await windows.open("alice", before=NO_SOCKET)
    alice = Pane(page, "alice")
    await alice.write_to("bob")
    bodies = await refuse_connections(page)
    await alice.say("keep me", "drop me", "keep me too")
    await alice.composer.fill("a draft")
    await expect(alice.waiting).not_to_have_count(0)
    await page.reload()
    await alice.shows_unsent("keep me", "drop me", "keep me too")
    await expect(alice.composer).to_have_value("a draft")
    await expect(alice.conversation("bob")).to_contain_text("Waiting to be sent: keep me too")
    await alice.waiting.filter(has_text="drop me").get_by_role("button", name="Discard").click()
    await page.unroute("**/v1/sendMessage")
    await page.context.set_offline(True)
    await page.context.set_offline(False)
    await alice.shows("keep me", "keep me too")
    await expect(alice.conversation("bob")).not_to_contain_text("Waiting")
    copies = await server.client("alice").all_messages()
    assert [copy.message_content for copy in reversed(copies)] == ["keep me", "keep me too"]
    assert {body["clientMessageId"] for body in bodies} == {copies[1].client_message_id}
    assert await page.evaluate("sessionStorage.getItem('rowbox.outbox.alice')") is None


async def test_after_the_time_in_which_an_id_is_known_the_user_is_asked(
    windows: Windows, server: ServerProcess
) -> None:
    windows.expected = SERVER_AWAY
    page = await windows.open("alice", before=NO_SOCKET)
    alice = Pane(page, "alice")
    await alice.write_to("bob")
    bodies = await refuse_connections(page)
    await alice.say("is it there?", "drop me")
    await expect(alice.waiting).not_to_have_count(0)
    old = """(key) => sessionStorage.setItem(key, JSON.stringify(
        JSON.parse(sessionStorage.getItem(key)).map((one) => ({ ...one, triedAt: Date.now() - 25 * 3600_000 }))))"""
    await page.goto("about:blank")  # a page that is being left writes nothing over what is made older here
    await page.route("**/old", lambda route: route.fulfill(content_type="text/html", body="<!doctype html>"))
    await page.goto(f"{server.url}/old")
    await page.unroute("**/v1/sendMessage")  # not before: what waits, or was on its way as the page was left, would go
    await page.evaluate(old, "rowbox.outbox.alice")
    await page.goto(server.url)
    await alice.conversation("bob").click()
    unsure = alice.root.locator(".is-unsure")
    await expect(unsure).to_contain_text(["it may have arrived", "it may have arrived"])
    await expect(alice.conversation("bob")).to_contain_text("Not sent: drop me")
    await unsure.last.get_by_role("button", name="Discard").click()
    async with page.expect_request("**/v1/sendMessage") as again:
        await unsure.get_by_role("button", name="Send again").click()
    assert json.loads((await again.value).post_data or "")["clientMessageId"] != bodies[0]["clientMessageId"]
    await alice.shows("is it there?")


async def test_signing_out_leaves_nothing_behind_and_sends_nothing_any_more(
    windows: Windows, server: ServerProcess
) -> None:
    # Where the network goes before the sign-out is answered, it is asked for once more, and refused: it was done.
    done = {"Failed to load resource: the server responded with a status of 401 (Unauthorized)"}
    windows.expected = OFFLINE | SERVER_AWAY | done
    page = await windows.open("alice", "carol", before=NO_SOCKET)
    alice, carol = Pane(page, "alice"), Pane(page, "carol")
    await expect(carol.composer).to_be_visible()
    await alice.write_to("bob")
    held: asyncio.Queue[str] = asyncio.Queue()
    await page.route("**/v1/sendMessage", lambda route: held.put_nowait(route.request.url))
    await alice.say("never to be sent", "nor this")
    await alice.composer.fill("nor this draft")
    await carol.composer.fill("carol's own")
    await held.get()
    await server.metric_reaches("rowbox_waiters", 2)  # the poll of each is under way
    cut_off: list[str] = []
    page.on("requestfailed", lambda request: cut_off.append(request.url.rpartition("/")[2].partition("?")[0]))
    asked: list[tuple[str, str]] = []
    page.on("request", lambda request: asked.append((request.url, request.headers.get("authorization", ""))))
    await alice.root.get_by_role("button", name="Sign out").click()
    dialog = page.get_by_role("dialog", name="Sign out alice?")
    await expect(dialog).to_contain_text("2 messages were not sent. They are thrown away.")
    await dialog.get_by_role("button", name="Sign out").click()
    await expect(alice.root).to_have_count(0)
    async with asyncio.timeout(10):  # by itself each would end after 15 s
        while not {"sendMessage", "fetchChanges"} <= set(cut_off):
            await page.evaluate("new Promise(requestAnimationFrame)")
    asked.clear()
    await page.context.set_offline(True)
    await page.context.set_offline(False)
    await server.client("carol").send("alice", "what a poll of hers would bring", "id")
    await expect(carol.conversation("alice")).to_contain_text("what a poll")
    token = json.loads(await page.evaluate("sessionStorage.getItem('rowbox.tokens')"))
    others = {authorization for url, authorization in asked if not url.endswith("/v1/signOut")}
    assert others <= {"", f"Bearer {token[0]}"}
    kept = await page.evaluate("Object.keys(sessionStorage).sort()")
    assert kept == ["rowbox.drafts.carol", "rowbox.tokens"]
    assert await stored(server, "bob") == []


async def test_a_link_that_replaces_somebody_says_what_is_thrown_away(windows: Windows) -> None:
    windows.expected = SERVER_AWAY
    page = await windows.open("alice", before=NO_SOCKET)
    alice = Pane(page, "alice")
    await alice.write_to("bob")
    await refuse_connections(page)
    await alice.say("not sent")
    await page.goto(windows.link("carol", "alice"))
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("The link signs in carol and alice")
    await expect(dialog).not_to_contain_text("thrown away")
    await page.goto(windows.link("carol"))
    await expect(dialog).to_contain_text("One message was not sent. It is thrown away.")


async def test_a_proxy_that_asks_for_a_month_is_given_an_hour(windows: Windows, server: ServerProcess) -> None:
    """A timer of a month is over at once: the message would be sent as fast as the page can. And what else the server
    answers within the hour shortens it by nothing.
    """
    windows.expected = frozenset(
        {"Failed to load resource: the server responded with a status of 503 (Service Unavailable)"}
    )
    page = await windows.open("alice", before=NO_SOCKET)
    await page.clock.install()
    await page.reload()
    alice = Pane(page, "alice")
    await alice.write_to("bob")
    sends: list[str] = []

    async def ask_for_a_month(route: Route) -> None:
        sends.append(route.request.method)
        await route.fulfill(status=503, headers={"Retry-After": "2592000"})

    await page.route("**/v1/sendMessage", ask_for_a_month)
    await alice.say("in an hour")
    await expect(alice.waiting).to_have_count(1)
    await page.clock.run_for(3_500_000)
    await server.client("carol").send("alice", "the list goes on meanwhile", "id")
    await expect(alice.conversation("carol")).to_contain_text("the list goes on")
    await page.unroute("**/v1/sendMessage")
    await page.clock.run_for(101_000)
    await alice.shows("in an hour")
    assert len(sends) == 1


async def test_a_sign_in_that_ended_keeps_what_was_written_for_the_next_one(
    windows: Windows, server: ServerProcess
) -> None:
    windows.expected = SERVER_AWAY | {
        "Failed to load resource: the server responded with a status of 401 (Unauthorized)"
    }
    page = await windows.open("alice", before=NO_SOCKET)
    alice = Pane(page, "alice")
    await alice.write_to("bob")
    ended = {"status": 401, "code": "unauthenticated", "detail": "the token has expired"}
    await page.route("**/v1/*", lambda route: route.fulfill(status=401, json=ended))
    await alice.say("for later")
    await page.clock.install()
    async with page.expect_event("requestfinished", lambda request: "sendMessage" in request.url):
        await page.reload()
    alert = alice.root.get_by_role("alert").filter(has_text="What you wrote is kept")
    await expect(alert).to_be_visible()
    await expect(alice.waiting).to_have_count(1)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.clock.run_for(60_000)
    assert asked == []  # with a token that ended nothing is tried again
    await alert.get_by_role("button", name="Sign in again").click()
    await page.unroute("**/v1/*")
    await page.get_by_label("Token", exact=True).fill(windows.token("alice"))
    await page.keyboard.press("Enter")
    await alice.shows("for later")
    assert await stored(server, "bob") == ["for later"]


async def test_a_refused_message_says_why(windows: Windows) -> None:
    windows.expected = frozenset({"Failed to load resource: the server responded with a status of 400 (Bad Request)"})
    alice = Pane(await windows.open("alice"), "alice")
    await alice.write_to("bob")
    await alice.composer.evaluate("(box) => { box.value = 'half \\ud800'; box.dispatchEvent(new Event('input')) }")
    await alice.composer.press("Enter")
    await expect(alice.refused).to_contain_text("Not sent: ")
    await expect(alice.refused.get_by_role("button", name="Discard")).to_be_visible()
    await expect(alice.conversation("bob")).to_contain_text("Not sent: half")
    await alice.say("the next one goes")
    await expect(alice.texts).to_contain_text(["the next one goes", "half"])

"""The page while its server is away, or its network: what was written is sent once, and what was missed comes."""

import asyncio

import pytest
from playwright.async_api import Page, Request, Route, expect

from tests.browser.windows import DEADLINE_MS, OFFLINE, SERVER_AWAY, Pane, Windows
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
    await alice.say("while it is away")
    await expect(alice.root.locator(".is-sending")).to_have_count(1)
    await expect(alice.failed).to_contain_text("Not sent", timeout=DEADLINE_MS)
    await server.start()
    for pane in (alice, bob):
        await expect(pane.banner).to_have_count(0, timeout=DEADLINE_MS)
    await alice.failed.get_by_role("button", name="Try again").click()
    await bob.say("after")
    for pane in (alice, bob):
        await expect(pane.texts).to_have_count(3, timeout=DEADLINE_MS)
    texts = await stored(server, "bob")
    assert sorted(texts) == ["after", "before", "while it is away"]
    for pane in (alice, bob):
        await pane.shows(*texts)


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
    await expect(alice.failed).to_contain_text("Not sent", timeout=DEADLINE_MS)
    await page.context.set_offline(False)
    await expect(alice.banner).to_have_count(0)
    await alice.failed.get_by_role("button", name="Try again").click()
    await alice.shows("before", "meanwhile", "into the void")


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
    page = await windows.open("alice")
    alice = Pane(page, "alice")
    await alice.write_to("bob")
    bodies = await lose_answers(page, losses)
    await alice.say("once")
    await alice.shows("once")
    await alice.say("next")
    await alice.shows("once", "next")
    assert len(bodies) == losses + 2
    assert len(set(bodies)) == 2
    assert await stored(server, "bob") == ["once", "next"]


async def test_the_next_message_waits_for_the_one_before_it(windows: Windows, server: ServerProcess) -> None:
    windows.expected = SERVER_AWAY
    page = await windows.open("alice")
    alice = Pane(page, "alice")
    await alice.write_to("bob")
    bodies = await lose_answers(page, 2)
    texts = [f"number {at}" for at in range(8)]
    await alice.say(*texts)
    await alice.shows(*texts)
    assert await stored(server, "bob") == texts
    assert bodies.count(bodies[0]) == 3
    assert bodies[:3] == bodies[:1] * 3


async def test_what_is_under_way_survives_a_reload_under_its_id(windows: Windows, server: ServerProcess) -> None:
    page = await windows.open("alice")
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


async def test_what_was_given_up_waits_for_the_user_over_a_reload(windows: Windows, server: ServerProcess) -> None:
    windows.expected = SERVER_AWAY
    page = await windows.open("alice")
    alice = Pane(page, "alice")
    await alice.write_to("bob")
    bodies: list[str | None] = []

    async def refuse(route: Route, request: Request) -> None:
        bodies.append(request.post_data)
        await route.abort("connectionrefused")

    await page.route("**/v1/sendMessage", refuse)
    await alice.say("keep me", "drop me")
    await expect(alice.failed).to_have_count(2, timeout=2 * DEADLINE_MS)
    await page.unroute("**/v1/sendMessage")
    await page.reload()
    await alice.write_to("bob")
    await expect(alice.failed).to_have_count(2)
    await alice.failed.filter(has_text="drop me").get_by_role("button", name="Discard").click()
    async with page.expect_request("**/v1/sendMessage") as again:
        await alice.failed.get_by_role("button", name="Try again").click()
    assert (await again.value).post_data == bodies[0]
    await alice.shows("keep me")
    assert await stored(server, "bob") == ["keep me"]


async def test_a_refused_message_says_why(windows: Windows) -> None:
    windows.expected = frozenset({"Failed to load resource: the server responded with a status of 400 (Bad Request)"})
    alice = Pane(await windows.open("alice"), "alice")
    await alice.write_to("bob")
    await alice.composer.evaluate("(box) => { box.value = 'half \\ud800'; box.dispatchEvent(new Event('input')) }")
    await alice.composer.press("Enter")
    await expect(alice.failed).to_contain_text("Not sent: ")
    await expect(alice.failed.get_by_role("button")).to_have_text(["Discard"])

"""Scrolling back through a long conversation: everything once, in order, and nothing moves under the reader's eyes."""

import asyncio

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.windows import NO_SOCKET, SERVER_AWAY, Pane, Windows
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration

MESSAGES = 500
TEXTS = [f"number {at}\n" + "and a few more words " * (at % 7) for at in range(MESSAGES)]
DEADLINE_S = 40


async def say_all(server: ServerProcess, texts: list[str]) -> None:
    bob = server.client("bob")
    for at, text in enumerate(texts):
        await bob.send("alice", text, f"id-{at}")


async def text_at_the_top(page: Page) -> tuple[str, int]:
    """The first message that is wholly in sight, and how far below the log's upper edge it is."""
    text, y = await page.evaluate(
        """() => {
          const top = document.querySelector(".log").getBoundingClientRect().top;
          const offset = (message) => message.getBoundingClientRect().top - top;
          const first = [...document.querySelectorAll(".message")].find((message) => offset(message) >= 0);
          return [first.querySelector(".text").textContent, Math.round(offset(first))];
        }"""
    )
    return text, y


async def test_scrolling_back_through_500_messages(windows: Windows, server: ServerProcess) -> None:
    await say_all(server, TEXTS)
    page = await windows.open("alice")
    alice = Pane(page, "alice")
    await alice.conversation("bob").click()
    await expect(alice.texts.last).to_be_in_viewport()
    await expect(alice.texts).not_to_have_count(0)
    async with asyncio.timeout(DEADLINE_S):
        while await alice.texts.count() < MESSAGES:
            count = await alice.texts.count()
            await alice.log.evaluate("(log) => log.scrollTo(0, 300)")
            text, y = await text_at_the_top(page)
            await expect(alice.texts).not_to_have_count(count)
            text_now, y_now = await text_at_the_top(page)
            assert text_now == text
            assert abs(y_now - y) <= 1  # heights are not whole pixels, scroll positions are
    await expect(alice.log).to_contain_text("The beginning")
    assert await alice.texts.all_text_contents() == TEXTS


async def test_a_new_message_does_not_move_a_reader_of_old_ones(windows: Windows, server: ServerProcess) -> None:
    await say_all(server, TEXTS[:60])
    page = await windows.open("alice")
    await page.clock.install()  # read marks are a second apart: that passes here at once
    await page.reload()
    alice = Pane(page, "alice")
    await alice.conversation("bob").click()
    await expect(alice.texts.last).to_be_in_viewport()
    await alice.log.evaluate("(log) => log.scrollTo(0, 600)")
    to_end = alice.root.get_by_role("button", name="Newest")
    await expect(to_end).to_be_visible()
    await expect(alice.conversation("bob")).not_to_contain_text("unread")
    before = await text_at_the_top(page)
    for count, text in enumerate(("one", "two", "look here"), start=1):
        await page.clock.run_for(1_000)
        await server.client("bob").send("alice", text, text.replace(" ", "-"))
        await expect(alice.conversation("bob")).to_contain_text(f"{count} unread")
    assert await text_at_the_top(page) == before
    await alice.root.get_by_role("button", name="New messages").click()
    await expect(alice.texts.last).to_have_text("look here")
    await expect(alice.texts.last).to_be_in_viewport()
    await expect(alice.conversation("bob")).not_to_contain_text("unread")


async def test_who_scrolls_up_is_not_taken_back_by_what_is_drawn_before_that_is_heard_of(
    windows: Windows, server: ServerProcess
) -> None:
    """A scroll event comes with the next frame, and a redraw may come first."""
    await say_all(server, TEXTS[:40])
    page = await windows.open("alice")
    alice = Pane(page, "alice")
    await alice.conversation("bob").click()
    await alice.root.get_by_role("button", name="New messages").click()
    await expect(alice.conversation("bob")).not_to_contain_text("unread")
    await alice.shows(*TEXTS[:40])
    places = await alice.log.evaluate(
        """
        async (log) => {
          const frame = () => new Promise(requestAnimationFrame);
          await frame();
          log.scrollTo(0, 300);
          for (const isHidden of [true, false]) { // two things that the log is drawn again for
            Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
            await null;
          }
          const places = [log.scrollTop];
          for (let count = 0; count < 4; count++) await frame();
          return [...places, log.scrollTop];
        }
        """
    )
    assert places == [300, 300]


async def test_a_page_that_did_not_come_is_asked_for_again(windows: Windows, server: ServerProcess) -> None:
    await say_all(server, TEXTS[:80])
    windows.expected = frozenset(
        {"Failed to load resource: the server responded with a status of 503 (Service Unavailable)"}
    )
    page = await windows.open("alice", before=NO_SOCKET)
    alice = Pane(page, "alice")
    await page.route("**/v1/fetchMessages?*cursor=*", lambda route: route.fulfill(status=503))
    await alice.conversation("bob").click()
    await expect(alice.texts.last).to_be_in_viewport()
    await alice.log.evaluate("(log) => log.scrollTo(0, 0)")
    again = alice.log.get_by_role("button", name="Try again")
    await expect(again).to_be_visible()
    await page.unroute("**/v1/fetchMessages?*cursor=*")
    await again.click()
    await alice.shows(*TEXTS[:80])


CONVERSATIONS = 130


async def test_a_long_list_of_conversations_comes_as_one_scrolls(windows: Windows, server: ServerProcess) -> None:
    peers = [f"peer-{at}" for at in range(CONVERSATIONS)]
    sent = [await server.client(peer).send("alice", "hello", "id") for peer in peers]
    await server.client("alice").set_conversation(sent[0].conversation_id, pinned=True)
    page = await windows.open(before=NO_SOCKET)
    alice = Pane(page, "alice")
    names = alice.root.locator(".conversation .name")

    async def news_overtake(route: Route) -> None:
        """A further page is read; before it arrives, one that is on it has a new message."""
        answer = await route.fetch()
        if '"peer-3"' not in await answer.text():
            return await route.fulfill(response=answer)
        await server.client("peer-3").send("alice", "newer than the page", "newer")
        await expect(names.first).to_have_text("peer-3")
        return await route.fulfill(response=answer)

    await page.route("**/v1/fetchConversation?*cursor=*", news_overtake)
    await page.goto(windows.link("alice"))
    await expect(names.first).to_have_text("peer-0")  # it is on the last page, and pinned
    await expect(names).to_have_count(100)
    await alice.root.get_by_role("navigation").evaluate("(list) => list.scrollTo(0, list.scrollHeight)")
    await expect(names).to_have_count(CONVERSATIONS)
    rest = [peer for peer in reversed(peers) if peer not in {"peer-0", "peer-3"}]
    assert await names.all_text_contents() == ["peer-0", "peer-3", *rest]
    await expect(alice.conversation("peer-3")).to_contain_text("newer than the page")


async def test_writing_to_somebody_finds_the_conversation_there_is(windows: Windows, server: ServerProcess) -> None:
    await server.client("old").send("alice", "long ago", "id")
    for at in range(100):
        await server.client(f"peer-{at}").send("alice", "hello", "id")
    page = await windows.open(before=NO_SOCKET)
    await page.clock.install()
    alice = Pane(page, "alice")
    windows.expected = SERVER_AWAY
    await page.route("**/v1/fetchConversation?*cursor=*", lambda route: route.abort("connectionrefused"))
    await page.goto(windows.link("alice"))
    await expect(alice.conversation("peer-99")).to_be_visible()
    await alice.write_to("old")
    again = alice.log.get_by_role("button", name="Try again")
    async with asyncio.timeout(DEADLINE_S):
        while not await again.is_visible():
            await page.clock.run_for(3_000)  # tries, and pauses between them
    await page.unroute("**/v1/fetchConversation?*cursor=*")
    await again.click()
    await alice.shows("long ago")

"""What was said is found again, and opened where it stands."""

from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Locator, Route, expect

from tests.browser.groups.group_pane import GroupPane
from tests.browser.people.test_names import make_known
from tests.browser.test_chat import FOCUSED
from tests.browser.test_history import say_all
from tests.browser.test_looks import look
from tests.browser.windows import NO_SOCKET, Windows, comes_to
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration

FAR: Final = 320
"""Messages behind the one that is looked for: more than the first page and a page of looking."""


class SearchPane(GroupPane):
    @property
    def field(self) -> Locator:
        return self.root.get_by_role("searchbox", name="Search messages")

    @property
    def said(self) -> Locator:
        """How many were found, in words."""
        return self.root.get_by_role("search").get_by_role("status")

    @property
    def hits(self) -> Locator:
        return self.root.get_by_role("navigation", name="Found messages").get_by_role("button")


async def fill(server: ServerProcess) -> None:
    await make_known(server, bob="Bob Miller")
    bob, carol = server.client("bob"), server.client("carol")
    group = await bob.create_group("Hiking", "alice", "carol")
    await bob.send("alice", "The report of Friday is in report.pdf", "b1")
    await carol.send_to(group, "Reports <b>bore</b> me", "c1")
    await server.client("alice").send("carol", "I read your report", "a1")
    await carol.send("alice", "Lunch?", "c2")


@pytest.mark.parametrize("width", [1280, 360])
async def test_messages_are_found_as_one_types(
    windows: Windows, server: ServerProcess, tmp_path: Path, width: int
) -> None:
    await fill(server)
    page = await windows.open("alice", width=width, height=760, touch=width < 500)
    alice = SearchPane(page, "alice")
    await expect(alice.conversation("Hiking")).to_be_visible()
    await alice.field.press_sequentially("repo")
    await expect(alice.said).to_have_text("3 messages found.")
    await expect(alice.hits.locator(".name")).to_have_text(["carol", "Hiking", "Bob Miller"])
    await expect(alice.hits.locator(".excerpt")).to_have_text(
        ["You: I read your report", "carol: Reports <b>bore</b> me", "The report of Friday is in report.pdf"]
    )
    await expect(alice.hits.locator("mark")).to_have_text(["repo", "Repo", "repo", "repo"])
    await expect(alice.conversation("Hiking")).to_have_count(0)  # these are in the place of the conversations
    await look(page, tmp_path / f"search-{width}.png")
    await alice.field.fill("report friday")
    await expect(alice.hits).to_have_count(1)
    await alice.field.fill("nobody said this")
    await expect(alice.said).to_have_text("Nothing found.")
    await alice.field.fill("...")
    await expect(alice.said).to_have_text("Write a letter, a digit or a symbol to look for.")
    await alice.field.press("Escape")
    await expect(alice.field).to_have_value("")
    await expect(alice.field).to_be_focused()
    await expect(alice.conversation("Hiking")).to_be_visible()


async def test_a_found_message_opens_among_its_neighbours(
    windows: Windows, server: ServerProcess, tmp_path: Path
) -> None:
    """By keyboard alone: to the message, whatever is newer, and back to the newest."""
    await server.client("bob").send("alice", "the needle", "needle")
    await say_all(server, [f"number {at}" for at in range(FAR)])
    page = await windows.open("alice")
    alice = SearchPane(page, "alice")
    await alice.field.fill("needle")
    await expect(alice.said).to_have_text("1 message found.")
    await page.keyboard.press("ArrowDown")
    await expect(alice.hits).to_be_focused()
    await page.keyboard.press("Enter")
    found = alice.log.locator(".is-sought")
    await expect(found.locator(".text")).to_have_text("the needle")
    await expect(found).to_be_focused()
    await expect(found).to_be_in_viewport()
    await expect(alice.texts).to_have_count(FAR + 1)
    assert await alice.texts.all_text_contents() == ["the needle", *(f"number {at}" for at in range(FAR))]
    await expect(alice.field).to_have_value("needle")  # what was found stays, for the next one
    await look(page, tmp_path / "search-found.png")
    await server.client("bob").send("alice", "and one more", "more")  # the log goes on as it does otherwise
    await expect(alice.texts.last).to_have_text("and one more")
    await expect(found).to_be_in_viewport()
    await alice.root.get_by_role("button", name="New messages").click()
    await expect(alice.texts.last).to_be_in_viewport()
    await alice.hits.click()
    await expect(found).to_be_in_viewport()
    await expect(found).to_be_focused()
    await page.keyboard.press("Escape")
    await comes_to(page, FOCUSED, "bob")  # the hit
    await page.keyboard.press("Escape")
    await expect(alice.field).to_be_focused()
    await expect(alice.conversation("bob")).to_be_visible()


async def test_on_a_phone_back_leads_to_what_was_found(windows: Windows, server: ServerProcess, tmp_path: Path) -> None:
    await fill(server)
    page = await windows.open("alice", width=360, height=720, touch=True)
    alice = SearchPane(page, "alice")
    await alice.field.fill("bore")
    await alice.hits.tap()
    await expect(alice.log.locator(".is-sought .text")).to_have_text("Reports <b>bore</b> me")
    await expect(alice.log.locator(".is-sought")).to_be_in_viewport()
    await look(page, tmp_path / "search-found-360.png")
    await alice.root.get_by_role("button", name="Back to the conversations").tap()
    await expect(alice.hits).to_be_visible()
    await expect(alice.field).to_have_value("bore")


async def test_what_is_not_complete_is_looked_for_again_until_it_is(windows: Windows, server: ServerProcess) -> None:
    await server.client("bob").send("alice", "the needle", "needle")
    page = await windows.open("alice", before=NO_SOCKET)
    alice = SearchPane(page, "alice")
    await expect(alice.conversation("bob")).to_be_visible()
    asked = 0

    async def answer(route: Route) -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            return await route.continue_()
        nothing: dict[str, object] = {"messages": [], "nextCursor": None, "complete": False, "lastUpdatedTimestamp": 1}
        return await route.fulfill(json=nothing)

    await page.route("**/v1/search?*", answer)
    await page.clock.install()
    await alice.field.fill("needle")
    await page.clock.run_for(300)
    await expect(alice.said).to_have_text("Nothing found so far. Older messages are being looked through…")
    while asked < 3:
        await page.clock.run_for(1_000)
        await alice.said.inner_text()
    await expect(alice.said).to_have_text("1 message found.")
    await page.clock.run_for(10_000)
    await expect(alice.hits).to_have_count(1)
    assert asked == 3


async def test_a_message_that_is_gone_is_said_to_be_gone(windows: Windows, server: ServerProcess) -> None:
    """As after a search that found it, retention took it."""
    await server.client("bob").send("alice", "first", "first")
    await server.client("bob").send("alice", "the needle", "needle")
    page = await windows.open("alice", before=NO_SOCKET)
    alice = SearchPane(page, "alice")

    async def another(route: Route) -> None:
        answer = await (await route.fetch()).json()
        answer["messages"][0]["messageId"] = answer["messages"][0]["messageId"][:-4] + "0000"
        await route.fulfill(json=answer)

    await page.route("**/v1/search?*", another)
    await alice.field.fill("needle")
    await alice.hits.click()
    gone = alice.root.get_by_role("status").filter(has_text="This message is not there any more.")
    await expect(gone).to_be_visible()
    await gone.get_by_role("button", name="Close").click()
    await expect(gone).to_have_count(0)
    await alice.shows("first", "the needle")

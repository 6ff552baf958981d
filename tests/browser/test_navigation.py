"""Back and Forward, a reload, and a phone."""

import pytest
from playwright.async_api import expect

from tests.browser.windows import Pane, Windows, comes_to
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration


async def test_back_leaves_the_conversation_and_not_the_site(windows: Windows, server: ServerProcess) -> None:
    for sender in ("carol", "bob"):
        await server.client(sender).send("alice", f"from {sender}", sender)
    page = await windows.open("alice", width=360, height=720)
    alice = Pane(page, "alice")
    await alice.conversation("bob").click()
    await alice.shows("from bob")
    await page.go_back()
    await expect(alice.conversation("bob")).to_be_focused()
    await page.go_forward()
    await alice.shows("from bob")
    await page.reload()
    await alice.shows("from bob")
    await alice.root.get_by_role("button", name="Back to the conversations").click()
    await expect(alice.conversation("bob")).to_be_focused()
    await alice.conversation("carol").click()  # the step that was left is used again, and not one more
    await alice.shows("from carol")
    await comes_to(page, "history.state.depth", 1)

    await page.set_viewport_size({"width": 1280, "height": 800})
    await alice.conversation("bob").click()  # beside the list another conversation is no step
    await alice.shows("from bob")
    await page.go_back()
    await expect(alice.composer).to_have_count(0)
    assert page.url.startswith(server.url)
    await alice.conversation("bob").click()
    await expect(alice.composer).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(alice.composer).to_have_count(0)
    await expect(alice.root.get_by_role("button", name="write to somebody new")).to_be_visible()
    await comes_to(page, "history.state.depth", 0)


async def test_who_opens_a_conversation_before_the_browser_has_gone_back_leaves_the_conversation_by_back_too(
    windows: Windows, server: ServerProcess
) -> None:
    """It goes back in its own time: what was entered meanwhile was a step beside the one that was left."""
    for sender in ("carol", "bob"):
        await server.client(sender).send("alice", f"from {sender}", sender)
    page = await windows.open("alice")
    alice = Pane(page, "alice")
    await alice.conversation("bob").click()
    await alice.shows("from bob")
    await page.evaluate("""() => {
        const escape = new KeyboardEvent("keydown", { key: "Escape", bubbles: true });
        document.querySelector(".composer textarea").dispatchEvent(escape);
        const lines = [...document.querySelectorAll(".conversation")];
        lines.find((line) => line.textContent.includes("carol")).click();
    }""")
    await alice.shows("from carol")
    await comes_to(page, "history.state", {"open": {"alice": "carol"}, "depth": 1})
    await page.go_back()
    await expect(alice.composer).to_have_count(0)
    assert page.url.startswith(server.url)


async def test_back_with_two_users_leaves_one_after_the_other(windows: Windows, server: ServerProcess) -> None:
    for user, peer in (("bob", "alice"), ("carol", "alice"), ("dave", "bob")):
        await server.client(user).send(peer, f"from {user}", user)
    page = await windows.open("alice", "bob")
    alice, bob = Pane(page, "alice"), Pane(page, "bob")
    await alice.shows("from bob")  # the pair is open, and that was no step
    await expect(alice.composer).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(alice.composer).to_have_count(0)
    await alice.conversation("carol").click()
    await expect(alice.composer).to_be_focused()
    await bob.composer.press("Escape")
    await bob.conversation("dave").click()
    await bob.shows("from dave")
    await page.go_back()
    await expect(bob.composer).to_have_count(0)
    await alice.shows("from carol")
    await page.go_forward()
    await bob.shows("from dave")
    await alice.composer.press("Escape")  # not the last step: the other one stays, and Back leaves it
    await expect(alice.composer).to_have_count(0)
    await bob.shows("from dave")
    await page.go_back()
    await expect(bob.composer).to_have_count(0)
    await expect(alice.composer).to_have_count(0)


async def test_on_a_phone_enter_begins_a_line_and_a_tap_tells_the_time(windows: Windows, server: ServerProcess) -> None:
    await server.client("bob").send("alice", "hello", "id")
    page = await windows.open("alice", width=360, height=720, touch=True)
    alice = Pane(page, "alice")
    await alice.conversation("bob").tap()
    await alice.shows("hello")
    await expect(alice.composer).not_to_be_focused()  # its keyboard would hide half of what one came to read
    await alice.texts.first.tap()
    await expect(alice.log.locator("time")).to_contain_text("20")
    actions = alice.log.get_by_role("button", name="Message actions")
    await actions.tap()
    await expect(page.get_by_role("menuitem", name="Copy text")).to_be_in_viewport()
    await alice.composer.tap()
    await expect(page.get_by_role("menu")).to_have_count(0)
    await page.keyboard.type("one")
    await page.keyboard.press("Enter")
    await page.keyboard.type("two")
    await alice.root.get_by_role("button", name="Send").tap()
    await alice.shows("hello", "one\ntwo")
    await expect(alice.composer).to_be_focused()
    await page.keyboard.type("by a keyboard that was attached")
    await page.keyboard.press("Control+Enter")
    await expect(alice.texts).to_have_count(3)

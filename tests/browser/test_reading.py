"""What helps to read: where the unread messages begin, when a message was sent, and news while one looks elsewhere."""

from datetime import UTC, datetime

import pytest
from playwright.async_api import Page, expect

from tests.browser.windows import Pane, Windows
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration

HIDE = """
    (isHidden) => {
      Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }
"""
RECORD = """
    window.told = [];
    window.Notification = class {
      static permission = "default";
      static asked = 0;
      static async requestPermission() {
        this.asked += 1;
        return (this.permission = navigator.userActivation.isActive ? "granted" : "denied");
      }
      constructor(title, { body, tag }) { window.told.push([title, body, tag]); window.last = this; }
      close() {}
    };
"""
"""Headless Chromium shows none: what would be shown is written down."""


LATE_OBSERVER = """
    window.ResizeObserver = class {
      constructor(callback) { this.callback = callback; }
      observe(element) {
        this.seen = new MutationObserver(() => {
          if (!document.querySelector(".first-unread")) return;
          this.seen.disconnect();
          this.callback([]);
        });
        this.seen.observe(document, { subtree: true, childList: true });
      }
      disconnect() { this.seen.disconnect(); }
    };
"""
"""Tells of the log's first size when the messages have just come: so it is on a busy machine."""


async def order(pane: Pane) -> list[str]:
    """The open conversation's lines from above: texts, and what stands between them."""
    lines = await pane.log.locator(".day, .first-unread, .text").all_text_contents()
    return ["|" if line == "New messages" else line for line in lines if line != "Today"]


async def test_a_line_stands_where_the_unread_messages_begin(windows: Windows, server: ServerProcess) -> None:
    bob = server.client("bob")
    await bob.send("alice", "one", "id-1")
    page = await windows.open("alice")
    alice = Pane(page, "alice")
    await alice.conversation("bob").click()
    await alice.say("read")
    await alice.shows("one", "read")
    await page.keyboard.press("Escape")
    await bob.send("alice", "two", "id-2")
    await bob.send("alice", "three", "id-3")
    await alice.conversation("bob").filter(has_text="2 unread").click()
    await alice.shows("one", "read", "two", "three")
    await expect(alice.conversation("bob")).not_to_contain_text("unread")
    assert await order(alice) == ["one", "read", "|", "two", "three"]  # it stays while one reads

    await page.evaluate(HIDE, True)
    await bob.send("alice", "while away", "id-4")
    await bob.send("alice", "still away", "id-5")
    await expect(alice.texts).to_have_count(6)
    assert await order(alice) == ["one", "read", "two", "three", "|", "while away", "still away"]
    await page.evaluate(HIDE, False)
    await expect(alice.conversation("bob")).not_to_contain_text("unread")
    await bob.send("alice", "before my eyes", "id-6")
    await expect(alice.texts).to_have_count(7)
    assert (await order(alice))[4] == "|"
    await alice.say("answered")
    await expect(alice.log.locator(".first-unread")).to_have_count(0)


@pytest.mark.parametrize("before", ["", LATE_OBSERVER], ids=["", "late"])
async def test_a_conversation_opens_where_its_unread_messages_begin(
    windows: Windows, server: ServerProcess, before: str
) -> None:
    bob = server.client("bob")
    for at in range(30):
        await bob.send("alice", f"number {at}", f"id-{at}")
    page = await windows.open("alice", before=before)
    alice = Pane(page, "alice")
    await alice.conversation("bob").click()
    await expect(alice.texts.first).to_be_in_viewport()
    await expect(alice.texts.last).not_to_be_in_viewport()
    await expect(alice.conversation("bob")).to_contain_text("30 unread")
    await alice.root.get_by_role("button", name="New messages").click()
    await expect(alice.conversation("bob")).not_to_contain_text("unread")


async def test_news_while_one_looks_elsewhere(windows: Windows, server: ServerProcess) -> None:
    """By permission, which only a press of the button asks for; and only while the page is hidden."""
    bob = server.client("bob")
    page = await windows.open("alice", before=RECORD)
    alice = Pane(page, "alice")
    icon = page.locator("link[rel=icon]")
    await expect(icon).to_have_attribute("href", "chat/icon.svg")
    bell = alice.root.get_by_role("button", name="Notifications")
    await expect(bell).to_have_attribute("aria-pressed", "false")
    assert await page.evaluate("Notification.asked") == 0
    await bell.click()
    await expect(bell).to_have_attribute("aria-pressed", "true")

    await bob.send("alice", "seen", "id-1")
    await expect(icon).to_have_attribute("href", "chat/icon-unread.svg")
    await page.evaluate(HIDE, True)
    await bob.send("alice", "not seen", "id-2")
    await expect(alice.conversation("bob")).to_contain_text("not seen")
    await server.client("alice").send("bob", "own", "id-3")
    await expect(alice.conversation("bob")).to_contain_text("You: own")
    assert await page.evaluate("told") == [["bob", "not seen", "alice bob"]]
    await page.evaluate("last.onclick()")
    await page.evaluate(HIDE, False)
    await alice.shows("seen", "not seen", "own")
    await expect(icon).to_have_attribute("href", "chat/icon.svg")
    await page.reload()
    await page.evaluate("Notification.permission = 'granted'")
    await bell.click()  # its first press after the load finds what was wanted, and turns it off
    await expect(bell).to_have_attribute("aria-pressed", "false")


async def test_copying_a_message_by_its_menu(windows: Windows, server: ServerProcess) -> None:
    text = "one\n  two <b>"
    await server.client("bob").send("alice", text, "id")
    page = await windows.open("alice")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    alice = Pane(page, "alice")
    await alice.conversation("bob").click()
    await alice.texts.hover()
    assert str(datetime.now(UTC).year) in (await alice.texts.get_attribute("title") or "")
    await alice.log.get_by_role("button", name="Message actions").click()
    await page.get_by_role("menuitem", name="Copy text").click()
    await expect(alice.root.get_by_role("status").filter(has_text="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == text
    await page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")  # as over plain HTTP
    await page.keyboard.press("Enter")
    await page.evaluate("document.addEventListener('copy', () => (window.copied = getSelection().toString()))")
    await expect(page.get_by_role("menuitem", name="React")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("menuitem", name="Copy text")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(alice.log.get_by_role("button", name="Message actions")).to_be_focused()
    assert await page.evaluate("copied") == text


async def test_today_becomes_yesterday_at_midnight(windows: Windows, server: ServerProcess) -> None:
    await server.client("bob").send("alice", "hello", "id")
    page = await windows.open("alice")
    evening = await page.evaluate("new Date().setHours(23, 50, 0, 0)")
    await page.clock.install(time=evening / 1000)
    await page.reload()
    alice = Pane(page, "alice")
    await alice.conversation("bob").click()
    await expect(alice.log.locator(".day")).to_have_text("Today")
    time = alice.conversation("bob").locator("time")
    await expect(time).to_contain_text(":")
    await page.clock.pause_at(evening / 1000 + 590)  # however long a busy machine needed until here
    await expect(alice.log.locator(".day")).to_have_text("Today")
    await page.clock.fast_forward(11_000)
    await expect(alice.log.locator(".day")).to_have_text("Yesterday")
    await expect(time).not_to_contain_text(":")


MARKS = "e" + "\u0301" * 60


async def gap_above(page: Page, pane: Pane, text: str) -> bytes:
    """A picture of what is between a message and the one before it."""
    box = await pane.texts.filter(has_text=text).bounding_box()
    assert box is not None
    return await page.screenshot(clip={"x": box["x"], "y": box["y"] - 3, "width": 20, "height": 3})


async def test_marks_that_pile_up_stay_in_their_message(windows: Windows, server: ServerProcess) -> None:
    for at, text in enumerate(("plain", "also plain", MARKS, "the last")):
        await server.client("bob").send("alice", text, f"id-{at}")
    page = await windows.open("alice")
    alice = Pane(page, "alice")
    await alice.conversation("bob").click()
    await alice.shows("plain", "also plain", MARKS, "the last")
    background = await gap_above(page, alice, "also plain")
    for text in (MARKS, "the last"):
        assert await gap_above(page, alice, text) == background


async def test_a_text_of_the_other_direction_turns_nothing_around(windows: Windows, server: ServerProcess) -> None:
    """What stands before it stays before it, and its own end is on its own side."""
    text = "\u05d0\u05d1\u05d2!"
    await server.client("alice").send("bob", text, "id")
    page = await windows.open("alice")
    snippet = Pane(page, "alice").conversation("bob").locator(".snippet")
    await expect(snippet).to_have_text(f"You: {text}")
    order = """
        (line) => {
          const left = (node, at) => {
            const range = new Range();
            range.setStart(node, at);
            range.setEnd(node, at + 1);
            return range.getBoundingClientRect().left;
          };
          const [mark, text] = [line.firstChild.firstChild, line.lastChild.firstChild ?? line.lastChild];
          return [left(mark, 0), left(text, 3), left(text, 2), left(text, 0)];
        }
    """
    places = await snippet.evaluate(order)
    assert places == sorted(places)

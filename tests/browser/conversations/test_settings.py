"""What a user sets of a conversation for himself, and what becomes of it in all his windows."""

from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Locator, expect

from tests.browser.people.test_names import look_at_dialog
from tests.browser.test_looks import look
from tests.browser.test_reading import HIDE, RECORD
from tests.browser.windows import Pane, Windows, comes_to
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration

FOCUSED_NAME: Final = "document.activeElement.querySelector('.name')?.textContent ?? document.activeElement.ariaLabel"


class ListPane(Pane):
    @property
    def names(self) -> Locator:
        return self.root.locator(".conversation .name")

    @property
    def archive(self) -> Locator:
        """What leads to the archive, and back."""
        return self.root.locator(".to-archive")

    async def do(self, peer: str, *actions: str) -> None:
        """Chooses in the menu of a conversation, as with a mouse."""
        line = self.root.locator(".entry").filter(has=self.page.locator(".name").get_by_text(peer, exact=True))
        await line.hover()
        await line.get_by_role("button", name=f"Actions for {peer}").click()
        for action in actions:
            await self.page.get_by_role("menuitem", name=action, exact=True).click()


async def fill(server: ServerProcess) -> None:
    for sender in ("bob", "carol", "dave"):
        await server.client(sender).send("alice", f"hello from {sender}", f"first-{sender}")


async def test_a_conversation_is_pinned_muted_and_archived(
    windows: Windows, server: ServerProcess, tmp_path: Path
) -> None:
    await fill(server)
    alice, elsewhere = [ListPane(await windows.open("alice"), "alice") for _ in range(2)]
    await expect(alice.names).to_have_text(["dave", "carol", "bob"])
    await alice.do("bob", "Pin")
    for pane in (alice, elsewhere):
        await expect(pane.names).to_have_text(["bob", "dave", "carol"])
        await expect(pane.conversation("bob")).to_contain_text("pinned")
    await alice.do("carol", "Mute", "For eight hours")
    await expect(elsewhere.conversation("carol")).to_contain_text("muted")
    await expect(alice.page).to_have_title("(2) Rowbox")  # what is muted does not call
    await expect(alice.conversation("carol")).to_contain_text("1 unread")  # and is counted all the same
    await alice.do("dave", "Archive")
    await expect(alice.names).to_have_text(["bob", "carol"])
    await expect(alice.archive).to_have_text("Archived 1")
    await look(alice.page, tmp_path / "settings-1280.png")

    await alice.archive.click()
    await expect(alice.names).to_have_text(["dave"])
    await server.client("dave").send("alice", "are you there?", "second")  # which takes it out
    for pane in (alice, elsewhere):
        await expect(pane.names).to_have_text(["bob", "dave", "carol"])
        await expect(pane.archive).to_have_count(0)
    await alice.do("bob", "Unpin")
    await alice.do("carol", "Unmute")
    await expect(elsewhere.names).to_have_text(["dave", "carol", "bob"])
    await expect(elsewhere.page).to_have_title("(4) Rowbox")
    await expect(alice.root.locator(".sign")).to_have_count(0)


async def test_what_is_marked_as_unread_stays_so_until_it_is_opened_again(
    windows: Windows, server: ServerProcess
) -> None:
    await fill(server)
    alice, elsewhere = [ListPane(await windows.open("alice"), "alice") for _ in range(2)]
    await alice.conversation("bob").click()
    await alice.shows("hello from bob")
    await expect(elsewhere.conversation("bob")).not_to_contain_text("unread")
    await alice.root.get_by_role("button", name="Conversation actions").click()
    await alice.page.get_by_role("menuitem", name="Mark as unread").click()
    await expect(alice.log).to_have_count(0)  # who looks at it would read it
    for pane in (alice, elsewhere):
        await expect(pane.conversation("bob")).to_contain_text("marked as unread")
        await expect(pane.page).to_have_title("(3) Rowbox")
    await elsewhere.conversation("bob").click()
    for pane in (alice, elsewhere):
        await expect(pane.conversation("bob")).not_to_contain_text("unread")
    await alice.do("carol", "Mark as read")
    await expect(elsewhere.conversation("carol")).not_to_contain_text("unread")


async def test_a_muted_conversation_notifies_of_nothing(windows: Windows, server: ServerProcess) -> None:
    await fill(server)
    alice = ListPane(await windows.open("alice", before=RECORD), "alice")
    await alice.do("carol", "Mute", "Until I unmute it")
    await alice.root.get_by_role("button", name="Notifications").click()
    await alice.page.evaluate(HIDE, True)
    await server.client("carol").send("alice", "not of this", "second-carol")
    await server.client("bob").send("alice", "but of this", "second-bob")
    await comes_to(alice.page, "told.map(([, body]) => body)", ["but of this"])


@pytest.mark.parametrize("width", [1280, 360])
async def test_by_keyboard_the_next_line_follows_one_that_went(
    windows: Windows, server: ServerProcess, width: int
) -> None:
    await fill(server)
    page = await windows.open("alice", width=width, height=720)
    alice = ListPane(page, "alice")
    await alice.conversation("carol").focus()
    await page.keyboard.press("Tab")
    await comes_to(page, FOCUSED_NAME, "Actions for carol")
    await page.keyboard.press("Enter")
    for name in ("Pin", "Mute", "Mark as read", "Archive"):
        await expect(page.get_by_role("menuitem", name=name, exact=True)).to_be_focused()
        await page.keyboard.press("Enter" if name == "Archive" else "ArrowDown")
    await expect(alice.names).to_have_text(["dave", "bob"])
    await comes_to(page, FOCUSED_NAME, "dave")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("menu")).to_be_visible()
    await page.keyboard.press("Escape")
    await comes_to(page, FOCUSED_NAME, "Actions for dave")


async def test_on_a_phone_a_long_press_opens_the_menu(windows: Windows, server: ServerProcess, tmp_path: Path) -> None:
    await fill(server)
    page = await windows.open("alice", width=360, height=720, touch=True)
    alice = ListPane(page, "alice")
    box = await alice.conversation("dave").bounding_box()
    assert box is not None
    touch = await page.context.new_cdp_session(page)
    at = {"x": box["x"] + 40, "y": box["y"] + 20}
    await touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    await expect(page.get_by_role("menu")).to_be_visible()
    await touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    await expect(page.get_by_role("menu")).to_be_visible()  # the press was no tap: the conversation is not opened
    await look_at_dialog(alice, tmp_path / "settings-menu-360.png")
    await page.get_by_role("menuitem", name="Pin").tap()
    await expect(alice.conversation("dave")).to_contain_text("pinned")
    await alice.conversation("dave").tap()
    await page.get_by_role("button", name="Conversation actions").tap()
    await look_at_dialog(alice, tmp_path / "settings-open-360.png")
    await page.get_by_role("menuitem", name="Archive").tap()
    await alice.root.get_by_role("button", name="Back to the conversations").tap()
    await expect(alice.names).to_have_text(["carol", "bob"])
    await look(page, tmp_path / "settings-360.png")


async def test_messages_disappear_by_themselves_when_their_time_has_come(
    windows: Windows, server: ServerProcess
) -> None:
    """Also where nothing comes of the server, which has them for longer by its own clock."""
    await fill(server)
    page = await windows.open("alice")
    await page.clock.install()
    alice, bob = ListPane(page, "alice"), ListPane(await windows.open("bob"), "bob")
    await bob.do("alice", "Messages disappear", "After an hour")
    await bob.conversation("alice").click()
    await bob.say("gone soon")
    await alice.conversation("bob").click()
    await alice.shows("hello from bob", "gone soon")
    await expect(alice.conversation("bob")).to_contain_text("gone soon")
    await page.clock.fast_forward("59:00")
    await alice.shows("hello from bob", "gone soon")
    await page.clock.fast_forward("01:30")
    await alice.shows("hello from bob")
    await expect(alice.conversation("bob")).not_to_contain_text("gone soon")
    await bob.shows("hello from bob", "gone soon")
    await bob.do("alice", "Messages disappear", "Never")
    await bob.say("for long")
    await alice.shows("hello from bob", "for long")


async def test_who_pins_too_much_is_told_so(windows: Windows, server: ServerProcess) -> None:
    windows.expected = frozenset(
        {"Failed to load resource: the server responded with a status of 422 (Unprocessable Entity)"}
    )
    alice_herself = server.client("alice")
    for at in range(20):
        sent = await alice_herself.send(f"peer-{at}", "hello", f"id-{at}")
        await alice_herself.set_conversation(sent.conversation_id, pinned=True)
    await fill(server)
    alice = ListPane(await windows.open("alice", height=1600), "alice")
    await alice.do("bob", "Pin")
    said = alice.root.get_by_role("status").filter(
        has_text="As many are pinned as there may be: unpin another one first."
    )
    await expect(said).to_be_visible()
    await expect(alice.conversation("bob")).not_to_contain_text("pinned")


async def test_a_deleted_conversation_comes_back_with_its_next_message_alone(
    windows: Windows, server: ServerProcess
) -> None:
    await fill(server)
    alice, elsewhere = [ListPane(await windows.open("alice"), "alice") for _ in range(2)]
    for pane in (alice, elsewhere):
        await pane.conversation("carol").click()
        await pane.shows("hello from carol")
    await alice.root.get_by_role("button", name="Conversation actions").click()
    await alice.page.get_by_role("menuitem", name="Delete").click()
    await alice.page.get_by_role("menuitem", name="Delete for me").click()
    for pane in (alice, elsewhere):
        await expect(pane.names).to_have_text(["dave", "bob"])
    await expect(alice.log).to_have_count(0)
    await expect(elsewhere.texts).to_have_count(0)
    await server.client("carol").send("alice", "still there?", "second")
    await elsewhere.shows("still there?")
    await expect(alice.names).to_have_text(["carol", "dave", "bob"])
    await alice.conversation("carol").click()
    await alice.shows("still there?")

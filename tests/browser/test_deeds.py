"""What one does to messages on the page: edit, take back, react; by mouse, by keyboard, on a screen."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.test_looks import look
from tests.browser.windows import OFFLINE, Pane, Windows
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration

UP, HEART, ROCKET = "\U0001f44d", "\u2764\ufe0f", "\U0001f680"
TAKEN_BACK = "This message was taken back"


async def talk(windows: Windows, server: ServerProcess, **how: int | bool | str) -> tuple[Page, Pane, Pane]:
    """Alice's window on her conversation with Bob, and Bob's on the same: one message of each, all read."""
    await server.client("alice").send("bob", "Shall we meat at six?", "one")
    await server.client("bob").send("alice", "Gladly! Where?", "two")
    page = await windows.open("alice", **how)  # type: ignore[arg-type]
    alice, bob = Pane(page, "alice"), Pane(await windows.open("bob"), "bob")
    for pane, peer in ((alice, "bob"), (bob, "alice")):
        await pane.conversation(peer).click()
        await expect(pane.texts).to_have_count(2)
    return page, alice, bob


def message(pane: Pane, text: str) -> Locator:
    return pane.root.locator(".message").filter(has_text=text)


async def choose(pane: Pane, text: str, *names: str) -> None:
    """Points at a message, opens its menu and takes these, one after the other."""
    await message(pane, text).hover()
    await message(pane, text).get_by_role("button", name="Message actions").click()
    for name in names:
        await pane.root.get_by_role("menuitem", name=name).click()


def editor(pane: Pane) -> Locator:
    return pane.root.get_by_label("Another text for the message")


def reactions(pane: Pane, text: str) -> Locator:
    return message(pane, text).get_by_role("list", name="Reactions").get_by_role("button")


async def test_an_edit_is_seen_by_both(windows: Windows, server: ServerProcess) -> None:
    _, alice, bob = await talk(windows, server)
    await choose(alice, "Shall we meat", "Edit")
    await expect(editor(alice)).to_be_focused()
    await expect(editor(alice)).to_have_value("Shall we meat at six?")
    await editor(alice).fill("Shall we meet at six?")
    await editor(alice).press("Enter")
    for pane in (alice, bob):
        await pane.shows("Shall we meet at six?", "Gladly! Where?")
        await expect(message(pane, "Shall we meet").locator(".meta")).to_contain_text("Edited")
    await expect(message(alice, "Shall we meet").locator(".act")).to_be_focused()
    assert windows.complaints == []


async def test_escape_leaves_a_message_as_it_was_and_an_empty_one_is_not_saved(
    windows: Windows, server: ServerProcess
) -> None:
    _, alice, bob = await talk(windows, server)
    await choose(alice, "Shall we meat", "Edit")
    await editor(alice).fill("  ")
    await editor(alice).press("Enter")
    await expect(alice.root.get_by_role("alert").filter(has_text="cannot be empty")).to_be_visible()
    await editor(alice).press("Escape")
    await expect(editor(alice)).to_have_count(0)
    await expect(alice.composer).to_be_visible()  # Escape has not left the conversation
    await alice.shows("Shall we meat at six?", "Gladly! Where?")
    await bob.shows("Shall we meat at six?", "Gladly! Where?")


async def test_what_is_taken_back_is_gone_for_both_and_in_the_list(windows: Windows, server: ServerProcess) -> None:
    _, alice, bob = await talk(windows, server)
    await choose(bob, "Gladly", "React")
    await bob.root.get_by_role("button", name="Heart").click()
    await expect(reactions(alice, "Gladly")).to_have_count(1)
    await choose(bob, "Gladly", "Take back", "Cancel")
    await bob.shows("Shall we meat at six?", "Gladly! Where?")
    await choose(bob, "Gladly", "Take back", "Take back")
    for pane, peer in ((alice, "bob"), (bob, "alice")):
        await pane.shows("Shall we meat at six?", TAKEN_BACK)
        await expect(pane.root.get_by_role("list", name="Reactions")).to_have_count(0)
        told = "You took a message back" if pane is bob else "A message was taken back"
        await expect(pane.conversation(peer)).to_contain_text(told)
    await choose(alice, TAKEN_BACK)
    await expect(alice.root.get_by_role("menuitem")).to_have_text(["Show date"])


async def test_an_editor_says_that_its_message_was_taken_back_elsewhere(
    windows: Windows, server: ServerProcess
) -> None:
    _, alice, bob = await talk(windows, server)
    await choose(alice, "Shall we meat", "Edit")
    await editor(alice).fill("What I have written meanwhile")
    first = (await server.client("alice").all_messages())[-1]
    await server.client("alice").unsend(first.conversation_id, first.message_id)
    await bob.shows(TAKEN_BACK, "Gladly! Where?")
    await expect(alice.root.get_by_role("alert").filter(has_text="was taken back")).to_be_visible()
    await expect(alice.root.get_by_role("button", name="Save")).to_be_disabled()
    await expect(editor(alice)).to_have_value("What I have written meanwhile")
    await alice.root.get_by_role("button", name="Cancel").click()
    await alice.shows(TAKEN_BACK, "Gladly! Where?")


async def test_offline_nothing_is_lost_and_one_is_told(windows: Windows, server: ServerProcess) -> None:
    windows.expected = OFFLINE
    page, alice, _ = await talk(windows, server)
    await choose(alice, "Shall we meat", "Edit")
    await editor(alice).fill("Shall we meet at six?")
    await page.context.set_offline(True)
    await editor(alice).press("Enter")
    await expect(alice.root.get_by_role("alert").filter(has_text="does not answer")).to_be_visible()
    await expect(editor(alice)).to_have_value("Shall we meet at six?")
    await page.context.set_offline(False)
    await alice.root.get_by_role("button", name="Save").click()
    await alice.shows("Shall we meet at six?", "Gladly! Where?")


async def test_reactions_of_both_by_press_and_by_the_keyboard(windows: Windows, server: ServerProcess) -> None:
    windows.expected = frozenset({"Failed to load resource: the server responded with a status of 400 (Bad Request)"})
    page, alice, bob = await talk(windows, server)
    await choose(alice, "Gladly", "React")
    await expect(alice.root.get_by_role("button", name="Thumbs up")).to_be_focused()
    await page.keyboard.press("Enter")
    for pane, name in ((alice, f"{UP} 1, You"), (bob, f"{UP} 1, alice")):
        await expect(pane.root.get_by_role("button", name=name)).to_have_attribute(
            "aria-pressed", "true" if pane is alice else "false"
        )
    await reactions(bob, "Gladly").click()
    await expect(alice.root.get_by_role("button", name=f"{UP} 2, You and bob")).to_be_visible()
    await reactions(alice, "Gladly").click()
    await expect(bob.root.get_by_role("button", name=f"{UP} 1, You")).to_be_visible()

    act = message(alice, "Gladly").locator(".act")
    await act.focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Enter")
    await page.keyboard.press("End")
    await expect(alice.root.get_by_label("Another emoji")).to_be_focused()
    await page.keyboard.insert_text("rocket")
    await page.keyboard.press("Enter")
    await expect(alice.root.get_by_role("status").filter(has_text="That is not one emoji")).to_be_visible()
    await expect(act).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Enter")
    await page.keyboard.press("End")
    await page.keyboard.insert_text(ROCKET)
    await page.keyboard.press("Enter")
    for pane in (alice, bob):
        await expect(reactions(pane, "Gladly")).to_have_text([f"{UP} 1", f"{ROCKET} 1"])
    await page.keyboard.press("Enter")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(alice.composer).to_be_visible()


async def test_only_ones_own_message_is_edited_and_anybodys_gets_a_reaction(
    windows: Windows, server: ServerProcess
) -> None:
    _, alice, _ = await talk(windows, server)
    await choose(alice, "Gladly")
    await expect(alice.root.get_by_role("menuitem")).to_have_text(["React", "Copy text", "Show date"])
    await alice.page.keyboard.press("Escape")
    await choose(alice, "Shall we meat")
    names = ["React", "Copy text", "Edit", "Take back", "Show date"]
    await expect(alice.root.get_by_role("menuitem")).to_have_text(names)


async def test_a_long_press_opens_the_menu_on_a_screen(windows: Windows, server: ServerProcess) -> None:
    page, alice, bob = await talk(windows, server, width=390, height=760, touch=True)
    await long_press(page, message(alice, "Gladly").locator(".text"))
    await alice.root.get_by_role("menuitem", name="React").tap()
    await alice.root.get_by_role("button", name="Heart").tap()
    await expect(reactions(bob, "Gladly")).to_have_text([f"{HEART} 1"])
    await expect(alice.root.locator(".is-timed")).to_have_count(0)  # the press was no tap
    await message(alice, "Gladly").locator(".text").tap()
    await expect(message(alice, "Gladly")).to_contain_text(f"{HEART} You")


async def long_press(page: Page, target: Locator) -> None:
    box = await target.bounding_box()
    assert box is not None
    session = await page.context.new_cdp_session(page)
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    await session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    await expect(page.get_by_role("menu")).to_be_visible()
    await session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
async def test_how_it_looks(
    windows: Windows, server: ServerProcess, tmp_path: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    how = {"width": width, "height": 760, "scheme": scheme, "touch": width < 500}
    page, alice, bob = await talk(windows, server, **how)
    long = "I have booked a table for four by the window, in the place behind the old station. Tell me if that is late."
    for text in (long, "Or rather at seven"):
        await server.client("alice").send("bob", text, text[:10].replace(" ", "-"))
    await bob.shows("Shall we meat at six?", "Gladly! Where?", long, "Or rather at seven")
    for text, name in (("Shall", "Thumbs up"), ("booked", "Heart")):
        await choose(bob, text, "React")
        await bob.root.get_by_role("button", name=name).click()
    await expect(reactions(alice, "booked")).to_have_count(1)
    await expect(reactions(alice, "Shall")).to_have_count(1)
    for text, name in (("Gladly", "Party"), ("booked", "Heart")):
        await opened(alice, text, touch=width < 500)
        await alice.root.get_by_role("menuitem", name="React").click()
        await alice.root.get_by_role("button", name=name).click()
    await expect(reactions(alice, "booked")).to_have_text([f"{HEART} 2"])
    await expect(reactions(alice, "Gladly")).to_have_count(1)
    await opened(alice, "rather", touch=width < 500)
    await alice.root.get_by_role("menuitem", name="Take back").click()
    await look(page, tmp_path / f"{width}-{scheme}-confirm.png")
    await alice.root.get_by_role("menuitem", name="Take back").click()
    await expect(alice.texts.last).to_have_text(TAKEN_BACK)
    await opened(alice, "Shall", touch=width < 500)
    await look(page, tmp_path / f"{width}-{scheme}-menu.png")
    await alice.root.get_by_role("menuitem", name="Edit").click()
    await look(page, tmp_path / f"{width}-{scheme}-editor.png")
    await editor(alice).fill("Shall we meet at six?")
    await alice.root.get_by_role("button", name="Save").click()
    await expect(alice.texts.first).to_have_text("Shall we meet at six?")
    for text in ("Gladly", "booked"):
        await opened(alice, text, touch=width < 500)
        await alice.root.get_by_role("menuitem", name="React").click()
        await look(page, tmp_path / f"{width}-{scheme}-picker-{text}.png")
        await page.keyboard.press("Escape")
    assert windows.complaints == []


async def opened(pane: Pane, text: str, *, touch: bool) -> None:
    """Its menu, as one opens it there."""
    if touch:
        await message(pane, text).scroll_into_view_if_needed()
        await long_press(pane.page, message(pane, text).locator(".text"))
    else:
        await choose(pane, text)

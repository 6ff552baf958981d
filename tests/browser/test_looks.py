"""What the page looks like, wide and narrow, light and dark. The pictures stay in the test's temporary folder (pytest
prints it with --basetemp; the last three runs' are kept), for a person to look at.
"""

import re
from pathlib import Path
from typing import Final, Literal

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.windows import NO_SOCKET, SERVER_AWAY, Pane, Windows
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration

LEAST_CONTRAST: Final = 4.5
"""WCAG 2.2, level AA, for text of any size."""
TALK: Final = (
    ("bob", "Morning! Did the move to the new rack go through?"),
    ("alice", "It did. Three reboots, no surprises."),
    ("alice", "I wrote down what we changed, so that the next one takes an hour and not a night."),
    ("bob", "Perfect. Could you send it to Carol too? She asks for it since Monday, and she is on call from tonight."),
    ("alice", "شكرا، سأرسلها الآن"),
    ("bob", "https://example.org/a-very-long-address-without-any-space-in-it/that-would-not-fit-into-a-narrow-window"),
    ("alice", "Sent to both of you:\n  1. drain\n  2. move\n  3. check twice"),
)
OTHERS: Final = (("carol", "Thanks, got it"), ("dave.the-longest-name@example.org", "Lunch?"), ("erin", "See you at 6"))

LOW_CONTRASTS: Final = """
    () => {
      const parsed = (colour) => colour.match(/[\\d.]+/g).map(Number);
      const luminance = ([r, g, b]) => [r, g, b]
        .map((value) => value / 255)
        .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
        .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
      const ground = (element) => {
        const colour = parsed(getComputedStyle(element).backgroundColor);
        return colour[3] === 0 ? ground(element.parentElement) : colour;
      };
      const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
      const found = [];
      for (const element of document.querySelectorAll("body *")) {
        if (!hasText(element) || !element.checkVisibility() || element.disabled) continue;
        const [one, other] = [parsed(getComputedStyle(element).color), ground(element)].map(luminance);
        const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        found.push([contrast, `${element.className || element.tagName}: ${element.textContent.slice(0, 30)}`]);
      }
      return found;
    }
"""


async def fill(server: ServerProcess) -> None:
    for at, (sender, text) in enumerate(TALK):
        await server.client(sender).send("bob" if sender == "alice" else "alice", text, f"talk-{at}")
    for at, (sender, text) in enumerate(OTHERS):
        await server.client(sender).send("alice", text, f"other-{at}")


DOUBLED_IDS: Final = """
    () => [...document.querySelectorAll("[id]")].map(({ id }) => id).filter((id, at, all) => all.indexOf(id) !== at)
"""
NAMELESS: Final = re.compile(
    r"^\s*- (button|textbox|link|menu|dialog|navigation|region|article|log)( \[.*\])?:?$", re.MULTILINE
)
"""A line of Playwright's picture of the accessibility tree, of what needs a name and has none."""


async def look(page: Page, picture: Path) -> None:
    """Takes the picture; nothing sticks out sideways, and all text can be read.

    Who cannot see it finds his way: one main part, one heading of the first level, a name for all that can be reached.
    """
    await page.screenshot(path=picture)
    await expect(page.get_by_role("main")).to_have_count(1)
    await expect(page.get_by_role("heading", level=1)).to_have_count(1)
    assert NAMELESS.findall(await page.locator("body").aria_snapshot()) == []
    assert await page.evaluate(DOUBLED_IDS) == []
    assert await page.evaluate("document.documentElement.scrollWidth") == await page.evaluate("innerWidth")
    contrasts = await page.evaluate(LOW_CONTRASTS)
    assert len(contrasts) > 5
    assert [(contrast, what) for contrast, what in contrasts if contrast < LEAST_CONTRAST] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_wide(windows: Windows, server: ServerProcess, tmp_path: Path, scheme: Literal["light", "dark"]) -> None:
    await fill(server)
    page = await windows.open("alice", width=1280, height=800, scheme=scheme)
    alice = Pane(page, "alice")
    await alice.conversation("bob").click()
    await alice.shows(*[text for _, text in TALK])
    await expect(alice.conversation("carol")).to_be_visible()
    await look(page, tmp_path / f"1280-{scheme}.png")
    await alice.texts.nth(3).hover()
    await alice.log.get_by_role("button", name="Message actions").nth(3).click()
    await look(page, tmp_path / f"1280-{scheme}-menu.png")
    await page.goto(windows.link("carol"))
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.screenshot(path=tmp_path / f"1280-{scheme}-dialog.png")

    both = await windows.open("alice", "bob", width=1280, height=800, scheme=scheme)
    for user, peer in (("alice", "bob"), ("bob", "alice")):
        await Pane(both, user).conversation(peer).click()
        await Pane(both, user).shows(*[text for _, text in TALK])
    await look(both, tmp_path / f"1280-{scheme}-both.png")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_narrow(
    windows: Windows, server: ServerProcess, tmp_path: Path, scheme: Literal["light", "dark"]
) -> None:
    """The list and the conversation are two views: one is there at a time, and a button leads back."""
    await fill(server)
    page = await windows.open("alice", width=360, height=720, scheme=scheme)
    alice = Pane(page, "alice")
    await expect(alice.conversation("bob")).to_be_visible()
    await expect(alice.composer).to_have_count(0)
    await look(page, tmp_path / f"360-{scheme}-list.png")
    await alice.conversation("bob").click()
    await expect(alice.conversation("bob")).not_to_be_visible()
    await alice.shows(*[text for _, text in TALK])
    await look(page, tmp_path / f"360-{scheme}.png")
    await alice.root.get_by_role("button", name="Back to the conversations").click()
    await expect(alice.conversation("bob")).to_be_focused()


async def test_narrow_with_two_users_shows_one_of_them(windows: Windows, tmp_path: Path) -> None:
    page = await windows.open("alice", "bob", width=360, height=720)
    alice, bob = Pane(page, "alice"), Pane(page, "bob")
    await expect(alice.root).to_be_visible()
    await expect(bob.root).not_to_be_visible()
    await page.get_by_role("navigation", name="Users").get_by_role("button", name="bob").click()
    await expect(bob.root).to_be_visible()
    await expect(alice.root).not_to_be_visible()
    await look(page, tmp_path / "360-users.png")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_in_trouble(
    windows: Windows, server: ServerProcess, tmp_path: Path, scheme: Literal["light", "dark"]
) -> None:
    windows.expected = SERVER_AWAY
    await fill(server)
    page = await windows.open(width=360, height=720, scheme=scheme, before=NO_SOCKET)
    await page.get_by_label("Token", exact=True).fill("nonsense")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_be_visible()
    await look(page, tmp_path / f"360-{scheme}-sign-in.png")

    async def refuse(route: Route) -> None:
        await route.abort("connectionrefused")

    await page.goto(windows.link("alice"))
    alice = Pane(page, "alice")
    await alice.conversation("bob").click()
    await alice.shows(*[text for _, text in TALK])
    await page.route("**/v1/sendMessage", refuse)
    await alice.say("This one stays here")
    await expect(alice.waiting).to_be_visible()
    await server.stop()
    await expect(alice.banner).to_be_visible()
    await look(page, tmp_path / f"360-{scheme}-trouble.png")
    await alice.root.get_by_role("button", name="Back to the conversations").click()
    await expect(alice.conversation("bob")).to_contain_text("Waiting to be sent: This one stays here")
    await look(page, tmp_path / f"360-{scheme}-trouble-list.png")
    await page.unroute("**/v1/sendMessage")
    await server.start()
    await expect(alice.conversation("bob")).to_contain_text("You: This one stays here")

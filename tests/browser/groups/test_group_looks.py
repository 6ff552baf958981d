"""What groups look like, wide and narrow, light and dark. The pictures stay in the temporary folder (test_looks.py)."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Page, expect

from tests.browser.groups.group_pane import GroupPane
from tests.browser.test_looks import look
from tests.browser.windows import OUT, Windows
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
async def test_how_it_looks(
    windows: Windows, server: ServerProcess, tmp_path: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    windows.expected = OUT
    name = f"{width}-{scheme}"
    group = await talk(server)
    is_phone = width < 500
    page = await windows.open("alice", width=width, height=800, scheme=scheme, touch=is_phone)
    alice = GroupPane(page, "alice")
    await expect(alice.conversation("Book club")).to_contain_text("bob left")
    await expect(alice.conversation("Hiking on Sunday")).to_be_visible()
    await look(page, tmp_path / f"{name}-list.png")
    await alice.root.get_by_role("button", name="New group").click()
    await alice.dialog.get_by_label("Name").fill("Moving day")
    await alice.dialog.get_by_role("checkbox", name="bob").check()
    await alice.dialog.get_by_role("checkbox", name="dave").check()
    await alice.picker.fill("user!")
    await alice.picker.press("Enter")
    await expect(alice.dialog.get_by_role("alert").filter(has_text="A user id")).to_be_visible()
    await look_at_dialog(page, tmp_path / f"{name}-new.png")
    await alice.dialog.get_by_role("button", name="Cancel").click()

    await alice.open("Hiking on Sunday")
    await expect(alice.told.last).to_have_text("bob added frank.the-longest-name@example.org")
    await look(page, tmp_path / f"{name}.png")
    await alice.about()
    await expect(alice.members).to_have_count(6)
    await alice.details.get_by_role("button", name="Actions for carol").click()
    await look(page, tmp_path / f"{name}-about.png")
    await alice.to_member("erin", "Remove from the group")
    await page.screenshot(path=tmp_path / f"{name}-confirm.png")
    await alice.confirm("Cancel")
    await alice.details.get_by_role("button", name="Rename").click()
    await alice.details.locator(".ends").scroll_into_view_if_needed()
    await look(page, tmp_path / f"{name}-about-end.png")
    await alice.details.get_by_role("button", name="Close").click()
    await server.client("alice").change_group("leaveGroup", group)
    await expect(alice.end).to_be_visible()
    await look(page, tmp_path / f"{name}-out.png")


async def look_at_dialog(page: Page, picture: Path) -> None:
    """As `look`, of which a dialog hides what it counts."""
    await page.screenshot(path=picture)
    assert await page.evaluate("document.documentElement.scrollWidth") == await page.evaluate("innerWidth")


async def talk(server: ServerProcess) -> str:
    """What Alice has of the last days: a group that is about to go hiking, another one, and some people."""
    alice, bob, carol, dave, erin = [server.client(user) for user in ("alice", "bob", "carol", "dave", "erin")]
    await dave.send("alice", "Lunch?", "lunch")
    club = await bob.create_group("Book club", "alice", "erin")
    await erin.send_to(club, "I liked the second half more than the first", "half")
    await bob.change_group("leaveGroup", club)
    group = await alice.create_group("Hiking", "bob", "carol", "dave", "erin")
    await alice.send_to(group, "Who is in for Sunday? The weather looks good, and the train leaves at nine.", "a1")
    await bob.send_to(group, "Me!", "b1")
    await bob.send_to(group, "I can bring the map, and a stove if somebody has gas for it", "b2")
    await carol.send_to(group, "Gas is here. Two cartridges, one of them half full.", "c1")
    await alice.send_to(group, "Perfect", "a2")
    await alice.change_group("setRole", group, userId="bob", role="admin")
    await bob.change_group("updateGroup", group, name="Hiking on Sunday")
    await dave.send_to(group, "Is there room for a friend of mine? He knows the way over the ridge.", "d1")
    await erin.send_to(group, "Sure, the more the merrier", "e1")
    await bob.change_group("addMembers", group, userIds=["frank.the-longest-name@example.org"])
    return group

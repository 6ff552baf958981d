"""Where a user is signed in, and how that is ended."""

from pathlib import Path

import pytest
from playwright.async_api import Locator, expect

from tests.browser.people.test_names import look_at_dialog
from tests.browser.windows import Pane, Windows

pytestmark = pytest.mark.integration

SIGNED_OUT = "You signed out here, from another device or from all of them."
KEPT = "localStorage.getItem('rowbox.device.alice')"


async def devices_of(pane: Pane) -> Locator:
    """Opens the account, and gives the lines of its devices."""
    await pane.root.get_by_role("button", name="your account").click()
    return pane.page.get_by_role("region", name="Signed-in devices").get_by_role("listitem")


async def test_other_devices_are_listed_and_signed_out(windows: Windows, tmp_path: Path) -> None:
    windows.expected = frozenset({"Failed to load resource: the server responded with a status of 401 (Unauthorized)"})
    panes = [Pane(await windows.open("alice", width=360, height=720), "alice") for _ in range(2)]
    desk, phone = panes
    lines = await devices_of(desk)
    await expect(lines).to_have_count(2)
    await expect(lines.filter(has_text="This browser")).to_have_count(1)
    third = Pane(await windows.open("alice"), "alice")
    await expect(lines).to_have_count(3)  # it comes by itself
    await look_at_dialog(desk, tmp_path / "devices-360.png")
    await desk.page.reload()
    lines = await devices_of(desk)
    await expect(lines).to_have_count(3)  # a reload is no new sign-in
    kept = await phone.page.evaluate(KEPT)
    await lines.get_by_role("button", name="Sign out Chrome").first.click()
    await expect(lines).to_have_count(2)
    await expect(desk.page.get_by_role("heading", name="Signed-in devices")).to_be_focused()
    await lines.get_by_role("button", name="Sign out Chrome").click()
    await expect(lines).to_have_count(1)
    for pane in (phone, third):
        await expect(pane.banner).to_contain_text(SIGNED_OUT)
    await phone.banner.get_by_role("button", name="Sign in again").click()
    await phone.page.goto(windows.link("alice"))
    await expect(lines).to_have_count(2)  # under another id: the first one is over
    assert await phone.page.evaluate(KEPT) not in (kept, None)


async def test_signing_out_signs_out_the_browser(windows: Windows) -> None:
    windows.expected = frozenset({"Failed to load resource: the server responded with a status of 401 (Unauthorized)"})
    here, elsewhere = [Pane(await windows.open("alice"), "alice") for _ in range(2)]
    tab = await here.page.context.new_page()
    await tab.goto(windows.link("alice"))
    lines = await devices_of(elsewhere)
    await expect(lines).to_have_count(2)  # two tabs of a browser are one device
    await here.root.get_by_role("button", name="Sign out").click()
    await expect(here.page.get_by_label("Token", exact=True)).to_be_visible()
    await expect(lines).to_have_count(1)
    await expect(Pane(tab, "alice").banner).to_contain_text(SIGNED_OUT)
    assert await tab.evaluate(KEPT) is None
    await expect(elsewhere.banner).to_have_count(0)

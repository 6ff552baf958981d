"""Users are shown by their names, and change their own."""

import time
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import expect

from rowbox.api.auth.authenticator import issue_token
from rowbox.cli.secret import load_or_create
from tests.browser.groups.group_pane import GroupPane
from tests.browser.test_looks import look
from tests.browser.windows import Pane, Windows
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration

NAMES: Final = {"alice": "Alice Liddell", "bob": "Bob Miller", "dave": "דוד"}


async def make_known(server: ServerProcess, **names: str) -> None:
    """As the program does that signs users in."""
    token = issue_token(load_or_create(server.data_dir), "admin", 3600, admin=True, now=time.time())
    for user, name in names.items():
        body, headers = {"userId": user, "name": name}, {"Authorization": f"Bearer {token}"}
        async with server.session.post(f"{server.url}/v1/createUser", json=body, headers=headers) as response:
            assert response.status == 201, await response.text()


@pytest.mark.parametrize("width", [1280, 360])
async def test_names_stand_where_users_are_meant(
    windows: Windows, server: ServerProcess, tmp_path: Path, width: int
) -> None:
    """Who has no name is called by his id, and the id stands beside a name wherever something hangs on who it is."""
    await make_known(server, **NAMES)
    group = await server.client("bob").create_group("", "alice", "carol", "dave")
    sent = await server.client("alice").send_to(group, "Who is in?", "a1")
    await server.client("bob").send_to(group, "Me", "b1")
    await server.client("carol").send_to(group, "Me, too", "c1")
    await server.client("dave").react(group, sent.message_id, "👍")
    await server.client("bob").mark_read(group, sent.message_id)
    await server.client("bob").send("alice", "Morning!", "b2")
    alice = GroupPane(await windows.open("alice", width=width, height=760, touch=width < 500), "alice")
    page = alice.page
    await expect(alice.root.locator(".bar").first).to_contain_text("Alice Liddell")
    await expect(alice.root.locator(".bar .avatar").first).to_have_text("AL")
    await expect(alice.conversation("Bob Miller").last).to_be_visible()
    title = "Bob Miller, carol and \u2068דוד\u2069"
    await expect(alice.conversation(title)).to_contain_text("carol: Me, too")
    await look(page, tmp_path / f"names-{width}-list.png")

    await alice.root.locator(".conversation", has_text="Morning!").click()
    header = alice.root.locator(".thread .bar")
    await expect(header).to_contain_text("Bob Miller, bob")
    await expect(header.locator(".avatar")).to_have_text("BM")
    await look(page, tmp_path / f"names-{width}-two.png")
    if width < 500:
        await alice.root.get_by_role("button", name="Back to the conversations").click()

    await alice.root.locator(".conversation", has_text="Me, too").click()
    await expect(alice.told.first).to_have_text("Bob Miller created the group")
    await expect(alice.senders).to_have_text(["Bob Miller", "carol"])
    await expect(alice.root.locator(".reaction")).to_have_attribute("title", "\u2068דוד\u2069")
    own = alice.log.locator(".message.is-mine")
    await own.locator(".text").click()
    await own.get_by_role("button", name="Message actions").click()
    await expect(page.get_by_role("menu").locator(".read-by")).to_contain_text("Bob Miller")
    await look(page, tmp_path / f"names-{width}-group.png")
    await page.keyboard.press("Escape")
    await alice.about()
    await expect(alice.members).to_have_text(["Bob Miller bob", "Alice Liddell (you) alice", "carol", "דוד dave"])
    await look(page, tmp_path / f"names-{width}-about.png")


async def test_one_changes_the_own_name_and_the_other_windows_know(
    windows: Windows, server: ServerProcess, tmp_path: Path
) -> None:
    await make_known(server, alice="Alice")
    alice, elsewhere = [Pane(await windows.open("alice", width=360, height=720), "alice") for _ in range(2)]
    await alice.root.get_by_role("button", name="your account").click()
    dialog = alice.page.get_by_role("dialog", name="Your account")
    await dialog.get_by_role("button", name="Change your name").click()
    field = dialog.get_by_label("Your name")
    await expect(field).to_be_focused()
    await field.fill("  ")
    await expect(dialog.get_by_role("alert")).to_have_text("A name has at least one character.")
    await field.press("Escape")
    await expect(dialog.get_by_role("button", name="Change your name")).to_be_focused()  # the dialog is still there
    await dialog.get_by_role("button", name="Change your name").click()
    await field.fill("Alice <b>Liddell</b>")
    await field.press("Enter")
    await expect(dialog.locator(".own-name")).to_have_text("Alice <b>Liddell</b>")
    await expect(dialog.locator(".avatar")).to_have_text("AB")
    await look_at_dialog(alice, tmp_path / "account-360.png")
    await alice.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(alice.root.get_by_role("button", name="your account")).to_be_focused()
    for pane in (alice, elsewhere):
        await expect(pane.root.get_by_role("heading", level=2).first).to_contain_text("Alice <b>Liddell</b>")


async def test_who_may_not_make_himself_known_is_told_so(windows: Windows, server: ServerProcess) -> None:
    windows.expected = frozenset(
        f"Failed to load resource: the server responded with a status of {status}"
        for status in ("404 (Not Found)", "403 (Forbidden)")
    )
    alice = Pane(await windows.open("alice"), "alice")
    await alice.root.get_by_role("button", name="your account").click()
    dialog = alice.page.get_by_role("dialog", name="Your account")
    await dialog.get_by_role("button", name="Set your name").click()
    await dialog.get_by_label("Your name").fill("Alice")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_contain_text(
        "Only an administrator of this server can give you a name"
    )
    await expect(dialog.get_by_label("Your name")).to_have_value("Alice")
    await expect(dialog.get_by_label("Your name")).to_be_focused()


async def look_at_dialog(pane: Pane, picture: Path) -> None:
    """As `look`, of which a dialog hides what it counts."""
    await pane.page.screenshot(path=picture)
    assert await pane.page.evaluate("document.documentElement.scrollWidth") == await pane.page.evaluate("innerWidth")

"""Users block each other, and see whom they block."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.people.test_names import look_at_dialog
from tests.browser.test_looks import look
from tests.browser.windows import Pane, Windows
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("width", [1280, 360])
async def test_who_is_blocked_is_not_heard_until_that_is_ended(
    windows: Windows, server: ServerProcess, tmp_path: Path, width: int
) -> None:
    bob = server.client("bob")
    await bob.send("alice", "hello", "b1")
    alice, elsewhere = [Pane(await windows.open("alice", width=width, height=720), "alice") for _ in range(2)]
    await alice.conversation("bob").click()
    await elsewhere.conversation("bob").click()
    await alice.root.get_by_role("button", name="Conversation actions").click()
    await alice.page.get_by_role("menuitem", name="Block").click()
    await look_at_dialog(alice, tmp_path / f"block-question-{width}.png")
    await alice.page.get_by_role("menuitem", name="Block").click()
    for pane in (alice, elsewhere):
        await expect(pane.root.get_by_role("status").filter(has_text="You block bob")).to_be_visible()
        await expect(pane.composer).to_have_count(0)
    await look(alice.page, tmp_path / f"blocked-{width}.png")
    await bob.send("alice", "do you hear me?", "b2")
    await server.client("carol").send("alice", "I do", "c1")

    if width < 500:
        await alice.root.get_by_role("button", name="Back to the conversations").click()
    await expect(alice.conversation("carol")).to_contain_text("I do")
    await alice.root.get_by_role("button", name="your account").click()
    blocked = alice.page.get_by_role("region", name="Blocked people")
    await expect(blocked.get_by_role("listitem")).to_have_count(1)
    await look_at_dialog(alice, tmp_path / f"blocked-people-{width}.png")
    await blocked.get_by_role("button", name="Unblock bob").click()
    await expect(blocked).to_have_count(0)
    await alice.page.keyboard.press("Escape")
    await expect(elsewhere.composer).to_be_visible()
    await bob.send("alice", "and now?", "b3")
    await elsewhere.shows("hello", "and now?")  # what was hidden stays hidden


async def test_unblocking_in_the_conversation_leads_to_where_one_writes(
    windows: Windows, server: ServerProcess
) -> None:
    await server.client("bob").send("alice", "hello", "b1")
    alice = Pane(await windows.open("alice"), "alice")
    await alice.conversation("bob").click(button="right")
    await alice.page.get_by_role("menuitem", name="Block").click()
    await alice.page.get_by_role("menuitem", name="Block").click()
    await alice.conversation("bob").click()
    await alice.root.get_by_role("button", name="Unblock").click()
    await expect(alice.composer).to_be_focused()
    await alice.say("sorry")
    await alice.shows("hello", "sorry")

"""Groups are made, managed and left, by mouse and by keyboard."""

import re

import pytest
from playwright.async_api import Route, expect

from tests.browser.groups.group_pane import HELLOS, OTHERS, hiking, pane_of
from tests.browser.windows import NO_SOCKET, OUT, Windows, comes_to
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration


async def test_what_is_wrong_with_a_new_group_is_said_beside_it(windows: Windows, server: ServerProcess) -> None:
    await server.client("bob").send("alice", "hello", "id")
    alice = await pane_of(windows, "alice")
    await expect(alice.conversation("bob")).to_be_visible()
    await alice.root.get_by_role("button", name="New group").click()
    await expect(alice.dialog.get_by_label("Name")).to_be_focused()
    problem = alice.dialog.locator(".problem:not(:empty)")
    create = alice.dialog.get_by_role("button", name="Create group")
    await create.click()
    await expect(problem).to_have_text("Choose at least one other user.")
    for text, reason in (
        ("user?", "A user id has letters, digits and . _ @ + : -."),
        ("alice", "You are in the group anyway."),
    ):
        await alice.picker.fill(text)
        await alice.picker.press("Enter")
        await expect(problem).to_have_text(reason)
    await alice.dialog.get_by_label("Name").fill("x" * 101)
    await expect(problem.first).to_have_text("Too long by 1 characters.")
    await alice.dialog.get_by_label("Name").fill("Everybody")

    await alice.picker.fill(" ".join(f"user{number}" for number in range(100)))  # the server lets in 100, her too
    await create.click()
    await expect(problem).to_have_text("A group has 100 members at most.")
    await expect(alice.picker).to_be_focused()
    await alice.dialog.get_by_role("button", name="Take out user99").click()
    await alice.dialog.get_by_role("checkbox", name="bob").check()  # one from the list in place of one of them
    await alice.dialog.get_by_role("button", name="Take out user98").click()
    await create.click()
    await expect(alice.dialog).to_have_count(0)
    await expect(alice.told).to_have_text(["You created the group “Everybody”"])
    await expect(alice.root.locator("button.about")).to_contain_text("and 95 more")


async def test_a_group_whose_answer_was_lost_is_made_once(windows: Windows, server: ServerProcess) -> None:
    windows.expected = frozenset(
        {"Failed to load resource: the server responded with a status of 503 (Service Unavailable)"}
    )
    alice = await pane_of(windows, "alice", before=NO_SOCKET)

    async def lose(route: Route) -> None:
        await route.fetch()
        await route.fulfill(status=503, headers={"Retry-After": "60"}, json={"code": "overloaded"})

    await alice.page.route("**/v1/createGroup", lose, times=1)
    await alice.root.get_by_role("button", name="New group").click()
    await alice.dialog.get_by_label("Name").fill("Hiking")
    await alice.picker.fill("bob")
    create = alice.dialog.get_by_role("button", name="Create group")
    await create.click()
    await expect(alice.dialog.get_by_role("alert").filter(has_text="The server does not answer")).to_be_visible()
    await expect(create).to_be_focused()
    await create.press("Enter")
    await expect(alice.told).to_have_text(["You created the group “Hiking”"])
    assert len(await server.client("bob").all_conversations()) == 1


async def test_who_may_what_is_offered_what(windows: Windows, server: ServerProcess) -> None:
    """The owner gives roles, an admin removes ordinary members, and a member looks; each hears of it in words."""
    await hiking(server)
    alice, bob, carol = [await pane_of(windows, user) for user in ("alice", "bob", "carol")]
    for pane in (alice, bob, carol):
        await pane.open("Hiking")
        await pane.about()
    await expect(alice.members).to_have_text(["alice (you)", *OTHERS])
    await expect(carol.details.get_by_role("button", name="Actions for bob")).to_be_visible()
    for name in ("Rename", "Add members", "Delete group"):
        await expect(alice.details.get_by_role("button", name=name)).to_be_visible()
        await expect(bob.details.get_by_role("button", name=name)).to_have_count(0)
    await bob.details.get_by_role("button", name="Actions for carol").click()
    await expect(bob.details.locator(".deeds button")).to_have_text(["Write to carol"])

    await alice.to_member("bob", "Make an admin")
    await expect(bob.details.locator(".member", has_text="bob").locator(".role")).to_have_text("Admin")
    await expect(bob.told.last).to_have_text("alice made you an admin")
    await expect(bob.details.locator(".deeds button")).to_have_text(["Write to carol", "Remove from the group"])
    await expect(bob.details.get_by_role("button", name="Delete group")).to_have_count(0)
    await bob.details.get_by_role("button", name="Actions for alice").click()
    await expect(bob.details.locator(".deeds button")).to_have_text(["Write to alice"])

    await bob.details.get_by_role("button", name="Rename").click()
    await bob.details.get_by_label("Name of the group").fill("Hiking on Sunday")
    await bob.page.keyboard.press("Enter")
    await expect(bob.details.get_by_role("button", name="Rename")).to_be_focused()
    for pane in (alice, carol):
        await expect(pane.root.locator("button.about")).to_contain_text("Hiking on Sunday")
        await expect(pane.told.last).to_have_text("bob named the group “Hiking on Sunday”")

    await bob.details.get_by_role("button", name="Add members").click()
    await bob.picker.fill("carol")
    await bob.picker.press("Enter")
    await expect(bob.dialog.locator(".problem:not(:empty)")).to_have_text("carol is in the group already.")
    await bob.picker.fill("frank,")
    await bob.dialog.get_by_role("button", name="Add", exact=True).click()
    await expect(alice.members).to_have_text(["alice (you)", *OTHERS, "frank"])
    await expect(alice.told.last).to_have_text("bob added frank")

    await alice.details.get_by_role("checkbox", name="Write messages").uncheck()
    await expect(carol.end).to_have_text("Only admins write in this group.")
    await expect(bob.composer).to_be_visible()
    await alice.details.get_by_role("checkbox", name="Write messages").check()
    await expect(carol.composer).to_be_visible()

    await alice.to_member("bob", "Make the owner")
    await alice.confirm("Give away")
    await expect(bob.details.get_by_role("button", name="Delete group")).to_be_visible()
    await expect(alice.details.get_by_role("button", name="Delete group")).to_have_count(0)


async def test_who_joins_sees_what_was_written_since_admins_wanted_that(
    windows: Windows, server: ServerProcess
) -> None:
    group = await hiking(server)
    alice, bob = [await pane_of(windows, user) for user in ("alice", "bob")]
    for pane in (alice, bob):
        await pane.open("Hiking")
        await pane.about()
    sees_earlier = alice.details.get_by_role("checkbox", name="Recent messages from before they joined")
    said_to_members = bob.details.get_by_text("Those who join see recent messages")
    await expect(said_to_members).to_have_count(0)
    await expect(sees_earlier).not_to_be_checked()
    await sees_earlier.check()
    await expect(bob.told.last).to_have_text("alice changed the group’s settings")
    await expect(said_to_members).to_be_visible()
    await server.client("bob").send_to(group, "for all who come", "later")
    await alice.details.get_by_role("button", name="Add members").click()
    await alice.picker.fill("frank,")
    await alice.dialog.get_by_role("button", name="Add", exact=True).click()
    await expect(alice.told.last).to_have_text("You added frank")
    frank = await pane_of(windows, "frank")
    await expect(frank.conversation("Hiking")).not_to_contain_text("unread")
    await frank.open("Hiking")
    await frank.shows("for all who come")
    await expect(frank.told).to_have_text(["alice changed the group’s settings", "alice added you"])
    await expect(sees_earlier).to_be_checked()
    await sees_earlier.uncheck()
    await expect(said_to_members).to_have_count(0)


async def test_who_is_out_reads_on_and_does_not_write(windows: Windows, server: ServerProcess) -> None:
    windows.expected = OUT
    group = await hiking(server)
    alice, bob, carol = [await pane_of(windows, user) for user in ("alice", "bob", "carol")]
    for pane in (alice, bob, carol):
        await pane.open("Hiking")
    await bob.composer.fill("I have not finished this")
    await alice.about()
    await alice.to_member("bob", "Remove from the group")
    await alice.confirm("Cancel")
    await expect(alice.members).to_have_count(5)
    await alice.to_member("bob", "Remove from the group")
    await alice.confirm("Remove")
    await expect(alice.members).to_have_text(["alice (you)", *OTHERS[1:]])
    await expect(alice.details.get_by_role("heading", name="About this group")).to_be_focused()
    await expect(bob.end).to_have_text("You were removed from this group. What was written until then stays here.")
    await expect(bob.told.last).to_have_text("alice removed you")
    await expect(bob.composer).to_have_count(0)
    await expect(bob.root.locator("button.about")).to_have_count(0)
    await server.client("alice").send_to(group, "among us", "among")
    await alice.shows(*HELLOS, "among us")
    await bob.shows(*HELLOS)

    await carol.about()
    await carol.details.get_by_role("button", name="Leave group").click()
    await carol.confirm("Leave group")
    await expect(carol.end).to_contain_text("You left this group.")
    await expect(carol.log).to_be_focused()
    await expect(alice.told.last).to_have_text("carol left")

    await server.client("alice").change_group("addMembers", group, userIds=["bob"])
    await expect(bob.composer).to_have_value("I have not finished this")
    await expect(bob.told).to_have_text(["alice created the group “Hiking”", "alice removed you", "alice added you"])

    await alice.details.get_by_role("button", name="Delete group").click()
    await alice.confirm("Delete group")
    for pane in (alice, bob):
        await expect(pane.end).to_have_text("This group was deleted. What was written until then stays here.")
    await alice.page.reload()
    await expect(alice.end).to_contain_text("This group was deleted.")
    await alice.shows(*HELLOS, "among us")
    await expect(alice.conversation("Hiking")).to_contain_text(
        "You deleted the group"
    )  # asked for: it was there before
    await expect(carol.conversation("Hiking")).to_contain_text("You left")


async def test_a_group_is_made_and_managed_by_keyboard(windows: Windows, server: ServerProcess) -> None:
    await server.client("bob").send("alice", "hello", "id")
    alice = await pane_of(windows, "alice")
    page = alice.page
    await expect(alice.conversation("bob")).to_be_visible()
    await alice.root.get_by_role("button", name="New group").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Escape")
    await expect(alice.dialog).to_have_count(0)
    await expect(alice.root.get_by_role("button", name="New group")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.type("Book club")
    await page.keyboard.press("Tab")
    await page.keyboard.type("carol ")  # a space or a comma ends an id, as Enter does
    await expect(alice.dialog.locator(".chip")).to_have_text(re.compile("carol"))
    await page.keyboard.press("Backspace")
    await expect(alice.dialog.locator(".chip")).to_have_count(0)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Space")  # bob, whom she knows
    await expect(alice.dialog.locator(".chip")).to_have_text(re.compile("bob"))
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(alice.composer).to_be_focused()

    about = alice.root.locator("button.about")
    await about.focus()
    await page.keyboard.press("Enter")
    await expect(alice.details.get_by_role("heading", name="About this group")).to_be_focused()
    await alice.details.get_by_role("button", name="Actions for bob").press("Enter")
    await page.keyboard.press("Escape")
    await expect(alice.details.locator(".deeds")).to_have_count(0)
    await expect(alice.details.get_by_role("button", name="Actions for bob")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(alice.details).to_have_count(0)
    await expect(about).to_be_focused()
    await page.keyboard.press("Escape")
    await comes_to(page, "document.activeElement.querySelector('.name')?.textContent", "Book club")
    assert await page.evaluate("history.state.open.alice ?? null") is None
    await page.keyboard.press("Enter")
    await page.reload()
    await expect(about).to_contain_text("Book club")

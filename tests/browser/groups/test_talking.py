"""People talk in a group: on a desk and on a phone, in several tabs, offline and back."""

import re

import pytest
from playwright.async_api import expect

from tests.browser.groups.group_pane import HELLOS, OTHERS, PHONE, GroupPane, hiking, pane_of
from tests.browser.test_deeds import choose, editor, message, reactions
from tests.browser.test_tabs import SOCKETS
from tests.browser.windows import OFFLINE, OUT, Windows
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration


async def test_five_people_make_a_group_and_talk(windows: Windows) -> None:
    """Alice at her desk, Bob on his phone; all have the same messages in one order, and see who wrote them."""
    alice = await pane_of(windows, "alice")
    bob = await pane_of(windows, "bob", **PHONE)
    others = [await pane_of(windows, user, width=800, height=600) for user in OTHERS[1:]]
    await alice.make("Hiking", *OTHERS)
    await expect(alice.composer).to_be_focused()
    await expect(alice.told).to_have_text(["You created the group “Hiking”"])
    for pane in (bob, *others):
        await expect(pane.conversation("Hiking")).to_contain_text("alice created the group “Hiking”")
        await expect(pane.conversation("Hiking")).not_to_contain_text("unread")
        await pane.open("Hiking")

    said = []
    for at, pane in enumerate((alice, bob, *others)):
        said.append(f"number {at}")
        await (pane.tap_send if pane is bob else pane.say)(said[-1])
        await alice.shows(*said)
    for pane in (alice, bob, *others):
        await pane.shows(*said)
    await expect(alice.senders).to_have_text(list(OTHERS))
    await expect(others[-1].senders).to_have_text(["alice", *OTHERS[:-1]])
    await expect(alice.conversation("Hiking")).to_contain_text("erin: number 4")
    await expect(others[-1].conversation("Hiking")).to_contain_text("You: number 4")
    await bob.root.get_by_role("button", name="Back to the conversations").click()
    await others[0].say("are you there?")
    await expect(bob.conversation("Hiking")).to_contain_text("carol: are you there?")
    await expect(bob.conversation("Hiking")).to_contain_text("1 unread")
    await bob.open("Hiking")
    await bob.shows(*said, "are you there?")
    await expect(bob.root.locator(".first-unread")).to_have_count(1)


async def test_what_is_new_begins_with_what_somebody_wrote(windows: Windows, server: ServerProcess) -> None:
    """What happened to the group is never unread, so it is not counted on the way back to the first that is."""
    group = await hiking(server)
    carol = await pane_of(windows, "carol", **PHONE)
    await carol.open("Hiking")
    await carol.root.get_by_role("button", name="Back to the conversations").click()
    await expect(carol.conversation("Hiking")).not_to_contain_text("unread")
    await server.client("bob").send_to(group, "first", "first")
    await server.client("alice").change_group("updateGroup", group, name="Hiking, again")
    await server.client("dave").send_to(group, "second", "second")
    await expect(carol.conversation("Hiking, again")).to_contain_text("dave: second")
    await expect(carol.conversation("Hiking, again")).to_contain_text("2 unread")
    await carol.open("Hiking, again")
    await carol.shows(*HELLOS, "first", "second")
    await expect(carol.root.locator(".first-unread + .message .text")).to_have_text("first")


async def test_what_is_written_offline_goes_into_the_group_when_one_is_back(
    windows: Windows, server: ServerProcess
) -> None:
    windows.expected = OFFLINE
    group = await hiking(server)
    alice, bob = [await pane_of(windows, user) for user in ("alice", "bob")]
    await alice.open("Hiking")
    await bob.open("Hiking")
    await alice.shows(*HELLOS)
    await alice.page.context.set_offline(True)
    await alice.say("first", "second")
    await alice.shows_unsent("first", "second")
    await expect(alice.conversation("Hiking")).to_contain_text("Waiting to be sent: second")
    await server.client("bob").send_to(group, "meanwhile", "meanwhile")
    await alice.page.context.set_offline(False)
    for pane in (alice, bob):
        await pane.shows(*HELLOS, "meanwhile", "first", "second")
    assert windows.complaints == []


async def test_what_was_written_offline_by_who_is_out_meanwhile_is_refused(
    windows: Windows, server: ServerProcess
) -> None:
    windows.expected = OFFLINE | OUT
    group = await hiking(server)
    bob = await pane_of(windows, "bob")
    await bob.open("Hiking")
    await bob.shows(*HELLOS)
    await bob.page.context.set_offline(True)
    await bob.say("too late")
    await bob.shows_unsent("too late")
    await server.client("alice").change_group("removeMember", group, userId="bob")
    await bob.page.context.set_offline(False)
    await expect(bob.refused).to_contain_text("Not sent: you are not in this group any more")
    await expect(bob.end).to_contain_text("You were removed")
    await bob.refused.get_by_role("button", name="Discard").click()
    await bob.shows(*HELLOS)


async def test_the_tabs_of_a_browser_show_a_group_over_one_socket(windows: Windows, server: ServerProcess) -> None:
    alice = await pane_of(windows, "alice")
    tabs = [await alice.page.context.new_page() for _ in range(2)]
    for tab in tabs:
        await tab.goto(windows.link("alice"))
    await alice.make("Hiking", *OTHERS)
    for tab in tabs:
        pane = GroupPane(tab, "alice")
        await pane.open("Hiking")
        await pane.say(f"from tab {tabs.index(tab)}")
    await alice.shows("from tab 0", "from tab 1")
    await alice.about()
    await alice.to_member("bob", "Make an admin")
    await expect(GroupPane(tabs[0], "alice").told.last).to_have_text("You made bob an admin")
    await server.metric_reaches(SOCKETS, 1)


async def test_who_is_out_is_offered_no_change_of_a_message(windows: Windows, server: ServerProcess) -> None:
    windows.expected = OUT
    group = await hiking(server)
    alice, bob = [await pane_of(windows, user) for user in ("alice", "bob")]
    for pane in (alice, bob):
        await pane.open("Hiking")
        await pane.shows(*HELLOS)
    await choose(alice, "hello from bob", "React")
    await alice.root.get_by_role("button", name="Heart").click()
    await expect(reactions(bob, "hello from bob")).to_have_count(1)
    await server.client("alice").change_group("removeMember", group, userId="bob")
    await expect(bob.end).to_be_visible()
    await expect(message(bob, "hello from bob").locator(".reaction")).to_have_text(["\u2764\ufe0f 1, alice"])
    await expect(reactions(bob, "hello from bob")).to_have_count(0)
    await choose(bob, "hello from bob")
    await expect(bob.root.get_by_role("menuitem")).to_have_text(["Copy text", "Show date"])


async def test_messages_of_a_group_are_edited_reacted_to_and_taken_back(
    windows: Windows, server: ServerProcess
) -> None:
    """The author edits his own, all react, and Alice, who made the group, takes back what Bob wrote."""
    await hiking(server)
    alice, bob, carol = [await pane_of(windows, user) for user in ("alice", "bob", "carol")]
    for pane in (alice, bob, carol):
        await pane.open("Hiking")
        await pane.shows(*HELLOS)
    await bob.say("at sex?")
    await carol.shows(*HELLOS, "at sex?")
    await message(carol, "at sex?").hover()
    await message(carol, "at sex?").get_by_role("button", name="Message actions").click()
    for name in ("Edit", "Take back"):
        await expect(carol.root.get_by_role("menuitem", name=name)).to_have_count(0)
    await carol.page.keyboard.press("Escape")
    await choose(bob, "at sex?", "Edit")
    await editor(bob).fill("at six?")
    await editor(bob).press("Enter")
    for pane in (alice, bob, carol):
        await pane.shows(*HELLOS, "at six?")
    await choose(carol, "at six?", "React")
    await carol.root.get_by_role("button", name="Heart").click()
    for pane in (alice, bob, carol):
        await expect(reactions(pane, "at six?")).to_have_count(1)
    await choose(alice, "at six?", "Take back", "Take back")
    for pane, told in ((alice, "You removed"), (bob, "An admin removed"), (carol, "An admin removed")):
        await pane.shows(*HELLOS, f"{told} this message")
        await expect(pane.conversation("Hiking")).to_contain_text("A message was taken back")


async def test_an_author_sees_who_has_read_his_message(windows: Windows, server: ServerProcess) -> None:
    group = await hiking(server)
    alice, bob = [await pane_of(windows, user) for user in ("alice", "bob")]
    await alice.open("Hiking")
    await alice.say("who is in?")
    message = alice.root.locator(".message", has_text="who is in?")
    await message.hover()
    await message.get_by_role("button").click()
    await expect(message.locator(".read-by")).to_have_text("Read by none of 4 yet")
    await bob.open("Hiking")
    await server.client("erin").send_to(group, "me", "me")
    await expect(message.locator(".read-by")).to_have_text(re.compile(r"^Read by 2 of 4:\s*bob\s*erin\s*$"))
    await alice.page.keyboard.press("Escape")
    await expect(message.locator(".tick")).to_have_text("· ✓ Read by 2")
    theirs = alice.root.locator(".message", has_text="hello from bob")
    await theirs.hover()
    await theirs.get_by_role("button").click()
    await expect(theirs.get_by_role("menuitem").first).to_be_visible()
    await expect(theirs.locator(".read-by")).to_have_count(0)

"""A pane of the page as one uses it for groups, and a group to begin with."""

import re
from typing import Final

from playwright.async_api import Locator, expect

from tests.browser.windows import Pane, Windows
from tests.integration.support.server_process import ServerProcess

OTHERS: Final = ("bob", "carol", "dave", "erin")

PHONE: Final = {"width": 390, "height": 760, "touch": True}


class GroupPane(Pane):
    """A pane, and what of it is about groups."""

    async def make(self, name: str, *members: str) -> None:
        """Makes a group as a person does, and is in it then."""
        await self.root.get_by_role("button", name="New group").click()
        await self.dialog.get_by_label("Name").fill(name)
        for member in members:
            await self.picker.fill(member)
            await self.picker.press("Enter")
        await self.dialog.get_by_role("button", name="Create group").click()
        await expect(self.dialog).to_have_count(0)
        await expect(self.composer).to_be_visible()

    async def tap_send(self, text: str) -> None:
        """On a screen Enter begins a line, and the button sends."""
        await self.composer.fill(text)
        await self.root.get_by_role("button", name="Send").tap()

    async def open(self, name: str) -> None:
        await self.conversation(name).click()
        await expect(self.root.get_by_role("article", name=f"Conversation with {name}")).to_be_visible()

    async def about(self) -> None:
        """Opens what there is to know about the group."""
        await self.root.locator("button.about").click()
        await expect(self.details.get_by_role("heading", name="About this group")).to_be_focused()

    async def to_member(self, user: str, deed: str) -> None:
        await self.details.get_by_role("button", name=f"Actions for {user}").click()
        await self.details.get_by_role("button", name=deed, exact=True).click()

    async def confirm(self, yes: str) -> None:
        await self.page.get_by_role("dialog").get_by_role("button", name=yes).click()

    @property
    def dialog(self) -> Locator:
        return self.root.locator("dialog.group-dialog")

    @property
    def picker(self) -> Locator:
        return self.dialog.get_by_label("Members: user id")

    @property
    def details(self) -> Locator:
        return self.root.get_by_role("complementary", name=re.compile("^About "))

    @property
    def members(self) -> Locator:
        return self.details.locator(".member .name")

    @property
    def told(self) -> Locator:
        """What happened to the group, line by line."""
        return self.root.locator(".told")

    @property
    def senders(self) -> Locator:
        return self.root.locator(".message .sender")

    @property
    def end(self) -> Locator:
        return self.root.locator(".no-writing")


async def pane_of(windows: Windows, user: str, **how: int | bool | str) -> GroupPane:
    return GroupPane(await windows.open(user, **how), user)  # type: ignore[arg-type]


async def hiking(server: ServerProcess) -> str:
    """Alice's group of five, in which everybody has said something."""
    group = await server.client("alice").create_group("Hiking", *OTHERS)
    for user in ("alice", *OTHERS):
        await server.client(user).send_to(group, f"hello from {user}", f"hello-{user}")
    return group


HELLOS: Final = [f"hello from {user}" for user in ("alice", *OTHERS)]

"""What two people see who chat by the page."""

import asyncio
import json
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Route, expect

from rowbox.api.auth.authenticator import issue_token
from tests.browser.windows import NO_SOCKET, Pane, Windows, comes_to
from tests.integration.support.server_process import DEADLINE_S, ServerProcess

pytestmark = pytest.mark.integration


async def test_two_users_chat_side_by_side(windows: Windows) -> None:
    page = await windows.open("alice", "bob")
    alice, bob = Pane(page, "alice"), Pane(page, "bob")
    await alice.write_to("bob")
    await alice.say("Are you there?", "Two lines\nare one message")
    await bob.conversation("alice").click()
    await bob.say("Yes.")
    for pane in (alice, bob):
        await pane.shows("Are you there?", "Two lines\nare one message", "Yes.")
    await expect(alice.root.locator(".meta")).to_contain_text(["Read", ":"])


async def test_an_author_sees_what_became_of_his_messages(windows: Windows) -> None:
    """By words beside the ticks, and without a word from a screen reader."""
    page = await windows.open("alice")
    alice, tick = Pane(page, "alice"), page.locator(".tick")
    await alice.write_to("bob")
    await alice.say("Are you there?")
    await expect(tick).to_have_text("· ✓ Sent")
    await expect(tick).to_have_attribute("aria-live", "off")
    bob = Pane(await windows.open("bob"), "bob")
    await expect(bob.conversation("alice")).to_contain_text("Are you there?")
    await alice.say("Hello?")
    await expect(tick).to_have_text("· ✓✓ Delivered")
    await bob.conversation("alice").click()
    await expect(tick).to_have_text("· ✓✓ Read")


async def test_the_link_of_the_ready_line_opens_the_pair(windows: Windows, server: ServerProcess) -> None:
    page = await windows.open()
    await page.goto((await server.line(r"^Chat as both: (\S+)$"))[1])
    alice, bob = Pane(page, "alice"), Pane(page, "bob")
    await expect(alice.root).to_contain_text("No conversations yet")
    await expect(alice.composer).to_be_focused()
    await page.keyboard.type("hello")
    await page.keyboard.press("Enter")
    await bob.say("hi")
    for pane, peer in ((alice, "bob"), (bob, "alice")):
        await pane.shows("hello", "hi")
        await expect(pane.log).to_have_accessible_name(f"Messages with {peer}")
    await expect(alice.conversation("bob").locator(".snippet")).to_have_text("hi")
    await expect(bob.conversation("alice").locator(".snippet")).to_have_text("You: hi")


async def test_a_load_takes_few_requests(windows: Windows) -> None:
    page = await windows.open("alice")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    await page.reload()
    await expect(Pane(page, "alice").root).to_contain_text("No conversations yet")
    files = [
        path for path in asked if not path.startswith("/v1/") and path != "/chat/icon.svg"
    ]  # once more, at any time
    assert sorted(files) == ["/", "/chat/chat.css", "/chat/chat.js", "/client/rowbox.js"]


async def test_tokens_leave_the_address_and_two_tabs_are_two_users(windows: Windows) -> None:
    tabs = await windows.open("alice"), await windows.open("bob")
    alice, bob = Pane(tabs[0], "alice"), Pane(tabs[1], "bob")
    await alice.write_to("bob")
    await alice.say("one", "two", "three")
    await bob.conversation("alice").click()
    await bob.say("four")
    await alice.shows("one", "two", "three", "four")
    for tab, pane, peer in ((tabs[0], alice, "bob"), (tabs[1], bob, "alice")):
        assert "#" not in tab.url
        await tab.reload()
        await pane.conversation(peer).click()
        await pane.shows("one", "two", "three", "four")


async def test_a_link_replaces_nobody_without_asking(windows: Windows) -> None:
    page = await windows.open("alice")
    alice, bob = Pane(page, "alice"), Pane(page, "bob")
    to_write_to = alice.root.get_by_label("New conversation: user id")
    await to_write_to.focus()
    link = windows.link("bob")
    await page.goto(link)
    dialog = page.get_by_role("dialog", name="Sign in as bob?")
    await expect(dialog).to_contain_text("This tab is signed in as alice")
    assert "#" not in page.url
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(to_write_to).to_be_focused()
    await page.reload()
    await expect(alice.root).to_be_visible()

    await page.goto("about:blank")
    await page.goto(link)  # a load of its own asks as well
    await dialog.get_by_role("button", name="Sign in").click()
    await expect(bob.root).to_be_visible()
    await expect(alice.root).to_have_count(0)


async def test_the_list_counts_what_is_unread_until_it_is_shown(windows: Windows, server: ServerProcess) -> None:
    page = await windows.open("alice")
    alice = Pane(page, "alice")
    for at, sender in enumerate(("bob", "carol", "carol")):
        await server.client(sender).send("alice", f"number {at}", f"id-{at}")
    await expect(alice.conversation("carol")).to_contain_text("2 unread")
    await expect(page).to_have_title("(3) Rowbox")
    await expect(alice.root.locator(".conversation .name")).to_have_text(["carol", "bob"])

    await alice.conversation("carol").click()
    await expect(page).to_have_title("(1) Rowbox")
    await server.client("carol").send("alice", "seen as it comes", "id-4")
    await alice.shows("number 1", "number 2", "seen as it comes")
    await expect(alice.conversation("carol")).not_to_contain_text("unread")


async def test_what_is_read_on_one_device_is_read_on_the_other(windows: Windows, server: ServerProcess) -> None:
    await server.client("bob").send("alice", "hello", "id")
    first, second = [Pane(await windows.open("alice"), "alice") for _ in range(2)]
    for device in (first, second):
        await expect(device.conversation("bob")).to_contain_text("1 unread")
    await first.conversation("bob").click()
    await expect(second.conversation("bob")).not_to_contain_text("unread")


async def test_what_comes_while_a_conversation_is_fetched_is_not_missed(
    windows: Windows, server: ServerProcess
) -> None:
    bob = server.client("bob")
    await bob.send("alice", "first", "id-1")
    page = await windows.open("alice", before=NO_SOCKET)
    alice = Pane(page, "alice")

    async def overtake(route: Route) -> None:
        answer = await route.fetch()
        await bob.send("alice", "second", "id-2")
        await expect(alice.conversation("bob")).to_contain_text("second")
        await route.fulfill(response=answer)

    await page.route("**/v1/fetchMessages?*", overtake, times=1)
    await alice.conversation("bob").click()
    await alice.shows("first", "second")


MARKUP = ["<b>bold</b>", "<script>window.ran = true</script>", '<img src=x onerror="window.ran = true">', "&lt;i&gt;"]


async def test_text_is_only_ever_text(windows: Windows, server: ServerProcess) -> None:
    for at, text in enumerate(MARKUP):
        await server.client("bob").send("alice", text, f"id-{at}")
    page = await windows.open("alice")
    alice = Pane(page, "alice")
    await expect(alice.root.locator(".snippet")).to_have_text(MARKUP[-1])
    await alice.conversation("bob").click()
    await alice.shows(*MARKUP)
    assert await page.evaluate("document.querySelectorAll('.pane b, .pane script, .pane img, .pane i').length") == 0
    assert await page.evaluate("window.ran") is None


async def test_even_a_mistake_of_ours_could_not_make_markup_of_a_text(windows: Windows) -> None:
    """The policy's second line: a string is not accepted where markup or script would come of it."""
    page = await windows.open("alice")
    refused = "Failed to set the 'innerHTML' property on 'Element': This document requires 'TrustedHTML' assignment."
    assert refused in await page.evaluate("try { document.body.innerHTML = '<b>x</b>' } catch (e) { String(e) }")
    await page.evaluate("document.body.append(Object.assign(document.createElement('style'), {textContent: 'p{}'}))")
    async with asyncio.timeout(DEADLINE_S):
        while len(windows.complaints) < 2:
            await page.evaluate("null")  # the browser tells of them in its own time
    complaints = [text for text in windows.complaints if "Content Security Policy" in text or "TrustedHTML" in text]
    assert len(complaints) == len(windows.complaints) == 2
    windows.expected = frozenset(complaints)


async def test_a_message_over_the_limit_is_not_taken(windows: Windows) -> None:
    alice = Pane(await windows.open("alice"), "alice")
    await alice.write_to("bob")
    await alice.composer.fill("é" * 32_768)
    await alice.composer.press("Enter")
    await expect(alice.root.get_by_role("alert").filter(has_text="Too long by 1 bytes")).to_be_visible()
    await alice.composer.press("Backspace")
    await alice.composer.press("Enter")
    await alice.shows("é" * 32_767)


async def test_signing_in_by_a_pasted_token(windows: Windows) -> None:
    page = await windows.open()
    token = page.get_by_label("Token", exact=True)
    for wrong in ("something else", windows.token("alice")[:-9] + "\u2026"):  # cut by what it was copied from
        await token.fill(wrong)
        await token.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("This is not a token")
        await token.fill("")
    await token.fill(windows.token("alice", ttl_s=-3600))
    await token.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("This token has expired. Ask for a new one.")
    await token.fill(windows.token("alice"))
    await token.press("Enter")
    alice = Pane(page, "alice")
    await expect(alice.root).to_contain_text("No conversations yet")
    await alice.root.get_by_role("button", name="Sign out").click()
    await expect(token).to_be_focused()
    assert json.loads(await page.evaluate("sessionStorage.getItem('rowbox.tokens')")) == []


async def test_why_one_is_signed_out_in_words(windows: Windows, server: ServerProcess) -> None:
    windows.expected = frozenset({"Failed to load resource: the server responded with a status of 401 (Unauthorized)"})
    page = await windows.open()
    foreign = issue_token(b"the secret of another server, 32 bytes", "alice", 3600, admin=False, now=time.time())
    await page.goto(f"{server.url}/#token={foreign}")
    alert = page.get_by_role("alert").filter(has_text="The server does not accept this token")
    await expect(alert).to_be_visible()
    await alert.get_by_role("button", name="Sign in again").click()
    await expect(page.get_by_label("Token", exact=True)).to_be_visible()
    await page.goto(f"{server.url}/#token={windows.token('alice', ttl_s=-3600)}")
    await expect(page.get_by_role("alert").filter(has_text="Your sign-in has expired.")).to_be_visible()
    revoked = {"status": 401, "code": "token_revoked", "detail": "the token was revoked"}
    await page.route("**/v1/*", lambda route: route.fulfill(status=401, json=revoked))
    await page.route_web_socket("**/v1/ws", lambda route: route.close(code=4401, reason="the token was revoked"))
    await page.goto(windows.link("alice"))
    await expect(page.get_by_role("alert").filter(has_text="This sign-in was ended")).to_be_visible()


FOCUSED = """
    document.activeElement.ariaLabel ?? document.activeElement.querySelector(".name")?.textContent
      ?? document.activeElement.textContent
"""
"""What the keyboard acts on: its role's name for a person."""


COMPOSING_ENTER = """
    (box) => {
      const press = (facts) => box.dispatchEvent(new KeyboardEvent("keydown", { bubbles: true, ...facts }));
      press({ key: "Enter", isComposing: true });
      press({ key: "Enter", keyCode: 229 }); // Safari: the composition has ended already
      press({ key: "Escape", isComposing: true });
    }
"""
"""Chooses a character that is being composed, and drops one; the message goes on."""


async def test_everything_can_be_done_by_keyboard(windows: Windows, server: ServerProcess) -> None:
    for at, sender in enumerate(("dave", "carol", "bob")):
        await server.client(sender).send("alice", f"from {sender}", f"id-{at}")
    page = await windows.open("alice")
    alice = Pane(page, "alice")
    await expect(alice.conversation("dave")).to_be_visible()
    for name in (
        "alice, your account",
        "Notifications",
        "Sign out",
        "New conversation: user id",
        "Start",
        "New group",
        "Search messages",
        "bob",
    ):
        await page.keyboard.press("Tab")
        await comes_to(page, FOCUSED, name)
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"

    for key, name in (("ArrowDown", "carol"), ("End", "dave"), ("ArrowDown", "dave"), ("Home", "bob"), ("End", "dave")):
        await page.keyboard.press(key)
        await comes_to(page, FOCUSED, name)
    await page.keyboard.press("Enter")
    await expect(alice.composer).to_be_focused()
    await page.keyboard.type("first line")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("second line")
    await alice.composer.evaluate(COMPOSING_ENTER)
    await page.keyboard.type(" goes on")
    await page.keyboard.press("Enter")
    await alice.shows("from dave", "first line\nsecond line goes on")
    await expect(alice.composer).to_have_value("")

    await page.keyboard.press("Shift+Tab")
    await comes_to(page, FOCUSED, "Message actions")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await comes_to(page, FOCUSED, "React")
    await page.keyboard.press("ArrowUp")
    await comes_to(page, FOCUSED, "Show date")
    await page.keyboard.press("Enter")
    await comes_to(page, FOCUSED, "Message actions")
    await expect(alice.root.locator(".message").first.locator("time")).to_contain_text(str(datetime.now(UTC).year))
    await page.keyboard.press("Enter")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("menu")).to_have_count(0)
    await page.keyboard.press("Shift+Tab")
    await comes_to(page, FOCUSED, "Messages with dave")
    await page.keyboard.press("Escape")
    await comes_to(page, FOCUSED, "dave")
    await expect(alice.composer).to_have_count(0)

"""The browser's storage is blocked, full or holds rubbish: the page works, and only remembers less."""

import json
from typing import Final

import pytest
from playwright.async_api import Dialog, expect

from tests.browser.windows import NO_SOCKET, SERVER_AWAY, Pane, Windows
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration

BLOCKED: Final = """
    for (const name of ["sessionStorage", "localStorage"]) {
      Object.defineProperty(window, name, { get() { throw new DOMException("blocked", "SecurityError"); } });
    }
"""
FULL: Final = """
    Storage.prototype.setItem = () => { throw new DOMException("it is full", "QuotaExceededError"); };
"""


@pytest.mark.parametrize("storage", [BLOCKED, FULL], ids=["blocked", "full"])
async def test_a_page_without_storage(windows: Windows, server: ServerProcess, storage: str) -> None:
    """All but a reload works: also what waits, and a draft that one comes back to."""
    windows.expected = SERVER_AWAY
    page = await windows.open("alice", before=NO_SOCKET + storage)
    alice = Pane(page, "alice")
    await alice.write_to("carol")
    await alice.composer.fill("a draft")
    await alice.write_to("bob")
    await expect(alice.conversation("carol")).to_contain_text("Draft: a draft")
    await alice.say("hello")
    await alice.shows("hello")
    await page.route("**/v1/sendMessage", lambda route: route.abort("connectionrefused"))
    await alice.say("later")
    await expect(alice.waiting).to_have_count(1)
    await page.unroute("**/v1/sendMessage")
    await alice.shows("hello", "later")
    await alice.conversation("carol").click()
    await expect(alice.composer).to_have_value("a draft")
    await alice.root.get_by_role("button", name="Notifications").click()
    await alice.root.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Token", exact=True)).to_be_visible()


RUBBISH: Final = (
    "nonsense {",
    "null",
    "17",
    '"text"',
    "[null, 1, [], {}, {'content': 5}]",
    '[null, 1, "x", [], {"clientMessageId": 1, "recipientId": {}, "content": []}]',
    '{"bob": {"__proto__": 1}, "carol": 5, "length": -1}',
    """[{"clientMessageId": "a", "recipientId": "bob", "content": "whole", "triedAt": 1e300, "writtenAt": 1e300},
        {"clientMessageId": "b", "recipientId": "bob", "content": "and this", "state": "no such", "triedAt": -1}]""",
)
"""The last one holds messages: a page that has some writes its own over what is put there behind its back."""


async def test_a_page_whose_storage_holds_rubbish(windows: Windows, server: ServerProcess) -> None:
    page = await windows.open("alice")
    alice = Pane(page, "alice")
    tokens = await page.evaluate("sessionStorage.getItem('rowbox.tokens')")
    keys = ("rowbox.outbox.alice", "rowbox.drafts.alice")
    put = (
        "([keys, text]) => [sessionStorage, localStorage].forEach((area) => keys.forEach((key) => (area[key] = text)))"
    )
    for text in RUBBISH:
        await page.evaluate(put, [[*keys, "rowbox.notifications"], text])
        await page.evaluate("history.replaceState({ open: [1, { alice: 3 }], depth: 'deep' }, '')")
        await page.reload()
        begin = alice.root.get_by_role("button", name="Write to somebody", exact=True)
        await expect(begin.or_(alice.conversation("bob"))).to_be_visible()
    await alice.conversation("bob").click()
    await alice.shows("whole", "and this")  # what of it was a message, although nobody knows in which state
    for text in (*RUBBISH, json.dumps([7, "a.b.c", "insecure:", "insecure:../../etc", "x.e30.y"])):
        await page.evaluate(put, [["rowbox.tokens"], text])
        await page.reload()
        await expect(page.get_by_label("Token", exact=True)).to_be_visible()
    await page.evaluate(put, [["rowbox.tokens"], tokens])
    await page.reload()
    await expect(alice.root).to_be_visible()


async def test_a_storage_that_becomes_full_loses_nothing_without_asking(windows: Windows) -> None:
    """The browser asks before it leaves a page, if the page says that something would be lost."""
    windows.expected = SERVER_AWAY
    page = await windows.open("alice", before=NO_SOCKET)
    asked: list[str] = []

    async def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await (dialog.dismiss() if len(asked) == 1 else dialog.accept())

    page.on("dialog", stay)
    alice = Pane(page, "alice")
    await alice.write_to("bob")
    await page.route("**/v1/sendMessage", lambda route: route.abort("connectionrefused"))
    await alice.say("first")
    await page.reload()
    assert asked == []  # it is kept, and nobody is bothered
    await page.evaluate(f"() => {{ {FULL} }}")
    await alice.say("second")
    await page.evaluate("location.reload()")
    await alice.shows_unsent("first", "second")
    assert asked == ["beforeunload"]
    await alice.waiting.filter(has_text="first").get_by_role("button", name="Discard").click()
    await page.evaluate("location.reload()")
    await expect(alice.log).to_contain_text("No messages yet")  # rather than what was thrown away
    await expect(alice.texts).to_have_count(0)
    assert asked == ["beforeunload", "beforeunload"]

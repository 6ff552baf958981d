"""The addresses in a text: which ones can be pressed, where they end, and that nothing else ever can."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Route, expect

from tests.browser.windows import Pane, Windows
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration

Run = Callable[..., Awaitable[Any]]
LINKS = Path(__file__).parents[2] / "api" / "web" / "chat" / "links.js"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def run(browser: Browser) -> AsyncIterator[Run]:
    """Calls a function in a page that has links.js and no server, with `withLinks` and its argument."""
    page = await browser.new_page()

    async def serve(route: Route) -> None:
        if route.request.url.endswith("/links.js"):
            await route.fulfill(path=LINKS)
        else:
            await route.fulfill(content_type="text/html", body="<!doctype html>")

    await page.route("**/*", serve)
    await page.goto("http://rowbox.test/")

    async def run(function: str, argument: object) -> Any:
        call = f"async (argument) => ({function})((await import('/links.js')).withLinks, argument)"
        return await page.evaluate(call, argument)

    yield run
    await page.close()


EXAMPLES = {
    "see https://example.org/a?b=c#d now": ["https://example.org/a?b=c#d"],
    "HTTP://EXAMPLE.ORG": ["HTTP://EXAMPLE.ORG"],
    "www.example.org/x, and more": ["www.example.org/x"],
    "Look: https://example.org.": ["https://example.org"],
    "is it https://example.org/what?!": ["https://example.org/what"],
    "(https://en.example.org/wiki/A_(b))": ["https://en.example.org/wiki/A_(b)"],
    "[https://example.org/[1]]": ["https://example.org/[1]"],
    "<https://example.org/a>": ["https://example.org/a"],
    '"https://example.org/a"': ["https://example.org/a"],
    "**https://example.org/a**": ["https://example.org/a"],
    "https://example.org/a、次": ["https://example.org/a、次"],
    "https://例え.jp/パス。": ["https://例え.jp/パス"],
    "https://example.org:8080/a http://[::1]:8080/b": ["https://example.org:8080/a", "http://[::1]:8080/b"],
    "line\nhttps://a.example\nhttps://b.example\n": ["https://a.example", "https://b.example"],
    "https://example.org/\u202egnp.exe": ["https://example.org/"],
    "https://bank.example@evil.example/": [],
    "https://user:secret@example.org/": [],
    "javascript:alert(1) data:text/html,x file:///etc/passwd vbscript:x ftp://example.org": [],
    "javascript://example.org/%0aalert(1)": [],
    "xhttps://example.org": [],
    "mailto:www.example.org me@www.example.org": [],
    "https:// https://. www. www.. http://?": [],
    "https://example.org" + ")" * 60_000: [],
    "no address, just text: 3.14 e.g. this.that": [],
}


async def test_which_addresses_can_be_pressed_and_where_they_end(run: Run) -> None:
    found = await run(
        "(withLinks, texts) => texts.map((text) => withLinks(text).flatMap((one) => (one.href ? [one.text] : [])))",
        list(EXAMPLES),
    )
    assert dict(zip(EXAMPLES, found, strict=True)) == EXAMPLES


WRONG_ONES = r"""
    (withLinks, seed) => {
      let state = seed;
      const random = (below) => (state = (state * 48271) % 2147483647) % below;
      const parts = ["https://", "http://", "www.", "HTTPS://", "javascript:", "data:", "://", "//", "@", ":", ".", ",",
        "!", "(", ")", "[", "]", "{", "}", "<", ">", "\"", "'", "&", "#", "?", "=", "%", "%0a", "\\", "/", "*", "_",
        "-", " ", "\n", "\t", "\u0000", "\u200b", "\u202e", "\u2066", "\ud83d\ude00", "\ud800", "e\u0301", "é",
        "例", "ا", "a", "example", ".org", "evil.example", "localhost", "127.0.0.1", "[::1]", ":8080", "user",
        "<script>", "。", "」"];
      const invisible = /[\s<>"\u0000-\u001f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/;
      const wrong = [];
      for (let at = 0; at < 20_000; at++) {
        const text = Array.from({ length: random(12) }, () => parts[random(parts.length)]).join("");
        const pieces = withLinks(text);
        const isWhole = pieces.map((one) => one.text).join("") === text && pieces.every((one) => one.text !== "");
        const areSafe = pieces.filter((one) => one.href !== null).every(({ text: shown, href }) => {
          const url = new URL(href);
          const meant = new URL(/^www\./i.test(shown) ? "https://" + shown : shown);
          const isWeb = /^https?:$/.test(url.protocol) && url.hostname && !url.username && !url.password;
          return isWeb && url.href === meant.href && /^(https?:\/\/|www\.)/i.test(shown) && !invisible.test(shown);
        });
        if (!isWhole || !areSafe) wrong.push(text);
      }
      return wrong;
    }
"""


@pytest.mark.parametrize("seed", [1, 20261127])
async def test_the_pieces_are_the_text_and_only_addresses_of_the_web_are_links(run: Run, seed: int) -> None:
    assert await run(WRONG_ONES, seed) == []


async def test_a_link_opens_elsewhere_and_learns_nothing_of_us(windows: Windows, server: ServerProcess) -> None:
    text = f"see {server.url}/docs?<b>. And <a href='javascript:window.ran=1'>x</a>"
    await server.client("bob").send("alice", text, "id")
    page = await windows.open("alice")
    alice = Pane(page, "alice")
    await alice.conversation("bob").click()
    await alice.shows(text)
    link = alice.texts.get_by_role("link")
    await expect(link).to_have_text([f"{server.url}/docs"])
    assert await link.get_attribute("rel") == "noopener noreferrer"
    async with page.context.expect_page() as opened:
        await link.click()
    other = await opened.value
    await other.wait_for_load_state()
    assert await other.evaluate("[window.opener, document.referrer]") == [None, ""]

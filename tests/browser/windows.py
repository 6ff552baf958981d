"""Windows of a browser on the chat page, each a user's own, and a person's look at what is in one."""

import asyncio
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, Protocol

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Locator, Page, expect

from rowbox.api.auth.authenticator import issue_token
from rowbox.cli.secret import load_or_create
from tests.integration.support.server_process import DEADLINE_S

DEADLINE_MS: Final = DEADLINE_S * 1000
SERVER_AWAY: Final = frozenset(
    f"Failed to load resource: net::ERR_{reason}"
    for reason in (
        "CONNECTION_REFUSED",  # nobody listens
        "CONNECTION_RESET",  # a request was under way; this and what follows are the same, seen at another moment
        "CONNECTION_CLOSED",
        "CONNECTION_ABORTED",
        "EMPTY_RESPONSE",
        "SOCKET_NOT_CONNECTED",  # the connection ended before the request was on it
        "CONTENT_LENGTH_MISMATCH",  # an answer had begun
    )
)
"""What the browser itself writes into its console when a server is killed; no page can keep it from that."""
NO_SOCKET: Final = "delete window.WebSocket;"
"""As where a proxy lets none through: what is said goes by HTTP, where a test can lose it and hold it."""
SOCKET_FAILED: Final = re.compile(r"WebSocket connection to '\S+' failed: .*net::(ERR_\w+)$")
"""The browser's word for the same as SERVER_AWAY and OFFLINE, of a socket."""
UNSENT: Final = ".is-sending, .is-waiting, .is-refused, .is-unsure"
OFFLINE: Final = frozenset({"Failed to load resource: net::ERR_INTERNET_DISCONNECTED"})
OUT: Final = frozenset({"Failed to load resource: the server responded with a status of 403 (Forbidden)"})
"""A page may ask for what became of one's messages in a group in the moment in which one is not in it any more."""


async def comes_to(page: Page, expression: str, value: object) -> None:
    """Waits until `expression` gives `value` in the page: for what the browser does in its own time, as going back."""
    found = None
    try:
        async with asyncio.timeout(DEADLINE_S):
            while (found := await page.evaluate(expression)) != value:
                pass
    except TimeoutError:
        raise AssertionError(f"{expression} is {found}, and never was {value}") from None


async def stop_time(page: Page) -> None:
    """From now on no timer of the page runs, whose clock is installed. Playwright can stop it at a later time only, and
    on a busy machine that may be over before it hears of it.
    """
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with suppress(Error):
                await page.clock.pause_at(await page.evaluate("(Date.now() + 50) / 1000"))
                return


class Site(Protocol):
    """A server, as far as a browser is concerned, and whoever signs its users in."""

    @property
    def url(self) -> str:
        """Where it serves the page."""
        ...

    @property
    def data_dir(self) -> Path:
        """Where its secret is."""
        ...


class Windows:
    """Opens windows on one server. `complaints` is all that their pages put into the console as an error or a warning,
    breaches of the Content-Security-Policy and uncaught errors included, but what is in `expected`.
    """

    def __init__(self, browser: Browser, server: Site) -> None:
        self.expected: frozenset[str] = frozenset()
        self._heard: list[str] = []
        self._browser = browser
        self._server = server
        self._contexts: list[BrowserContext] = []

    @property
    def complaints(self) -> list[str]:
        return [text for text in self._heard if text not in self.expected]

    def token(self, user: str, *, ttl_s: float = 3600) -> str:
        return issue_token(load_or_create(self._server.data_dir), user, ttl_s, admin=False, now=time.time())

    def link(self, *users: str) -> str:
        """The page with these users signed in, as the ready line has it."""
        return f"{self._server.url}/#{'&'.join(f'token={self.token(user)}' for user in users)}"

    async def open(
        self,
        *users: str,
        width: int = 1280,
        height: int = 800,
        scheme: Literal["light", "dark"] = "light",
        touch: bool = False,
        before: str = "",
    ) -> Page:
        """A window of its own, with nothing of the others' storage, on the page of these users.

        `touch`: on a phone, whose keyboard is on its screen. `before`: a script that runs first at each load.
        """
        context = await self._browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=touch, is_mobile=touch
        )
        if before:
            await context.add_init_script(before)
        self._contexts.append(context)
        context.set_default_timeout(DEADLINE_MS)
        page = await context.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self._heard.append(str(error)))
        await page.goto(self.link(*users) if users else self._server.url)
        return page

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._heard.append(SOCKET_FAILED.sub(r"Failed to load resource: net::\1", message.text))


class Pane:
    """One user's part of a page, by what a person reads and presses there."""

    def __init__(self, page: Page, user: str) -> None:
        self.page = page
        self.root = page.get_by_role("region", name=f"Signed in as {user}")

    async def write_to(self, peer: str) -> None:
        """Begins or opens the conversation with `peer` by his id."""
        await self.root.get_by_label("New conversation: user id").fill(peer)
        await self.root.get_by_role("button", name="Start").click()
        await expect(self.composer).to_be_focused()

    async def say(self, *texts: str) -> None:
        for text in texts:
            await self.composer.fill(text)
            await self.composer.press("Enter")

    async def shows(self, *texts: str) -> None:
        """Waits until the open conversation consists of these messages, in this order, all of them sent."""
        await expect(self.texts).to_have_text(list(texts))
        await expect(self.root.locator(UNSENT)).to_have_count(0)

    async def shows_unsent(self, *texts: str) -> None:
        """Waits until exactly these are not confirmed in the open conversation, in this order."""
        await expect(self.root.locator(UNSENT).locator(".text")).to_have_text(list(texts))

    @property
    def composer(self) -> Locator:
        return self.root.get_by_label("Message to ")

    @property
    def texts(self) -> Locator:
        return self.root.locator(".message .text")

    @property
    def log(self) -> Locator:
        return self.root.get_by_role("log")

    @property
    def waiting(self) -> Locator:
        """What goes by itself when the server is back."""
        return self.root.locator(".is-waiting")

    @property
    def refused(self) -> Locator:
        return self.root.locator(".is-refused")

    @property
    def banner(self) -> Locator:
        return self.root.locator(".banner")

    def conversation(self, peer: str) -> Locator:
        """Its line in the list."""
        return self.root.get_by_role("navigation", name="Conversations").get_by_role(
            "button", name=re.compile(rf"(^|\s){re.escape(peer)}\s")
        )

"""Real Chromium and a real server: what every test of the page and of its client begins with.

One browser serves the whole folder, so its tests share one loop; each has windows without anything of another's, and a
server of its own, which was started while the test before it ran.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.browser.client.client_page import Run, client_page
from tests.browser.windows import DEADLINE_MS, Windows
from tests.conftest import require
from tests.integration.support.server_process import ServerProcess

_WITHOUT: Final = (
    # What Chromium loads for the address bar of each new window, in a process of its own: more than half of what a
    # window costs (1.1 s of CPU, and 0.5 without). Headless, nobody sees an address bar.
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxFullPopup",
    "WebUIOmniboxPopup",
    "SpareRendererForSitePerProcess",  # a process that waits for a navigation, one for each window
    # What Playwright itself leaves out: the last such switch counts, and is ours.
    "AimEnabled",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)
"""Features of Chromium; a name that an older or newer one does not know is passed over."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    executable = require("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable, args=[f"--disable-features={','.join(_WITHOUT)}"]
        )
        expect.set_options(timeout=DEADLINE_MS)  # Playwright's own is 5 s, of which a busy machine needs more
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def run(browser: Browser) -> AsyncIterator[Run]:
    async with client_page(browser) as run:
        yield run


class Servers:
    """Fresh servers, one of them started ahead: a start takes a second of one core, and a test mostly waits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._next = asyncio.create_task(self._started())

    async def take(self) -> ServerProcess:
        """One that nobody used; its user ends it."""
        server = await self._next
        self._next = asyncio.create_task(self._started())
        return server

    async def settled(self) -> None:
        """Returns when the one ahead has started: behind the last test of a file this loop stands still, and a start
        that is still under way would find its deadline gone when the loop goes on.
        """
        await asyncio.wait([self._next])

    async def close(self) -> None:
        await end(await self._next)

    async def _started(self) -> ServerProcess:
        """Started again, it has the same port: a page stays where it is."""
        self._count += 1
        flags = ("--admin-port", "0", "--rate-limits", "off", "--demo-tokens")
        return await ServerProcess(self._folder / str(self._count), flags=flags, keeps_port=True).__aenter__()


async def end(server: ServerProcess) -> None:
    await server.__aexit__(None, None, None)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("servers"))
    await servers.settled()
    yield servers
    await servers.close()


@pytest_asyncio.fixture(loop_scope="session")
async def server(servers: Servers) -> AsyncIterator[ServerProcess]:
    server = await servers.take()
    yield server
    await end(server)
    await servers.settled()


@pytest_asyncio.fixture(loop_scope="session")
async def windows(browser: Browser, server: ServerProcess) -> AsyncIterator[Windows]:
    """Fails the test at its end where a page complained of anything that the test did not expect."""
    windows = Windows(browser, server)
    yield windows
    await windows.close()
    assert windows.complaints == []

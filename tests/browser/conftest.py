"""Real Chromium and a real server: what every test of the page and of its client begins with.

One browser serves the whole folder, so its tests share one loop; each has windows without anything of another's, and a
server of its own.
"""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser.client_page import Run, client_page
from tests.browser.windows import Windows
from tests.conftest import require
from tests.integration.support.server_process import ServerProcess


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    executable = require("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def run(browser: Browser) -> AsyncIterator[Run]:
    async with client_page(browser) as run:
        yield run


@pytest_asyncio.fixture(loop_scope="session")
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """Started again, it has the same port: a page stays where it is."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    flags = ("--port", port, "--admin-port", "0", "--rate-limits", "off", "--demo-tokens")
    async with ServerProcess(tmp_path / "data", flags=flags) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def windows(browser: Browser, server: ServerProcess) -> AsyncIterator[Windows]:
    """Fails the test at its end where a page complained of anything that the test did not expect."""
    windows = Windows(browser, server)
    yield windows
    await windows.close()
    assert windows.complaints == []

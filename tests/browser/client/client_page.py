"""A page that has the JavaScript client and no server: where its rules are tried, over scripted.js."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from playwright.async_api import Browser, Route

Run: TypeAlias = Callable[[str], Awaitable[Any]]
"""Runs the body of an async function, with the names of scripted.js, and gives what it returns."""
ROOT: Final = Path(__file__).parents[3]
SCRIPTS: Final = {
    f"/{path.relative_to(ROOT)}"
    for path in (*(ROOT / "api" / "web" / "client").glob("*.js"), Path(__file__).with_name("scripted.js"))
}
IMPORTS: Final = """
    const scripts = await import("/tests/browser/client/scripted.js");
    const { failure, followed, lost, page, problem, Rowbox, scripted, sent } = scripts;
"""


@asynccontextmanager
async def client_page(browser: Browser) -> AsyncIterator[Run]:
    page = await browser.new_page()

    async def serve(route: Route) -> None:
        path = "/" + route.request.url.split("/", 3)[3]
        if path in SCRIPTS:
            await route.fulfill(path=ROOT / path[1:])
        else:
            await route.fulfill(content_type="text/html", body="<!doctype html>")

    await page.route("**/*", serve)
    await page.goto("http://rowbox.test/")

    async def run(body: str) -> Any:
        return await page.evaluate(f"async () => {{ {IMPORTS}\n{body} }}")

    yield run
    await page.close()

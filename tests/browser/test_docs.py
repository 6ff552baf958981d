"""The API in words, at /docs: it shows openapi.json, and its calls can be tried there."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from rowbox.api.v1.openapi import openapi
from tests.browser.windows import Windows
from tests.integration.support.server_process import ServerProcess

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture(loop_scope="session")
async def docs(windows: Windows, server: ServerProcess) -> AsyncIterator[Page]:
    page = await windows.open()
    await page.goto(f"{server.url}/docs")
    yield page


async def test_each_call_and_each_error_is_there_in_words(docs: Page) -> None:
    document = openapi()
    for item in document["paths"].values():
        for call in item.values():
            section = docs.locator(f"#{call['operationId']}")
            await expect(section).to_contain_text(call["summary"])
            await expect(section).to_contain_text(call["description"].partition("\n")[0].replace("`", ""))
    for code, kind in document["x-problems"].items():
        row = docs.locator("#problems tr", has=docs.locator(f"[id={code}]"))
        await expect(row).to_contain_text(kind["advice"].replace("`", ""))


async def test_the_examples_that_were_played_are_there(docs: Page) -> None:
    example = docs.locator("#fetchMessages details", has_text="Bob waits up to 30 seconds")
    await example.locator("summary").click()
    await expect(example).to_contain_text('"messageContent": "Are you there?"')


async def test_a_call_can_be_tried(docs: Page, windows: Windows) -> None:
    await docs.fill("#token", windows.token("alice"))
    attempt = docs.locator("#sendMessage details", has=docs.locator("form"))
    await attempt.locator("summary").click()
    await attempt.get_by_role("button", name="Send").click()
    await expect(attempt.locator("pre")).to_contain_text("201 Created")
    await expect(attempt.locator("pre")).to_contain_text('"duplicate": false')

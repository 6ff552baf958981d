"""The operator's page of a cluster: what it shows, and a drain that is shown first and then made."""

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from rowbox.api.auth.operator import page_token
from rowbox.api.web.pages import cluster_pages
from rowbox.cacheserver.shardmap.cluster_state import NodeLoad
from rowbox.cli.serving.cluster.calls import cluster_calls
from tests.cli.cluster.shared_store import SharedStore, made_store
from tests.http.api import SECRET, Api, serving
from tests.http.scripted_port import ScriptedPort

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture(loop_scope="session")
async def store() -> SharedStore:
    return await made_store()


@pytest_asyncio.fixture(loop_scope="session")
async def served(store: SharedStore) -> AsyncIterator[Api]:
    desk = store.desk()
    async with serving(ScriptedPort(), calls=cluster_calls(lambda: desk), pages=cluster_pages()) as api:
        yield api


@pytest_asyncio.fixture(loop_scope="session")
async def admin(browser: Browser, served: Api) -> AsyncIterator[Page]:
    """The page, opened by a link as `rowbox cluster page` prints it."""
    context = await browser.new_context()
    page = await context.new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    await page.goto(f"http://127.0.0.1:{served.server.admin_port}/admin#token={page_token(SECRET, time.time())}")
    yield page
    await context.close()
    assert heard == []


async def test_it_shows_who_owns_how_much_and_keeps_the_token_out_of_the_address(admin: Page) -> None:
    await expect(admin.locator("#verdict")).to_have_text("All is well: 3 of 3 nodes own 64 of 64 shards, map version 1")
    await expect(admin.locator("#nodes tr")).to_have_count(3)
    await expect(admin.locator("#nodes tr").nth(0)).to_contain_text("host of a")
    assert "token" not in admin.url
    square = await admin.locator("#grid").bounding_box()
    assert square is not None
    await admin.mouse.move(square["x"] + 3, square["y"] + 3)
    await expect(admin.locator("#under-pointer")).to_have_text("Shard 0: a")


async def test_a_drain_shows_its_plan_and_is_made_when_it_is_confirmed(admin: Page, store: SharedStore) -> None:
    drain = admin.get_by_role("button", name="Drain b")
    await drain.click()
    await expect(admin.locator("#plan")).to_contain_text("from b to a")
    await admin.get_by_role("button", name="Leave it as it is").click()
    await expect(admin.locator("#ask")).not_to_be_visible()
    assert (await store.standing_now()).wishes == {}
    await drain.click()
    await expect(admin.locator("#plan")).to_contain_text("from b to c")
    await admin.get_by_role("button", name="Do it").click()
    await expect(admin.get_by_role("button", name="Undrain b")).to_be_visible()
    await expect(admin.locator("#events")).to_contain_text("b: drain")
    assert (await store.standing_now()).wishes["b"].draining


async def test_what_is_wrong_stands_first(admin: Page, store: SharedStore) -> None:
    await store.beat_now("c", "dead")
    await expect(admin.locator("#verdict")).to_contain_text("1 thing is wrong")
    await expect(admin.locator("#wrong")).to_have_text("c has ended (dead) and is listed still, with 21 shards")


async def test_the_load_of_a_node_is_shown_and_columns_without_a_word_are_not(admin: Page, store: SharedStore) -> None:
    head = admin.locator("thead")
    await expect(admin.locator("#verdict")).to_contain_text("All is well")
    await expect(head.get_by_text("sends/s")).not_to_be_visible()
    await expect(head.get_by_text("zone")).not_to_be_visible()
    await store.beat_now("b", load=NodeLoad(1200.4, 900.0, 4000, 8.0), zone="rack-1")
    await expect(admin.locator("#nodes tr").nth(1)).to_contain_text("1,200")
    await expect(head.get_by_text("sends/s")).to_be_visible()
    await expect(admin.locator("#nodes tr").nth(1).locator("[data-label='commit']")).to_have_text("8 ms")


async def test_on_a_phone_nothing_has_to_be_scrolled_sideways(admin: Page) -> None:
    await admin.set_viewport_size({"width": 390, "height": 844})
    await expect(admin.get_by_role("button", name="Drain a")).to_be_in_viewport()
    overhang = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await admin.evaluate(overhang) == 0
    assert await admin.evaluate("(one => one.scrollWidth - one.clientWidth)(document.querySelector('.wide'))") == 0


async def test_what_is_shown_is_dimmed_while_the_server_does_not_answer(
    admin: Page,
) -> None:
    await expect(admin.locator("#verdict")).to_contain_text("All is well")
    await admin.route("**/operator/cluster", lambda route: route.fulfill(body="a page of a proxy's"))
    await expect(admin.locator("#verdict")).to_contain_text("This server does not answer")
    await expect(admin.locator("#cluster")).to_have_class("old")
    assert await admin.title() == "! Rowbox cluster"
    await admin.unroute("**/operator/cluster")
    await expect(admin.locator("#verdict")).to_contain_text("All is well")
    await expect(admin.locator("#cluster")).not_to_have_class("old")
    assert await admin.title() == "Rowbox cluster"


async def test_without_a_token_it_asks_for_one_and_says_that_a_wrong_one_is_refused(
    browser: Browser, served: Api
) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{served.server.admin_port}/admin")
    token = page.get_by_label("An operator's token")
    await token.fill("rubbish")
    await token.press("Enter")
    await expect(page.locator("#refused")).to_contain_text("The token was refused")
    await token.fill(page_token(SECRET, time.time()))
    await token.press("Enter")
    await expect(page.locator("#verdict")).to_contain_text("All is well")
    await context.close()

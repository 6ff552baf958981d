"""Pages of messages of any size give every message once: by cursor and in deltas while others write, and by number.

A page asked for by its number is either whole or refused; the refusal names a page that begins at the same message, and
a cursor that goes on from there.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rowbox.cacheserver.port import Page, SendResult
from rowbox.mailbox.errors import PageTooLarge
from rowbox.mailbox.ids import to_text
from rowbox.mailbox.pages.page_cut import ROOM_BYTES
from rowbox.mailbox.settings.config import CacheSettings
from tests.support.cluster import CRAMPED, UNLIMITED, Cluster, Json, cluster, ids, parsed
from tests.support.virtual_time import run_virtual

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
ROOMY = CacheSettings(bytes=1 << 30, window_messages=500, window_bytes_per_mailbox=1 << 30)
caches = st.sampled_from([UNLIMITED.cache, CRAMPED.cache, ROOMY])
kinds = st.tuples(st.sampled_from([1, 300, 8_000, 65_535]) | st.integers(1, 65_535), st.sampled_from("x\0"))
"""A message's length, and what it is made of: a zero byte is six in JSON."""
runs = st.lists(st.tuples(kinds, st.integers(1, 25)), min_size=1, max_size=4)
messages = runs.map(lambda alike: [kind for kind, count in alike for _ in range(count)])
writes = st.lists(kinds, max_size=4)
page_sizes = st.integers(1, 200)
few = settings(deadline=None, max_examples=25)


class Conversation:
    """What ann says to bob and to herself, and what of it was confirmed."""

    def __init__(self, servers: Cluster) -> None:
        self.servers = servers
        self.sent: list[SendResult] = []

    async def write(self, what: list[tuple[int, str]], recipient: str = "bob") -> None:
        for length, letter in what:
            client_id = f"c{len(self.sent)}"
            self.sent.append(await self.servers.node.send("ann", recipient, letter * length, client_id))

    @property
    def ids(self) -> list[str]:
        return [to_text(one.message_id) for one in self.sent]

    async def page(self, conversation: bytes | None, **how: Any) -> Page:
        page = await self.servers.node.messages("ann", conversation, **how)
        assert sum(map(len, page.items)) + len(page.items) <= ROOM_BYTES
        assert len(page.items) <= how["page_size"]
        assert page.items or not page.has_more
        return page


def scenario(late: bool, cache: CacheSettings, is_cold: bool, what: list[tuple[int, str]], check: Any) -> None:
    async def run() -> None:
        async with cluster(late=late, settings=replace(UNLIMITED, cache=cache)) as servers:
            said = Conversation(servers)
            await said.write(what)
            if is_cold:
                await servers.quiet()
                await servers.restart()
            await check(said)

    run_virtual(run())


@both_kinds
@few
@given(
    cache=caches, is_cold=st.booleans(), what=messages, size=page_sizes, of_all=st.booleans(), between=st.lists(writes)
)
def test_by_cursor_every_message_comes_once_and_what_is_written_meanwhile_is_in_the_delta(
    late: bool,
    cache: CacheSettings,
    is_cold: bool,
    what: list[tuple[int, str]],
    size: int,
    of_all: bool,
    between: list[list[tuple[int, str]]],
) -> None:
    async def check(said: Conversation) -> None:
        conversation = None if of_all else said.sent[0].conversation_id
        first = said.ids
        page = await said.page(conversation, page_size=size)
        found, token = parsed(page), page.token
        meanwhile = iter(between)
        while page.next_cursor is not None:
            await said.write(next(meanwhile, []))
            page = await said.page(conversation, page_size=size, cursor=page.next_cursor)
            assert page.token == token
            found += parsed(page)
        assert ids(found) == first[::-1]
        assert await _delta(said, conversation, token, size, list(meanwhile)) == said.ids[len(first) :]

    scenario(late, cache, is_cold, what, check)


@both_kinds
@few
@given(
    cache=caches, is_cold=st.booleans(), what=messages, size=page_sizes, of_all=st.booleans(), between=st.lists(writes)
)
def test_in_deltas_every_message_comes_once_in_the_order_of_its_change(
    late: bool,
    cache: CacheSettings,
    is_cold: bool,
    what: list[tuple[int, str]],
    size: int,
    of_all: bool,
    between: list[list[tuple[int, str]]],
) -> None:
    async def check(said: Conversation) -> None:
        conversation = None if of_all else said.sent[0].conversation_id
        assert await _delta(said, conversation, 0, size, between) == said.ids

    scenario(late, cache, is_cold, what, check)


async def _delta(
    said: Conversation,
    conversation: bytes | None,
    token: str | int | None,
    size: int,
    between: list[list[tuple[int, str]]],
) -> list[str]:
    """What came after `token`, by as many deltas as it takes, with writes between them."""
    found: list[Json] = []
    meanwhile = iter(between)
    while True:
        page = await said.page(conversation, page_size=size, token=token)
        assert page.is_delta
        found += parsed(page)
        token = page.token
        news = next(meanwhile, None)
        if news:
            await said.write(news)
        elif not page.has_more:
            return ids(found)


@both_kinds
@few
@given(cache=caches, is_cold=st.booleans(), what=messages, size=page_sizes, of_all=st.booleans())
def test_by_number_a_page_is_whole_or_refused_and_the_refusal_says_how_to_go_on(
    late: bool, cache: CacheSettings, is_cold: bool, what: list[tuple[int, str]], size: int, of_all: bool
) -> None:
    async def check(said: Conversation) -> None:
        conversation = None if of_all else said.sent[0].conversation_id
        every = said.ids[::-1]
        number = 0
        while True:
            try:
                page = await said.page(conversation, page_number=number, page_size=size)
            except PageTooLarge as refusal:
                await _goes_on_as_told(said, conversation, refusal, every[number * size :])
            else:
                assert ids(parsed(page)) == every[number * size :][:size]
                assert page.has_more == (len(every) > (number + 1) * size)
            number += 1
            if number * size >= len(every):
                break

    scenario(late, cache, is_cold, what, check)


async def _goes_on_as_told(
    said: Conversation, conversation: bytes | None, refusal: PageTooLarge, rest: list[str]
) -> None:
    page = await said.page(conversation, page_number=refusal.page_number, page_size=refusal.page_size)
    assert ids(parsed(page)) == rest[: refusal.page_size]
    found: list[str] = []
    cursor: str | None = refusal.cursor
    while cursor is not None:
        page = await said.page(conversation, page_size=200, cursor=cursor)
        found, cursor = found + ids(parsed(page)), page.next_cursor
    assert found == rest

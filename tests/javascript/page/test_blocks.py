"""Whom the chat page knows to be blocked: what was done is shown, whether the list can be had behind it or not."""

import json

import pytest

from tests.javascript.program import Program, program

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]


async def tell(blocks: Program, **what: object) -> None:
    await blocks.hear(json.dumps(what))


async def said(blocks: Program, name: str) -> object:
    return (await blocks.until(lambda line: name in line))[name]


async def loaded(blocks: Program, *users: str) -> None:
    await tell(blocks, load=True)
    await said(blocks, "asked")
    await tell(blocks, answer=users)
    assert await said(blocks, "users") == list(users)


async def test_a_block_is_shown_though_the_list_cannot_be_had_behind_it() -> None:
    async with program("page/blocks.js") as blocks:
        await loaded(blocks, "bob")
        for change, users in (({"block": "carol"}, ["bob", "carol"]), ({"unblock": "bob"}, ["carol"])):
            await tell(blocks, **change)
            assert await said(blocks, "users") == users
            await said(blocks, "asked")
            await tell(blocks, answer=None)
            assert await said(blocks, "done") is None
        await loaded(blocks, "carol")


async def test_a_list_that_was_asked_for_before_a_block_does_not_take_it_back() -> None:
    async with program("page/blocks.js") as blocks:
        await loaded(blocks)
        await tell(blocks, load=True)
        await said(blocks, "asked")
        await tell(blocks, block="bob")
        assert await said(blocks, "users") == ["bob"]
        await tell(blocks, answer=[])
        await said(blocks, "asked")
        await tell(blocks, answer=None)
        await loaded(blocks, "bob")
        assert [line["users"] for line in blocks.said if "users" in line] == [[], ["bob"], ["bob"]]

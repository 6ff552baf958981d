"""What the chat page shows of one's own messages in a group, and how often it asks for that."""

import json
from itertools import pairwise
from typing import Any, Final

import pytest

from tests.javascript.program import Program, program

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]

SENT: Final = {"state": "Sent", "readBy": 0}
A_MINUTE_MS: Final = 60_000


async def tell(page: Program, **what: object) -> list[dict[str, Any]]:
    """Tells it, and returns what is said to that."""
    before = len(page.said)
    await page.hear(json.dumps(what))
    await page.until(lambda line: "done" in line)
    return [line for line in page.said[before:] if "done" not in line]


def times(said: list[dict[str, Any]]) -> list[int]:
    return [line["at"] for line in said if "asked" in line]


async def test_what_all_have_and_how_many_have_read_is_shown() -> None:
    async with program("page/receipts.js") as page:
        said = await tell(page, watch=["a", "b"], newest="b")
        assert said == [{"asked": ["a", "b"], "at": 1_000}]
        said = await tell(page, answer={"a": ["read", "delivered", "read"], "b": ["sent", "read", "sent"]})
        assert said == [{"changed": [{"state": "Delivered", "readBy": 2}, {"state": "Sent", "readBy": 1}]}]
        assert await tell(page, wait=3_000) == [{"asked": ["a", "b"], "at": 4_000}]
        await tell(page, answer={"a": ["read", "read", "read"], "b": []})
        said = await tell(page, wait=6_000)
        assert [line["asked"] for line in said] == [["b"]], "what all have read stays so"
        said = await tell(page, answer={"b": ["read"]})
        assert said == [{"changed": [{"state": "Read", "readBy": 3}, {"state": "Read", "readBy": 1}]}]
        assert await tell(page, wait=10 * A_MINUTE_MS) == []


async def test_it_is_asked_for_more_and_more_seldom_and_sooner_when_there_is_something_new() -> None:
    async with program("page/receipts.js") as page:
        asked = times(await tell(page, watch=["a"], newest="a"))
        for pause_s in (3, 6, 12, 24, 48, 60, 60):
            await tell(page, answer=None)  # it fails, and is asked for again
            asked += times(await tell(page, wait=1_000 * pause_s))
        assert [after - before for before, after in pairwise(asked)] == [
            3_000,
            6_000,
            12_000,
            24_000,
            48_000,
            60_000,
            60_000,
        ]
        await tell(page, answer={"a": ["delivered"]})
        for number in range(10):  # somebody writes, and writes
            assert await tell(page, watch=["a"], newest=f"{number}") == []
        assert len(times(await tell(page, wait=3_000))) == 1


async def test_nothing_is_asked_while_nobody_looks_and_of_the_newest_ten_alone() -> None:
    async with program("page/receipts.js") as page:
        assert await tell(page, watch=[], newest="z") == []
        many = [str(number) for number in range(12)]
        said = await tell(page, watch=many, newest="z")
        assert [line["asked"] for line in said] == [many[2:]]
        await tell(page, answer={})
        assert await tell(page, watch=[], newest="") == []
        assert await tell(page, wait=10 * A_MINUTE_MS) == []

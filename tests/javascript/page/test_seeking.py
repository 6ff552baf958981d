"""A conversation of the chat page that is opened at one of its messages: how far it looks, and what it says of that."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.javascript.program import Program, program

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]


async def tell(thread: Program, **what: object) -> None:
    await thread.hear(json.dumps(what))


async def comes_to(thread: Program, state: str) -> Mapping[str, Any]:
    line = await thread.until(lambda line: line["sought"] is not None and line["sought"]["state"] == state)
    return line["sought"]  # type: ignore[no-any-return]


async def test_all_from_the_message_on_is_there_without_a_gap() -> None:
    async with program("page/seeking.js", "1000") as thread:
        await tell(thread, seek=930)
        found = await comes_to(thread, "found")
        assert (found["shown"], found["oldest"], found["pages"]) == (250, 750, 2)
        await tell(thread, seek=990)  # it is there: nothing is asked for
        assert (await comes_to(thread, "found"))["pages"] == 2
        await tell(thread, seek=0)
        found = await comes_to(thread, "found")
        assert (found["shown"], found["oldest"]) == (1000, 0)


async def test_it_looks_through_two_thousand_messages_and_then_asks() -> None:
    async with program("page/seeking.js", "5000") as thread:
        await tell(thread, seek=100)
        far = await comes_to(thread, "far")
        assert (far["shown"], far["count"], far["pages"]) == (2050, 2050, 11)
        shown = {line["sought"]["shown"] for line in thread.said if line["sought"]["state"] == "looking"}
        assert shown <= {0, 50, 2050}  # what is loaded is drawn once
        await tell(thread, on=True)
        assert (await comes_to(thread, "far"))["shown"] == 4050
        await tell(thread, on=True)
        assert (await comes_to(thread, "found"))["shown"] == 5000


@pytest.mark.parametrize("number", [0, 601, 700])
async def test_one_that_is_gone_is_not_looked_for_further_back_than_where_it_was(number: int) -> None:
    async with program("page/seeking.js", "1000") as thread:
        await tell(thread, gone=number)
        await tell(thread, seek=number)
        gone = await comes_to(thread, "gone")
        assert gone["oldest"] == max(1000 - 50 - (950 - number + 199) // 200 * 200, 0) + (number == 0)


async def test_a_page_that_does_not_come_is_said_and_asked_for_again() -> None:
    async with program("page/seeking.js", "1000") as thread:
        await tell(thread, seek=999)
        await comes_to(thread, "found")
        await tell(thread, fails=True)
        await tell(thread, seek=10)
        assert (await comes_to(thread, "failed"))["shown"] == 50
        await tell(thread, fails=False)
        await tell(thread, on=True)
        assert (await comes_to(thread, "found"))["shown"] == 1000


@pytest.mark.parametrize("happens", ["reload", "reset"])
async def test_a_conversation_that_begins_anew_meanwhile_is_looked_through_anew(happens: str) -> None:
    """Nothing is left of the list before, as a message that was taken away meanwhile."""
    async with program("page/seeking.js", "1000") as thread:
        await tell(thread, seek=999)
        await comes_to(thread, "found")
        await tell(thread, gone=998, next=happens)
        await tell(thread, seek=800)
        found = await comes_to(thread, "found")
        assert (found["shown"], found["oldest"]) == (249, 750)


async def test_a_reload_before_it_begins_is_waited_for() -> None:
    async with program("page/seeking.js", "1000") as thread:
        await tell(thread, seek=999)
        await comes_to(thread, "found")
        await thread.hear('{"seek": 10}\n{"reload": true}')
        found = await comes_to(thread, "found")
        assert (found["shown"], found["oldest"]) == (1000, 0)


async def test_who_stops_it_gets_what_was_loaded_and_no_more() -> None:
    async with program("page/seeking.js", "1000") as thread:
        await tell(thread, seek=999)
        await comes_to(thread, "found")
        await tell(thread, next="stop")
        await tell(thread, seek=10)
        await thread.until(lambda line: line["sought"] is None and line["shown"] == 250)
        await tell(thread, seek=800)
        assert (await comes_to(thread, "found"))["pages"] == 2  # no other one was asked for

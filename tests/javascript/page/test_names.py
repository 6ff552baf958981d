"""The names of the chat page: when they are asked for, and what is shown meanwhile."""

import json
from typing import Any, Final

import pytest

from tests.javascript.program import Program, program

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]

HOUR_MS: Final = 3_600_000


async def tell(names: Program, **what: object) -> None:
    await names.hear(json.dumps(what))


async def shown(names: Program, *users: str) -> list[str]:
    await tell(names, of=users)
    return (await names.until(lambda line: "value" in line))["value"]  # type: ignore[no-any-return]


async def asked(names: Program) -> list[str]:
    return (await names.until(lambda line: "asked" in line))["asked"]  # type: ignore[no-any-return]


async def answer(names: Program, **known: str) -> None:
    await tell(names, answer=[{"userId": user, "name": name} for user, name in known.items()])


async def changed(names: Program) -> None:
    await names.until(lambda line: "changed" in line)


def requests(names: Program) -> list[Any]:
    return [line["asked"] for line in names.said if "asked" in line]


async def test_what_is_shown_at_once_is_asked_for_at_once_fifty_at_a_time() -> None:
    users = [f"user-{number}" for number in range(120)]
    async with program("page/names.js") as names:
        assert await shown(names, *users, *users[:5]) == users + users[:5]  # ids until it is known better
        for first in (0, 50, 100):
            assert await asked(names) == users[first : first + 50]
            await answer(names, **{users[first]: f"Name {first}"})
            await changed(names)
        assert await shown(names, "user-0", "user-1", "user-100") == ["Name 0", "user-1", "Name 100"]
        assert await shown(names, "user-0") == ["Name 0"]
        assert len(requests(names)) == 3  # who has no name is not asked for again and again


async def test_names_are_asked_for_again_after_an_hour_and_shown_meanwhile() -> None:
    async with program("page/names.js") as names:
        await shown(names, "bob")
        await asked(names)
        await answer(names, bob="Bob")
        await changed(names)
        await tell(names, wait=HOUR_MS - 1)
        assert await shown(names, "bob") == ["Bob"]
        assert len(requests(names)) == 1
        await tell(names, wait=1)
        assert await shown(names, "bob") == ["Bob"]
        assert await asked(names) == ["bob"]
        await answer(names, bob="Robert")
        await changed(names)
        assert await shown(names, "bob") == ["Robert"]
        await tell(names, wait=HOUR_MS)
        await shown(names, "bob")
        assert await asked(names) == ["bob"]
        await answer(names)  # he has none any more
        await changed(names)
        assert await shown(names, "bob") == ["bob"]


async def test_who_may_have_changed_is_asked_for_also_while_an_answer_is_awaited() -> None:
    async with program("page/names.js") as names:
        await shown(names, "alice")
        assert await asked(names) == ["alice"]
        await tell(names, again="alice")  # what is answered now may be older than that
        await answer(names, alice="Alice")
        assert await asked(names) == ["alice"]
        await answer(names, alice="Alice Liddell")
        await changed(names)
        assert await shown(names, "alice") == ["Alice Liddell"]


async def test_a_server_that_does_not_answer_is_left_alone_for_a_while() -> None:
    async with program("page/names.js") as names:
        await shown(names, "bob")
        await asked(names)
        await tell(names, answer=None)
        assert await shown(names, "bob", "carol") == ["bob", "carol"]
        await tell(names, wait=29_000)
        assert await shown(names, "bob") == ["bob"]
        assert len(requests(names)) == 1
        await tell(names, wait=1_000)
        await shown(names, "bob")
        assert sorted(await asked(names)) == ["bob", "carol"]
        await tell(names, answer=None)
        await shown(names, "dave")
        await tell(names, goOn=True)  # the connection is back
        assert sorted(await asked(names)) == ["bob", "carol", "dave"]
        await answer(names, bob="Bob")
        await changed(names)
        await shown(names, "erin")  # and it is asked again at once
        assert await asked(names) == ["erin"]


async def test_nothing_is_drawn_again_for_names_that_are_as_they_were() -> None:
    async with program("page/names.js") as names:
        for user, name in [("bob", "Bob"), ("bob", "Bob"), ("carol", "Carol")]:
            await tell(names, again=user)
            assert await asked(names) == [user]
            await answer(names, **{user: name})
        await changed(names)  # behind the one for Bob
        assert await shown(names, "bob", "carol") == ["Bob", "Carol"]
        assert sum("changed" in line for line in names.said) == 2


async def test_of_five_thousand_names_the_one_asked_for_longest_ago_is_forgotten() -> None:
    users = [f"user-{number}" for number in range(5_000)]
    async with program("page/names.js") as names:
        await shown(names, *users)
        for first in range(0, len(users), 50):
            assert await asked(names) == users[first : first + 50]
            await answer(names)
        await shown(names, "one-more")
        assert await asked(names) == ["one-more"]
        await answer(names)
        await shown(names, "user-1")  # is still known
        await shown(names, "user-0")
        assert await asked(names) == ["user-0"]

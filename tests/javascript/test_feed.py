"""The JavaScript client follows as the Python client does: it tells the same stories, and whatever chance makes up."""

import json
import math
from random import Random
from typing import Any, Final

import pytest

from tests.client.feed import test_servers as servers
from tests.client.feed import test_two_lists as lists
from tests.client.feed.test_stories import TABLE, steps_of
from tests.client.feed.test_world import USUAL
from tests.client.feed.world import STEPS, World
from tests.javascript.program import Program, program

pytestmark = pytest.mark.integration

WORLDS: Final = 60
LONGEST: Final = 120


async def told(follower: Program, token: str | None, steps: list[Any]) -> list[Any]:
    """What the session in Node does about these steps."""
    await follower.hear(json.dumps({"token": token, "told": steps}))
    did: list[Any] = (await follower.until(lambda line: "did" in line))["did"]
    return did


async def test_it_tells_the_same_stories() -> None:
    async with program("feed.js") as follower:
        for story in TABLE["stories"]:
            steps = steps_of(story)
            asked = [[step["tell"], step["with"], [story["chance"]], step.get("can_call", [None])[0]] for step in steps]
            done = await told(follower, story["token"], asked)
            for step, (effects, due_ms, can_call) in zip(steps, done, strict=True):
                assert effects == step.get("does", []), (story["story"], step)
                assert due_ms == step.get("due", due_ms), (story["story"], step)
                assert can_call is step.get("can_call", [None, can_call])[1], (story["story"], step)


async def test_it_does_the_same_whatever_happens() -> None:
    async with program("feed.js") as follower:
        for seed in range(WORLDS):
            chance = Random(seed)
            world = World(seed)
            for step in chance.choices([*STEPS, *USUAL, *USUAL, *USUAL], k=chance.randint(20, LONGEST)):
                STEPS[step](world)
            events = world.events
            done = await told(follower, None, [event[:3] for event in events])
            for event, (effects, due_ms, _) in zip(events, done, strict=True):
                assert effects == event[3], (seed, event)
                assert (math.inf if due_ms is None else due_ms) == pytest.approx(event[4]), (seed, event)


async def test_it_trusts_the_same_servers() -> None:
    async with program("feed.js") as asked:
        for case in servers.TABLE["allows"]:
            await asked.hear(json.dumps({**case, "urls": case["yes"] + case["no"]}))
            assert await asked.until(bool) == {"allowed": case["yes"], "hasOthers": bool(case["trusted"])}
        for text in [*servers.TABLE["no_origins"], 443]:
            await asked.hear(json.dumps({"own": "https://chat.example.com", "trusted": [text], "urls": []}))
            assert await asked.until(bool) == {"failed": "TypeError"}, text


async def test_the_same_stands_in_for_the_feed() -> None:
    async with program("feed.js") as asked:
        for story in lists.TABLE["stories"]:
            told = []
            for fetch in story["fetches"]:
                answers = [
                    lists.problem_of(short) or lists.answer_of(name, short) for name, *_, short in fetch["calls"]
                ]
                told.append({**fetch, "answers": answers})
            await asked.hear(json.dumps({"fetches": told}))
            for fetch, did in zip(story["fetches"], (await asked.until(bool))["did"], strict=True):
                assert did["asked"] == [call[:3] for call in fetch["calls"]], story["story"]
                assert did.get("gives") == fetch.get("gives"), story["story"]
                assert did.get("fails") == fetch.get("fails"), story["story"]

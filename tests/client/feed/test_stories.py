"""What a client does, frame by frame: stories.json has it, for both languages. Here the Python client tells them."""

import json
import math
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from rowbox.client.following.session import FeedSession

TABLE: Final = json.loads(Path(__file__).with_name("stories.json").read_text())


def steps_of(story: dict[str, Any]) -> list[dict[str, Any]]:
    return [*TABLE["preludes"].get(story.get("begins"), []), *story["steps"]]


@pytest.mark.parametrize("story", TABLE["stories"], ids=lambda story: story["story"])
def test_a_story(story: dict[str, Any]) -> None:
    session = FeedSession(story["token"], lambda: story["chance"], client="test/1")
    for step in steps_of(story):
        result = getattr(session, step["tell"])(*step["with"])
        effects = result[1] if step["tell"] == "call" else result or []
        assert msgspec.to_builtins(effects) == step.get("does", []), step
        if "due" in step:
            assert session.due_ms == (math.inf if step["due"] is None else step["due"]), step
        if "can_call" in step:
            at_ms, can = step["can_call"]
            assert session.can_call(at_ms) is can, step


def test_each_story_has_its_name() -> None:
    names = [story["story"] for story in TABLE["stories"]]
    assert len(set(names)) == len(names)

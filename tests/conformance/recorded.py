"""The recorded transcripts: what every deployment answers, one file for each story (docs/testing.md)."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import aiohttp

from tests.conformance.caller import Caller
from tests.conformance.deployments import Deployment
from tests.conformance.stories import STORIES, Story
from tests.conformance.transcript import Json

FOLDER: Final = Path(__file__).with_name("transcripts")


def path_of(story: Story) -> Path:
    """Where the story's transcript is recorded."""
    return FOLDER / f"{story.__name__}.json"


def as_lines(entries: Iterable[Json]) -> list[str]:
    """A transcript as text, an entry a line."""
    return [json.dumps(entry, sort_keys=True, ensure_ascii=True) for entry in entries]


async def played(deployment: Deployment) -> dict[str, list[str]]:
    """What the deployment answers, by story."""
    found = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        for story in STORIES:
            caller = Caller(session, deployment.urls, deployment.secret, story.__name__)
            await story(caller)
            found[story.__name__] = as_lines(caller.transcript.entries)
    return found

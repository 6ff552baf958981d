"""A server over a feed that the test writes."""

from collections.abc import AsyncIterator

import pytest

from tests.http.api import Api, serving
from tests.http.sockets.feed_port import FeedPort


@pytest.fixture
def feed() -> FeedPort:
    return FeedPort()


@pytest.fixture
async def served(feed: FeedPort) -> AsyncIterator[Api]:
    async with serving(feed) as api:
        yield api

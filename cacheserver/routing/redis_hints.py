"""Hints by Redis (redis.asyncio), the only module that knows it: the newest map's version, published and heard.

Redis keeps nothing for us and is believed nothing. While it is away, versions are learnt a beat later at most. Nobody
waits for it but the two loops here, which connect again after pauses that grow to LONGEST_PAUSE_S. What is published is
the newest version alone, and what arrives is a number or is ignored: anybody may write into a channel.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.routing.hints import Tell
from rowbox.cacheserver.samples import Sample
from rowbox.mailbox.timing.rarely import Rarely

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 2.0
SILENCE_S: Final = 5.0
"""After that the connection is asked whether it lives, and after as long again without an answer it is dead."""
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 5.0
SAID_EVERY_S: Final = 60.0
_LONGEST: Final = 20
"""Digits of a version."""


class RedisHints:
    """The channel of one cluster, `name`, in the Redis at `url`. ValueError for a URL that redis does not take.

    `heard` is called with each version that somebody publishes, this process included.
    """

    def __init__(self, url: str, name: str, heard: Tell) -> None:
        options: dict[str, Any] = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
        self._client: Redis = Redis.from_url(url, retry=Retry(NoBackoff(), 0), **options)
        self._channel = f"rowbox:{name}:map"
        self._heard = heard
        self._newest = self._published = 0
        self._lines = Rarely(asyncio.get_running_loop().time, SAID_EVERY_S)
        self._pauses_s: dict[str, float] = {}
        self.is_listening = False
        self.failures = 0
        self.loops = (BackgroundLoop("redis-hear", self._hear), BackgroundLoop("redis-tell", self._publish))

    def start(self) -> None:
        """Connects, in the background."""
        for loop in self.loops:
            loop.start()

    async def close(self) -> None:
        """Ends both connections."""
        for loop in self.loops:
            await loop.close()
        await self._client.aclose()

    def tell(self, version: int) -> None:
        """Has the version published, if there is a Redis. See Tell."""
        self._newest = max(self._newest, version)
        self.loops[1].wake()

    def samples(self) -> Iterable[Sample]:
        """Whether there is a Redis, for the metrics."""
        text = "1 while this server hears hints of newer maps by Redis."
        yield "rowbox_redis_listening", "gauge", text, {}, self.is_listening
        text = "Times that Redis could not be reached, or did not answer."
        yield "rowbox_redis_failures_total", "counter", text, {}, self.failures

    async def _publish(self) -> float | None:
        """Publishes the newest version, if that is news; then waits for the next one."""
        version = self._newest
        if version <= self._published:
            return None

        async def publish() -> None:
            await self._client.publish(self._channel, str(version))

        pause_s = await self._tried("told", publish)
        if pause_s is None:
            self._published = version
            return 0.0
        return pause_s

    async def _hear(self) -> float | None:
        """Listens until the connection ends."""
        pubsub = self._client.pubsub()
        try:
            return await self._tried("heard", lambda: self._listen(pubsub))
        finally:
            self.is_listening = False
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _listen(self, pubsub: PubSub) -> None:
        await pubsub.subscribe(self._channel)
        is_asked = False
        while True:
            message = await pubsub.get_message(timeout=SILENCE_S)
            if message is not None:
                self._arrived(message)
                is_asked = False
            elif is_asked:
                raise TimeoutError("Redis is silent")
            else:
                await pubsub.ping()
                is_asked = True

    def _arrived(self, message: dict[str, Any]) -> None:
        self.is_listening = True  # the first that comes is the answer to the subscription
        self._pauses_s.pop("heard", None)
        data = message.get("data")
        if message.get("type") == "message" and isinstance(data, bytes) and len(data) <= _LONGEST and data.isdigit():
            self._heard(int(data))

    async def _tried(self, what: str, work: Callable[[], Awaitable[None]]) -> float | None:
        """Does it; None, or the pause in seconds after which to try again."""
        try:
            await work()
        except (RedisError, OSError, TimeoutError) as error:
            self.failures += 1
            if count := self._lines.count(what):
                text = "hints are not %s by Redis now, and maps are learnt by beats (%d times): %s"
                log.warning(text, what, count, str(error) or type(error).__name__)
            pause_s = self._pauses_s.get(what, FIRST_PAUSE_S)
            self._pauses_s[what] = min(LONGEST_PAUSE_S, 2 * pause_s)
            return pause_s
        self._pauses_s.pop(what, None)
        return None


async def why_silent(url: str) -> str:
    """Asks the Redis at `url` once, and says why it does not answer; "" where it does."""
    client: Redis = Redis.from_url(
        url, retry=Retry(NoBackoff(), 0), socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )
    try:
        await client.ping()
    except (OSError, RedisError) as error:
        return str(error) or type(error).__name__
    finally:
        await client.aclose()
    return ""

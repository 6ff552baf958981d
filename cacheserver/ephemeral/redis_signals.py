"""Signals by Redis (redis.asyncio), between all servers of a cluster: a channel of each conversation that is shown.

    rowbox:{cluster}:t:{conversationId}   the userId of who types. What arrives and is none is ignored: anybody may
                                          write into a channel.

A subscription of redis.asyncio does not come back by itself, and may be silent without an error. So each process
publishes to a channel of its own each TEST_S, and what does not hear that within TEST_S is begun anew, with all its
channels. Two connections: one hears, one tells. While Redis is away nobody types, and nothing else is worse.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from secrets import token_hex
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.ephemeral.signals import Heard, Hearers
from rowbox.mailbox.ids import is_user_id
from rowbox.mailbox.timing.rarely import Rarely

log = logging.getLogger(__name__)

CALL_S: Final = 0.2
TEST_S: Final = 5.0
AGAIN_S: Final = 5.0
"""After a failure, whoever wants to hear or to be heard meanwhile."""
LOOK_S: Final = 0.25
"""How late it is heard of a conversation that somebody begins to show."""
MOST_WAITING: Final = 1_000
"""Signals that are to be told. Of more, the oldest are dropped."""
AT_ONCE: Final = 100
SAID_EVERY_S: Final = 60.0


class RedisSignals:
    """The Signals of the cluster `name`, in the Redis at `url`. ValueError for a URL that redis does not take."""

    def __init__(self, url: str, name: str) -> None:
        options: dict[str, Any] = {"socket_timeout": CALL_S, "socket_connect_timeout": CALL_S}
        self._client: Redis = Redis.from_url(url, retry=Retry(NoBackoff(), 0), **options)
        self._prefix = f"rowbox:{name}:t:"
        self._own = f"{self._prefix}!{token_hex(8)}"
        self._hearers = Hearers()
        self._waiting: deque[tuple[str, str]] = deque(maxlen=MOST_WAITING)
        self._now_s = asyncio.get_running_loop().time
        self._lines = Rarely(self._now_s, SAID_EVERY_S)
        self._is_closing = False
        self._tested_s = 0.0
        """When the test was heard last that this process published."""
        self.loops = (BackgroundLoop("typing-hear", self._hear), BackgroundLoop("typing-tell", self._tell))

    def start(self) -> None:
        """See Signals."""
        for loop in self.loops:
            loop.start()

    async def close(self) -> None:
        """See Signals."""
        self._is_closing = True  # a round of hearing has no end of its own
        for loop in self.loops:
            await loop.close()
        with suppress(RedisError, OSError):
            await self._client.aclose()

    def say(self, conversation_id: str, user_id: str) -> None:
        """See Signals."""
        self._waiting.append((conversation_id, user_id))
        self.loops[1].wake()

    def hear(self, conversation_id: str, heard: Heard) -> None:
        """See Signals."""
        self._hearers.add(conversation_id, heard)
        self.loops[0].wake()

    def unhear(self, conversation_id: str, heard: Heard) -> None:
        """See Signals."""
        self._hearers.remove(conversation_id, heard)

    # ------------------------------------------------------------------ telling

    async def _tell(self) -> float | None:
        if not self._waiting:
            return None
        some = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]

        async def publish() -> None:
            async with self._client.pipeline(transaction=False) as pipeline:
                for conversation_id, user_id in some:
                    pipeline.publish(self._prefix + conversation_id, user_id)
                async with asyncio.timeout(CALL_S):
                    await pipeline.execute()

        if not await self._tried("told", publish):
            await asyncio.sleep(AGAIN_S)
            self._waiting.clear()  # nobody wants to know now who typed five seconds ago
        return 0.0

    # ------------------------------------------------------------------ hearing

    async def _hear(self) -> float | None:
        """Hears until nobody wants to, or the connection ends."""
        if not self._hearers.conversations:
            return None
        pubsub = self._client.pubsub()
        try:
            went_well = await self._tried("heard", lambda: self._listen(pubsub))
        finally:
            with suppress(RedisError, OSError):
                await pubsub.aclose()  # type: ignore[no-untyped-call]
        if not went_well:
            await asyncio.sleep(AGAIN_S)
        return 0.0

    async def _listen(self, pubsub: PubSub) -> None:
        await pubsub.subscribe(self._own)
        known: set[str] = set()
        changes = -1
        self._tested_s = tried_s = self._now_s()
        while self._hearers.conversations and not self._is_closing:
            if changes != self._hearers.changes:
                changes, wanted = self._hearers.changes, set(self._hearers.conversations)
                if new := wanted - known:
                    await pubsub.subscribe(*(self._prefix + one for one in new))
                if old := known - wanted:
                    await pubsub.unsubscribe(*(self._prefix + one for one in old))
                known = wanted
            now_s = self._now_s()
            if now_s - self._tested_s > 2 * TEST_S:
                raise TimeoutError("what was published was not heard")
            if now_s - tried_s >= TEST_S:
                tried_s = now_s
                async with asyncio.timeout(CALL_S):
                    await self._client.publish(self._own, "")
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=LOOK_S)
            if message is not None:
                self._arrived(message)

    def _arrived(self, message: Mapping[str, Any]) -> None:
        channel, data = message["channel"].decode(), message["data"]
        if channel == self._own:
            self._tested_s = self._now_s()
        elif isinstance(data, bytes) and data.isascii() and is_user_id(user_id := data.decode()):
            self._hearers.tell(channel.removeprefix(self._prefix), user_id)

    async def _tried(self, what: str, work: Callable[[], Awaitable[None]]) -> bool:
        """Does it; whether that went well."""
        try:
            await work()
        except (RedisError, OSError, TimeoutError) as error:
            if count := self._lines.count(what):
                text = "who types is not %s by Redis now (%d times): %s"
                log.warning(text, what, count, str(error) or type(error).__name__)
            return False
        return True

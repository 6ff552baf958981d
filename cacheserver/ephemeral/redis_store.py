"""Presence in Redis (redis.asyncio), shared by all servers of a cluster. It keeps nothing that lasts.

One key a user, and nothing else:

    rowbox:{cluster}:p:{userId}   "e", for KEPT_MS from the user's last moment of activity. What is left of that says
                                  how long ago it was: so only the clock of Redis counts.
                                  "n", for HIDDEN_MS: the user hides, and who does not know it yet writes nothing.

Each call is one script over all its keys, because what it reads of a key decides what it writes; and because the
commands of a pipeline cost the loop of a server several times what a script with as many keys does (ADR 76).

A call that fails, or takes longer than CALL_S, closes all connections, and for AGAIN_S nobody is made to wait again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from rowbox.cacheserver.ephemeral.redis_signals import RedisSignals
from rowbox.cacheserver.ephemeral.store import HIDDEN_MS, EphemeralAway, up_samples
from rowbox.cacheserver.samples import Sample
from rowbox.mailbox.people.presence import KEPT_MS
from rowbox.mailbox.timing.rarely import Rarely

log = logging.getLogger(__name__)

CALL_S: Final = 0.2
AGAIN_S: Final = 5.0
SAID_EVERY_S: Final = 60.0
AT_ONCE: Final = 4
"""Calls under way."""

_BEAT: Final = """
local hidden = {}
for at, key in ipairs(KEYS) do
  local life = tonumber(ARGV[at])
  if redis.call('GET', key) == 'n' then
    hidden[#hidden + 1] = at
  elseif redis.call('PTTL', key) < life then
    redis.call('SET', key, 'e', 'PX', life)
  end
end
return hidden
"""
_AGES: Final = """
local lives = {}
for at, key in ipairs(KEYS) do
  lives[at] = redis.call('GET', key) == 'e' and redis.call('PTTL', key) or -2
end
return lives
"""
_UNLESS_IT_SAYS: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
"""


class RedisEphemeral:
    """The EphemeralStore of the cluster `name`, in the Redis at `url`. ValueError for a URL that it does not take."""

    def __init__(self, url: str, name: str) -> None:
        options: dict[str, Any] = {"socket_timeout": CALL_S, "socket_connect_timeout": CALL_S}
        self._client: Redis = Redis.from_url(url, retry=Retry(NoBackoff(), 0), **options)
        self.signals = RedisSignals(url, name)
        self._prefix = f"rowbox:{name}:p:"
        self._beat = self._client.register_script(_BEAT)
        self._ages = self._client.register_script(_AGES)
        self._unless = self._client.register_script(_UNLESS_IT_SAYS)
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._lines = Rarely(self._loop.time, SAID_EVERY_S)
        self._again_s = 0.0
        self.is_up = False
        self.failures = 0

    async def beat(self, ages_ms: Mapping[str, int]) -> Sequence[str]:
        """See EphemeralStore."""
        lives_ms = {user_id: KEPT_MS - age_ms for user_id, age_ms in ages_ms.items() if age_ms < KEPT_MS}
        if not lives_ms:
            return ()
        users = list(lives_ms)
        keys, args = self._keys(users), list(lives_ms.values())
        hidden: list[int] = await self._called(lambda: self._beat(keys=keys, args=args))
        return [users[at - 1] for at in hidden]

    async def ages(self, users: Sequence[str]) -> Sequence[int | None]:
        """See EphemeralStore."""
        lives_ms: list[int] = await self._called(lambda: self._ages(keys=self._keys(users)))
        return [KEPT_MS - life_ms if life_ms >= 0 else None for life_ms in lives_ms]

    async def hide(self, user_id: str) -> None:
        """See EphemeralStore."""
        await self._called(lambda: self._client.set(self._prefix + user_id, "n", px=HIDDEN_MS))

    async def show(self, user_id: str) -> None:
        """See EphemeralStore."""
        await self._called(lambda: self._unless(keys=self._keys([user_id]), args=["n"]))

    async def forget(self, user_id: str) -> None:
        """See EphemeralStore."""
        await self._called(lambda: self._unless(keys=self._keys([user_id]), args=["e"]))

    async def close(self) -> None:
        """See EphemeralStore."""
        await self._client.aclose()

    def samples(self) -> Iterable[Sample]:
        """See EphemeralStore."""
        return up_samples(is_up=self.is_up, failures=self.failures)

    def _keys(self, users: Sequence[str]) -> list[str]:
        return [self._prefix + user_id for user_id in users]

    async def _called(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """What Redis answers. It is not asked while there is no use in it."""
        try:
            async with self._room:
                self._check()
                async with asyncio.timeout(CALL_S):
                    answer = await call()
        except (RedisError, OSError, TimeoutError) as error:
            await self._failed(error)
            raise EphemeralAway(str(error) or type(error).__name__, AGAIN_S) from error
        self.is_up = True
        return answer

    def _check(self) -> None:
        left_s = self._again_s - self._loop.time()
        if left_s > 0:
            raise EphemeralAway("Redis did not answer a moment ago", left_s)

    async def _failed(self, error: Exception) -> None:
        self.is_up = False
        self.failures += 1
        self._again_s = self._loop.time() + AGAIN_S
        if count := self._lines.count("presence"):
            text = "presence is not shown now, because Redis does not answer (%d times): %s"
            log.warning(text, count, str(error) or type(error).__name__)
        with suppress(RedisError, OSError, TimeoutError):
            await self._client.connection_pool.disconnect()

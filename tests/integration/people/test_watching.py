"""Who watches a fleet without Redis judges it until all is right again, not what a busy machine does behind that."""

import asyncio
from collections.abc import Mapping
from random import Random
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from rowbox.api.v1.presence.types import PresenceShown
from tests.integration.cluster.support import steady
from tests.integration.cluster.support.fleet import Fleet
from tests.integration.cluster.support.redis_server import RedisServer
from tests.integration.people import watching
from tests.integration.people.watching import Watching

_MORE_S: Final = 30
_QUICK_S: Final = 0.001


class Scripted:
    """A fleet, each of its users, and its Redis: what anybody is shown is whether that is there."""

    def __init__(self) -> None:
        self.is_known = True

    def client(self, user_id: str) -> SimpleNamespace:
        return SimpleNamespace(
            user_id=user_id,
            heartbeat=self._done,
            presence=self._presence,
            send=self._done,
            messages=self._done,
        )

    async def kill(self) -> None:
        self.is_known = False

    async def start(self) -> None:
        self.is_known = True

    async def _done(self, *_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(last_updated_timestamp=None)

    async def _presence(self, active: str, never: str) -> Mapping[str, PresenceShown | None]:
        if not self.is_known:
            return {active: None, never: None}
        return {active: _shown(online=True), never: _shown(online=False)}


def _shown(*, online: bool) -> PresenceShown:
    return PresenceShown(online=online, last_seen=None)


async def _at_once(_: Any) -> None:
    """Redis answers."""


async def test_what_is_not_known_once_all_was_right_is_no_breach(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((watching, "_LOOK_S"), (watching, "_BEAT_S"), (watching, "_STAYS_S"), (steady, "_PACE_S")):
        monkeypatch.setattr(module, name, _QUICK_S)
    monkeypatch.setattr(watching, "_answers", _at_once)
    fleet = Scripted()
    watched = Watching(cast(Fleet, fleet), "watch", Random(7))
    running = asyncio.create_task(watched.run())
    async with asyncio.timeout(2 * _MORE_S):
        await watched.without_redis(cast(RedisServer, fleet))
        fleet.is_known = False
        _, goes_on = await asyncio.wait({running}, timeout=_MORE_S)
    running.cancel()
    assert not goes_on
    assert watched.breaches() == []

"""Whom one socket watches: a Watcher, which asks whom it may see, and tells the client of them."""

import logging
from collections.abc import Mapping

from rowbox.api.realtime.frames import Presence
from rowbox.api.realtime.people.carrier import Carrier
from rowbox.api.v1.presence.types import PresenceShown, shown
from rowbox.cacheserver.ephemeral.port import PresencePort
from rowbox.cacheserver.port import AskPresence
from rowbox.mailbox.people.presence import Seen

_log = logging.getLogger(__name__)


class Watching:
    """The watch of one socket. `close` ends it."""

    __slots__ = ("_carrier", "_names", "_presence", "_wanted")

    def __init__(self, carrier: Carrier, presence: PresencePort) -> None:
        self._carrier = carrier
        self._presence = presence
        self._names: Mapping[str, tuple[str, ...]] = {}
        """By userId, what the client calls the user, where that is not only his userId."""
        self._wanted: tuple[str, ...] | None = None
        """Whom the client wants to watch, while that is being asked of others."""

    def watch(self, users: Mapping[str, str]) -> None:
        """The client wants to watch these users from now on, and no others: by what it calls them, their userIds."""
        names: dict[str, tuple[str, ...]] = {}
        for name, user_id in users.items():
            names[user_id] = (*names.get(user_id, ()), name)
        self._names = {user_id: called for user_id, called in names.items() if called != (user_id,)}
        self.look_again(tuple(names))

    def look_again(self, users: tuple[str, ...]) -> None:
        """See Watcher. One question is under way at a time, and behind it is the newest."""
        is_asking, self._wanted = self._wanted is not None, users
        if not is_asking:
            self._carrier.begin(self._ask())

    async def _ask(self) -> None:
        asked = None
        try:
            while asked is not self._wanted and self._carrier.is_open:
                asked, claims = self._wanted, self._carrier.claims
                assert asked is not None
                await self._presence.watch(self, AskPresence(claims.user_id, asked, claims.bearer))
        except Exception:  # noqa: BLE001 - what nobody expected ends nothing, and is logged
            _log.exception("a watch of a socket failed")
        finally:
            self._wanted = None

    def told(self, seen: Mapping[str, Seen | None]) -> bool:
        """See Watcher."""
        users: dict[str, PresenceShown | None] = {}
        for user_id, one in seen.items():
            for name in self._names.get(user_id, (user_id,)):
                users[name] = shown(one)
        return self._carrier.say(Presence(users=users))

    def close(self) -> None:
        """The socket has ended."""
        self._presence.unwatch(self)

"""Presence, as the API of one process has it: who is active goes out, and who watches is told (PresencePort)."""

from collections.abc import Iterable

from rowbox.cacheserver.background import background_samples
from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.ephemeral.beats import Beats
from rowbox.cacheserver.ephemeral.port import AskView, PresencesShown, Viewer, Watcher
from rowbox.cacheserver.ephemeral.store import EphemeralAway, EphemeralStore
from rowbox.cacheserver.ephemeral.views import Views
from rowbox.cacheserver.ephemeral.watches import Watches
from rowbox.cacheserver.port import AskPresence, MailboxPort, Quota
from rowbox.cacheserver.samples import Sample
from rowbox.mailbox.people.presence import Seen, seen_of
from rowbox.mailbox.revocation import Bearer


class Presence:
    """The presence of one process's clients. `start` before the first call; `close` after the last closes the store."""

    def __init__(self, port: MailboxPort, store: EphemeralStore, now_us: NowUs) -> None:
        self._port = port
        self._store = store
        self._now_us = now_us
        self.beats = Beats(port, store)
        self.watches = Watches(port, store, now_us)
        self.views = Views(port, store.signals)

    async def start(self) -> None:
        """Begins the rounds."""
        self.beats.loop.start()
        self.watches.loop.start()
        self.views.loop.start()
        self._store.signals.start()

    async def close(self) -> None:
        """Ends the rounds. What was not written is not written any more. A second call does nothing."""
        await self.beats.loop.close()
        await self.watches.loop.close()
        await self.views.loop.close()
        await self._store.signals.close()
        await self._store.close()

    def active(self, user_id: str) -> None:
        """See PresencePort."""
        self.beats.active(user_id)

    def silence(self, user_id: str) -> None:
        """See PresencePort."""
        self.beats.silence(user_id)

    def begin(self, user_id: str) -> None:
        """See PresencePort."""
        self.beats.begin(user_id)

    def end(self, user_id: str) -> None:
        """See PresencePort."""
        self.beats.end(user_id)

    async def heartbeat(self, user_id: str, bearer: Bearer | None) -> Quota | None:
        """See PresencePort."""
        terms = await self._port.presence_terms(AskPresence(user_id, (), bearer, active_ms=0))
        self.beats.judged(user_id, terms)
        self.beats.active(user_id)
        return terms.quota

    async def fetch(self, request: AskPresence) -> PresencesShown:
        """See PresencePort."""
        terms = await self._port.presence_terms(request)
        seen: list[Seen | None] = [None] * len(request.users)
        places = [place for place, sees in enumerate(terms.sees) if sees]
        try:
            ages_ms = await self._store.ages([request.users[place] for place in places])
        except EphemeralAway:
            return PresencesShown(seen, terms.quota)
        now_us = self._now_us()
        for place, age_ms in zip(places, ages_ms, strict=True):
            if age_ms is not None:
                seen[place] = seen_of(age_ms, now_us)
        return PresencesShown(seen, terms.quota)

    async def watch(self, watcher: Watcher, request: AskPresence) -> None:
        """See PresencePort."""
        await self.watches.watch(watcher, request)

    def unwatch(self, watcher: Watcher) -> None:
        """See PresencePort."""
        self.watches.unwatch(watcher)

    def choose(self, user_id: str, *, hides: bool) -> None:
        """See PresencePort."""
        self.beats.choose(user_id, hides=hides)
        self.views.choose(user_id)

    def part(self, one: str, other: str) -> None:
        """See PresencePort."""
        self.watches.part(one, other)
        self.views.part(one, other)

    def leave(self, user_id: str) -> None:
        """See PresencePort."""
        self.beats.leave(user_id)

    async def view(self, viewer: Viewer, request: AskView) -> None:
        """See PresencePort."""
        await self.views.view(viewer, request)

    def unview(self, viewer: Viewer) -> None:
        """See PresencePort."""
        self.views.unview(viewer)

    def type(self, viewer: Viewer) -> None:
        """See PresencePort."""
        self.views.type(viewer)

    def doubt(self, viewer: Viewer) -> None:
        """See PresencePort."""
        self.views.doubt(viewer)

    def samples(self) -> Iterable[Sample]:
        """The metrics of all of it."""
        yield from self._store.samples()
        yield from self.beats.samples()
        yield from self.watches.samples()
        yield from self.views.samples()
        yield from background_samples((self.beats.loop, self.watches.loop, self.views.loop))


class NoPresence:
    """Of a server that keeps none, because it shares its users with others and has no Redis: nobody is ever shown."""

    def __init__(self, port: MailboxPort) -> None:
        self._port = port

    async def start(self) -> None:
        """Nothing is to begin."""

    async def close(self) -> None:
        """Nothing is to end."""

    def active(self, user_id: str) -> None:
        """See PresencePort."""

    def silence(self, user_id: str) -> None:
        """See PresencePort."""

    def begin(self, user_id: str) -> None:
        """See PresencePort."""

    def end(self, user_id: str) -> None:
        """See PresencePort."""

    async def heartbeat(self, user_id: str, bearer: Bearer | None) -> Quota | None:
        """See PresencePort."""
        return (await self._port.presence_terms(AskPresence(user_id, (), bearer, active_ms=0))).quota

    async def fetch(self, request: AskPresence) -> PresencesShown:
        """See PresencePort."""
        terms = await self._port.presence_terms(request)
        return PresencesShown([None] * len(request.users), terms.quota)

    async def watch(self, watcher: Watcher, request: AskPresence) -> None:
        """See PresencePort."""
        if request.users:
            watcher.told(dict.fromkeys(request.users))

    def unwatch(self, watcher: Watcher) -> None:
        """See PresencePort."""

    def choose(self, user_id: str, *, hides: bool) -> None:
        """See PresencePort."""

    def part(self, one: str, other: str) -> None:
        """See PresencePort."""

    def leave(self, user_id: str) -> None:
        """See PresencePort."""

    async def view(self, viewer: Viewer, request: AskView) -> None:
        """See PresencePort."""

    def unview(self, viewer: Viewer) -> None:
        """See PresencePort."""

    def type(self, viewer: Viewer) -> None:
        """See PresencePort."""

    def doubt(self, viewer: Viewer) -> None:
        """See PresencePort."""

    def samples(self) -> Iterable[Sample]:
        """Nothing is counted."""
        return ()

"""Beats and watches in virtual time, over a port that says whatever a test wants of who hides and who sees whom."""

from asyncio import gather, sleep
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rowbox.cacheserver.ephemeral.beats import BELIEVED_S, Beats
from rowbox.cacheserver.ephemeral.memory import MemoryEphemeral
from rowbox.cacheserver.ephemeral.presence import NoPresence, Presence
from rowbox.cacheserver.ephemeral.store import EphemeralAway
from rowbox.cacheserver.ephemeral.watches import RIGHTS_S, Watches
from rowbox.cacheserver.port import AskPresence, PresenceTerms
from rowbox.mailbox.errors import HandoverInProgress, RateLimited, RowboxError
from rowbox.mailbox.people.presence import Seen
from tests.http.scripted_port import ScriptedPort
from tests.support.virtual_time import WallClock, settle, virtual_time

ONLINE = Seen(online=True)


class Port(ScriptedPort):
    """Sees everybody but those in `unseen`."""

    def __init__(self) -> None:
        super().__init__()
        self.unseen: dict[str, bool | None] = {}
        self.pushed: set[str] = set()

    async def presence_terms(self, request: AskPresence) -> PresenceTerms:
        self.calls.append(request)
        if self.error is not None:
            raise self.error
        hides = request.user_id in self.hidden
        sees = tuple(not hides and self.unseen.get(one, True) for one in request.users)
        return PresenceTerms(hides, sees, is_pushed=request.user_id in self.pushed)

    def asked(self, *, of_watchers: bool) -> int:
        return sum(bool(call.users) is of_watchers for call in self.calls)


class Store(MemoryEphemeral):
    """Counts, and is away while a test wants it to be."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.again_s = 5.0
        self.written: list[dict[str, int]] = []
        self.read: list[Sequence[str]] = []

    async def beat(self, ages_ms: Mapping[str, int]) -> Sequence[str]:
        self._check()
        self.written.append(dict(ages_ms))
        return await super().beat(ages_ms)

    async def ages(self, users: Sequence[str]) -> Sequence[int | None]:
        self._check()
        self.read.append(users)
        return await super().ages(users)

    async def hide(self, user_id: str) -> None:
        self._check()
        await super().hide(user_id)

    def flush(self) -> None:
        self._active_s.clear()
        self._hidden_s.clear()

    def _check(self) -> None:
        if self.is_away:
            raise EphemeralAway("away", self.again_s)


class Screen:
    """A connection that is told."""

    def __init__(self, presence: Presence, user_id: str = "ann") -> None:
        self.presence = presence
        self.user_id = user_id
        self.shows: dict[str, Seen | None] = {}
        self.frames: list[dict[str, Seen | None]] = []
        self.is_full = False
        self.again = 0

    def told(self, seen: Mapping[str, Seen | None]) -> bool:
        if self.is_full:
            return False
        self.frames.append(dict(seen))
        self.shows |= seen
        return True

    def look_again(self, users: tuple[str, ...]) -> None:
        self.again += 1
        self.wanted = users

    async def watch(self, *users: str) -> None:
        await self.presence.watch(self, AskPresence(self.user_id, users))


class World:
    def __init__(self) -> None:
        self.port, self.store, self.clock = Port(), Store(), WallClock()
        self.presence = Presence(self.port, self.store, self.clock.now_us)

    async def goes_on(self, user_id: str, seconds: int) -> None:
        """The user says that he is active every 5 s, as a page does."""
        for _ in range(seconds // 5):
            self.presence.active(user_id)
            await sleep(5)

    async def age_ms(self, user_id: str) -> int | None:
        (age_ms,) = await MemoryEphemeral.ages(self.store, [user_id])
        return age_ms


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    made = World()
    await made.presence.start()
    await settle()
    yield made
    await made.presence.close()


async def online(made: World, user_id: str) -> bool | None:
    (seen,) = (await made.presence.fetch(AskPresence("ann", (user_id,)))).seen
    return None if seen is None else seen.online


@virtual_time
async def test_29_seconds_after_the_last_beat_online_and_31_not() -> None:
    async with world() as made:
        made.presence.active("bob")
        await sleep(29)
        assert await online(made, "bob") is True
        await sleep(2)
        assert await online(made, "bob") is False
        (seen,) = (await made.presence.fetch(AskPresence("ann", ("bob",)))).seen
        assert seen == Seen(online=False, last_seen_us=made.clock.now_us() - 31_000_000)


@virtual_time
async def test_a_user_is_written_once_in_ten_seconds_at_most_however_often_he_says_it() -> None:
    async with world() as made:
        for _ in range(600):
            made.presence.active("bob")
            await sleep(0.1)
        assert 5 <= len(made.store.written) <= 7
        assert made.port.asked(of_watchers=False) == 1


@virtual_time
async def test_what_is_written_late_says_when_it_was() -> None:
    async with world() as made:
        await made.goes_on("bob", 5)
        made.presence.active("bob")  # just after a round, and 10 s before the next that writes him
        await sleep(20)
        assert await made.age_ms("bob") == pytest.approx(20_000, abs=10)


@virtual_time
async def test_what_is_open_makes_active_until_the_last_of_it_ends() -> None:
    async with world() as made:
        made.presence.begin("bob")
        made.presence.begin("bob")
        await sleep(100)
        made.presence.end("bob")
        await sleep(100)
        assert await online(made, "bob")
        made.presence.end("bob")
        await sleep(31)
        assert await online(made, "bob") is False
        await sleep(100)
        assert await made.age_ms("bob") == pytest.approx(131_000, abs=10)


@virtual_time
async def test_of_who_hides_nothing_is_written_and_the_owner_is_asked_seldom() -> None:
    async with world() as made:
        made.port.hidden.add("bob")
        await made.goes_on("bob", 300)
        assert made.store.written == []
        assert made.port.asked(of_watchers=False) == 1
        await sleep(6)
        assert made.presence.beats._active_s == {}
        await made.goes_on("bob", round(BELIEVED_S))
        assert made.port.asked(of_watchers=False) == 2


@virtual_time
async def test_who_hides_here_is_forgotten_at_once_and_shown_again_at_once() -> None:
    async with world() as made:
        await made.goes_on("bob", 20)
        made.port.hidden.add("bob")
        made.presence.choose("bob", hides=True)
        await settle()
        assert await made.age_ms("bob") is None
        await made.goes_on("bob", 60)
        assert await made.age_ms("bob") is None
        made.port.hidden.clear()
        made.presence.active("bob")
        made.presence.choose("bob", hides=False)
        await settle()
        assert await made.age_ms("bob") is not None


@virtual_time
async def test_who_hides_at_another_server_is_not_written_by_this_one() -> None:
    """This one believes for ten minutes that he is shown; the store knows better."""
    async with world() as made:
        await made.goes_on("bob", 20)
        made.port.hidden.add("bob")
        await made.store.hide("bob")
        await made.goes_on("bob", 60)
        assert await made.age_ms("bob") is None
        written = len(made.store.written)
        await made.goes_on("bob", 60)
        assert len(made.store.written) == written  # it has asked the owner
        made.port.hidden.clear()


@virtual_time
async def test_a_store_that_says_hidden_of_one_who_does_not_is_set_right() -> None:
    async with world() as made:
        await made.goes_on("bob", 20)
        await made.store.hide("bob")
        await made.goes_on("bob", 30)
        assert await made.age_ms("bob") is not None


@virtual_time
async def test_who_left_everywhere_is_forgotten() -> None:
    async with world() as made:
        await made.goes_on("bob", 20)
        made.presence.active("bob")
        made.presence.leave("bob")
        await sleep(60)
        assert await made.age_ms("bob") is None


@virtual_time
async def test_what_was_open_when_somebody_left_everywhere_makes_him_active_no_more() -> None:
    async with world() as made:
        made.presence.begin("bob")
        await sleep(11)
        made.presence.leave("bob")
        await sleep(11)
        assert await made.age_ms("bob") is None
        made.presence.end("bob")  # a poll that was held is answered that its token is revoked
        await sleep(11)
        assert await made.age_ms("bob") is None
        made.presence.begin("bob")
        made.presence.leave("bob")
        made.presence.begin("bob")  # he has come back meanwhile
        made.presence.end("bob")
        await sleep(11)
        assert await made.age_ms("bob") is not None
        made.presence.end("bob")
        assert not made.presence.beats._open
        assert not made.presence.beats._left


@virtual_time
async def test_what_is_silenced_before_it_is_written_is_not_written() -> None:
    async with world() as made:
        made.presence.active("bob")
        made.presence.silence("bob")
        await sleep(60)
        assert made.store.written == []


@virtual_time
async def test_a_choice_that_the_store_did_not_hear_is_told_when_it_is_back() -> None:
    async with world() as made:
        await made.goes_on("bob", 20)
        made.store.is_away = True
        made.presence.choose("bob", hides=True)
        await sleep(60)
        assert await made.age_ms("bob") is not None
        made.store.is_away = False
        await sleep(11)
        assert await made.age_ms("bob") is None


@pytest.mark.parametrize("error", [HandoverInProgress("later"), RateLimited("later", retry_after_ms=1)])
@virtual_time
async def test_nothing_is_written_of_one_of_whom_nobody_says_whether_he_hides(error: RowboxError) -> None:
    async with world() as made:
        made.port.error = error
        await made.goes_on("bob", 30)
        assert made.store.written == []
        made.port.error = None
        await made.goes_on("bob", 10)
        assert await made.age_ms("bob") is not None


@virtual_time
async def test_users_whose_owner_does_not_answer_hold_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowbox.cacheserver.ephemeral.beats.ASKED_AT_ONCE", 4)
    async with world() as made:
        terms = made.port.presence_terms

        async def of_owners(request: AskPresence) -> PresenceTerms:
            if request.user_id.startswith("away"):
                await sleep(60)
            return await terms(request)

        made.port.presence_terms = of_owners  # type: ignore[method-assign]
        for _ in range(20):
            for number in range(20):
                made.presence.active(f"away-{number}")
            await made.goes_on("bob", 10)
        assert await made.age_ms("bob") is not None
        assert {user_id for written in made.store.written for user_id in written} == {"bob"}


@virtual_time
async def test_active_users_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowbox.cacheserver.ephemeral.beats.MOST_ACTIVE", 10)
    async with world() as made:
        for number in range(20):
            made.presence.active(f"user-{number}")
        assert made.presence.beats.left_out == 10
        await sleep(6)
        assert [len(written) for written in made.store.written] == [10]


# ---------------------------------------------------------------------- watching


@virtual_time
async def test_a_watcher_is_told_what_is_so_and_then_what_changes() -> None:
    async with world() as made:
        await made.goes_on("bob", 10)
        screen = Screen(made.presence)
        await screen.watch("bob", "cid")
        assert screen.frames == [{"bob": ONLINE, "cid": None}]
        await made.goes_on("bob", 100)
        assert len(screen.frames) == 1
        await sleep(36)
        assert len(screen.frames) == 2
        seen = screen.shows["bob"]
        assert seen is not None
        assert not seen.online
        await sleep(3_600)
        assert len(screen.frames) == 2
        made.presence.active("bob")
        await sleep(11)
        assert screen.frames[2:] == [{"bob": ONLINE}]


@virtual_time
async def test_all_watched_users_are_read_together_each_once() -> None:
    async with world() as made:
        screens = [Screen(made.presence) for _ in range(20)]
        for screen in screens:
            await screen.watch("bob", "cid")
        made.store.read.clear()
        await sleep(100)
        read = [users for users in made.store.read if users]
        assert 18 <= len(read) <= 21
        assert {tuple(sorted(users)) for users in read} == {("bob", "cid")}


@virtual_time
async def test_who_may_not_see_is_told_what_is_told_of_one_who_is_unknown() -> None:
    async with world() as made:
        await made.goes_on("bob", 10)
        made.port.unseen = {"bob": False}
        screen = Screen(made.presence)
        await screen.watch("bob", "nobody")
        await made.goes_on("bob", 100)
        assert screen.frames == [{"bob": None, "nobody": None}]


@virtual_time
async def test_rights_are_asked_for_again_and_what_was_shown_goes() -> None:
    async with world() as made:
        screen = Screen(made.presence)
        made.presence.begin("bob")
        await sleep(5)
        await screen.watch("bob")
        await sleep(RIGHTS_S + 5)
        assert screen.again == 1
        made.port.unseen = {"bob": False}
        await screen.watch(*screen.wanted)
        assert screen.shows == {"bob": None}
        await sleep(60)
        assert screen.shows == {"bob": None}
        assert not made.presence.watches._by_user
        made.presence.end("bob")


@virtual_time
async def test_two_of_whom_one_blocks_the_other_are_shown_to_each_other_no_more() -> None:
    async with world() as made:
        screens = {one: Screen(made.presence, one) for one in ("ann", "bob", "cid")}
        for user_id in screens:
            made.presence.begin(user_id)
        await sleep(5)
        for user_id, screen in screens.items():
            await screen.watch(*(screens.keys() - {user_id}))
        made.presence.part("ann", "bob")
        asked = made.port.asked(of_watchers=True)
        await sleep(60)
        assert screens["ann"].shows == {"bob": None, "cid": ONLINE}
        assert screens["bob"].shows == {"ann": None, "cid": ONLINE}
        assert screens["cid"].shows == {"ann": ONLINE, "bob": ONLINE}
        assert made.port.asked(of_watchers=True) == asked, "nobody's limit is used up by what others do"
        for user_id in screens:
            made.presence.end(user_id)


@pytest.mark.parametrize("how", ["error", "no answer for one"])
@virtual_time
async def test_where_nobody_says_what_a_watcher_may_see_it_is_asked_again_soon(how: str) -> None:
    async with world() as made:
        screen = Screen(made.presence)
        await made.goes_on("bob", 10)
        if how == "error":
            made.port.error = HandoverInProgress("later")
        else:
            made.port.unseen = {"bob": None}
        await screen.watch("bob")
        await made.goes_on("bob", 15)
        assert screen.shows.get("bob") is None
        assert screen.again == 1
        made.port.error, made.port.unseen = None, {}
        await screen.watch(*screen.wanted)
        assert screen.shows == {"bob": ONLINE}


@virtual_time
async def test_a_watch_replaces_the_one_before_and_ends_with_its_connection() -> None:
    async with world() as made:
        screen = Screen(made.presence)
        await screen.watch("bob", "cid")
        await screen.watch("cid", "dan")
        assert set(made.presence.watches._by_user) == {"cid", "dan"}
        await screen.watch()
        assert not made.presence.watches._by_user
        await screen.watch("bob")
        made.presence.unwatch(screen)
        made.presence.unwatch(screen)
        watches = made.presence.watches
        assert (watches._by_user, watches._seen, watches._pairs, watches._watches) == ({}, {}, 0, {})


@virtual_time
async def test_one_that_can_take_nothing_is_told_later_of_those_whom_it_watches_then() -> None:
    async with world() as made:
        screen = Screen(made.presence)
        screen.is_full = True
        made.port.unseen = {"eve": False}
        await screen.watch("eve", "bob")
        await screen.watch("bob", "cid")
        screen.is_full = False
        await sleep(6)
        assert screen.frames == [{"bob": None, "cid": None}]


@virtual_time
async def test_one_that_can_take_nothing_is_told_the_newest_later_and_once() -> None:
    async with world() as made:
        screen = Screen(made.presence)
        await screen.watch("bob")
        screen.is_full = True
        await made.goes_on("bob", 10)
        await sleep(60)
        made.presence.active("bob")
        await sleep(11)
        assert len(screen.frames) == 1
        screen.is_full = False
        await sleep(5)
        assert screen.frames[1:] == [{"bob": ONLINE}]


@virtual_time
async def test_watched_users_are_bounded() -> None:
    port, store, clock = Port(), Store(), WallClock()
    watches = Watches(port, store, clock.now_us, most_watched=3, most_pairs=5)
    screens = [Screen(watches, f"user-{number}") for number in range(4)]  # type: ignore[arg-type]
    await screens[0].watch("a", "b", "c", "d")
    assert watches.left_out == 1
    await screens[1].watch("a", "b", "c")
    assert watches.left_out == 2
    await screens[2].watch("a")
    assert watches.left_out == 3
    assert all(screen.shows == dict.fromkeys(screen.shows) for screen in screens)
    for screen in screens:
        watches.unwatch(screen)
    await screens[3].watch("d", "e", "f")
    assert watches.left_out == 3


# ---------------------------------------------------------------------- away


@virtual_time
async def test_while_the_store_is_away_nobody_is_shown_and_all_is_right_again_soon_after() -> None:
    async with world() as made:
        screen = Screen(made.presence)
        made.presence.begin("bob")
        await sleep(10)
        await screen.watch("bob")
        assert screen.shows == {"bob": ONLINE}
        made.store.is_away = True
        await sleep(6)
        assert screen.shows == {"bob": None}
        assert await online(made, "bob") is None
        await screen.watch("bob")
        await sleep(100)
        made.store.flush()
        made.store.is_away = False
        await sleep(15)
        assert screen.shows == {"bob": ONLINE}
        made.presence.end("bob")


@virtual_time
async def test_a_store_that_was_flushed_is_full_again_within_15_seconds() -> None:
    async with world() as made:
        screen = Screen(made.presence)
        made.presence.begin("bob")
        await sleep(10)
        await screen.watch("bob")
        for _ in range(7):  # at any moment of the rounds
            made.store.flush()
            await sleep(15)
            assert screen.shows == {"bob": ONLINE}
            await sleep(1.7)
        made.presence.end("bob")


@virtual_time
async def test_behind_an_outage_all_is_written_again_at_once_and_not_when_it_is_its_turn() -> None:
    async with world() as made:
        made.store.again_s = 1.0
        made.presence.begin("bob")
        await sleep(6)  # written a second ago
        made.store.is_away = True
        await sleep(4.5)
        made.store.flush()
        made.store.is_away = False
        await sleep(1.5)
        assert await online(made, "bob")
        made.presence.end("bob")


@virtual_time
async def test_a_heartbeat_is_judged_by_the_owner_each_time() -> None:
    async with world() as made:
        await made.presence.heartbeat("bob", None)
        await sleep(5)
        assert await online(made, "bob")
        made.port.error = RateLimited("later", retry_after_ms=1)
        with pytest.raises(RateLimited):
            await made.presence.heartbeat("bob", None)


@virtual_time
async def test_without_a_place_nobody_is_ever_shown() -> None:
    port = Port()
    presence: Any = NoPresence(port)
    screen = Screen(presence)
    await presence.heartbeat("bob", None)
    await screen.watch("bob")
    assert screen.shows == {"bob": None}
    assert list((await presence.fetch(AskPresence("ann", ("bob", "cid")))).seen) == [None, None]
    assert len(port.calls) == 2


@virtual_time
async def test_what_was_written_last_is_kept_of_no_more_users_than_are_active() -> None:
    beats = Beats(Port(), Store())
    beats.loop.start()
    for number in range(50):
        beats.active(f"user-{number}")
        await sleep(1)
    await sleep(30)
    assert (beats._active_s, beats._written_s, beats._open) == ({}, {}, {})
    await beats.loop.close()


@pytest.mark.parametrize("hides", [False, True])
@virtual_time
async def test_owners_of_those_who_are_pushed_hear_twice_a_minute_that_they_are_active(hides: bool) -> None:
    """Also of who hides, of whom nobody else hears anything. Of all others no owner hears it again."""
    async with world() as made:
        made.port.pushed.add("bob")
        if hides:
            made.port.hidden.add("bob")
        for _ in range(2):
            await gather(made.goes_on("ann", 300), made.goes_on("bob", 300))
            heard: Counter[str] = Counter(call.user_id for call in made.port.calls)
            assert heard["ann"] == 1
            assert 8 <= heard["bob"] <= 11
            assert all(0 <= call.active_ms <= 10_000 for call in made.port.calls)
            made.port.calls.clear()
            await sleep(120)  # nobody is active, so nobody hears anything
            assert made.port.calls == []
            await sleep(BELIEVED_S)


@virtual_time
async def test_an_owner_who_does_not_answer_hears_it_in_a_later_round_and_others_see_the_user_meanwhile() -> None:
    async with world() as made:
        made.port.pushed.add("bob")
        await made.goes_on("bob", 20)
        made.port.error = HandoverInProgress("moving")
        await made.goes_on("bob", 60)
        assert await made.age_ms("bob") is not None
        made.port.error = None
        made.port.calls.clear()
        await made.goes_on("bob", 10)
        assert len(made.port.calls) == 1
        made.port.pushed.clear()
        await made.goes_on("bob", 300)
        assert len(made.port.calls) == 2


@virtual_time
async def test_a_heartbeat_and_a_choice_are_no_reason_to_say_less_of_who_is_active() -> None:
    """Both tell what is believed of the user: his owner has to hear the same as without them."""
    async with world() as made:
        made.port.pushed.update(("ann", "bob"))
        made.presence.choose("ann", hides=False)
        for _ in range(30):
            await made.presence.heartbeat("bob", None)
            made.presence.active("ann")
            await sleep(60)
        heard: Counter[str] = Counter(call.user_id for call in made.port.calls)
        assert heard["ann"] == 30
        assert 30 <= heard["bob"] <= 60
        assert all(call.active_ms is not None for call in made.port.calls)


@virtual_time
async def test_a_heartbeat_counts_for_pushes_where_no_presence_is_kept() -> None:
    port = Port()
    await NoPresence(port).heartbeat("bob", None)
    assert port.calls == [AskPresence("bob", active_ms=0)]

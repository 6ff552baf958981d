"""Views in virtual time, over a port that says whatever a test wants of who may see whom."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rowbox.cacheserver.ephemeral.port import AskView
from rowbox.cacheserver.ephemeral.signals import MemorySignals
from rowbox.cacheserver.ephemeral.views import RIGHTS_S, ROUND_S, SOON_S, Views
from rowbox.cacheserver.port import AskPresence, FetchGroup, GroupShown, PresenceTerms
from rowbox.mailbox.errors import HandoverInProgress, NotAMember, RowboxError
from rowbox.mailbox.ids import direct_conversation_id
from tests.http.scripted_port import ScriptedPort
from tests.support.virtual_time import settle, virtual_time

GROUP = b"g" * 16
DIRECT = direct_conversation_id("ann", "bob")


class Port(ScriptedPort):
    """Whoever is in `members` is in the group; `sees` says who is seen in a conversation of two."""

    def __init__(self) -> None:
        super().__init__()
        self.members = {"ann", "bob", "cid"}
        self.sees: dict[str, bool | None] = {"ann": True, "bob": True}
        self.bug: Exception | None = None
        self.go_on: asyncio.Event | None = None

    async def presence_terms(self, request: AskPresence) -> PresenceTerms:
        if self.bug is not None:
            raise self.bug
        terms = await super().presence_terms(request)
        if self.go_on is not None:
            await self.go_on.wait()
        return terms

    async def fetch_group(self, request: FetchGroup) -> GroupShown:
        shown = await super().fetch_group(request)
        is_member = request.user_id in self.members
        if self.go_on is not None:
            await self.go_on.wait()
        if not is_member:
            raise NotAMember("not a member")
        return shown


class Screen:
    """A connection that shows a conversation."""

    def __init__(self, views: Views, user_id: str, peer_id: str | None = None) -> None:
        self.views = views
        conversation = GROUP if peer_id is None else direct_conversation_id(user_id, peer_id)
        self.request = AskView(user_id, conversation, peer_id)
        self.told: list[tuple[str, str]] = []
        self.again = 0
        self.is_full = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def view(self) -> "Screen":
        await self.views.view(self, self.request)
        return self

    def typed(self, conversation_id: str, user_id: str) -> bool:
        if not self.is_full:
            self.told.append((conversation_id, user_id))
        return not self.is_full

    def view_again(self) -> None:
        self.again += 1
        self._tasks.add(asyncio.get_running_loop().create_task(self.views.view(self, self.request)))

    def heard(self) -> list[str]:
        """Who typed since this was asked last."""
        told, self.told = self.told, []
        assert {conversation_id for conversation_id, _ in told} <= {self.request.conversation_id.hex()}
        return [user_id for _, user_id in told]


@asynccontextmanager
async def running(port: Port) -> AsyncIterator[Views]:
    views = Views(port, MemorySignals())
    views.loop.start()
    yield views
    await views.loop.close()
    assert not any(task.get_name() == "typing-views" for task in asyncio.all_tasks())


@virtual_time
async def test_who_shows_a_conversation_of_two_is_told_of_the_other_one() -> None:
    async with running(Port()) as views:
        ann, bob = [await Screen(views, *users).view() for users in (("ann", "bob"), ("bob", "ann"))]
        other = await Screen(views, "bob", "cid").view()
        second = await Screen(views, "ann", "bob").view()
        views.type(ann)
        assert (bob.heard(), ann.heard(), second.heard(), other.heard()) == (["ann"], [], [], [])
        views.type(other)  # bob is not in a conversation with cid
        views.type(Screen(views, "ann", "bob"))  # shows nothing
        assert (bob.heard(), ann.heard()) == ([], [])
        bob.is_full = True
        views.type(ann)
        assert (views.said, views.told) == (2, 1)


@virtual_time
async def test_of_who_hides_nobody_is_told_and_he_is_told_of_nobody() -> None:
    port = Port()
    async with running(port) as views:
        screens = [await Screen(views, user).view() for user in ("ann", "bob")]
        ann, bob = screens
        port.hidden.add("bob")
        views.choose("bob")
        views.type(bob)
        views.type(ann)
        assert (ann.heard(), bob.heard()) == ([], [])
        await asyncio.sleep(2 * ROUND_S)
        views.type(bob)
        assert ann.heard() == []
        port.hidden.clear()
        views.choose("bob")
        await asyncio.sleep(2 * ROUND_S)
        views.type(bob)
        assert ann.heard() == ["bob"]


@virtual_time
async def test_only_members_are_told_who_types_in_a_group_and_type_there() -> None:
    port = Port()
    async with running(port) as views:
        ann, bob, dan = [await Screen(views, user).view() for user in ("ann", "bob", "dan")]
        views.type(ann)
        views.type(dan)
        assert (ann.heard(), bob.heard(), dan.heard()) == ([], ["ann"], [])
        port.members.discard("bob")
        views.doubt(bob)  # at once, before anybody has answered
        views.type(ann)
        views.type(bob)
        await asyncio.sleep(2 * ROUND_S)
        views.type(ann)
        assert (ann.heard(), bob.heard()) == ([], [])
        views.doubt(ann)
        await asyncio.sleep(2 * ROUND_S)
        await Screen(views, "cid").view()
        views.type(ann)
        assert views.said == 4


@virtual_time
async def test_who_is_blocked_is_not_told_from_then_on() -> None:
    port = Port()
    async with running(port) as views:
        ann, bob = [await Screen(views, *users).view() for users in (("ann", "bob"), ("bob", "ann"))]
        port.sees = {"ann": False, "bob": False}
        views.part("bob", "ann")
        views.type(ann)
        views.type(bob)
        await asyncio.sleep(2 * ROUND_S)
        views.type(ann)
        assert (ann.heard(), bob.heard()) == ([], [])
        port.sees = {"ann": True, "bob": True}
        for screen in (ann, bob):  # no more
            await screen.view()
        views.type(ann)
        assert bob.heard() == ["ann"]


@virtual_time
async def test_a_block_while_it_is_asked_counts() -> None:
    port = Port()
    async with running(port) as views:
        port.go_on = asyncio.Event()
        screens = [Screen(views, *users) for users in (("ann", "bob"), ("bob", "ann"))]
        asking = [asyncio.get_running_loop().create_task(screen.view()) for screen in screens]
        await settle()
        port.sees = {"ann": False, "bob": False}
        views.part("ann", "bob")
        port.go_on.set()
        await asyncio.gather(*asking)
        for screen in screens:
            views.type(screen)
        await asyncio.sleep(2 * ROUND_S)
        for screen in screens:
            views.type(screen)
        assert [screen.heard() for screen in screens] == [[], []]


@virtual_time
async def test_rights_are_asked_again_in_time_and_soon_where_nobody_answers() -> None:
    port = Port()
    async with running(port) as views:
        ann, bob = [await Screen(views, *users).view() for users in (("ann", "bob"), ("bob", "ann"))]
        await asyncio.sleep(RIGHTS_S - 1)
        assert (ann.again, bob.again) == (0, 0)
        port.error = HandoverInProgress("later")
        await asyncio.sleep(1 + 2 * ROUND_S)
        assert ann.again >= 1
        views.type(ann)
        assert bob.heard() == ["ann"]  # what was believed is believed on
        port.error, port.sees = None, {"ann": None, "bob": None}
        for fault in (None, ZeroDivisionError("a bug")):  # nobody answers for the other one; nobody knows why
            port.bug, asked = fault, ann.again
            await asyncio.sleep(SOON_S + 2 * ROUND_S)
            assert ann.again > asked
            views.type(ann)
            assert bob.heard() == ["ann"]
        port.bug, port.sees = None, {"ann": False}
        await asyncio.sleep(SOON_S + 2 * ROUND_S)
        views.type(ann)
        assert bob.heard() == []
        port.error = RowboxError("a fault")
        asked = ann.again
        await asyncio.sleep(RIGHTS_S / 2)
        assert ann.again == asked


@virtual_time
async def test_an_answer_that_comes_late_counts_for_nothing() -> None:
    port = Port()
    async with running(port) as views:
        ann = await Screen(views, "ann").view()
        port.go_on = asyncio.Event()
        bob = Screen(views, "bob")
        asking = asyncio.get_running_loop().create_task(bob.view())
        await settle()
        views.unview(bob)
        port.go_on.set()
        await asking
        views.type(ann)
        assert bob.heard() == []
        port.go_on = asyncio.Event()
        asking = asyncio.get_running_loop().create_task(bob.view())
        await settle()
        views.doubt(bob)  # he may have been removed while it was asked
        port.members.discard("bob")
        port.go_on.set()
        await asking
        views.type(ann)
        await asyncio.sleep(2 * ROUND_S)
        views.type(ann)
        assert bob.heard() == []


@virtual_time
async def test_nothing_is_kept_of_who_shows_nothing() -> None:
    async with running(Port()) as views:
        ann, bob = [await Screen(views, user).view() for user in ("ann", "bob")]
        views.unview(ann)
        views.unview(ann)
        views.type(bob)
        assert ann.heard() == []
        views.unview(bob)
        assert (views._views, views._by_conversation) == ({}, {})
        assert not views._signals._hearers.conversations  # type: ignore[attr-defined]
        assert [sample[4] for sample in views.samples()] == [0, 1, 0]

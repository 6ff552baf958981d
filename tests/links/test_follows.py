"""Followings over links: told once a turn, bounded, and lost with the link; and through a router, which goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from rowbox.cacheserver.port import HANDED_OVER, LINK_LOST, REVOKED, Changed, Follow, Lost, Send
from rowbox.cacheserver.remote import served_follows
from rowbox.cacheserver.remote.follows import COMPARE_S, RemoteFollows
from rowbox.cacheserver.remote.mailboxes import RemoteMailboxes, mailbox_calls
from rowbox.cacheserver.rpc import calls
from rowbox.cacheserver.rpc.calls import FollowOver, Handlers, Told, Unfollow
from rowbox.cacheserver.rpc.endpoint import UnixEndpoint
from rowbox.cacheserver.rpc.listener import Listener
from rowbox.cacheserver.rpc.peer import Peer
from rowbox.mailbox.errors import BadRequest, LinkLost, Overloaded, PeerTooOld
from rowbox.mailbox.pages.cursor import version_of
from rowbox.mailbox.revocation import Bearer
from tests.http.scripted_port import ScriptedPort
from tests.links.linked import API, OWNER, SECRET
from tests.links.test_mailboxes import far_owner
from tests.support.virtual_time import settle, virtual_time

TOKEN = "{}.0123456789abcdef01234567"


def changed(before: int, now: int, frame: bytes | None = b"{}") -> Changed:
    return Changed(TOKEN.format(now), TOKEN.format(before), frame)


@virtual_time
async def test_what_the_owner_tells_comes_over_the_link(tmp_path: Path) -> None:
    async with far_owner(tmp_path) as far:
        here: list[Changed | Lost] = []
        there: list[Changed | Lost] = []
        following = await far.mailboxes.follow(Follow("bob"), here.append)
        await far.port.follow(Follow("bob"), there.append)
        begun = following.head
        await far.mailboxes.send(Send("ann", "bob", "hi", "1"))
        await settle()
        assert here == there
        (told,) = here
        assert isinstance(told, Changed)
        assert (told.prev, following.head) == (begun, told.head)
        assert told.frame is not None
        following.close()
        await settle()
        await far.mailboxes.send(Send("ann", "bob", "more", "2"))
        await settle()
        assert (len(here), len(there)) == (1, 2)
        assert far.port.follows.followers.count == 1


@virtual_time
async def test_many_followers_of_a_user_are_told_over_one_link_with_one_frame(tmp_path: Path) -> None:
    async with far_owner(tmp_path) as far:
        told: list[list[Changed | Lost]] = [[] for _ in range(5)]
        followings = [await far.mailboxes.follow(Follow("bob"), one.append) for one in told]
        before = far.mailboxes.peer._link.received_bytes  # type: ignore[union-attr]
        await far.mailboxes.send(Send("ann", "bob", "x" * 10_000, "1"))
        await settle()
        assert far.mailboxes.peer._link.received_bytes - before < 20_000  # type: ignore[union-attr]
        assert [len(one) for one in told] == [1] * 5
        (first,) = told[0]
        assert isinstance(first, Changed)
        assert first.frame is not None, "told to five, it is still one change"
        assert all(one[0] is first for one in told)
        followings[0].close()
        await settle()
        assert far.port.follows.followers.count == 4


@virtual_time
async def test_a_revoked_token_ends_its_following_over_the_link(tmp_path: Path) -> None:
    async with far_owner(tmp_path) as far:
        told: list[Changed | Lost] = []
        other: list[Changed | Lost] = []
        await far.mailboxes.follow(Follow("bob", Bearer("bob", 5.0)), told.append)
        await far.mailboxes.follow(Follow("bob"), other.append)
        await far.mailboxes.revoke_user("bob")
        await settle()
        assert (told, other) == ([Lost(REVOKED)], [])
        await far.mailboxes.send(Send("ann", "bob", "hi", "1"))
        await settle()
        assert (len(told), len(other)) == (1, 1), "frames go to followings that stand"


@virtual_time
async def test_a_lost_link_is_told_once_and_ends_the_followings_at_the_owner(tmp_path: Path) -> None:
    async with far_owner(tmp_path) as far:
        told: list[Changed | Lost] = []
        await far.mailboxes.follow(Follow("bob"), told.append)
        far.mailboxes.peer._link.wire.give_up("cut by a test")  # type: ignore[union-attr]
        await asyncio.sleep(1)
        assert told == [Lost(LINK_LOST)]
        assert far.port.follows.followers.count == 0
        again: list[Changed | Lost] = []
        await far.mailboxes.peer.up()
        await far.mailboxes.follow(Follow("bob"), again.append)
        await far.mailboxes.send(Send("ann", "bob", "hi", "1"))
        await settle()
        assert (len(told), len(again)) == (1, 1)


@asynccontextmanager
async def far_script(folder: Path, port: ScriptedPort) -> AsyncIterator[RemoteMailboxes]:
    listener = Listener(OWNER, SECRET, mailbox_calls(port))
    endpoint = await listener.listen(UnixEndpoint(folder / "in" / "owner.sock"))
    peer = Peer(endpoint, API, SECRET)
    peer.start()
    await peer.up()
    mailboxes = RemoteMailboxes(peer)
    try:
        yield mailboxes
    finally:
        await mailboxes.close()
        await listener.close()


@virtual_time
async def test_changes_of_one_turn_are_one_without_a_frame(tmp_path: Path) -> None:
    port = ScriptedPort()
    async with far_script(tmp_path, port) as mailboxes:
        told: list[Changed | Lost] = []
        await mailboxes.follow(Follow("bob"), told.append)
        for number in range(10, 20):
            port.followers[0](changed(number, number + 1))
        await settle()
        assert told == [changed(10, 20, None)]


@virtual_time
async def test_frames_that_wait_for_a_link_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_follows, "MOST_FRAME_BYTES", 1_000)
    monkeypatch.setattr(served_follows, "MOST_AT_ONCE", 3)
    port = ScriptedPort()
    async with far_script(tmp_path, port) as mailboxes:
        told: list[Changed | Lost] = []
        for number in range(10):
            await mailboxes.follow(Follow(f"user{number}"), told.append)
        for notify in port.followers:
            notify(changed(1, 2, b"x" * 300))
        await settle()
        assert [isinstance(one, Changed) and one.frame is not None for one in told] == [True] * 3 + [False] * 7


@virtual_time
async def test_nothing_that_waits_leaves_for_a_following_that_is_lost(tmp_path: Path) -> None:
    """The frame of an owner whose grant has ended meanwhile."""
    port = ScriptedPort()
    async with far_script(tmp_path, port) as mailboxes:
        told: list[Changed | Lost] = []
        await mailboxes.follow(Follow("bob"), told.append)
        port.followers[0](changed(1, 2))
        port.followers[0](Lost("handover_in_progress"))
        await settle()
        assert told == [Lost("handover_in_progress")]


@virtual_time
async def test_what_is_told_behind_a_loss_reaches_those_who_stand_and_nobody_else(tmp_path: Path) -> None:
    """A revocation ends one of two followings of a user in the turn in which a change is told, before it or behind."""
    port = ScriptedPort()
    async with far_script(tmp_path, port) as mailboxes:
        ended: list[Changed | Lost] = []
        standing: list[Changed | Lost] = []
        await mailboxes.follow(Follow("bob"), ended.append)
        await mailboxes.follow(Follow("bob"), standing.append)
        for notify in port.followers:
            notify(changed(1, 2))
        port.followers[0](Lost(REVOKED))
        await settle()
        assert (ended, standing) == ([Lost(REVOKED)], [changed(1, 2, None)])
        again: list[Changed | Lost] = []
        await mailboxes.follow(Follow("bob"), again.append)
        port.followers[1](Lost(REVOKED))
        port.followers[2](changed(2, 3))
        await settle()
        assert (standing[1:], again) == ([Lost(REVOKED)], [changed(2, 3)])


@virtual_time
async def test_who_cannot_say_that_followings_ended_waits_for_the_next_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full lane must not have it said again and again: that would take all of the loop's time."""
    async with far_script(tmp_path, ScriptedPort()) as mailboxes:
        following = await mailboxes.follow(Follow("bob"), lambda _: None)
        said = 0
        call = mailboxes.peer.call

        def full(spec: Any, *of_call: Any, **options: Any) -> Any:
            nonlocal said
            if spec is not calls.UNFOLLOW:
                return call(spec, *of_call, **options)
            said += 1
            if said > 100:
                raise LinkLost("so that this test ends")
            raise Overloaded("no room", retry_after_ms=1_000)

        monkeypatch.setattr(mailboxes.peer, "call", full)
        following.close()
        await asyncio.sleep(4 * COMPARE_S + 1)
        assert 4 <= said <= 8


@virtual_time
async def test_a_push_that_was_lost_is_found_by_the_comparison_of_heads(tmp_path: Path) -> None:
    async with far_owner(tmp_path) as far:
        told: list[Changed | Lost] = []
        following = await far.mailboxes.follow(Follow("bob"), told.append)
        begun = following.head
        far.mailboxes.peer._hears[calls.TOLD] = lambda _: None
        await far.mailboxes.send(Send("ann", "bob", "hi", "1"))
        await settle()
        assert told == []
        await asyncio.sleep(COMPARE_S + 1)
        (change,) = told
        assert isinstance(change, Changed)
        assert (change.prev, change.frame) == (begun, None)
        assert version_of(following.head) > version_of(begun)


@virtual_time
async def test_an_owner_that_does_not_know_followings_yet_is_told_from_one_that_refuses(tmp_path: Path) -> None:
    known = Handlers()
    for spec, handler in mailbox_calls(ScriptedPort()):
        if spec.name != "follow":
            known.add(spec, handler)
    listener = Listener(OWNER, SECRET, known)
    endpoint = await listener.listen(UnixEndpoint(tmp_path / "in" / "owner.sock"))
    peer = Peer(endpoint, API, SECRET)
    peer.start()
    await peer.up()
    try:
        with pytest.raises(PeerTooOld):
            await RemoteMailboxes(peer).follow(Follow("bob"), lambda _: None)
    finally:
        await peer.close()
        await listener.close()


@virtual_time
async def test_two_followings_of_one_number_are_refused(tmp_path: Path) -> None:
    async with far_script(tmp_path, ScriptedPort()) as mailboxes:
        asked = FollowOver(7, Follow("bob"))
        await mailboxes.peer.call(calls.FOLLOW, asked, timeout_s=5.0)
        with pytest.raises(BadRequest):
            await mailboxes.peer.call(calls.FOLLOW, asked, timeout_s=5.0)


@virtual_time
async def test_a_following_that_begins_while_the_link_is_lost_is_not_begun(tmp_path: Path) -> None:
    async with far_owner(tmp_path) as far:
        beginning = asyncio.ensure_future(far.mailboxes.follow(Follow("bob"), lambda _: None))
        await asyncio.sleep(0)
        far.mailboxes.peer._link.wire.give_up("cut by a test")  # type: ignore[union-attr]
        with pytest.raises(LinkLost):
            await beginning
        await settle()
        assert far.port.follows.followers.count == 0


class StubPeer:
    """Answers and is lost when the test says so."""

    endpoint = "there"

    def __init__(self) -> None:
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.lose: Callable[[], None] = lambda: None

    def hear(self, kind: str, heard: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        self.lose = lost

    def call(self, *_: object, **__: object) -> "asyncio.Future[str]":
        return self.answer


@virtual_time
async def test_a_link_that_is_lost_behind_the_answer_is_told_by_the_call_alone() -> None:
    peer, told = StubPeer(), list[Changed | Lost]()
    follows = RemoteFollows(cast("Peer", peer), 5.0)
    beginning = asyncio.ensure_future(follows.follow(Follow("bob"), told.append))
    await asyncio.sleep(0)
    peer.answer.set_result(TOKEN.format(1))
    peer.lose()
    with pytest.raises(LinkLost):
        await beginning
    assert told == [], "what has not begun is not lost"


@virtual_time
async def test_a_user_of_whom_the_owner_knows_no_follower_is_lost_at_the_comparison(tmp_path: Path) -> None:
    async with far_script(tmp_path, ScriptedPort()) as mailboxes:
        told: list[Changed | Lost] = []
        await mailboxes.follow(Follow("bob"), told.append)
        await mailboxes.peer.call(calls.UNFOLLOW, Unfollow((1,)), timeout_s=5.0)
        await asyncio.sleep(COMPARE_S + 1)
        assert told == [Lost(HANDED_OVER)]


def test_what_is_told_travels() -> None:
    """Struct by struct, as it is pushed."""
    told = Told((("bob", changed(1, 2)),), ((3, Lost(REVOKED)),))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(told), type=Told) == told

"""The mailboxes of another process: what a port says comes through, what is known at once, drains, 10,000 polls."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import (
    ChangeMessage,
    FetchChanges,
    FetchConversations,
    FetchMessages,
    MarkRead,
    Page,
    React,
    Send,
)
from rowbox.cacheserver.remote.mailboxes import (
    DRAIN_SPREAD_MS,
    MOST_LIMITED,
    RemoteMailboxes,
    mailbox_calls,
    owner_calls,
    revocation_calls,
)
from rowbox.cacheserver.rpc.calls import Handlers
from rowbox.cacheserver.rpc.endpoint import UnixEndpoint
from rowbox.cacheserver.rpc.listener import Listener
from rowbox.cacheserver.rpc.peer import Peer
from rowbox.cacheserver.rpc.status import StatusPublisher
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.errors import HandoverInProgress, LinkLost, Overloaded, PeerTooOld, RateLimited, TokenRevoked
from rowbox.mailbox.groups.requests import GroupAnswer, GroupChanged, GroupRequest, ViewGroup
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import PollSettings, RateLimitSettings, Settings
from tests.http.scripted_port import EMPTY_PAGE, PROFILE, SENT, ScriptedPort
from tests.links.linked import API, OWNER, SECRET
from tests.support.virtual_time import WallClock, settle, virtual_time

CONTENT = "hello, 世界"


class Far(NamedTuple):
    """A port in another process: in front of it, and itself."""

    mailboxes: RemoteMailboxes
    listener: Listener
    port: Owner
    status: StatusPublisher


@asynccontextmanager
async def far_owner(folder: Path, settings: Settings | None = None) -> AsyncIterator[Far]:
    settings = settings or Settings(rate_limits=RateLimitSettings(enabled=False))
    store = MemoryStore(64, ttl_ms(settings.store), late_writes=False, now_ms=WallClock().now_ms)
    owner = Owner(store, settings, now_us=WallClock().now_us)
    await owner.start()
    handlers = mailbox_calls(owner)
    handlers.merge(revocation_calls(owner))
    listener = Listener(OWNER, SECRET, handlers)
    endpoint = await listener.listen(UnixEndpoint(folder / "in" / "owner.sock"))
    peer = Peer(endpoint, API, SECRET)
    peer.start()
    await peer.up()
    try:
        yield Far(RemoteMailboxes(peer), listener, owner, StatusPublisher(listener, owner))
    finally:
        await peer.close()
        await listener.close()
        await owner.close()
        await store.close()


@asynccontextmanager
async def far_script(folder: Path, port: ScriptedPort) -> AsyncIterator[RemoteMailboxes]:
    listener = Listener(OWNER, SECRET, mailbox_calls(port))
    endpoint = await listener.listen(UnixEndpoint(folder / "in" / "owner.sock"))
    peer = Peer(endpoint, API, SECRET)
    peer.start()
    await peer.up()
    try:
        yield RemoteMailboxes(peer)
    finally:
        await peer.close()
        await listener.close()


@virtual_time
async def test_every_call_of_the_port_comes_through(tmp_path: Path) -> None:
    async with far_owner(tmp_path) as far:
        sent = await far.mailboxes.send(Send("alice", "bob", CONTENT, "1"))
        status = await far.mailboxes.send_status("alice", "1")
        assert (status.message_id, status.duplicate) == (sent.message_id, False)
        assert (await far.mailboxes.send(Send("alice", "bob", CONTENT, "1"))).duplicate
        page = await far.mailboxes.fetch_messages(FetchMessages("bob", conversation_id=sent.conversation_id))
        local = await far.port.fetch_messages(FetchMessages("bob", conversation_id=sent.conversation_id))
        assert list(page.items) == list(local.items)
        assert page.token == local.token
        conversations = await far.mailboxes.fetch_conversations(FetchConversations("bob"))
        assert len(conversations.items) == 1
        for asked in (FetchChanges("bob"), FetchChanges("bob", "0")):
            changes = await far.mailboxes.fetch_changes(asked)
            local_changes = await far.port.fetch_changes(asked)
            assert (list(changes.messages), list(changes.conversations)) == (
                list(local_changes.messages),
                list(local_changes.conversations),
            )
            assert (changes.token, changes.is_delta) == (local_changes.token, asked.token is not None)
        marked = await far.mailboxes.mark_read(MarkRead("bob", sent.conversation_id, sent.message_id))
        assert marked.unread_count == 0


@virtual_time
async def test_revoking_comes_through(tmp_path: Path) -> None:
    async with far_owner(tmp_path) as far:
        await far.mailboxes.revoke_id("a token")
        before_s = await far.mailboxes.revoke_user("alice")
        with pytest.raises(TokenRevoked):
            await far.mailboxes.send(Send("alice", "bob", CONTENT, "1", Bearer("alice", before_s - 1)))


@virtual_time
async def test_a_poll_is_answered_by_what_comes(tmp_path: Path) -> None:
    async with far_owner(tmp_path) as far:
        page = await far.mailboxes.fetch_messages(FetchMessages("bob"))
        poll = asyncio.ensure_future(
            far.mailboxes.fetch_messages(FetchMessages("bob", token=page.token, wait_ms=60_000))
        )
        await asyncio.sleep(5)
        assert far.port.waiters.count == 1
        await far.mailboxes.send(Send("alice", "bob", CONTENT, "1"))
        assert len((await poll).items) == 1


@virtual_time
async def test_a_client_that_leaves_ends_its_poll_at_the_owner(tmp_path: Path) -> None:
    async with far_owner(tmp_path) as far:
        page = await far.mailboxes.fetch_conversations(FetchConversations("bob"))
        poll = asyncio.ensure_future(
            far.mailboxes.fetch_conversations(FetchConversations("bob", token=page.token, wait_ms=60_000))
        )
        await settle()
        assert far.port.waiters.count == 1
        poll.cancel()
        await settle()
        assert far.port.waiters.count == 0


@virtual_time
async def test_a_process_that_drains_answers_its_own_polls_and_no_others(tmp_path: Path) -> None:
    async with far_owner(tmp_path) as far:
        page = await far.mailboxes.fetch_messages(FetchMessages("bob"))
        asked = FetchMessages("bob", token=page.token, wait_ms=60_000)
        elsewhere = asyncio.ensure_future(far.port.fetch_messages(asked))
        poll = asyncio.ensure_future(far.mailboxes.fetch_messages(asked))
        await settle()
        assert far.port.waiters.count == 2
        far.mailboxes.begin_drain()
        drained = [await poll, await far.mailboxes.fetch_messages(asked)]
        for answer in drained:
            assert (list(answer.items), answer.is_delta, answer.token) == ([], True, page.token)
            assert answer.retry_after_ms is not None
            assert 0 <= answer.retry_after_ms < DRAIN_SPREAD_MS
        await settle()
        assert far.port.waiters.count == 1
        await far.mailboxes.send(Send("alice", "bob", CONTENT, "1"))
        assert len((await elsewhere).items) == 1
        at_once = await far.mailboxes.fetch_messages(asked)
        assert (len(at_once.items), at_once.retry_after_ms) == (1, None)


@virtual_time
async def test_changes_are_waited_for_over_the_link_and_a_drain_here_ends_the_wait(tmp_path: Path) -> None:
    async with far_owner(tmp_path) as far:
        asked = FetchChanges("bob", "0", wait_ms=60_000)
        poll = asyncio.ensure_future(far.mailboxes.fetch_changes(asked))
        await settle()
        assert far.port.waiters.count == 1
        await far.mailboxes.send(Send("alice", "bob", CONTENT, "1"))
        token = (await poll).token
        assert len((await poll).messages) == 1
        poll = asyncio.ensure_future(far.mailboxes.fetch_changes(FetchChanges("bob", token, wait_ms=60_000)))
        await settle()
        far.mailboxes.begin_drain()
        answer = await poll
        assert (answer.is_empty, answer.token) == (True, token)
        assert answer.retry_after_ms is not None
        assert len((await far.mailboxes.fetch_changes(asked)).messages) == 1


@virtual_time
async def test_an_owner_that_does_not_know_the_call_yet_is_told_from_one_that_refuses_it(tmp_path: Path) -> None:
    """In a cluster that is upgraded node by node. Its clients can go on with the calls that it knows."""
    known = Handlers()
    for spec, handler in mailbox_calls(ScriptedPort()):
        if spec.name not in {"changes", "await_changes", "change_message", "react"}:
            known.add(spec, handler)
    listener = Listener(OWNER, SECRET, known)
    endpoint = await listener.listen(UnixEndpoint(tmp_path / "in" / "owner.sock"))
    peer = Peer(endpoint, API, SECRET)
    peer.start()
    await peer.up()
    mailboxes = RemoteMailboxes(peer)
    try:
        for wait_ms in (0, 5_000):
            with pytest.raises(PeerTooOld):
                await mailboxes.fetch_changes(FetchChanges("bob", "0", wait_ms=wait_ms))
        with pytest.raises(PeerTooOld):
            await mailboxes.react(React("bob", bytes(16), bytes(16), "\U0001f44d"))
        with pytest.raises(PeerTooOld):
            await mailboxes.change_message(ChangeMessage("bob", bytes(16), bytes(16), None))
        assert (await mailboxes.fetch_messages(FetchMessages("bob"))).is_delta
    finally:
        await peer.close()
        await listener.close()


@virtual_time
async def test_an_owner_that_drains_answers_the_polls_of_all(tmp_path: Path) -> None:
    async with far_owner(tmp_path) as far:
        page = await far.mailboxes.fetch_messages(FetchMessages("bob"))
        poll = asyncio.ensure_future(
            far.mailboxes.fetch_messages(FetchMessages("bob", token=page.token, wait_ms=60_000))
        )
        await settle()
        far.port.begin_drain()
        assert (await poll).retry_after_ms is not None


@virtual_time
async def test_whoever_may_not_write_is_refused_here_until_the_time_is_over(tmp_path: Path) -> None:
    """Else a body of 64 KiB would be read and carried over to be refused."""
    limits = RateLimitSettings(send_burst=1, send_per_second=0.5)
    async with far_owner(tmp_path, Settings(rate_limits=limits)) as far:
        far.mailboxes.admit_write("alice")
        await far.mailboxes.send(Send("alice", "bob", CONTENT, "1"))
        far.mailboxes.admit_write("alice")
        with pytest.raises(RateLimited) as refused:
            await far.mailboxes.send(Send("alice", "bob", CONTENT, "2"))
        assert refused.value.retry_after_ms == 2_000
        await asyncio.sleep(1.5)
        with pytest.raises(RateLimited) as refused:
            far.mailboxes.admit_write("alice")
        assert refused.value.retry_after_ms == 500
        far.mailboxes.admit_write("bob")
        await asyncio.sleep(0.5)
        far.mailboxes.admit_write("alice")
        await far.mailboxes.send(Send("alice", "bob", CONTENT, "2"))


@virtual_time
async def test_what_is_remembered_of_limits_is_bounded(tmp_path: Path) -> None:
    port = ScriptedPort()
    port.error = RateLimited("slow down", retry_after_ms=60_000)
    async with far_script(tmp_path, port) as mailboxes:
        for number in range(MOST_LIMITED + 10):
            with pytest.raises(RateLimited):
                await mailboxes.send(Send(str(number), "bob", CONTENT, "1"))
        mailboxes.admit_write("9")
        with pytest.raises(RateLimited):
            mailboxes.admit_write("10")


@virtual_time
async def test_how_the_owner_is_reaches_whoever_stands_in_front_of_it(tmp_path: Path) -> None:
    async with far_owner(tmp_path) as far:
        assert far.mailboxes.unready_reasons() == ("the process that owns the mailboxes has not told how it is",)
        far.status.loop.start()
        await settle()
        assert (far.mailboxes.unready_reasons(), far.mailboxes.warnings()) == ((), ())
        far.port.begin_drain()
        await asyncio.sleep(1.1)
        assert far.mailboxes.unready_reasons() == ("draining",)
        await far.status.loop.close()
        await far.listener.close()
        await settle()
        assert far.mailboxes.unready_reasons() == ("no link to the process that owns the mailboxes",)
        assert far.mailboxes.warnings() == ()


@virtual_time
async def test_a_route_is_checked_when_the_request_begins(tmp_path: Path) -> None:
    """An owner refuses what was routed by a map that is older than its grant."""
    port, checked = ScriptedPort(), []

    def check(user_id: str, map_version: int) -> None:
        checked.append((user_id, map_version))
        if map_version < 7:
            raise HandoverInProgress("routed by an older map")

    listener = Listener(OWNER, SECRET, mailbox_calls(port, check))
    peer = Peer(await listener.listen(UnixEndpoint(tmp_path / "in" / "owner.sock")), API, SECRET)
    peer.start()
    versions = iter([6, 6, 6, 6, 6, 6, 6, 7])
    mailboxes = RemoteMailboxes(peer, map_version=lambda: next(versions))
    fetches = FetchMessages("bob"), FetchMessages("bob", wait_ms=5)
    lists = FetchConversations("bob"), FetchConversations("bob", wait_ms=5)
    calls = [
        mailboxes.send(Send("bob", "x", "", "1")),
        mailboxes.send_status("bob", "1"),
        mailboxes.mark_read(MarkRead("bob", b"", b"")),
        *map(mailboxes.fetch_messages, fetches),
        *map(mailboxes.fetch_conversations, lists),
    ]
    for call in calls:
        with pytest.raises(HandoverInProgress):
            await call
    assert await mailboxes.send(Send("bob", "x", "", "1")) == SENT
    assert checked == [("bob", 6)] * 7 + [("bob", 7)]
    assert len(port.calls) == 1
    await peer.close()
    await listener.close()


class _Owners:
    """What owners ask of one another."""

    async def ask_group(self, asked: GroupRequest) -> GroupAnswer:
        return GroupChanged(7, changed=asked.conversation_id == bytes(16))

    async def profile_of(self, user_id: str) -> Profile | None:
        return PROFILE if user_id == "alice" else None

    async def shows_presence(self, watcher_id: str, users: Sequence[str]) -> Sequence[bool | None]:
        return [None if user_id == "carol" else user_id != watcher_id for user_id in users]

    async def judge(self, bearer: Bearer) -> None:
        raise TokenRevoked(f"of {bearer.user_id}")

    def deliver(self, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[int]":
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(len(messages))
        return done

    def take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> "asyncio.Future[int]":
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(len(receipts))
        return done


@virtual_time
async def test_what_owners_ask_of_one_another_comes_through(tmp_path: Path) -> None:
    listener = Listener(OWNER, SECRET, owner_calls(_Owners()))
    peer = Peer(await listener.listen(UnixEndpoint(tmp_path / "in" / "owner.sock")), API, SECRET)
    peer.start()
    mailboxes = RemoteMailboxes(peer)
    messages = [Message(bytes(16), bytes(16), "alice", ("alice", "bob"), CONTENT)] * 3
    assert await mailboxes.deliver("bob", messages) == 3
    assert await mailboxes.deliver_to_many(("bob", "carol"), messages) == [3, 3]
    assert await mailboxes.ask_group(ViewGroup(bytes(16), "alice")) == GroupChanged(7, changed=True)
    assert [await mailboxes.profile_of(user) for user in ("alice", "bob")] == [PROFILE, None]
    assert list(await mailboxes.shows_presence("alice", ["bob", "alice", "carol"])) == [True, False, None]
    assert await mailboxes.take_receipts("bob", [Receipt(bytes(16), "alice", bytes(16))] * 2) == 2
    with pytest.raises(TokenRevoked, match="of alice"):
        await mailboxes.judge(Bearer("alice"))
    await mailboxes.close()
    with pytest.raises(LinkLost):
        mailboxes.deliver("bob", messages)
    await listener.close()


@virtual_time
async def test_ten_thousand_polls_wait_on_one_link_and_all_end(tmp_path: Path) -> None:
    settings = Settings(rate_limits=RateLimitSettings(enabled=False), poll=PollSettings(max_per_server=10_000))
    async with far_owner(tmp_path, settings) as far:
        tokens = []
        for number in range(10_001):
            page = await far.mailboxes.fetch_messages(FetchMessages(f"user{number}"))
            tokens.append(page.token)

        def poll(number: int) -> "asyncio.Future[Page]":
            asked = FetchMessages(f"user{number}", token=tokens[number], wait_ms=60_000)
            return asyncio.ensure_future(far.mailboxes.fetch_messages(asked))

        polls = [poll(number) for number in range(10_000)]
        await settle()
        assert far.port.waiters.count == 10_000
        with pytest.raises(Overloaded):
            await poll(10_000)
        await far.mailboxes.send(Send("alice", "user77", CONTENT, "1"))
        assert len((await polls[77]).items) == 1
        await asyncio.sleep(61)
        assert all(one.done() for one in polls)
        assert (far.mailboxes.peer.in_flight, far.listener.in_flight, far.port.waiters.count) == (0, 0, 0)


def test_the_scripted_port_says_what_these_tests_expect() -> None:
    assert EMPTY_PAGE.is_delta

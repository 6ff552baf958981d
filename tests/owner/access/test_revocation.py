"""Revoked tokens: refused in every call, from the moment of the revocation on, by every owner that follows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from _pytest.outcomes import Failed
from msgspec.structs import replace

from rowbox.cacheserver.access import revocations as revocations_module
from rowbox.cacheserver.access.revocations import Revocations
from rowbox.cacheserver.access.revoked_ids import MOST_IDS, RevokedIds
from rowbox.cacheserver.cache.waiters import Waiters
from rowbox.cacheserver.ownership import SoleOwnership
from rowbox.cacheserver.port import Page
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox import two_states
from rowbox.mailbox.aggregate import mailbox as mailbox_module
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import REVOCATION
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.errors import (
    HandoverInProgress,
    RateLimited,
    RevocationsFull,
    StoreOutcomeUnknown,
    TokenRevoked,
)
from rowbox.mailbox.revocation import Bearer, Revocation, token_hash
from rowbox.mailbox.settings.config import AuthSettings, RateLimitSettings, StoreSettings
from rowbox.mailbox.two_states import IndexCell
from tests.checking import findings_of
from tests.support.cluster import SHARDS, UNLIMITED, Cluster, Node, cluster, gather_all, parsed
from tests.support.parts import in_small_parts
from tests.support.virtual_time import settle, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
ANN = row_key("ann", SHARDS)


def token(servers: Cluster, user: str = "ann", token_id: str = "") -> Bearer:
    """What is known of a token that is issued now, by an issuer that writes whole seconds."""
    hashed = token_hash(token_id) if token_id else b""
    return Bearer(user, float(servers.clock.now_us() // US_PER_S), hashed)


async def every_call(node: Node, bearer: Bearer, user: str = "ann") -> list[Any]:
    """What each call of the API gets with a token: an answer, or an error."""
    sent = await node.send("bob", user, "to be marked", f"c{node.owner.committer.counters.sends}")
    await node.owner.delivery.idle()
    return await gather_all(
        node.send(user, "bob", "x", f"c{node.owner.committer.counters.sends}", bearer),
        node.status(user, "c", bearer),
        node.mark_read(user, sent.conversation_id, sent.message_id, bearer),
        node.messages(user, bearer=bearer),
        node.messages(user, sent.conversation_id, bearer=bearer),
        node.conversations(user, bearer=bearer),
        node.conversations(user, token=0, wait_ms=50, bearer=bearer),
    )


def is_refused(answers: list[Any]) -> bool:
    """All by the revocation, or none of them."""
    refused = {isinstance(answer, TokenRevoked) for answer in answers}
    assert len(refused) == 1, answers
    return refused == {True}


async def is_revoked(node: Node, bearer: Bearer) -> bool:
    return is_refused(await every_call(node, bearer))


@asynccontextmanager
async def revoked(*, late: bool, settings: Any = UNLIMITED) -> AsyncIterator[tuple[Cluster, Bearer]]:
    """A mailbox, and a token of its user that was just revoked with all others."""
    async with cluster(late=late, settings=settings) as servers:
        await servers.node.send("ann", "ann", "x", "c")
        old = token(servers)
        await servers.node.revoke_user("ann")
        yield servers, old


async def cells(servers: Cluster) -> list[IndexCell[Revocation]]:
    columns = (await servers.store.get_row(ANN, (Family.INDEX,)))[Family.INDEX]
    decoded = [codec.decode_index(*column) for column in columns]
    return [cell for cell in decoded if isinstance(cell, IndexCell) and cell.kind == REVOCATION.letter]


@both_kinds
@virtual_time
async def test_a_revoked_users_tokens_are_refused_in_every_call(late: bool) -> None:
    async with cluster(late=late) as servers:
        await servers.node.send("ann", "ann", "x", "c")
        old, others = token(servers), token(servers, "bob")
        assert not await is_revoked(servers.node, old)
        await servers.node.revoke_user("ann")
        assert await is_revoked(servers.node, old)
        assert not is_refused(await gather_all(servers.node.send("bob", "ann", "hi", "c9", others)))


@both_kinds
@pytest.mark.parametrize("past_second_us", [0, 1, 500_000, 999_999])
@virtual_time
async def test_who_signs_in_again_after_the_answer_is_let_in_at_once(late: bool, past_second_us: int) -> None:
    async with cluster(late=late) as servers:
        await servers.node.send("ann", "ann", "x", "c")
        await asyncio.sleep((-servers.clock.now_us() % US_PER_S + past_second_us) / US_PER_S)
        old = token(servers)
        before_s = await servers.node.revoke_user("ann")
        new = token(servers)
        assert old.issued_at_s < before_s == new.issued_at_s
        assert await is_revoked(servers.node, old)
        assert not await is_revoked(servers.node, new)


@both_kinds
@virtual_time
async def test_it_holds_from_its_commit_on_and_not_from_the_answer(late: bool) -> None:
    async with cluster(late=late) as servers:
        await servers.node.send("ann", "ann", "x", "c")
        old = token(servers)
        under_way = asyncio.create_task(servers.node.revoke_user("ann"))
        await settle(20)
        assert not under_way.done()
        assert await is_revoked(servers.node, old)
        await under_way


@both_kinds
@virtual_time
async def test_a_write_that_joins_the_batch_of_a_revocation_before_it_is_refused(late: bool) -> None:
    async with cluster(late=late) as servers:
        node, old = servers.node, token(servers)
        sent = await node.send("ann", "ann", "x", "c")
        node.store.hold(Point.WRITE)
        in_flight = asyncio.create_task(node.send("ann", "ann", "y", "c2"))
        await settle()
        revoking = asyncio.create_task(node.revoke_user("ann"))
        await settle()
        writes = asyncio.gather(
            node.send("ann", "ann", "z", "c3", old),
            node.mark_read("ann", sent.conversation_id, sent.message_id, old),
            return_exceptions=True,
        )
        await settle()
        before = node.owner.committer.counters.batches
        node.store.release(Point.WRITE)
        assert is_refused(list(await writes))
        assert node.owner.committer.counters.batches <= before + 1, "they were in one batch"
        await asyncio.gather(in_flight, revoking)


@both_kinds
@virtual_time
async def test_a_token_without_a_time_of_issue_is_refused_like_the_oldest(late: bool) -> None:
    async with revoked(late=late) as (servers, _):
        assert await is_revoked(servers.node, Bearer("ann"))


@both_kinds
@virtual_time
async def test_it_is_there_after_restarts_and_takeovers(late: bool) -> None:
    async with revoked(late=late) as (servers, old):
        for _ in range(3):
            await servers.restart()
            assert await is_revoked(servers.node, old)
            assert not await is_revoked(servers.node, token(servers))


@both_kinds
@virtual_time
async def test_a_row_that_is_read_in_parts_tells_of_it(late: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        in_small_parts(patch)
        async with revoked(late=late) as (servers, old):
            for number in range(5):
                await servers.node.send("ann", f"u{number}", "x", f"n{number}")
            await servers.restart()
            assert await is_revoked(servers.node, old)


@both_kinds
@virtual_time
async def test_a_user_without_a_mailbox_can_be_revoked(late: bool) -> None:
    async with cluster(late=late) as servers:
        old = token(servers)
        await servers.node.revoke_user("ann")
        await servers.restart()
        (answer,) = await gather_all(servers.node.messages("ann", bearer=old))
        assert isinstance(answer, TokenRevoked)
        first = await servers.node.messages("ann")
        await servers.node.send("bob", "ann", "hi", "c")
        await servers.quiet()
        assert [one["messageContent"] for one in parsed(await servers.node.messages("ann", token=first.token))] == [
            "hi"
        ]


@both_kinds
@virtual_time
async def test_no_delta_shows_it_and_none_is_missed_over_it(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await node.send("bob", "ann", "before", "c1")
        await servers.quiet()
        messages, conversations = (await node.messages("ann")).token, (await node.conversations("ann")).token
        await node.revoke_user("ann")
        for page in (
            await node.messages("ann", token=messages),
            await node.conversations("ann", token=conversations),
        ):
            assert (page.is_delta, list(page.items)) == (True, [])
        await node.send("bob", "ann", "after", "c2")
        await servers.quiet()
        (shown,) = parsed(await node.messages("ann", token=messages))
        assert shown["messageContent"] == "after"


# ---------------------------------------------------------------------- waits


@both_kinds
@pytest.mark.parametrize("evicted", [False, True])
@virtual_time
async def test_parked_polls_of_a_revoked_token_end_within_a_second(late: bool, evicted: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await node.send("ann", "ann", "x", "c")
        old, head = token(servers), (await node.messages("ann")).token
        waits = [
            asyncio.create_task(node.messages("ann", token=head, wait_ms=50_000, bearer=old)),
            asyncio.create_task(
                node.conversations("ann", token=(await node.conversations("ann")).token, wait_ms=50_000, bearer=old)
            ),
        ]
        await settle()
        if evicted:
            node.owner.table._evict(node.owner.table.row("ann"))
        asked_at = asyncio.get_running_loop().time()
        revoking = asyncio.create_task(node.revoke_user("ann"))
        assert is_refused(await gather_all(*waits))
        assert asyncio.get_running_loop().time() - asked_at < 1.0
        assert node.owner.waiters.count == 0
        await revoking


@both_kinds
@virtual_time
async def test_a_poll_of_a_newer_token_waits_on(late: bool) -> None:
    async with revoked(late=late) as (servers, _):
        node = servers.node
        new = token(servers)
        head = (await node.messages("ann")).token
        waiting = asyncio.create_task(node.messages("ann", token=head, wait_ms=50_000, bearer=new))
        await settle()
        await node.revoke_user("bob")
        await node.revoke_id("of somebody else")
        assert not waiting.done()
        await node.send("bob", "ann", "news", "c7")
        assert [one["messageContent"] for one in parsed(await waiting)] == ["news"]


@both_kinds
@pytest.mark.parametrize("user", ["ann", "root"], ids=["own", "admin"])
@pytest.mark.parametrize("waits", [False, True])
@virtual_time
async def test_what_is_read_while_the_token_is_revoked_is_not_told(*, late: bool, user: str, waits: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        sent = await node.send("ann", "ann", "x", "c")
        page = await node.messages("ann", sent.conversation_id)
        await node.send("ann", "bob", "y", "news of another conversation")
        await node.owner.delivery.idle()
        node.owner.table._evict(node.owner.table.row("ann"))
        await node.conversations("ann")
        await node.conversations(user)
        old, reads = token(servers, user), node.store.gates[Point.READ]
        reads.hold()
        position = {"token": page.token, "wait_ms": 50_000} if waits else {}
        reading = asyncio.create_task(node.messages("ann", sent.conversation_id, **position, bearer=old))
        await settle()
        assert reads.waiting == 1
        await node.revoke_user(user)
        reads.release()
        assert is_refused(await gather_all(asyncio.wait_for(reading, 1.0)))


# ---------------------------------------------------------------------- tokens that act for others


@both_kinds
@pytest.mark.parametrize("call", ["send", "mark_read", "messages", "conversations", "status", "follow"])
@virtual_time
async def test_an_admin_that_is_revoked_while_a_mailbox_is_loaded_is_refused(*, late: bool, call: str) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        sent = await node.send("ann", "ann", "x", "c")
        await node.conversations("root")
        node.owner.table._evict(node.owner.table.row("ann"))
        admin, reads = token(servers, "root"), node.store.gates[Point.READ]
        reads.hold()
        calls: dict[str, Callable[..., Any]] = {
            "send": partial(node.send, "ann", "ann", "too late", "c2"),
            "mark_read": partial(node.mark_read, "ann", sent.conversation_id, sent.message_id),
            "messages": partial(node.messages, "ann"),
            "conversations": partial(node.conversations, "ann"),
            "status": partial(node.status, "ann", "c"),
            "follow": partial(node.follow, "ann", lambda _: None),
        }
        asked = asyncio.create_task(calls[call](bearer=admin))
        await settle()
        assert reads.waiting
        await node.revoke_user("root")
        reads.release()
        assert is_refused(await gather_all(asked))
        assert len(parsed(await node.messages("ann"))) == 1


@both_kinds
@virtual_time
async def test_an_admins_token_is_judged_by_its_own_users_row(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        admin = token(servers, "root")
        assert not await is_revoked(node, admin)
        await node.revoke_user("ann")  # her own tokens: he goes on acting for her
        assert not await is_revoked(node, admin)
        head = (await node.messages("ann")).token
        waiting = asyncio.create_task(node.messages("ann", token=head, wait_ms=50_000, bearer=admin))
        await settle()
        await node.revoke_user("root")
        assert is_refused(await gather_all(waiting))
        assert await is_revoked(node, admin)
        await servers.restart()
        assert await is_revoked(servers.node, admin)
        assert not await is_revoked(servers.node, token(servers, "root"))


@both_kinds
@pytest.mark.parametrize("waits", [False, True])
@virtual_time
async def test_an_admin_that_is_revoked_while_a_list_is_settled_is_refused(*, late: bool, waits: bool) -> None:
    settings = replace(UNLIMITED, store=StoreSettings(retention_ms=5_000_000))
    async with cluster(late=late, settings=settings) as servers:
        node = servers.node
        await node.send("ann", "ann", "x", "c")
        if not waits:
            servers.clock.jump(7200)
        page, admin, fetches = await node.conversations("ann"), token(servers, "root"), node.owner.fetches
        if not waits:
            await node.send("ann", "ann", "is over soon", "c2")
            servers.clock.jump(7200)
        settled = fetches.settled_page

        async def revoked_meanwhile(*asked: Any) -> Any:
            answer = await settled(*asked)
            await node.revoke_user("root")
            return answer

        fetches.settled_page = revoked_meanwhile  # type: ignore[assignment, method-assign]
        position = {"token": page.token, "wait_ms": 50_000} if waits else {}
        asked = asyncio.create_task(node.conversations("ann", **position, bearer=admin))
        await settle()
        if waits:
            await node.send("ann", "ann", "news", "c3")
        assert is_refused(await gather_all(asked))


# ---------------------------------------------------------------------- single tokens


@both_kinds
@virtual_time
async def test_one_token_is_revoked_by_its_id_and_no_other(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await node.send("ann", "ann", "x", "c")
        one, other = token(servers, token_id="one"), token(servers, token_id="other")
        head = (await node.messages("ann")).token
        waiting = asyncio.create_task(node.messages("ann", token=head, wait_ms=50_000, bearer=one))
        await settle()
        await node.revoke_id("one")
        assert is_refused(await gather_all(waiting))
        for _ in range(2):
            assert await is_revoked(servers.node, one)
            assert not await is_revoked(servers.node, other)
            assert not await is_revoked(servers.node, token(servers))
            await servers.restart()


@virtual_time
async def test_single_tokens_are_bounded_in_number_and_twice_is_once() -> None:
    async with cluster(late=False) as servers:
        for number in range(MOST_IDS):
            await servers.node.revoke_id(str(number))
        await servers.node.revoke_id("0")
        with pytest.raises(RevocationsFull, match="revoke all tokens of the user instead"):
            await servers.node.revoke_id("one more")
        assert await is_revoked(servers.node, token(servers, token_id="999"))
        assert not await is_revoked(servers.node, token(servers, token_id="one more"))


@virtual_time
async def test_single_tokens_that_have_expired_make_room() -> None:
    settings = replace(UNLIMITED, auth=AuthSettings(max_token_life_ms=3_600_000))
    async with cluster(late=False, settings=settings) as servers:
        for number in range(MOST_IDS):
            await servers.node.revoke_id(str(number))
        servers.clock.jump(3600 + 60)
        await servers.node.revoke_id("one more")
        assert await is_revoked(servers.node, token(servers, token_id="one more"))


@virtual_time
async def test_a_single_token_that_is_revoked_again_is_so_until_the_later_end() -> None:
    async with cluster(late=False) as servers:
        ids, one, now_us = servers.node.owner.revocations.ids, token_hash("one"), servers.clock.now_us()
        end_s = now_us // US_PER_S + 60
        for until_s, latest_s in ((end_s, end_s), (end_s - 30, end_s), (end_s + 30, end_s + 30), (0, 0), (end_s, 0)):
            await ids.add(one, until_s, now_us)
            assert ids.holds(one, (latest_s or end_s + 10**9) * US_PER_S - 1)
            assert ids.holds(one, latest_s * US_PER_S) == (not latest_s)


@both_kinds
@virtual_time
async def test_a_token_that_is_revoked_by_its_id_has_no_mailbox_loaded(late: bool) -> None:
    async with cluster(late=late) as servers:
        node, one = servers.node, token(servers, token_id="one")
        await node.revoke_id("one")
        node.store.gates[Point.READ].hold()
        asked = asyncio.create_task(node.messages("ann", bearer=one))
        await settle()
        assert is_refused(await gather_all(asyncio.wait_for(asked, 0.1)))
        node.store.gates[Point.READ].release()


@virtual_time
async def test_ids_that_are_revoked_at_the_same_time_are_all_revoked() -> None:
    async with cluster(late=True) as servers:
        names = [f"t{number}" for number in range(8)]
        servers.node.store.faults.next(Fault.EXECUTE_TWICE, Op.COMPARE_AND_SET)
        await asyncio.gather(*map(servers.node.revoke_id, names))
        servers.store.land()
        await servers.restart()
        for name in names:
            assert await is_revoked(servers.node, token(servers, token_id=name))


@virtual_time
async def test_an_owner_that_was_replaced_tells_nobody_that_an_id_is_revoked() -> None:
    async with cluster(late=True) as servers:
        old = servers.node
        await servers.start()
        (answer,) = await gather_all(old.revoke_id("x"))
        assert isinstance(answer, HandoverInProgress)

        class Lapsing(RevokedIds):
            async def add(self, *_: Any) -> None:
                servers.node.revoke()  # while the list is written

        servers.node.owner.revocations.ids.__class__ = Lapsing
        (answer,) = await gather_all(servers.node.revoke_id("x"))
        assert isinstance(answer, HandoverInProgress)


# ---------------------------------------------------------------------- the fence


@virtual_time
async def test_an_owner_that_was_replaced_revokes_nothing() -> None:
    async with cluster(late=True) as servers:
        old, bearer = servers.node, token(servers)
        await servers.start()
        (answer,) = await gather_all(old.revoke_user("ann"))
        assert isinstance(answer, HandoverInProgress)
        assert not await is_revoked(servers.node, bearer)


@virtual_time
async def test_a_revocation_that_lands_late_counts_nowhere_and_the_one_before_it_everywhere() -> None:
    async with revoked(late=True) as (servers, old):
        await asyncio.sleep(5)
        newer = token(servers)
        await asyncio.sleep(5)
        servers.node.store.faults.next(Fault.EXECUTE_LATE, Op.MUTATE)
        (answer,) = await gather_all(servers.node.revoke_user("ann"))
        assert isinstance(answer, StoreOutcomeUnknown)
        for _ in range(2):
            assert await is_revoked(servers.node, old)
            assert not await is_revoked(servers.node, newer)
            servers.store.land()
            await servers.restart()
        assert await findings_of(servers.store, servers.settings, servers.clock.now_us()) == []


@virtual_time
async def test_cells_of_earlier_owners_that_carry_nothing_go() -> None:
    async with revoked(late=True) as (servers, old):
        for _ in range(3):
            await servers.restart()
            await servers.node.revoke_user("ann")
        await servers.restart()
        assert await is_revoked(servers.node, old)
        await servers.node.process.call(servers.node.owner.cleaner.flush())
        assert len(await cells(servers)) == 1


# ---------------------------------------------------------------------- their end


@both_kinds
@virtual_time
async def test_the_record_goes_with_the_next_change_after_the_longest_token_has_expired(late: bool) -> None:
    settings = replace(UNLIMITED, auth=AuthSettings(max_token_life_ms=3_600_000, leeway_ms=5000))
    async with revoked(late=late, settings=settings) as (servers, old):
        await servers.node.revoke_id("one")
        one = token(servers, token_id="one")
        servers.clock.jump(3609)  # a life, and nearly the leeway twice: so long may such a token count
        assert await is_revoked(servers.node, old)
        assert await is_revoked(servers.node, one)
        servers.clock.jump(15)
        assert not await is_revoked(servers.node, old), "its exp refuses it, long before it comes here"
        assert not await is_revoked(servers.node, one)
        await servers.restart()
        await servers.node.send("ann", "ann", "x", "c99")
        assert [cell.current.before_s for cell in await cells(servers)][-1] == 0
        await servers.quiet()
        assert await findings_of(servers.store, servers.settings, servers.clock.now_us()) == []


@both_kinds
@virtual_time
async def test_without_a_longest_token_it_holds_for_ever(late: bool) -> None:
    async with revoked(late=late) as (servers, old):
        servers.clock.jump(10 * 365 * 86_400)
        await servers.restart()
        assert await is_revoked(servers.node, old)


@both_kinds
@virtual_time
async def test_a_revocation_is_never_taken_back_by_a_clock_that_was_set_back(late: bool) -> None:
    async with revoked(late=late) as (servers, old):
        servers.clock.jump(-3600)
        await servers.node.revoke_user("ann")
        assert await is_revoked(servers.node, old)
        await servers.restart()
        assert await is_revoked(servers.node, old)


# ---------------------------------------------------------------------- what a thief can do


@both_kinds
@virtual_time
async def test_a_revoked_token_does_not_use_up_what_its_user_may_ask_for(late: bool) -> None:
    limits = RateLimitSettings(send_burst=3, send_per_second=0.001, fetch_burst=3, fetch_per_second=0.001)
    async with revoked(late=late, settings=replace(UNLIMITED, rate_limits=limits)) as (servers, old):
        new = token(servers)
        for _ in range(10):
            answers = await gather_all(
                servers.node.send("ann", "ann", "x", "stolen", old),
                servers.node.messages("ann", bearer=old),
                servers.node.conversations("ann", bearer=old),
            )
            assert not any(isinstance(answer, RateLimited) for answer in answers)
        with pytest.raises(TokenRevoked):
            servers.node.owner.admit_write("ann", old)
        assert isinstance(await servers.node.messages("ann", bearer=new), Page)
        await servers.node.send("ann", "ann", "x", "mine", new)


# ---------------------------------------------------------------------- no rule can be left out


def _no_check_before_a_read_is_answered(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Revocations, "_check_token", lambda *_: None)


def _no_check_under_the_lock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Plan, "admit", lambda *_, **__: None)
    patch.setattr(Revocations, "check_in_memory", lambda *_: None)


def _waits_are_not_ended(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Waiters, "revoke", lambda *_: None)


def _the_moment_is_the_begin_of_the_second(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(revocations_module, "end_of_second", lambda now_us: now_us // US_PER_S)


def _the_answer_does_not_wait_for_the_moment(patch: pytest.MonkeyPatch) -> None:
    class NoSleep:
        get_running_loop = staticmethod(asyncio.get_running_loop)

        @staticmethod
        async def sleep(_seconds: float) -> None: ...

    patch.setattr(revocations_module, "asyncio", NoSleep)


def _it_is_not_loaded(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(mailbox_module.Mailbox, "_take_others", lambda *_: None)


def _only_the_last_state_of_a_cell_is_looked_at(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(two_states, "states_of", lambda cell: [cell.current])


def _late_writes_count(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(two_states, "is_valid", lambda *_: True)


def _the_list_of_ids_is_not_read_by_an_owner(patch: pytest.MonkeyPatch) -> None:
    async def nothing(_: RevokedIds) -> None: ...

    patch.setattr(RevokedIds, "read", nothing)


def _admins_are_not_judged(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> None: ...

    patch.setattr(Revocations, "admit_other", nothing)


def _no_check_after_the_list_is_written(patch: pytest.MonkeyPatch) -> None:
    revoke = Revocations.revoke_id

    async def unchecked(self: Revocations, token_id: str) -> None:
        patch.setattr(self, "_ownership", SoleOwnership(SHARDS))
        await revoke(self, token_id)

    patch.setattr(Revocations, "revoke_id", unchecked)


@pytest.mark.parametrize(
    ("rule_left_out", "story"),
    [
        (_no_check_before_a_read_is_answered, partial(test_a_revoked_users_tokens_are_refused_in_every_call, False)),
        (_no_check_under_the_lock, partial(test_a_revoked_users_tokens_are_refused_in_every_call, True)),
        (_waits_are_not_ended, partial(test_parked_polls_of_a_revoked_token_end_within_a_second, False, False)),
        (
            _the_moment_is_the_begin_of_the_second,
            partial(test_who_signs_in_again_after_the_answer_is_let_in_at_once, False, 0),
        ),
        (
            _the_answer_does_not_wait_for_the_moment,
            partial(test_who_signs_in_again_after_the_answer_is_let_in_at_once, False, 0),
        ),
        (_it_is_not_loaded, partial(test_it_is_there_after_restarts_and_takeovers, False)),
        (_it_is_not_loaded, partial(test_it_is_there_after_restarts_and_takeovers, True)),
        (
            _only_the_last_state_of_a_cell_is_looked_at,
            test_a_revocation_that_lands_late_counts_nowhere_and_the_one_before_it_everywhere,
        ),
        (_late_writes_count, test_a_revocation_that_lands_late_counts_nowhere_and_the_one_before_it_everywhere),
        (_the_list_of_ids_is_not_read_by_an_owner, partial(test_one_token_is_revoked_by_its_id_and_no_other, True)),
        (_admins_are_not_judged, partial(test_an_admins_token_is_judged_by_its_own_users_row, False)),
        (
            _no_check_after_the_list_is_written,
            test_an_owner_that_was_replaced_tells_nobody_that_an_id_is_revoked,
        ),
    ],
    ids=lambda part: part.__name__.strip("_") if hasattr(part, "__name__") else "",
)
def test_without_the_rule_the_story_ends_badly(
    rule_left_out: Callable[[pytest.MonkeyPatch], None], story: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rule_left_out(monkeypatch)
    with pytest.raises((AssertionError, Failed)):
        story()

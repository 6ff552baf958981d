"""A grant that has ended is noticed, whoever has the shard by now; what fails, fails for its own row alone."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

import pytest

from rowbox.cacheserver.cache.row import Row
from rowbox.cacheserver.commit.batch import Batch
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.mailbox.errors import HandoverInProgress, LeaseLapsed, NotTheOwner, StoreOutcomeUnknown
from rowbox.mailbox.fence import make_epoch
from rowbox.mailbox.revocation import Bearer
from tests.checking import assert_no_findings
from tests.owner.shards.sharing import Sharing, shard, sharing
from tests.support.cluster import Node, gather_all, parsed
from tests.support.virtual_time import settle, virtual_time


async def texts(node: Node, user: str) -> list[str]:
    return [item["messageContent"] for item in parsed(await node.messages(user))]


def there_and_back(servers: Sharing, user: str) -> None:
    """The user's shard goes to the second node and comes back, without anything else happening meanwhile."""
    first, second = servers.nodes
    servers.give(second, [shard(user)])
    servers.give(first, [shard(user)])


@virtual_time
async def test_a_page_that_was_begun_before_the_shard_was_away_is_not_answered() -> None:
    """The owner owns the user now, and did not when somebody else wrote."""
    async with sharing() as servers:
        first, second = servers.nodes
        sent = await first.send("ann", "ann", "one", "c1")
        first.owner.table.drop(first.owner.table.row("ann"))
        first.store.hold(Point.READ)
        page = asyncio.create_task(first.messages("ann", sent.conversation_id))
        await settle()
        servers.give(second, [shard("ann")])
        await second.send("ann", "ann", "two", "c2")
        servers.give(first, [shard("ann")])
        first.store.release(Point.READ)
        (answer,) = await gather_all(page)
        assert isinstance(answer, NotTheOwner)
        assert answer.map_version in (servers.map_version - 1, servers.map_version)
        assert await texts(first, "ann") == ["two", "one"]


@virtual_time
async def test_a_page_made_of_memory_is_not_answered_by_a_mailbox_of_a_grant_that_has_ended() -> None:
    async with sharing() as servers:
        first, second = servers.nodes
        await first.send("ann", "ann", "one", "c1")
        servers.give(second, [shard("ann")])
        await second.send("ann", "ann", "two", "c2")
        servers.give(first, [shard("ann")])
        assert await texts(first, "ann") == ["two", "one"]
        fence = (await first.owner.table.loaded("ann"))[1].fence
        assert fence[-1].epoch == make_epoch(servers.map_version, 0)


@virtual_time
async def test_a_write_that_was_begun_before_the_shard_was_away_is_not_confirmed() -> None:
    async with sharing() as servers:
        first, _ = servers.nodes
        await first.messages("ann")
        first.store.hold(Point.ANSWER)
        sending = asyncio.create_task(first.send("ann", "ann", "one", "c1"))
        await settle()
        there_and_back(servers, "ann")
        first.store.release(Point.ANSWER)
        (answer,) = await gather_all(sending)
        assert isinstance(answer, NotTheOwner)
        assert (await first.send("ann", "ann", "one", "c1")).duplicate
        assert await texts(first, "ann") == ["one"]


@virtual_time
async def test_a_load_that_was_begun_before_the_shard_was_away_brings_nothing_into_memory() -> None:
    async with sharing() as servers:
        first, _ = servers.nodes
        first.store.hold(Point.ANSWER)  # of the claim
        page = asyncio.create_task(first.messages("ann"))
        await settle()
        there_and_back(servers, "ann")
        first.store.release(Point.ANSWER)
        (answer,) = await gather_all(page)
        assert isinstance(answer, NotTheOwner)
        assert first.owner.table.peek("ann") is None
        assert first.owner.table.size_bytes == 0
        assert await texts(first, "ann") == []


@virtual_time
async def test_a_poll_that_was_parked_before_the_shard_was_away_ends() -> None:
    async with sharing() as servers:
        first, _ = servers.nodes
        one, other = (await first.messages("ann")).token, (await first.conversations("ann")).token
        polls = [
            asyncio.create_task(first.messages("ann", token=one, wait_ms=60_000)),
            asyncio.create_task(first.conversations("ann", token=other, wait_ms=60_000)),
        ]
        await settle()
        there_and_back(servers, "ann")
        began = asyncio.get_running_loop().time()
        assert [type(answer) for answer in await gather_all(*polls)] == [NotTheOwner, NotTheOwner]
        assert asyncio.get_running_loop().time() == began
        assert first.owner.waiters.count == 0


@virtual_time
async def test_what_is_read_for_a_command_while_the_shard_goes_does_no_harm() -> None:
    """The row has no mailbox any more when the read begins, and another row when it ends."""
    async with sharing() as servers:
        first, _ = servers.nodes
        sent = await first.send("bob", "ann", "one", "c1")
        for number in range(60):
            await first.send("bob", "ann", f"more {number}", f"m{number}")
        await servers.quiet()
        first.owner.table.drop(first.owner.table.row("ann"))
        await first.conversations("ann")
        first.store.hold(Point.READ)
        marking = asyncio.create_task(first.mark_read("ann", sent.conversation_id, sent.message_id))
        await settle()
        there_and_back(servers, "ann")
        first.store.release(Point.READ)
        (answer,) = await gather_all(marking)
        assert isinstance(answer, NotTheOwner)
        assert (await first.mark_read("ann", sent.conversation_id, sent.message_id)).unread_count == 60


@virtual_time
async def test_an_unknown_outcome_leaves_the_epoch_of_its_own_grant_alone() -> None:
    async with sharing() as servers:
        first, _ = servers.nodes
        for user in ("ann", "bob"):
            await first.messages(user)
        epochs = {user: first.owner.table.grant_of(user).epoch for user in ("ann", "bob")}
        first.store.faults.next(Fault.EXECUTE_LATE, Op.MUTATE)
        (answer,) = await gather_all(first.send("ann", "ann", "one", "c1"))
        assert isinstance(answer, StoreOutcomeUnknown)
        assert first.owner.table.grant_of("ann").epoch == epochs["ann"] + 1
        assert first.owner.table.grant_of("bob").epoch == epochs["bob"]


@pytest.mark.parametrize("when", ["before_the_call", "after_the_call"])
@virtual_time
async def test_of_a_batch_only_the_user_who_was_given_away_fails(when: str) -> None:
    users = [f"user{number}" for number in range(100)]
    async with sharing() as servers:
        first, second = servers.nodes
        await asyncio.gather(*map(first.messages, users))
        lost = users[37]
        batches = first.owner.committer.counters.batches
        sending = [asyncio.create_task(first.send(user, user, "one", "c1")) for user in users]
        if when == "after_the_call":
            first.store.hold(Point.ANSWER)
            await settle()
            servers.give(second, [shard(lost)])
            first.store.release(Point.ANSWER)
        else:
            before_the_write(first.owner, lambda: servers.give(second, [shard(lost)]))
        answers = dict(zip(users, await gather_all(*sending), strict=True))
        failed = {user for user, answer in answers.items() if isinstance(answer, NotTheOwner)}
        assert failed == {user for user in users if shard(user) == shard(lost)}
        assert not any(isinstance(answer, Exception) for user, answer in answers.items() if user not in failed)
        assert first.owner.committer.counters.batches == batches + 1
        again = await second.send(lost, lost, "one", "c1")
        assert again.duplicate == (when == "after_the_call")
        await assert_no_findings(servers.store, servers.settings, servers.clock.now_us())


def before_the_write(owner: Owner, then: Callable[[], None]) -> None:
    """Has something happen between the filling of the next batch and its store call."""
    committer = owner.committer
    calls = committer._calls

    def first_then(batch: Batch) -> Iterator[Sequence[Row]]:
        committer._calls = calls  # type: ignore[method-assign]
        then()
        return calls(batch)

    committer._calls = first_then  # type: ignore[method-assign]


@virtual_time
async def test_who_owns_no_shard_refuses_every_call_and_keeps_no_row() -> None:
    async with sharing() as servers:
        _, second = servers.nodes
        answers = await gather_all(
            second.send("ann", "bob", "one", "c1"),
            second.messages("ann"),
            second.conversations("ann"),
            second.status("ann", "c1"),
            second.mark_read("ann", bytes(16), bytes(16)),
            second.revoke_user("ann"),
            second.revoke_id("x"),
            second.owner.judge(Bearer("ann", 0)),
        )
        assert {type(answer) for answer in answers} == {NotTheOwner}
        for refused in (lambda: second.owner.admit_write("ann"), lambda: second.owner.deliver("ann", [])):
            with pytest.raises(NotTheOwner):
                refused()
        assert len(second.owner.table) == 0


@virtual_time
async def test_requests_while_the_lease_has_lapsed_leave_nothing_in_memory() -> None:
    async with sharing() as servers:
        first, _ = servers.nodes
        first.lapse()
        answers = await gather_all(*(first.messages(f"user{number}") for number in range(50)))
        assert all(isinstance(answer, HandoverInProgress) for answer in answers)
        assert len(first.owner.table) == 0
        assert not issubclass(LeaseLapsed, NotTheOwner)


@virtual_time
async def test_a_token_that_is_used_for_another_owners_user_is_judged_by_its_own_users_owner() -> None:
    async with sharing() as servers:
        first, second = servers.nodes
        servers.give(second, [shard("bob")])
        assert shard("ann") != shard("bob")
        admin = Bearer("bob", servers.clock.now_us() // 1_000_000 - 5)
        await second.owner.judge(admin)
        assert parsed(await first.messages("ann", bearer=admin)) == []
        await second.revoke_user("bob")
        (answer,) = await gather_all(second.owner.judge(admin))
        assert type(answer).__name__ == "TokenRevoked"
        with pytest.raises(NotTheOwner):
            await first.owner.judge(admin)

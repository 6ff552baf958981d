"""How devices are used: known at once, written seldom, there after every end of an owner but a kill."""

import asyncio

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.access import device_uses
from rowbox.cacheserver.access.device_uses import ROUND_S, WRITE_S
from rowbox.cacheserver.port import FetchChanges, ProvenToken
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.devices import MOST_DEVICES, NOTED_EVERY_US, UNSEEN_US
from rowbox.mailbox.revocation import Bearer
from tests.checking import findings_of
from tests.owner.access.test_devices import listed, on, register, sign_out
from tests.support.cluster import CRAMPED, Cluster, Node, cluster, version_of
from tests.support.virtual_time import settle, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
HOUR_S = 3600.0


async def come_back(node: Node, bearer: Bearer, token: str | None = None, *, proves: bool = True) -> str:
    """The device asks what changed since a token; None: one that it gets now. Returns the token of the answer."""
    if token is None:
        token = (await node.changes("ann", bearer=bearer)).token
    request = FetchChanges("ann", token, bearer=bearer, proves=proves)
    return (await node.process.call(node.owner.fetch_changes(request))).token


async def acked(node: Node, user: str = "ann") -> dict[str, int]:
    """What the devices of a user have, as the owner says it of a mailbox in memory."""
    _, mailbox = await node.process.call(node.owner.table.loaded(user))
    return dict(node.owner.device_uses.acked(mailbox))


def rows_written(node: Node) -> int:
    return node.owner.committer.counters.rows


async def heard_of(servers: Cluster, *device_ids: str) -> str:
    """The devices are registered, a message has come, and each has it. Returns their token."""
    node = servers.node
    for device_id in device_ids:
        await register(node, device_id, on(servers, device_id))
    first = await come_back(node, on(servers, device_ids[0]))
    await node.send("bob", "ann", "hello", f"c{first}")
    token = ""
    for device_id in device_ids:
        token = await come_back(node, on(servers, device_id), await come_back(node, on(servers, device_id), first))
    return token


@both_kinds
@virtual_time
async def test_a_token_says_what_its_device_has_and_costs_no_write(late: bool) -> None:
    async with cluster(late=late) as servers:
        node, phone = servers.node, on(servers, "phone")
        await register(node, "phone", phone)
        await register(node, "laptop")
        before = rows_written(node)
        first = await come_back(node, phone)
        assert await acked(node) == {"phone": version_of(first), "laptop": 0}
        assert rows_written(node) == before
        await node.send("bob", "ann", "hello", "c")
        token = await come_back(node, phone, first)
        assert await acked(node) == {"phone": version_of(first), "laptop": 0}, "to be given it proves nothing"
        await come_back(node, phone, token)
        assert (await acked(node))["phone"] == version_of(token)
        await come_back(node, phone, first)
        assert (await acked(node))["phone"] == version_of(token), "it only rises"
        await node.process.call(node.owner.prove(ProvenToken("ann", token, on(servers, "laptop"))))
        assert (await acked(node))["laptop"] == version_of(token), "as a socket says it"


@both_kinds
@virtual_time
async def test_what_proves_nothing_of_all_that_changed_moves_no_mark(late: bool) -> None:
    async with cluster(late=late) as servers:
        node, phone = servers.node, on(servers, "phone")
        await register(node, "phone", phone)
        sent = await node.send("bob", "ann", "hello", "c")
        token = version_of((await node.changes("ann")).token)
        await node.messages("ann", sent.conversation_id, token=token, bearer=phone, proves=True)
        await node.messages("ann", token=token, bearer=phone)
        await come_back(node, phone, (await node.changes("ann")).token, proves=False)
        await come_back(node, on(servers, "other"))
        await come_back(node, replace(phone, user_id="bob"))
        assert await acked(node) == {"phone": 0}
        await node.messages("ann", token=token + 9, bearer=phone, proves=True)
        assert await acked(node) == {"phone": 0}, "a token of the future"
        await node.messages("ann", token=token, bearer=phone, proves=True)
        assert await acked(node) == {"phone": token}


@both_kinds
@virtual_time
async def test_a_device_is_seen_whenever_it_comes_back(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await register(node, "phone")
        await register(node, "laptop")
        token = await come_back(node, on(servers, "phone"))
        for _ in range(3):
            await asyncio.sleep(100)
            await come_back(node, on(servers, "phone"), token)
            seen = {one.device_id: one.seen_us for one in await listed(node)}
            assert seen["phone"] == servers.clock.now_us()
        await node.follow("ann", lambda _: None, on(servers, "laptop"))
        assert [one.seen_us for one in await listed(node)] == [servers.clock.now_us()] * 2


@both_kinds
@virtual_time
async def test_what_is_known_is_written_within_eleven_minutes_and_by_one_write(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        token = await heard_of(servers, "phone", "laptop")
        before = rows_written(node)
        for _ in range(int(WRITE_S + ROUND_S) // 20):
            await asyncio.sleep(20)
            await come_back(node, on(servers, "phone"), token)
        assert rows_written(node) == before + 1
        node = await servers.restart()
        assert set((await acked(node)).values()) == {version_of(token)}
        assert await findings_of(servers.store, servers.settings, servers.clock.now_us()) == []


@both_kinds
@virtual_time
async def test_it_goes_with_what_is_written_anyway(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        token = await heard_of(servers, "phone")
        await node.send("ann", "ann", "x", "c1")
        _, mailbox = await node.process.call(node.owner.table.loaded("ann"))
        assert mailbox.devices is not None
        assert [one.acked for one in mailbox.devices.devices] == [0], "not with each send"
        await asyncio.sleep(NOTED_EVERY_US / US_PER_S)
        await node.send("ann", "ann", "y", "c2")
        assert not node.owner.device_uses._unwritten
        before = rows_written(node)
        await asyncio.sleep(2 * WRITE_S)
        assert rows_written(node) == before, "there is nothing left to be written"
        node = await servers.restart()
        assert (await acked(node))["phone"] == version_of(token)
        assert await findings_of(servers.store, servers.settings, servers.clock.now_us()) == []


@both_kinds
@virtual_time
async def test_who_only_asks_for_news_is_written_once_an_hour(late: bool) -> None:
    """The note itself moves the head, and so the token with which the device comes back: that is no news."""
    async with cluster(late=late) as servers:
        node = servers.node
        token = await heard_of(servers, "phone")
        await asyncio.sleep(WRITE_S + ROUND_S)
        before = rows_written(node)
        for _ in range(12 * 6):
            await asyncio.sleep(300)
            token = await come_back(node, on(servers, "phone"), token)
        assert rows_written(node) - before in range(4, 7), "within six hours"
        node = await servers.restart()
        (phone,) = await listed(node)
        assert servers.clock.now_us() - phone.seen_us <= UNSEEN_US + 2 * int(WRITE_S) * US_PER_S


@both_kinds
@virtual_time
async def test_nothing_is_lost_where_an_owner_closes_or_gives_shards_away(late: bool) -> None:
    async with cluster(late=late) as servers:
        token = await heard_of(servers, "phone")
        if late:
            node = await servers.move()
            assert await acked(node) == {"phone": version_of(token)}
            await node.send("bob", "ann", "again", "c2")
            token = await come_back(node, on(servers, "phone"), token)
            await come_back(node, on(servers, "phone"), token)
        await servers.node.process.call(servers.node.owner.close())
        node = await servers.restart()
        assert await acked(node) == {"phone": version_of(token)}
        await servers.restart()
        assert await acked(servers.node) == {"phone": version_of(token)}


@virtual_time
async def test_what_could_not_be_written_before_a_move_is_not_written_behind_it() -> None:
    async with cluster(late=True) as servers:
        giver = servers.node
        token = await heard_of(servers, "phone")
        giver.store.faults.next(Fault.FAIL_BEFORE, Op.MUTATE)
        taker = await servers.move()
        assert not giver.owner.device_uses._unwritten
        await come_back(taker, on(servers, "phone"), token)
        assert await acked(taker) == {"phone": version_of(token)}


@both_kinds
@virtual_time
async def test_a_kill_takes_only_what_the_next_token_says_again(late: bool) -> None:
    async with cluster(late=late) as servers:
        token = await heard_of(servers, "phone")
        node = await servers.restart()
        assert await acked(node) == {"phone": 0}
        await come_back(node, on(servers, "phone"), token)
        assert await acked(node) == {"phone": version_of(token)}


@both_kinds
@virtual_time
async def test_what_is_known_outlives_the_mailbox_in_memory(late: bool) -> None:
    async with cluster(late=late, settings=CRAMPED) as servers:
        node = servers.node
        token = await heard_of(servers, "phone")
        before = node.owner.table.evictions
        for number in range(20):
            await node.send(f"u{number}", f"u{number}", "x" * 300, "c")
        assert node.owner.table.evictions > before
        assert node.owner.table.peek("ann") is None
        assert await acked(node) == {"phone": version_of(token)}
        for number in range(20):
            await node.send(f"u{number}", f"u{number}", "x" * 300, "d")
        await asyncio.sleep(WRITE_S + ROUND_S)
        node = await servers.restart()
        assert await acked(node) == {"phone": version_of(token)}


@both_kinds
@virtual_time
async def test_a_write_that_the_store_refuses_is_made_later(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        token = await heard_of(servers, "phone")
        node.store.faults.next(Fault.FAIL_BEFORE, Op.MUTATE)
        await asyncio.sleep(WRITE_S + ROUND_S)
        assert (await acked(node))["phone"] == version_of(token)
        await asyncio.sleep(WRITE_S + ROUND_S)
        node = await servers.restart()
        assert await acked(node) == {"phone": version_of(token)}


@both_kinds
@virtual_time
async def test_a_device_that_is_signed_out_has_no_mark_and_the_others_keep_theirs(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        token = await heard_of(servers, "phone", "laptop")
        await sign_out(node, "phone")
        assert await acked(node) == {"laptop": version_of(token)}
        await asyncio.sleep(WRITE_S + ROUND_S)
        node = await servers.restart()
        assert await acked(node) == {"laptop": version_of(token)}


@virtual_time
async def test_of_so_many_users_something_waits_to_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_uses, "MOST_UNWRITTEN", 1)
    async with cluster(late=False) as servers:
        node = servers.node
        token = await heard_of(servers, "phone")
        await register(node, "bobs", user="bob")
        of_bob = Bearer("bob", 0.0, b"", "bobs")
        request = FetchChanges("bob", (await node.changes("bob")).token, bearer=of_bob, proves=True)
        await node.process.call(node.owner.fetch_changes(request))
        assert len(node.owner.device_uses._unwritten) == 1
        assert (await acked(node, "bob"))["bobs"] > 0, "it is known while the mailbox is in memory"
        await asyncio.sleep(WRITE_S + ROUND_S)
        assert (await acked(await servers.restart()))["phone"] == version_of(token)


@virtual_time
async def test_the_end_of_an_owner_does_not_wait_for_a_store_that_does_not_answer() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await heard_of(servers, "phone")
        node.store.hold(Point.WRITE)
        began_s = asyncio.get_running_loop().time()
        await node.process.call(node.owner.device_uses.flush(2.0))
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(2.0)
        node.store.release(Point.WRITE)
        await settle()


@virtual_time
async def test_as_many_devices_as_there_may_be_are_one_write() -> None:
    async with cluster(late=True) as servers:
        token = await heard_of(servers, *(f"d{number}" for number in range(MOST_DEVICES)))
        before = rows_written(servers.node)
        await asyncio.sleep(WRITE_S + ROUND_S)
        assert rows_written(servers.node) == before + 1
        assert set((await acked(await servers.restart())).values()) == {version_of(token)}

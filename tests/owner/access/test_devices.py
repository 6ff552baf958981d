"""Devices: what comes from one that was signed out is refused, from the commit on, by every owner that follows."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.access.revocations import Revocations
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import SIGNED_OUT, Changed, DeviceShown, FetchDevices, Lost, RegisterDevice, SignOut
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.errors import HandoverInProgress, RateLimited, SignedOut, TokenRevoked, UnknownDevice
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import RateLimitSettings
from tests.checking import findings_of
from tests.owner.access.test_revocation import every_call
from tests.support.cluster import UNLIMITED, Cluster, Node, cluster, gather_all, version_of
from tests.support.virtual_time import settle, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])


def on(servers: Cluster, device_id: str, *, by_token: bool = False) -> Bearer:
    """What is known of a request from this device of ann's, whose token is issued now."""
    return Bearer("ann", float(servers.clock.now_us() // US_PER_S), b"", device_id, by_token)


async def register(node: Node, device_id: str, bearer: Bearer | None = None, user: str = "ann") -> DeviceShown:
    request = RegisterDevice(user, device_id, f"the {device_id}", "web", bearer)
    (shown,) = (await node.process.call(node.owner.register_device(request))).devices
    return shown


async def sign_out(node: Node, device_id: str = "", spared: str = "", bearer: Bearer | None = None) -> tuple[str, ...]:
    """`device_id` "": all, but for `spared`."""
    return (await node.process.call(node.owner.sign_out(SignOut("ann", device_id, spared, bearer)))).device_ids


async def listed(node: Node, bearer: Bearer | None = None) -> list[DeviceShown]:
    return list((await node.process.call(node.owner.fetch_devices(FetchDevices("ann", bearer)))).devices)


async def is_out(node: Node, bearer: Bearer) -> bool:
    """Whether every call is refused as one of who has signed out; none of them otherwise."""
    answers = [*await every_call(node, bearer), *await gather_all(listed(node, bearer))]
    refused = {isinstance(answer, SignedOut) for answer in answers}
    assert len(refused) == 1, answers
    return refused == {True}


@both_kinds
@virtual_time
async def test_a_device_is_listed_until_it_is_signed_out(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        assert await listed(node) == []
        phone = await register(node, "phone", on(servers, "phone"))
        assert (phone.name, phone.platform, phone.is_asking) == ("the phone", "web", True)
        await asyncio.sleep(60)
        await register(node, "laptop")
        shown = await listed(node, on(servers, "phone"))
        assert [(one.device_id, one.is_asking) for one in shown] == [("laptop", False), ("phone", True)]
        assert await sign_out(node, "phone", bearer=on(servers, "laptop")) == ("phone",)
        assert [one.device_id for one in await listed(node)] == ["laptop"]
        assert await sign_out(node, "phone") == ()
        with pytest.raises(UnknownDevice):
            await sign_out(node, "tablet")
        await servers.restart()
        assert [one.device_id for one in await listed(servers.node)] == ["laptop"]
        assert await findings_of(servers.store, servers.settings, servers.clock.now_us()) == []


@both_kinds
@virtual_time
async def test_every_call_from_it_is_refused_also_by_the_next_owner(late: bool) -> None:
    async with cluster(late=late) as servers:
        phone, laptop = on(servers, "phone"), on(servers, "laptop")
        await register(servers.node, "phone", phone)
        await register(servers.node, "laptop", laptop)
        assert not await is_out(servers.node, phone)
        await sign_out(servers.node, "phone")
        assert await is_out(servers.node, phone)
        for _ in range(2):
            await servers.restart()
            assert await is_out(servers.node, phone)
            assert await is_out(servers.node, on(servers, "phone")), "a newer token, too"
            assert not await is_out(servers.node, laptop)
            assert not await is_out(servers.node, replace(phone, device_id=""))
            with pytest.raises(SignedOut):
                await register(servers.node, "phone")
        if late:
            await servers.move()
            assert await is_out(servers.node, phone)


@both_kinds
@virtual_time
async def test_all_are_out_at_once_and_who_signs_in_again_is_let_in(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await register(node, "phone")
        await register(node, "laptop")
        old, by_header = on(servers, ""), on(servers, "laptop")
        own, other = on(servers, "laptop", by_token=True), on(servers, "phone", by_token=True)
        signing_out = asyncio.create_task(sign_out(node, spared="laptop", bearer=own))
        await settle(20)
        assert not signing_out.done(), "what is issued behind the answer counts, so it waits for the end of the second"
        for refused in (old, other, by_header, replace(old, issued_at_s=0.0)):
            assert await is_out(node, refused)
        assert not await is_out(node, own)
        assert await signing_out == ("phone",)
        assert not await is_out(node, on(servers, ""))
        assert not await is_out(node, on(servers, "laptop"))
        await servers.restart()
        assert await is_out(servers.node, other)
        assert not await is_out(servers.node, own)


@both_kinds
@virtual_time
async def test_polls_and_followers_end_with_it_and_only_its_own(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        phone, laptop = on(servers, "phone"), on(servers, "laptop")
        await register(node, "phone")
        told: dict[str, list[Changed | Lost]] = {"phone": [], "laptop": []}
        for bearer in (phone, laptop):
            await node.follow("ann", told[bearer.device_id].append, bearer)
        since = version_of((await node.changes("ann")).token)
        polls = {
            one.device_id: asyncio.create_task(node.messages("ann", token=since, wait_ms=30_000, bearer=one))
            for one in (phone, laptop)
        }
        await settle()
        await sign_out(node, "phone", bearer=laptop)
        await settle()
        assert [one.reason for one in told["phone"] if isinstance(one, Lost)] == [SIGNED_OUT]
        assert not any(isinstance(one, Lost) for one in told["laptop"])
        with pytest.raises(SignedOut):
            await polls["phone"]
        assert not polls["laptop"].done()
        polls["laptop"].cancel()


@both_kinds
@virtual_time
async def test_a_send_that_is_decided_behind_the_sign_out_is_refused_and_one_before_it_stands(late: bool) -> None:
    """All are in one row, so one is before the other: also where they join one batch."""
    async with cluster(late=late) as servers:
        node, phone = servers.node, on(servers, "phone")
        await register(node, "phone", phone)
        node.store.hold(Point.WRITE)
        in_flight = asyncio.create_task(node.send("ann", "bob", "before", "c1", phone))
        await settle()
        before = asyncio.create_task(node.send("ann", "bob", "before, too", "c2", phone))
        await settle()
        signing_out = asyncio.create_task(sign_out(node, "phone"))
        await settle()
        behind = asyncio.create_task(node.send("ann", "bob", "behind", "c3", phone))
        await settle()
        node.store.release(Point.WRITE)
        assert await signing_out == ("phone",)
        await in_flight
        await before
        with pytest.raises(SignedOut):
            await behind
        await node.owner.delivery.idle()
        assert len((await node.messages("bob")).items) == 2


@virtual_time
async def test_a_sign_out_whose_answer_a_replaced_owner_would_give_is_none() -> None:
    """Whoever took over meanwhile may have read the row before it: then it was fenced off, and the phone is in."""
    async with cluster(late=True) as servers:
        old, phone = servers.node, on(servers, "phone")
        await register(old, "phone", phone)
        old.store.hold(Point.WRITE)
        signing_out = asyncio.create_task(sign_out(old, "phone"))
        await settle()
        await servers.start()
        assert not await is_out(servers.node, phone)
        old.store.release(Point.WRITE)
        with pytest.raises(HandoverInProgress):
            await signing_out
        assert not await is_out(servers.node, phone)
        assert await sign_out(servers.node, "phone") == ("phone",)
        assert await is_out(servers.node, phone)


@both_kinds
@virtual_time
async def test_a_follow_that_begins_while_its_device_is_signed_out_is_refused_or_told(late: bool) -> None:
    async with cluster(late=late) as servers:
        await register(servers.node, "phone")
        await servers.restart()
        node, phone = servers.node, on(servers, "phone")
        told: list[Changed | Lost] = []
        node.store.hold(Point.READ)
        following = asyncio.create_task(node.follow("ann", told.append, phone))
        signing_out = asyncio.create_task(sign_out(node, "phone"))
        await settle()
        node.store.release(Point.READ)
        await signing_out
        (outcome,) = await gather_all(following)
        assert isinstance(outcome, SignedOut) or told[-1] == Lost(SIGNED_OUT)


@both_kinds
@virtual_time
async def test_other_devices_are_told_to_ask_again(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await node.send("ann", "ann", "x", "c")
        start = await node.changes("ann")
        told: list[Changed | Lost] = []
        await node.follow("ann", told.append, on(servers, "laptop"))
        waiting = asyncio.create_task(node.changes("ann", token=start.token, wait_ms=30_000))
        await settle()
        await register(node, "phone")
        changes = await waiting
        assert changes.account
        assert (list(changes.messages), list(changes.conversations), changes.has_more) == ([], [], False)
        assert isinstance(told[0], Changed)
        assert told[0].frame is not None
        assert b'"account":true' in told[0].frame
        assert not (await node.changes("ann", token=changes.token)).account
        await node.send("ann", "ann", "y", "c2")
        both = await node.changes("ann", token=start.token)
        assert both.account
        assert len(both.messages) == 1
        assert not (await node.changes("ann", token=both.token)).account
        await servers.restart()
        assert (await servers.node.changes("ann", token=start.token)).account, "from the log in the store, too"


@both_kinds
@virtual_time
async def test_a_token_of_before_the_log_is_not_served_where_only_devices_changed(late: bool) -> None:
    """Nothing else says that such a mailbox has a past: without it the change would be hidden for good."""
    async with cluster(late=late) as servers:
        node = servers.node
        begun = (await node.changes("ann")).token
        await register(node, "phone")
        between = (await node.changes("ann")).token
        await register(node, "laptop")
        assert (await node.changes("ann", token=between)).account
        await asyncio.sleep(servers.settings.store.token_life_ms / 1000 + 2 * 86_400)
        await register(node, "phone")
        for _ in range(2):
            for token in (begun, between):
                answer = await node.changes("ann", token=token)
                assert (answer.is_delta, answer.reset_reason) == (False, "expired")
            node = await servers.restart()


@both_kinds
@virtual_time
async def test_who_has_no_devices_for_long_and_then_registers_one_is_served_from_the_beginning(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        begun = (await node.changes("ann")).token
        await asyncio.sleep(servers.settings.store.token_life_ms / 1000 + 2 * 86_400)
        await register(node, "phone")
        for _ in range(2):
            answer = await node.changes("ann", token=begun)
            assert (answer.is_delta, answer.account) == (True, True)
            node = await servers.restart()


@virtual_time
async def test_calls_about_devices_are_limited() -> None:
    limits = RateLimitSettings(send_burst=1, send_per_second=0.001, fetch_burst=1, fetch_per_second=0.001)
    async with cluster(late=False, settings=replace(UNLIMITED, rate_limits=limits)) as servers:
        await register(servers.node, "phone")
        for call in (register(servers.node, "phone"), sign_out(servers.node, "phone"), sign_out(servers.node)):
            with pytest.raises(RateLimited):
                await call
        await listed(servers.node)
        with pytest.raises(RateLimited):
            await listed(servers.node)


@both_kinds
@virtual_time
async def test_whoever_acts_for_another_is_judged_by_his_own_row(late: bool) -> None:
    async with cluster(late=late) as servers:
        node, ann = servers.node, on(servers, "phone")
        await register(node, "phone", ann)
        await register(node, "bobs", ann, user="bob")
        await sign_out(node, "phone")
        for call in (register(node, "bobs", ann, user="bob"), node.send("bob", "ann", "x", "c", ann)):
            with pytest.raises(SignedOut):
                await call


# ---------------------------------------------------------------------- each rule, switched off


async def _a_device_is_refused() -> None:
    async with cluster(late=True) as servers:
        phone = on(servers, "phone")
        await register(servers.node, "phone")
        await sign_out(servers.node, "phone")
        assert await is_out(servers.node, phone)


async def _what_joins_its_batch_is_refused() -> None:
    async with cluster(late=True) as servers:
        node, phone = servers.node, on(servers, "phone")
        await register(node, "phone")
        node.store.hold(Point.WRITE)
        in_flight = asyncio.create_task(node.send("ann", "ann", "x", "c"))
        await settle()
        signing_out = asyncio.create_task(sign_out(node, "phone"))
        await settle()
        behind = asyncio.create_task(node.send("ann", "ann", "y", "c2", phone))
        await settle()
        node.store.release(Point.WRITE)
        await in_flight
        await signing_out
        (outcome,) = await gather_all(behind)
        assert isinstance(outcome, SignedOut)


async def _what_waits_ends() -> None:
    async with cluster(late=True) as servers:
        node, phone = servers.node, on(servers, "phone")
        await register(node, "phone")
        told: list[Changed | Lost] = []
        await node.follow("ann", told.append, phone)
        await sign_out(node, "phone")
        await settle()
        assert told[-1] == Lost(SIGNED_OUT)


RULES: dict[str, tuple[Any, str, Any, Callable[[], Any]]] = {
    "a write is judged when it is decided": (Plan, "admit", lambda *_: None, _what_joins_its_batch_is_refused),
    "a fetch is judged where the mailbox is": (Revocations, "_check_token", lambda *_: None, _a_device_is_refused),
    "what goes on ends": (Owner, "_end_revoked", lambda *_: None, _what_waits_ends),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_needed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, off, story = RULES[rule]
    virtual_time(story)()
    monkeypatch.setattr(owner, name, off)
    with pytest.raises((AssertionError, TokenRevoked)):
        virtual_time(story)()

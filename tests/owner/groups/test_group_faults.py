"""What users are told of groups while something fails between their owner, the group's and the members'."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.groups.front_door import FrontDoor
from rowbox.cacheserver.port import ChangeGroup, FetchGroup, Send
from rowbox.mailbox.aggregate.needs import Fact
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.errors import (
    ClientGroupIdReused,
    EventGap,
    GroupMoved,
    HandoverInProgress,
    NotAMember,
    NotTheOwner,
    Overloaded,
    RateLimited,
    RowboxError,
    StoreOutcomeUnknown,
    StoreUnavailable,
    TokenRevoked,
    UnknownMessage,
)
from rowbox.mailbox.group import GroupSettings, WhoMay, group_name
from rowbox.mailbox.groups.member_row import take_event
from rowbox.mailbox.groups.requests import Add, GroupAnswer, GroupRequest, Leave, Remove, Update
from rowbox.mailbox.message import Message
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import StoreSettings
from tests.owner.groups.test_group_delivery import without_cid
from tests.owner.groups.test_groups import both_kinds, told
from tests.support.cluster import UNLIMITED, Node, cluster
from tests.support.virtual_time import settle, virtual_time

Ask = Callable[[GroupRequest], Awaitable[GroupAnswer]]


def failing(door: FrontDoor, *errors: RowboxError) -> Ask:
    """What answers with these errors first, the last of them again and again; and does nothing of what it is asked."""
    left = list(errors)

    async def ask(_: GroupRequest) -> GroupAnswer:
        raise left.pop(0) if len(left) > 1 else left[0]

    return ask


@virtual_time
async def test_a_refusal_behind_a_try_without_an_answer_is_none_unless_it_is_true_of_that_too() -> None:
    unknown = StoreOutcomeUnknown("the link was lost")
    async with cluster(late=True) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        await made.quiet()
        door = node.owner.front_door
        for errors, told_as in (
            ((unknown, Overloaded("full")), StoreOutcomeUnknown),
            ((unknown, RateLimited("too many")), StoreOutcomeUnknown),
            ((unknown, HandoverInProgress("nobody")), StoreOutcomeUnknown),
            ((unknown, NotAMember("out")), NotAMember),
            ((Overloaded("full"),), Overloaded),
            ((HandoverInProgress("nobody"),), HandoverInProgress),
            ((GroupMoved("it changed"),), GroupMoved),
        ):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(door, "_ask", failing(door, *errors))
                with pytest.raises(told_as) as raised:
                    await node.send_to("ann", group, "x", "1")
                assert type(raised.value) is told_as
        assert await told(node, "bob", group) == ["created:bob"]


@virtual_time
async def test_of_a_read_that_had_no_answer_no_outcome_is_unknown() -> None:
    async with cluster(late=True) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        await made.quiet()
        door = node.owner.front_door
        for refusal in (NotAMember("out"), HandoverInProgress("nobody")):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(door, "_ask", failing(door, StoreOutcomeUnknown("the link was lost"), refusal))
                with pytest.raises(type(refusal)):
                    await node.group("ann", group)


@virtual_time
async def test_a_group_id_that_is_another_groups_is_so_whatever_became_of_an_earlier_try() -> None:
    async with cluster(late=True) as made:
        door = made.node.owner.front_door
        errors = StoreOutcomeUnknown("the link was lost"), ClientGroupIdReused("another group's")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(door, "_ask", failing(door, *errors))
            with pytest.raises(ClientGroupIdReused):
                await made.node.create_group("ann", "bob")


@virtual_time
async def test_a_user_is_not_sent_to_another_owner_because_the_group_has_another_one() -> None:
    """NotTheOwner of the group's row is no word of the user's: his router would ask his owner anew, without end."""
    async with cluster(late=True) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        await made.quiet()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(node.owner.front_door, "_ask", failing(node.owner.front_door, NotTheOwner("not here")))
            with pytest.raises(HandoverInProgress) as raised:
                await node.send_to("ann", group, "x", "1")
        assert not isinstance(raised.value, NotTheOwner)


@virtual_time
async def test_what_comes_later_waits_for_what_has_no_answer_yet() -> None:
    async with cluster(late=True) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        other = (await node.create_group("ann", "bob", named="other")).conversation_id
        await made.quiet()
        door = node.owner.front_door
        ask, held = door._ask, asyncio.Event()

        async def held_back(asked: GroupRequest) -> GroupAnswer:
            if asked.conversation_id == group and not held.is_set():
                await held.wait()
                raise StoreOutcomeUnknown("the link was lost")
            return await ask(asked)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(door, "_ask", held_back)
            first = asyncio.create_task(node.send_to("ann", group, "first", "1"))
            await settle(20)
            second = asyncio.create_task(node.send_to("ann", group, "second", "2"))
            change = asyncio.create_task(node.change_group("ann", group, Update("ours", None)))
            await node.send_to("ann", other, "not behind it", "3")
            held.set()
            await asyncio.gather(first, second, change)
        assert (await told(node, "bob", group))[1:] == ["first", "second", "renamed:"]


@both_kinds
@virtual_time
async def test_a_change_says_who_has_not_been_told_and_its_own_user_has(late: bool) -> None:
    async with cluster(late=late) as made:
        node = made.node
        group = (await node.create_group("ann", "bob", "cid")).conversation_id
        await made.quiet()
        async with without_cid(made):
            changed = await node.change_group("ann", group, Update("ours", None))
            assert changed.pending == 1
            assert (await told(node, "ann", group))[-1] == "renamed:"
            sent = await node.send_to("ann", group, "hello", "1")
            assert (await told(node, "ann", group))[-1] == "hello"
            assert sent.last_updated_timestamp >= sent.sent_timestamp


@both_kinds
@virtual_time
async def test_a_gap_keeps_one_groups_events_from_one_member_until_it_is_filled(late: bool) -> None:
    """Other groups' events, messages of two, and other members go on; what was held back comes in its order."""
    lacking = {"bob"}

    def with_a_gap(plan: Plan, message: Message, fact: Fact | None = None, *, is_wanted: bool = True) -> object:
        if plan.user_id in lacking and message.conversation_id == group and message.content:
            raise EventGap("something that stands before it was not taken")
        return take_event(plan, message, fact, is_wanted=is_wanted)

    with pytest.MonkeyPatch.context() as patch:
        async with cluster(late=late) as made:
            node = made.node
            group = (await node.create_group("ann", "bob", "cid")).conversation_id
            other = (await node.create_group("ann", "bob", named="other")).conversation_id
            await made.quiet()
            patch.setattr("rowbox.cacheserver.cache.commands.take_event", with_a_gap)
            await _burst(node, group, other, 0)
            await _burst(node, group, other, 10)
            await made.quiet()
            assert node.owner.delivery.group_events.gaps > 0
            assert await told(node, "bob", group) == ["created:bob,cid"]
            assert len(await told(node, "cid", group)) == 21
            assert len(await told(node, "bob", other)) == 11
            lacking.clear()
            await node.owner.recovery.scan()
            await made.quiet()
            assert await told(node, "bob", group) == await told(node, "ann", group)


async def _burst(node: Node, group: bytes, other: bytes, first: int) -> None:
    """Messages to two groups and to Bob himself, all in one turn: some of one delivery are behind a gap."""
    for number in range(first, first + 5):
        sends = [
            node.send_to("ann", where, str(number), f"{name} {number}") for name, where in (("g", group), ("o", other))
        ]
        sends += [node.send_to("cid", group, str(number), f"c {number}"), node.send("ann", "bob", "hi", f"b {number}")]
        await asyncio.gather(*sends)


@virtual_time
async def test_a_join_that_was_declined_is_told_to_the_group_until_the_group_has_it() -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with cluster(late=True) as made:
            node = made.node
            group = (await node.create_group("ann", "bob")).conversation_id
            await made.quiet()
            delivery = node.owner.delivery
            events = delivery.group_events
            settle_declined, tries = events._settle_declined, list[str]()

            def failing_first(cell: object, user_id: str, joined: int) -> object:
                tries.append(user_id)
                if len(tries) < 3:
                    failed = asyncio.get_running_loop().create_future()
                    failed.set_exception(StoreUnavailable("away"))
                    return failed
                return settle_declined(cell, user_id, joined)  # type: ignore[arg-type]

            patch.setattr(events, "_settle_declined", failing_first)
            patch.setattr("rowbox.mailbox.groups.member_row._groups_of", lambda _plan: 5_000)
            await node.change_group("ann", group, Add(("cid",), 100))
            await asyncio.sleep(20)
            await made.quiet()
            assert len(tries) == 3
            assert [one.user_id for one in (await node.group("ann", group)).view.members] == ["ann", "bob"]
            assert delivery.backlog(group_name(group)) == 0
            assert not (await node.change_group("ann", group, Remove("cid"))).changed


@both_kinds
@virtual_time
async def test_an_answer_waits_for_the_users_own_row(late: bool) -> None:
    """Whoever has sent, or changed a group, sees that with his next fetch, however long it takes."""
    async with cluster(late=late) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        await made.quiet()
        for ask, shown in (
            (node.send_to("ann", group, "hello", "1"), "hello"),
            (node.change_group("ann", group, Update("ours", None)), "renamed:"),
        ):
            async with without_cid(made, "ann"):
                asked = asyncio.create_task(ask)
                await asyncio.sleep(4)
                assert (await told(node, "bob", group))[-1] == shown
                assert not asked.done()
            await asked
            assert (await told(node, "ann", group))[-1] == shown


@both_kinds
@virtual_time
async def test_a_revoked_token_does_nothing_in_groups(late: bool) -> None:
    async with cluster(late=late) as made:
        group = (await made.node.create_group("ann", "bob")).conversation_id
        await made.quiet()
        bearer = Bearer("bob", made.clock.now_us() / 1_000_000)
        await asyncio.sleep(5)
        await made.node.revoke_user("bob")
        node = await made.restart()
        for ask in (
            node.owner.send(Send("bob", "", "x", "1", bearer, conversation_id=group)),
            node.owner.change_group(ChangeGroup("bob", group, Leave(), bearer)),
            node.owner.fetch_group(FetchGroup("bob", group, bearer)),
        ):
            with pytest.raises(TokenRevoked):
                await node.process.call(ask)
        assert await told(node, "ann", group) == ["created:bob"]


def landing(door: FrontDoor, then: Callable[[], Awaitable[object]]) -> Ask:
    """What does what it is first asked, and has no answer; `then` happens behind that, before it is asked again."""
    ask, tries = door._ask, list[GroupRequest]()

    async def asked_twice(asked: GroupRequest) -> GroupAnswer:
        tries.append(asked)
        answer = await ask(asked)
        if len(tries) > 1:
            return answer
        await then()
        raise StoreOutcomeUnknown("the link was lost")

    return asked_twice


@both_kinds
@pytest.mark.parametrize("which", ["edit", "add"])
@virtual_time
async def test_who_is_removed_behind_what_he_did_is_not_told_that_he_did_not(which: str, late: bool) -> None:
    """P7: his first try was written and got no answer; the next one finds him out, and another text than his."""
    async with cluster(late=late) as made:
        node = made.node
        group = (await node.create_group("ann", "bob", settings=GroupSettings(who_can_add=WhoMay.ALL))).conversation_id
        sent = await node.send_to("bob", group, "hello", "1")
        await made.quiet()
        door = node.owner.front_door
        ask = door._ask

        async def removed() -> None:
            with pytest.MonkeyPatch.context() as others:
                others.setattr(door, "_ask", ask)
                await node.change("ann", sent, None)
                await node.change_group("ann", group, Remove("bob"))
            await made.quiet()

        asks: dict[str, Callable[[], Awaitable[object]]] = {
            "edit": lambda: node.change("bob", sent, "hallo"),
            "add": lambda: node.change_group("bob", group, Add(("cid",), 100)),
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(door, "_ask", landing(door, removed))
            with pytest.raises(StoreOutcomeUnknown):
                await asks[which]()
        with pytest.raises(NotAMember):
            await node.react("bob", sent, "\U0001f44d")


@virtual_time
async def test_a_token_that_is_revoked_behind_a_send_does_not_say_that_it_was_not_sent() -> None:
    async with cluster(late=True) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        await made.quiet()
        bearer = Bearer("bob", made.clock.now_us() / 1_000_000)

        async def revoked() -> None:
            await asyncio.sleep(5)
            await node.revoke_user("bob")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(node.owner.front_door, "_ask", landing(node.owner.front_door, revoked))
            with pytest.raises(StoreOutcomeUnknown):
                await node.process.call(node.owner.send(Send("bob", "", "hello", "1", bearer, conversation_id=group)))
        await made.quiet()
        assert await told(node, "ann", group) == ["created:bob", "hello"]


@virtual_time
async def test_who_gets_another_owner_behind_what_he_did_is_asked_for_again_as_somebody_who_may_have_done_it() -> None:
    """By NotTheOwner his router would believe that nothing was written, and pass on any refusal that follows."""
    async with cluster(late=True) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        sent = await node.send_to("bob", group, "hello", "1")
        await made.quiet()
        for ask in (
            lambda: node.change("bob", sent, "hallo"),
            lambda: node.change_group("ann", group, Update("ours", None)),
            lambda: node.send_to("ann", group, "hi", "2"),
        ):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(node.owner.front_door, "_own_row_has", _gone)
                with pytest.raises(StoreOutcomeUnknown):
                    await ask()


async def _gone(*_: object) -> None:
    raise NotTheOwner("another server owns this user")


@virtual_time
async def test_an_admin_takes_back_what_retention_takes_in_that_moment() -> None:
    """P7: it is done in the group's row, and his own row comes to it when it has the message no more."""
    life_s = 300
    async with cluster(late=True, settings=replace(UNLIMITED, store=StoreSettings(retention_ms=1000 * life_s))) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        sent = await node.send_to("bob", group, "hello", "1")
        await made.quiet()
        node = await made.restart()  # so that it is the rows that are asked for the message
        await asyncio.sleep(life_s - 2)
        async with without_cid(made, "ann"):
            taken_back = asyncio.create_task(node.change("ann", sent, None))
            await asyncio.sleep(3)
        done = await taken_back
        assert done.changed
        assert done.last_updated_timestamp > sent.sent_timestamp
        with pytest.raises(UnknownMessage):
            await node.change("ann", sent, None)

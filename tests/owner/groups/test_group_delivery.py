"""The way of a group's events to its members' rows when something is in the way: gaps, declined joins, dead owners."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from rowbox.cacheserver.delivery.group_events import Delivered
from rowbox.cacheserver.lines import MOST_IN_LINE, Lines
from rowbox.cacheserver.port import Routed
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.mailbox.cells import MEMBERSHIP
from rowbox.mailbox.errors import (
    GroupDeleted,
    HandoverInProgress,
    NotAMember,
    NotTheOwner,
    Overloaded,
    StoreOutcomeUnknown,
    UnknownConversation,
)
from rowbox.mailbox.group import GroupPart, Standing, group_name
from rowbox.mailbox.groups.requests import (
    Add,
    Deed,
    Delete,
    GroupAnswer,
    GroupRequest,
    GroupSend,
    GroupSent,
    Leave,
    Remove,
    Standpoint,
)
from rowbox.mailbox.ids import message_id
from rowbox.mailbox.message import Message
from tests.checking import assert_no_findings
from tests.owner.groups.test_groups import told
from tests.support.cluster import UNLIMITED, Cluster, cluster
from tests.support.virtual_time import settle, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])


@both_kinds
@virtual_time
async def test_a_row_that_is_in_too_many_groups_declines_and_is_removed(late: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with cluster(late=late) as made:
            node = made.node
            group = (await node.create_group("ann", "bob")).conversation_id
            await made.quiet()
            patch.setattr("rowbox.mailbox.groups.member_row._groups_of", lambda _plan: 5_000)
            await node.change_group("ann", group, Add(("cid", "dan"), 100))
            await node.send_to("ann", group, "who is in?", "1")
            await made.quiet()
            await asyncio.sleep(1)
            await made.quiet()
            view = (await node.group("ann", group)).view
            assert [member.user_id for member in view.members] == ["ann", "bob"]
            for user in ("cid", "dan"):
                _, mailbox = await node.owner.table.loaded(user)
                known = mailbox.state(MEMBERSHIP, group)
                assert known is not None
                assert known.standing is Standing.LEFT
                assert len(mailbox.index) == 0
                with pytest.raises(UnknownConversation):
                    await node.messages(user, group)
            shown = await told(node, "bob", group)
            assert sorted(shown[1:]) == ["added:cid,dan", "declined:cid", "declined:dan", "who is in?"]
            patch.undo()
            await node.change_group("ann", group, Add(("cid",), 100))
            await node.send_to("ann", group, "welcome", "2")
            await made.quiet()
            assert await told(node, "cid", group) == ["added:cid", "welcome"]
            await assert_no_findings(made.store, UNLIMITED, made.clock.now_us(), slack_us=0)


@virtual_time
async def test_a_gap_holds_back_one_group_and_nobody_else() -> None:
    async with cluster(late=True) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        await made.quiet()
        delivery, (_, own) = node.owner.delivery, await node.owner.table.loaded(group_name(group))
        version = own.head + 10
        part = GroupPart(version, own.head + 5, ("bob",), "x", bytes(16))
        skipping = Message(message_id(version, 0), group, "ann", (), "out of turn", group=part)
        with pytest.raises(Exception, match="stands behind"):
            await node.owner.deliver("bob", [skipping])
        first = await node.send("ann", "bob", "hello", "1")
        assert first.pending_recipients == 0
        await node.send_to("ann", group, "in turn", "2")
        await made.quiet()
        assert (await told(node, "bob", group))[-1] == "in turn"
        assert delivery.group_events.gaps == 0


@both_kinds
@virtual_time
async def test_what_an_owner_has_not_delivered_its_next_one_does(late: bool) -> None:
    async with cluster(late=late) as made:
        group = (await made.node.create_group("ann", "bob", "cid")).conversation_id
        await made.quiet()
        node = made.node
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(node.owner.delivery, "_begin", lambda _recipient: None)
            sending = asyncio.create_task(node.send_to("ann", group, "hello", "1"))
            await settle(200)
            assert not sending.done(), "the sender's own row has it first"
            assert node.owner.delivery.backlog(group_name(group)) == 1
            sending.cancel()
        await made.restart()
        await asyncio.sleep(1)
        await made.quiet()
        for user in ("ann", "bob", "cid"):
            assert (await told(made.node, user, group))[-1] == "hello"
        again = await made.node.send_to("ann", group, "hello", "1")
        assert again.duplicate
        await assert_no_findings(made.store, UNLIMITED, made.clock.now_us(), slack_us=0)


@virtual_time
async def test_a_send_whose_outcome_is_not_known_is_one_message() -> None:
    async with cluster(late=True) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        await made.quiet()
        node.store.hold(Point.WRITE)
        sends = [asyncio.create_task(node.send_to("ann", group, f"text {n}", str(n))) for n in range(3)]
        await settle(50)
        node.store.release(Point.WRITE)
        results = [await send for send in sends]
        assert [result.message_id for result in results] == sorted(result.message_id for result in results)
        await made.quiet()
        assert (await told(node, "bob", group))[1:] == ["text 0", "text 1", "text 2"]


@asynccontextmanager
async def without_cid(made: Cluster, who: str = "cid") -> AsyncIterator[None]:
    """Cid's row, or another one's, takes nothing meanwhile."""
    delivery = made.node.owner.delivery
    deliver = delivery._deliver

    def all_but_cid(recipient: str, messages: Sequence[Message]) -> Delivered:
        if recipient == who:
            raise HandoverInProgress("he has no owner")
        return deliver(recipient, messages)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery, "_deliver", all_but_cid)
        yield


@both_kinds
@virtual_time
async def test_a_send_that_is_known_already_says_who_is_without_it(late: bool) -> None:
    """P5: with pendingRecipients 0 everybody's next fetch shows it. Its own first try may have preceded it."""
    async with cluster(late=late) as made:
        node = made.node
        group = (await node.create_group("ann", "bob", "cid")).conversation_id
        await made.quiet()
        door = node.owner.front_door
        ask, asked = door._ask, list[GroupRequest]()

        async def first_without_an_answer(request: GroupRequest) -> GroupAnswer:
            answer = await ask(request)
            asked.append(request)
            if len(asked) == 1:
                raise StoreOutcomeUnknown("the link was lost")
            return answer

        async with without_cid(made):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(door, "_ask", first_without_an_answer)
                sent = await node.send_to("ann", group, "hello", "1")
            assert (sent.duplicate, sent.pending_recipients) == (False, 1)
            again = await node.send_to("ann", group, "hello", "1")
            assert (again.duplicate, again.pending_recipients) == (True, 1)
            assert (await node.status("ann", "1")).pending_recipients == 1
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(door, "_ask", nobody_answers)
                assert (await node.send_to("ann", group, "hello", "1")).pending_recipients == 1
                assert (await node.status("ann", "1")).pending_recipients == 1
        await made.quiet()
        assert (await node.send_to("ann", group, "hello", "1")).pending_recipients == 0
        assert (await node.status("ann", "1")).pending_recipients == 0
        await node.change_group("ann", group, Leave())
        assert (await node.send_to("ann", group, "hello", "1")).message_id == sent.message_id
        assert await told(node, "bob", group) == ["created:bob,cid", "hello", "left:ann"]


async def nobody_answers(_: GroupRequest) -> GroupAnswer:
    raise HandoverInProgress("nobody answers")


@virtual_time
async def test_a_groups_row_that_is_given_away_meanwhile_does_not_say_that_all_have_a_message() -> None:
    async with cluster(late=True) as made:
        node = made.node
        group = (await node.create_group("ann", "bob", "cid")).conversation_id
        await made.quiet()
        delivery = node.owner.delivery
        wait = delivery.wait

        async def once_given_away(name: str, message_id: bytes) -> int:
            node.revoke()
            made.gave_away(node)
            return await wait(name, message_id)

        by = Standpoint("ann", (await node.group("ann", group)).view.members[0].joined, 1 << 60, made.clock.now_us())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(delivery, "wait", once_given_away)
            sent = await node.process.call(node.owner.ask_group(GroupSend(group, by, "x", "1", bytes(16), 0)))
        assert isinstance(sent, GroupSent)
        assert sent.pending == 1


@both_kinds
@virtual_time
@pytest.mark.parametrize(("user", "deed"), [("bob", Leave()), ("bob", Remove("bob")), ("ann", Delete())])
async def test_who_is_out_by_a_try_without_an_answer_is_not_refused(late: bool, user: str, deed: Deed) -> None:
    async with cluster(late=late) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        await made.quiet()
        door = node.owner.front_door
        ask = door._ask

        async def without_an_answer(asked: GroupRequest) -> GroupAnswer:
            await ask(asked)
            await made.quiet()
            raise StoreOutcomeUnknown("the link was lost")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(door, "_ask", without_an_answer)
            first = await node.change_group(user, group, deed)
        again = await node.change_group(user, group, deed)
        assert not again.changed
        assert first.version == again.version
        with pytest.raises((NotAMember, GroupDeleted)):
            await node.send_to(user, group, "still here", "1")


@virtual_time
async def test_who_was_removed_does_not_leave() -> None:
    async with cluster(late=True) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        await node.change_group("ann", group, Remove("bob"))
        await made.quiet()
        for deed in (Leave(), Delete()):
            with pytest.raises(NotAMember):
                await node.change_group("bob", group, deed)


@virtual_time
async def test_requests_to_a_group_have_their_turns() -> None:
    lines, seen = Lines(), list[str]()

    async def ask(name: str, routed: Routed | None, fails: bool = False) -> None:
        async with lines.turn("ann", bytes(16), routed):
            await asyncio.sleep(1)
            seen.append(name)
            if fails:
                raise HandoverInProgress("nobody answers")

    first = asyncio.create_task(ask("first", Routed(1, 5), fails=True))
    behind = [asyncio.create_task(ask(str(turn), Routed(router, turn))) for router, turn in ((1, 5), (1, 6), (2, 5))]
    gone = asyncio.create_task(ask("gone", None))
    await asyncio.sleep(0.5)
    gone.cancel()
    results = await asyncio.gather(first, *behind, gone, return_exceptions=True)
    assert isinstance(results[0], HandoverInProgress)
    assert isinstance(results[1], NotTheOwner), "it was sent behind the one that comes again"
    assert results[2:4] == [None, None]
    assert seen == ["first", "6", "5"]
    assert len(lines) == 0


@virtual_time
async def test_a_line_is_bounded() -> None:
    lines = Lines()

    async def ask() -> None:
        async with lines.turn("ann", bytes(16), None):
            await asyncio.sleep(1)

    asked = [asyncio.create_task(ask()) for _ in range(MOST_IN_LINE + 2)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(result, Overloaded) for result in results].count(True) == 1

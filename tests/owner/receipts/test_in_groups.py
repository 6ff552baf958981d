"""Receipts in groups: what an author is told of the members, what it costs the rows, and what nobody is told."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.cache.commands import Command, ReceiptsCommand
from rowbox.cacheserver.check.mailbox_check import MailboxCheck
from rowbox.cacheserver.port import MAX_GROUP_RECEIPTS, FetchReceipts, SendResult
from rowbox.cacheserver.receipts.gatherings import GATHERED_S, Gatherings
from rowbox.cacheserver.receipts.receipts import NOTE_S, Mode
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.cacheserver.stores.port import RowMutation
from rowbox.mailbox.errors import (
    BadRequest,
    HandoverInProgress,
    NotAMember,
    NotTheAuthor,
    Overloaded,
    StoreUnavailable,
    UnknownConversation,
    UnknownMessage,
)
from rowbox.mailbox.group import group_conversation_id, group_name
from rowbox.mailbox.groups.requests import Add, GroupReceipts, Leave, Remove, ViewReceipts
from rowbox.mailbox.ids import message_id
from rowbox.mailbox.receipts import Receipt
from tests.checking import assert_no_findings
from tests.owner.receipts.test_receipts import asked, both_kinds, follow, followed, mailbox_of, seen, with_receipts
from tests.owner.shards.sharing import shard, sharing
from tests.support.cluster import SHARDS, Cluster, Node, cluster, parsed
from tests.support.virtual_time import BIRTH_US, virtual_time

GROUP = group_conversation_id("ann", "g")
NAME = group_name(GROUP)
SOON_S = 2 * GATHERED_S + 1
"""More than a receipt takes."""


@asynccontextmanager
async def a_group(*members: str, late: bool = True, receipts: Mode = "all") -> AsyncIterator[Cluster]:
    """Ann's group. In the end nobody's mailbox has anything that the check finds."""
    settings = with_receipts(receipts)
    settings = replace(settings, groups=replace(settings.groups, max_members=101))
    async with cluster(late=late, settings=settings) as made:
        await made.node.create_group("ann", *members)
        await made.quiet()
        yield made
        await asyncio.sleep(SOON_S)
        await made.quiet()
        await assert_no_findings(made.store, made.settings, made.clock.now_us(), slack_us=0)
        for user in ("ann", *members[:3]):
            check = MailboxCheck(made.store, made.settings.store, made.clock.now_us, slack_us=0)
            assert (await check.check(user)).findings == []


async def says(made: Cluster | Node, *sent: SendResult, user: str = "ann") -> list[dict[str, str]]:
    """Of each message, by member: sent, delivered or read."""
    node = made.node if isinstance(made, Cluster) else made
    result = await asked(node, *sent, user=user, conversation=GROUP)
    states = {(False, False): "sent", (True, False): "delivered", (True, True): "read"}
    return [{one.user_id: states[one.is_delivered, one.is_read] for one in of.members} for of in result.receipts]


@both_kinds
@virtual_time
async def test_an_author_is_told_who_has_a_message_and_who_has_read_it(*, late: bool) -> None:
    async with a_group("bob", "cid", "dan", late=late) as made:
        node = made.node
        token = await followed(node, "cid")
        first = await node.send_to("ann", GROUP, "one", "1")
        second = await node.send_to("ann", GROUP, "two", "2")
        assert await says(made, first) == [dict.fromkeys(("bob", "cid", "dan"), "sent")]
        at_us = made.clock.now_us()
        await node.mark_read("bob", GROUP, first.message_id)
        token = await follow(node, "cid", token)
        await follow(node, "cid", token)
        await asyncio.sleep(SOON_S)
        assert await says(made, first, second) == [
            {"bob": "read", "cid": "delivered", "dan": "sent"},
            {"bob": "sent", "cid": "delivered", "dan": "sent"},
        ]
        result = await asked(node, first, conversation=GROUP)
        assert abs(result.receipts[0].members[0].read_us - at_us) < 1_000_000
        assert result.as_of > second.sent_timestamp
        node = await made.restart()
        assert await asked(node, first, conversation=GROUP) == result


@virtual_time
async def test_who_writes_has_read_what_came_before() -> None:
    async with a_group("bob", "cid") as made:
        sent = await made.node.send_to("ann", GROUP, "one", "1")
        answer = await made.node.send_to("bob", GROUP, "two", "1")
        await asyncio.sleep(SOON_S)
        assert await says(made, sent) == [{"bob": "read", "cid": "sent"}]
        assert await says(made, answer, user="bob") == [{"ann": "sent", "cid": "sent"}]


@virtual_time
async def test_nobody_is_told_but_the_author_while_he_is_in() -> None:
    async with a_group("bob", "cid") as made:
        node = made.node
        sent = await node.send_to("bob", GROUP, "hello", "1")
        for user, error in (("ann", NotTheAuthor), ("cid", NotTheAuthor), ("eve", UnknownConversation)):
            with pytest.raises(error):
                await says(made, sent, user=user)
        (made_by_ann,) = [item for item in parsed(await node.messages("ann", GROUP)) if item.get("event")]
        with pytest.raises(NotTheAuthor, match="nobody"):
            await _asked_by_id(node, "ann", bytes.fromhex(made_by_ann["messageId"]))
        with pytest.raises(UnknownMessage):
            await _asked_by_id(node, "bob", message_id(BIRTH_US, 2))
        with pytest.raises(BadRequest):
            await asked(node, *[sent] * (MAX_GROUP_RECEIPTS + 1), user="bob", conversation=GROUP)
        await node.change_group("bob", GROUP, Leave())
        with pytest.raises(NotAMember):
            await says(made, sent, user="bob")


@virtual_time
async def test_what_is_told_has_changed_also_where_somebody_left() -> None:
    """Whoever shows it goes by `as_of`."""
    async with a_group("bob", "cid") as made:
        node = made.node
        sent = await node.send_to("ann", GROUP, "hello", "1")
        begun = await asked(node, sent, conversation=GROUP)
        await node.mark_read("cid", GROUP, sent.message_id)
        await asyncio.sleep(SOON_S)
        read = await asked(node, sent, conversation=GROUP)
        await node.change_group("ann", GROUP, Remove("cid"))
        left = await asked(node, sent, conversation=GROUP)
        assert begun.as_of < read.as_of < left.as_of
        assert [one.user_id for one in left.receipts[0].members] == ["bob"]


async def _asked_by_id(node: Node, user: str, identifier: bytes) -> None:
    request = FetchReceipts(user, GROUP, (identifier,))
    await node.process.call(node.owner.fetch_receipts(request))


@both_kinds
@virtual_time
async def test_who_left_is_not_told_of_and_who_comes_counts_from_then_on(*, late: bool) -> None:
    async with a_group("bob", "cid", late=late) as made:
        node = made.node
        first = await node.send_to("ann", GROUP, "one", "1")
        await node.mark_read("bob", GROUP, first.message_id)
        await asyncio.sleep(SOON_S)
        await node.change_group("ann", GROUP, Remove("bob"))
        second = await node.send_to("ann", GROUP, "two", "2")
        await asyncio.sleep(SOON_S)
        assert await says(made, first, second) == [{"cid": "sent"}] * 2
        told = node.owner.receipts.teller.told
        (newest,) = parsed(await node.messages("bob", GROUP, page_size=1))
        await node.mark_read("bob", GROUP, bytes.fromhex(newest["messageId"]))
        await asyncio.sleep(SOON_S)
        assert node.owner.receipts.teller.told == told, "whoever is out tells nobody what he reads"
        await node.change_group("ann", GROUP, Add(("bob", "eve"), 9))
        third = await node.send_to("ann", GROUP, "three", "3")
        await made.quiet()
        await node.mark_read("bob", GROUP, third.message_id)
        await asyncio.sleep(SOON_S)
        assert await says(made, first, second, third) == [
            {"cid": "sent"},
            {"cid": "sent"},
            {"cid": "sent", "bob": "read", "eve": "sent"},
        ]


@virtual_time
async def test_nothing_is_kept_of_whoever_is_not_in() -> None:
    async with a_group("bob") as made:
        node = made.node
        sent = await node.send_to("ann", GROUP, "one", "1")
        receipts = [Receipt(GROUP, user, sent.message_id, sent.message_id, 5) for user in ("eve", "bob")]
        assert await node.process.call(_taken(node, receipts)) == 2
        marks = (await mailbox_of(node, NAME)).others[b"r"]
        assert [one.user_id for one in marks.values()] == ["bob"]  # type: ignore[attr-defined]
        await node.mark_read("bob", GROUP, sent.message_id)


async def _taken(node: Node, receipts: Sequence[Receipt]) -> int:
    return await node.owner.take_receipts(NAME, receipts)


@virtual_time
async def test_members_see_nothing_of_it_by_themselves() -> None:
    async with a_group("bob", "cid") as made:
        node = made.node
        sent = await node.send_to("ann", GROUP, "one", "1")
        feed, listed = await node.changes("ann"), await node.conversations("ann")
        await node.mark_read("bob", GROUP, sent.message_id)
        await asyncio.sleep(NOTE_S + SOON_S)
        assert await says(made, sent) == [{"bob": "read", "cid": "sent"}]
        assert await seen(node, conversation=GROUP) == (None, None)
        assert (await node.changes("ann", token=feed.token)).token == feed.token
        assert (await node.conversations("ann", token=listed.token)).items == ()


@pytest.mark.parametrize(("mode", "state"), [("delivered", "delivered"), ("none", "sent")])
@virtual_time
async def test_the_setting_holds_in_groups(mode: Mode, state: str) -> None:
    async with a_group("bob", receipts=mode) as made:
        node = made.node
        token = await followed(node, "bob")
        sent = await node.send_to("ann", GROUP, "one", "1")
        token = await follow(node, "bob", token)
        await follow(node, "bob", token)
        await node.mark_read("bob", GROUP, sent.message_id)
        await asyncio.sleep(SOON_S)
        assert await says(made, sent) == [{"bob": state}]
        await node.process.call(_taken(node, [Receipt(GROUP, "bob", sent.message_id, sent.message_id, 5)]))
        assert await says(made, sent) == [{"bob": state}], "both ways"


@virtual_time
async def test_of_many_moves_the_times_of_the_last_ones_are_known() -> None:
    async with a_group("bob") as made:
        node, sent, at_us = made.node, [], []
        for number in range(6):
            sent.append(await node.send_to("ann", GROUP, f"{number}", f"{number}"))
            at_us.append(made.clock.now_us())
            await node.mark_read("bob", GROUP, sent[-1].message_id)
            await asyncio.sleep(SOON_S)
        result = await asked(node, *sent, conversation=GROUP)
        times = [of.members[0].read_us for of in result.receipts]
        assert times[:3] == [0, 0, 0], "the oldest of the four may have been read by a move before it"
        assert all(abs(one - other) < 1_000_000 for one, other in zip(times[3:], at_us[3:], strict=True))


# ---------------------------------------------------------------------- what fails


@both_kinds
@virtual_time
async def test_what_was_gathered_and_not_written_is_told_again(*, late: bool) -> None:
    async with a_group("bob", "cid", late=late) as made:
        node = made.node
        first = await node.send_to("ann", GROUP, "one", "1")
        await node.mark_read("cid", GROUP, first.message_id)
        await asyncio.sleep(0.5)  # the first one is written at once, what comes within two seconds waits
        await node.mark_read("bob", GROUP, first.message_id)
        await asyncio.sleep(0.5)
        assert node.owner.gatherings.gathered == 1
        assert node.owner.receipts.teller.told == 1
        node = await made.restart()
        await node.conversations("bob")
        await asyncio.sleep(SOON_S)
        assert await says(made, first) == [{"bob": "read", "cid": "read"}]


@virtual_time
async def test_what_is_not_confirmed_is_not_noted() -> None:
    async with a_group("bob") as made:
        node = made.node
        sent = await node.send_to("ann", GROUP, "one", "1")
        await node.mark_read("bob", GROUP, sent.message_id)
        node.store.hold(Point.WRITE)
        await asyncio.sleep(1)
        assert node.owner.receipts.teller.told == 0
        node.store.release(Point.WRITE)
        await asyncio.sleep(NOTE_S + SOON_S)
        assert (await mailbox_of(node, "bob")).receipts[GROUP].told_read == sent.message_id
        told = node.owner.receipts.teller.told
        node = await made.restart()
        await node.conversations("bob")
        await asyncio.sleep(SOON_S)
        assert (told, node.owner.receipts.teller.told) == (1, 0), "noted: no load tells it again"


@virtual_time
async def test_a_group_and_its_members_may_have_different_owners_and_the_group_another_one_meanwhile() -> None:
    async with sharing(settings=with_receipts("all")) as made:
        first, second = made.nodes
        made.give(second, {number for number in range(SHARDS) if number % 2})
        users = [f"user{number}" for number in range(40)]
        here = [user for user in users if made.of(user) is first][:3]
        there = [user for user in users if made.of(user) is second][:3]
        author, readers = here[0], [*here[1:], *there]
        await first.create_group(author, *readers)
        group = group_conversation_id(author, "g")
        await made.quiet()
        sent = await first.send_to(author, group, "one", "1")
        for user in readers:
            await made.of(user).mark_read(user, group, sent.message_id)
        owner, other = (first, second) if made.of(group_name(group)) is first else (second, first)
        await asyncio.sleep(0.5)
        late = await first.send_to(author, group, "two", "2")
        for user in readers:
            await made.of(user).mark_read(user, group, late.message_id)
        await asyncio.sleep(1)
        assert owner.owner.gatherings.gathered > 0
        made.give(other, {shard(group_name(group))})
        assert owner.owner.gatherings.gathered == 0
        await asyncio.sleep(60)
        result = await asked(first, sent, late, user=author, conversation=group)
        assert [sum(one.is_read for one in of.members) for of in result.receipts] == [5, 5]


@virtual_time
async def test_what_is_gathered_is_bounded_and_the_rest_is_told_again() -> None:
    async with a_group("bob", "cid") as made:
        node = made.node
        sent = await node.send_to("ann", GROUP, "one", "1")
        node.owner.gatherings = Gatherings(node.owner.pipeline.submit, most=1)
        for user in ("bob", "cid"):
            await node.mark_read(user, GROUP, sent.message_id)
        with pytest.raises(Overloaded):
            await node.process.call(_taken(node, [Receipt(GROUP, "bob", b"", b"")] * 2))
        await asyncio.sleep(20)
        assert await says(made, sent) == [{"bob": "read", "cid": "read"}]


@virtual_time
async def test_a_group_that_is_given_away_tells_those_who_told_it() -> None:
    async with a_group("bob") as made:
        gatherings = Gatherings(made.node.owner.pipeline.submit)
        taken = gatherings.take(NAME, [Receipt(GROUP, "bob", b"", b"")])
        gatherings.give_away(lambda name: name == "bob")
        assert not taken.done()
        gatherings.give_away(lambda name: name == NAME)
        with pytest.raises(HandoverInProgress):
            await taken
        assert gatherings.gathered == len(gatherings) == len(gatherings._timers) == 0


@virtual_time
async def test_an_owner_that_is_closed_gathers_nothing() -> None:
    gatherings = Gatherings(list[Command]().append)
    gatherings.close()
    with pytest.raises(Overloaded):
        gatherings.take(NAME, [Receipt(GROUP, "bob", b"", b"")])
    assert len(gatherings) == 0


@virtual_time
async def test_of_each_member_the_greater_marks_are_written_once() -> None:
    written: list[Command] = []
    gatherings = Gatherings(written.append)
    newer, older = (Receipt(GROUP, "bob", mark, mark, 5) for mark in (b"2", b"1"))
    for receipt in (newer, older):
        gatherings.take(NAME, [receipt])
    await asyncio.sleep(1)
    (command,) = written
    assert isinstance(command, ReceiptsCommand)
    assert command.receipts == (newer,)
    command.future.set_result(1)
    assert len(gatherings) == 1
    await asyncio.sleep(2 * GATHERED_S)
    assert len(gatherings) == 0, "of a group of which nothing comes nothing is kept"


@virtual_time
async def test_what_could_not_be_written_is_not_confirmed() -> None:
    written: list[Command] = []
    gatherings = Gatherings(written.append)
    taken = gatherings.take(NAME, [Receipt(GROUP, "bob", b"1", b"1", 5)])
    await asyncio.sleep(1)
    written[0].future.set_exception(StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await taken
    assert gatherings.gathered == 0


@virtual_time
async def test_what_is_known_is_not_written_again() -> None:
    async with a_group("bob") as made:
        node = made.node
        sent = await node.send_to("ann", GROUP, "one", "1")
        await node.mark_read("bob", GROUP, sent.message_id)
        await asyncio.sleep(SOON_S)
        head = (await mailbox_of(node, NAME)).head
        assert await node.process.call(_taken(node, [Receipt(GROUP, "bob", sent.message_id, sent.message_id)])) == 1
        assert (await mailbox_of(node, NAME)).head == head


@virtual_time
async def test_the_groups_row_tells_members_alone_whatever_other_rows_know() -> None:
    async with a_group("bob") as made:
        node = made.node
        sent = await node.send_to("bob", GROUP, "one", "1")
        await node.change_group("bob", GROUP, Leave())
        for user, error in (("bob", NotAMember), ("eve", UnknownConversation)):
            with pytest.raises(error):
                await node.process.call(node.owner.ask_group(ViewReceipts(GROUP, user, (sent.message_id,))))


@virtual_time
async def test_an_author_whose_owner_was_replaced_meanwhile_is_told_by_the_next_one() -> None:
    async with a_group("bob") as made:
        node = made.node
        sent = await node.send_to("ann", GROUP, "one", "1")
        reads = node.owner.receipt_reads
        ask = reads._ask_group

        async def lapses(request: FetchReceipts) -> GroupReceipts:
            answer = await ask(request)
            node.lapse()
            return answer

        reads._ask_group = lapses
        with pytest.raises(HandoverInProgress):
            await says(made, sent)
        node.renew()


# ---------------------------------------------------------------------- what it costs


async def _mutations(*, reads: bool, receipts: Mode = "none") -> int:
    """Of rows, of five seconds in which a hundred members and one get ten messages a second, and of what follows.

    `reads`: each of the hundred marks what he has read once a second, and comes back with a token as often.
    """
    members = [f"member-{number}" for number in range(1, 101)]
    made_of: Counter[bytes] = Counter()
    async with a_group(*members, receipts=receipts) as made:
        node, mutate = made.node, made.node.store.mutate
        tokens = {user: await followed(node, user) for user in members}

        async def counted(mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
            made_of.update(row for row, _ in mutations)
            await mutate(mutations, timestamp_ms)

        async def read(number: int, user: str) -> None:
            await asyncio.sleep(number / 100)
            for _ in range(5):
                await asyncio.sleep(1)
                newest = (await node.messages(user, GROUP, page_size=1)).items[0]
                await node.mark_read(user, GROUP, bytes.fromhex(json.loads(newest)["messageId"]))
                tokens[user] = await follow(node, user, tokens[user])

        node.store.mutate = counted  # type: ignore[method-assign]
        reading = [asyncio.ensure_future(read(*one)) for one in enumerate(members) if reads]
        for number in range(50):
            await node.send_to(members[number % 10], GROUP, f"{number}", f"{number}")
            await asyncio.sleep(0.1)
        await asyncio.gather(*reading)
        await asyncio.sleep(NOTE_S + SOON_S)
    return made_of.total()


@virtual_time
async def test_a_hundred_who_read_live_add_less_than_a_fifth_to_the_mutations_of_ten_messages_a_second() -> None:
    """Counted at the store. Most of what is added are their own marks, which are written without receipts as well."""
    alone = await _mutations(reads=False)
    with_marks = await _mutations(reads=True)
    with_receipts = await _mutations(reads=True, receipts="all")
    print(f"{alone} row mutations, with marks {with_marks}, with receipts {with_receipts}")  # noqa: T201
    assert alone >= 50 * 102
    assert with_marks - alone > 400
    assert with_receipts - alone <= 0.20 * alone
    assert with_receipts - with_marks <= 0.03 * alone

"""What those who join a group are given of what was written in it before."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.cache.commands import CommandResult, DeliverCommand
from rowbox.cacheserver.port import ChangeAccount
from rowbox.mailbox.account.deeds import SetConversation
from rowbox.mailbox.cells import GROUP
from rowbox.mailbox.check.findings import Code
from rowbox.mailbox.errors import HandoverInProgress, RateLimited, UnknownMessage
from rowbox.mailbox.group import (
    Copied,
    GroupPart,
    GroupSettings,
    History,
    Join,
    Resumed,
    Standing,
    group_name,
)
from rowbox.mailbox.groups.copies import MOST_COPIES
from rowbox.mailbox.groups.member_row import MOST_GROUPS
from rowbox.mailbox.groups.requests import Add, Remove, Update
from rowbox.mailbox.ids import payload_hash
from rowbox.mailbox.message import Message
from tests.owner.groups.test_group_changes import UP, reacted, shown
from tests.owner.groups.test_group_check import codes, messages, put
from tests.owner.groups.test_group_limits import LIMITED
from tests.owner.groups.test_groups import both_kinds, checked, five, listed, told
from tests.owner.groups.test_put_back import findings, put_back, stored
from tests.support.cluster import Cluster, cluster
from tests.support.virtual_time import virtual_time

RECENT, NONE = GroupSettings(history=History.RECENT), GroupSettings()
MADE = "created:bob,cid,dan,eve"
ASKED = (
    "('', ['bob'], GroupSettings(who_can_send=<WhoMay.ALL: 'all'>, who_can_add=<WhoMay.ADMINS: 'admins'>,"
    " who_can_edit_info=<WhoMay.ADMINS: 'admins'>))"
)
"""What a group was made of, as it was hashed before there was `history`."""


async def add(made: Cluster, group: bytes, *users: str) -> None:
    await made.node.change_group("ann", group, Add(users, 100))
    await made.quiet()


@both_kinds
@virtual_time
async def test_who_joins_has_what_was_written_before_as_it_is_now_and_read(late: bool) -> None:
    async with checked(late=late) as made:
        node, group = made.node, (await five(made, settings=RECENT)).conversation_id
        edited = await node.send_to("bob", group, "one", "1")
        liked = await node.send_to("cid", group, "two", "2")
        taken_back = await node.send_to("dan", group, "three", "3")
        await node.change("bob", edited, "eins")
        await node.react("eve", liked, UP)
        await node.change("dan", taken_back, None)
        await add(made, group, "fay")
        assert await told(node, "fay", group) == [MADE, "eins", "two", "", "added:fay"]
        assert "editedTimestamp" in await shown(node, "fay", edited)
        assert reacted(await shown(node, "fay", liked)) == [(UP, 1, False)]
        assert (await shown(node, "fay", taken_back))["unsentBy"] == "dan"
        assert (await listed(node, "fay"))["unreadCount"] == 0
        await node.send_to("ann", group, "four", "4")
        await node.change("bob", edited, "uno")
        await made.quiet()
        assert await told(node, "fay", group) == [MADE, "uno", "two", "", "added:fay", "four"]
        assert (await listed(node, "fay"))["unreadCount"] == 1
        assert (await node.react("fay", liked, UP)).changed
        await made.quiet()
        assert reacted(await shown(node, "bob", liked)) == [(UP, 2, False)]


@both_kinds
@virtual_time
async def test_nobody_is_given_what_was_written_while_it_was_not_so(late: bool) -> None:
    async with checked(late=late) as made:
        node, group = made.node, (await five(made)).conversation_id
        hidden = await node.send_to("ann", group, "among us", "1")
        await add(made, group, "fay")
        await node.change_group("ann", group, Update(None, RECENT))
        await node.send_to("ann", group, "for all", "2")
        await node.change_group("ann", group, Update("named", None))
        await add(made, group, "gil")
        assert await told(node, "fay", group) == ["added:fay", "settings:", "for all", "renamed:", "added:gil"]
        assert await told(node, "gil", group) == ["settings:", "for all", "renamed:", "added:gil"]
        with pytest.raises(UnknownMessage):
            await node.react("gil", hidden, UP)
        await node.change_group("ann", group, Update(None, NONE))
        await node.send_to("ann", group, "among us again", "3")
        await add(made, group, "hal")
        assert await told(node, "hal", group) == ["added:hal"]
        await node.change_group("ann", group, Update(None, RECENT))
        await add(made, group, "ida")
        assert await told(node, "ida", group) == ["settings:", "added:ida"]


@both_kinds
@virtual_time
async def test_who_is_in_again_is_given_what_was_written_meanwhile(late: bool) -> None:
    async with checked(late=late) as made:
        node, group = made.node, (await five(made, settings=RECENT)).conversation_id
        await node.send_to("ann", group, "one", "1")
        await node.change_group("ann", group, Remove("bob"))
        between = await node.send_to("ann", group, "two", "2")
        await node.change("ann", between, "zwei")
        await add(made, group, "bob")
        await node.send_to("ann", group, "three", "3")
        await made.quiet()
        shows = await told(node, "bob", group)
        assert shows == [MADE, "one", "removed:bob", "zwei", "added:bob", "three"]
        assert (await listed(node, "bob"))["unreadCount"] == 1


@virtual_time
async def test_what_is_given_leaves_a_group_in_the_archive() -> None:
    """It was not written to him, and is read."""
    async with checked(late=True) as made:
        node, group = made.node, (await five(made, settings=RECENT)).conversation_id
        await node.change_group("ann", group, Remove("bob"))
        await made.quiet()
        await node.process.call(
            node.owner.change_account(ChangeAccount("bob", SetConversation(group, is_archived=True)))
        )
        await node.send_to("ann", group, "one", "1")
        await add(made, group, "bob")
        assert (await told(node, "bob", group))[-2:] == ["one", "added:bob"]
        assert (await listed(node, "bob"))["archived"]
        await node.send_to("ann", group, "two", "2")
        await made.quiet()
        assert "archived" not in await listed(node, "bob")


@both_kinds
@virtual_time
async def test_it_is_the_newest_of_many_for_all_who_join_at_once_and_one_read(late: bool) -> None:
    async with checked(late=late) as made:
        node, group = made.node, (await five(made, settings=RECENT)).conversation_id
        for number in range(MOST_COPIES + 5):
            await node.send_to("ann", group, f"text {number}", f"t{number}")
        await node.change_group("ann", group, Remove("bob"))
        await node.send_to("ann", group, "last", "1")
        reads, read = list[bytes](), node.owner.groups._begin

        def counted(name: str, *asked: object) -> object:
            reads.append(name.encode())
            return read(name, *asked)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(node.owner.groups, "_begin", counted)
            await add(made, group, "fay", "gil", "bob")
        assert len(reads) == 2, "the change, and what the three are given"
        newest = [*(f"text {number}" for number in range(7, MOST_COPIES + 5)), "removed:bob", "last"]
        for user in ("fay", "gil"):
            assert await told(node, user, group) == [*newest, "added:fay,gil,bob"]
        assert (await told(node, "bob", group))[-3:] == ["removed:bob", "last", "added:fay,gil,bob"]


@virtual_time
async def test_what_fails_is_tried_again_and_nobody_else_waits_for_it() -> None:
    async with checked(late=True) as made:
        node, group = made.node, (await five(made, settings=RECENT)).conversation_id
        await node.send_to("ann", group, "one", "1")
        events, failed = node.owner.delivery.group_events, list[str]()
        give = events._with_earlier

        def gives(cell: object) -> object:
            failed.append("at once")
            if len(failed) == 1:
                raise HandoverInProgress("not now")
            if len(failed) == 2:
                later: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                later.set_exception(HandoverInProgress("not now"))
                return later
            return give(cell)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(events, "_with_earlier", gives)
            await node.change_group("ann", group, Add(("fay",), 100))
            await node.send_to("ann", group, "two", "2")
            assert (await told(node, "bob", group))[-1] == "two"
            await made.quiet()
        assert len(failed) == 3
        assert await told(node, "fay", group) == [MADE, "one", "added:fay", "two"]
        assert events.gaps == 0


@virtual_time
async def test_the_next_owner_of_the_group_gives_it_too() -> None:
    """The outbox holds the join alone: what is given is read anew."""
    async with checked(late=True) as made:
        node, group = made.node, (await five(made, settings=RECENT)).conversation_id
        sent = await node.send_to("ann", group, "one", "1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                node.owner.delivery.group_events, "_with_earlier", lambda _: asyncio.get_running_loop().create_future()
            )
            adding = asyncio.ensure_future(node.change_group("ann", group, Add(("fay",), 100)))
            await asyncio.sleep(1)
            await made.kill()
            await asyncio.gather(adding, return_exceptions=True)
        made.clock.jump(1.0)
        await made.start()
        await made.node.change("ann", sent, "eins")
        await made.quiet()
        assert await told(made.node, "fay", group) == [MADE, "eins", "added:fay"]


@both_kinds
@virtual_time
async def test_a_row_that_was_put_back_to_before_the_join_has_it_again(late: bool) -> None:
    async with cluster(late=late) as made:
        group = (await five(made, settings=RECENT)).conversation_id
        await made.node.send_to("ann", group, "one", "1")
        await made.quiet()
        before = stored(made, "fay")
        await add(made, group, "fay")
        await made.node.send_to("ann", group, "two", "2")
        await put_back(made, "fay", before)
        await made.node.send_to("ann", group, "three", "3")
        await made.quiet()
        assert await told(made.node, "fay", group) == [MADE, "one", "added:fay", "two", "three"]
        assert (await listed(made.node, "fay"))["unreadCount"] == 2
        assert await findings(made) == set()


@both_kinds
@virtual_time
async def test_who_was_removed_meanwhile_and_lost_that_has_what_he_was_given_by_either_join(late: bool) -> None:
    async with cluster(late=late) as made:
        group = (await five(made, settings=RECENT)).conversation_id
        await made.node.send_to("ann", group, "one", "1")
        await made.quiet()
        before = stored(made, "fay")
        await add(made, group, "fay")
        await made.node.change_group("ann", group, Remove("fay"))
        await made.node.send_to("ann", group, "two", "2")
        await put_back(made, "fay", before)
        await add(made, group, "fay")
        shows = await told(made.node, "fay", group)
        assert shows == [MADE, "one", "added:fay", "removed:fay", "two", "added:fay"]
        assert await findings(made) == set()


@virtual_time
async def test_a_join_that_comes_behind_others_messages_brings_what_is_given() -> None:
    """They wait for one recipient, and go together as soon as he can be reached; but for the join."""
    async with checked(late=True) as made:
        node, group = made.node, (await five(made, settings=RECENT)).conversation_id
        await node.send_to("ann", group, "one", "1")
        delivery, batches = node.owner.delivery, list[int]()
        bring = delivery._deliver

        def brings(recipient: str, messages: Sequence[Message]) -> object:
            if recipient == "fay":
                batches.append(len(messages))
                if len(batches) == 1:
                    raise HandoverInProgress("not now")
            return bring(recipient, messages)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(delivery, "_deliver", brings)
            sending = [asyncio.ensure_future(node.send("dan", "fay", f"hello {n}", str(n))) for n in range(2)]
            adding = asyncio.ensure_future(node.change_group("ann", group, Add(("fay",), 100)))
            await asyncio.gather(*sending, adding)
            await made.quiet()
        assert (batches[0] > 0, batches[1:]) == (True, [2, 1])
        assert await told(node, "fay", group) == [MADE, "one", "added:fay"]


@virtual_time
async def test_a_command_is_as_large_as_what_it_brings() -> None:
    """One store call is not to become too large."""
    copy = Copied(bytes(16), 1, "ann", "x" * 1_000, "", 0, False, None, ())
    joins, resumed = {"bob": Join("member", 0, 1)}, Resumed(Standing.IN, 1, "member", 1, (copy,) * 3)

    def size(part: GroupPart) -> int:
        message = Message(bytes(16), bytes(16), "ann", (), "", group=part)
        future: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        return DeliverCommand(user_id="bob", messages=[message], future=future).size_bytes

    least = size(GroupPart(2, 1, ("bob",), joins=joins))
    assert size(GroupPart(2, 1, ("bob",), joins=joins, earlier=(copy,) * 3)) > least + 3_000
    assert size(GroupPart(2, 1, ("bob",), resumed=resumed)) > least + 3_000


@virtual_time
async def test_a_group_that_was_made_before_there_was_this_setting_is_the_same_group() -> None:
    async with checked(late=True) as made:
        kept = list[bool]()
        for number, settings in enumerate((NONE, RECENT)):
            group = (await made.node.create_group("ann", "bob", named=f"g{number}", settings=settings)).conversation_id
            row = made.node.owner.table.admitted(group_name(group))
            assert row.mailbox is not None
            state = row.mailbox.state(GROUP)
            assert state is not None
            kept.append(state.creation == payload_hash(group, ASKED))
        assert kept == [True, False]


@virtual_time
async def test_what_is_given_counts_as_what_the_group_has_written() -> None:
    limits = replace(LIMITED, groups=replace(LIMITED.groups, fan_out_bytes_per_second=1_000))
    async with cluster(late=True, settings=limits) as made:
        node, group = made.node, (await made.node.create_group("ann", "bob", settings=RECENT)).conversation_id
        await made.quiet()
        await node.send_to("ann", group, "x" * 5_000, "1")
        await asyncio.sleep(60)
        await add(made, group, *(f"user{number}" for number in range(5)))
        with pytest.raises(RateLimited):
            await node.send_to("ann", group, "next", "2")
        await asyncio.sleep(60)
        await node.send_to("ann", group, "next", "2")


@virtual_time
async def test_what_is_given_counts_once_however_often_it_has_to_be_brought() -> None:
    """Else a member who cannot be reached would stop his group."""
    async with cluster(late=True, settings=LIMITED) as made:
        node, group = made.node, (await made.node.create_group("ann", "bob", settings=RECENT)).conversation_id
        await made.quiet()
        await node.send_to("ann", group, "x" * 3_000, "1")
        delivery, tries = node.owner.delivery, list[str]()
        bring = delivery._deliver

        def brings(recipient: str, messages: Sequence[Message]) -> object:
            if recipient == "fay" and len(tries) < 6:
                tries.append(recipient)
                raise HandoverInProgress("not now")
            return bring(recipient, messages)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(delivery, "_deliver", brings)
            await add(made, group, "fay")
        assert len(tries) == 6
        assert (await told(node, "fay", group))[-1] == "added:fay"
        await node.send_to("ann", group, "next", "2")


@both_kinds
@virtual_time
async def test_a_join_that_is_declined_brings_nothing(late: bool) -> None:
    async with checked(late=late) as made:
        node, group = made.node, (await five(made, settings=RECENT)).conversation_id
        await node.send_to("ann", group, "one", "1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("rowbox.mailbox.groups.member_row._groups_of", lambda _plan: MOST_GROUPS)
            await add(made, group, "fay")
            await asyncio.sleep(1)
            await made.quiet()
        assert [one.user_id for one in (await node.group("ann", group)).view.members] == ["ann", *MADE[8:].split(",")]
        assert await messages(made, "fay") == []
        _, mailbox = await node.owner.table.loaded("fay")
        assert len(mailbox.index) == 0
        await node.send_to("ann", group, "two", "2")
        await add(made, group, "fay")
        assert await told(node, "fay", group) == ["two", "added:fay"], "as who had left then"


@virtual_time
async def test_the_check_names_who_has_what_nobody_gave_him() -> None:
    async with cluster(late=True) as made:
        node, group = made.node, (await five(made)).conversation_id
        await node.send_to("ann", group, "among us", "1")
        await made.quiet()
        (copy, *_) = await messages(made, "bob")
        await node.change_group("ann", group, Update(None, RECENT))
        await node.send_to("ann", group, "for all", "2")
        await add(made, group, "fay")
        assert await codes(made, "fay") == set()
        head = max(cell.version for cell in await messages(made, "fay"))
        await put(made, "fay", replace(copy, version=head - 1, epoch=(await messages(made, "fay"))[0].epoch))
        assert await codes(made, "fay") == {Code.NOT_A_MEMBER}

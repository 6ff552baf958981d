"""Users delete their copies of conversations: what they are shown then, by every way, and what the store keeps."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.cache.commands import AccountCommand, Command, CommandResult, DeliverCommand, SweepCommand
from rowbox.cacheserver.check.mailbox_summary import summary_of
from rowbox.cacheserver.port import AccountResult, ChangeAccount, FetchReceipts
from rowbox.cacheserver.stores.port import RowDelete
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.account.deeds import DeleteConversation, DeleteUser, SetConversation
from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.errors import UnknownConversation, UnknownMessage
from rowbox.mailbox.ids import message_id
from rowbox.mailbox.message import Message
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.settings.config import MessageSettings
from tests.checking import assert_no_findings
from tests.owner.people.erased import until_done
from tests.owner.search.searching import searching, whole
from tests.support.cluster import CRAMPED, SHARDS, UNLIMITED, Cluster, Node, cluster, parsed, version_of
from tests.support.virtual_time import virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
any_cache = pytest.mark.parametrize("cramped", [False, True], ids=["roomy", "cramped"])


@asynccontextmanager
async def servers(*, late: bool, cramped: bool = False, receipts: bool = False) -> AsyncIterator[Cluster]:
    """In the end no mailbox has anything that the check finds, before what is deleted was emptied and after."""
    settings = CRAMPED if cramped else UNLIMITED
    if receipts:
        settings = replace(settings, messages=MessageSettings())
    async with cluster(late=late, settings=settings) as made:
        yield made
        await made.quiet()
        await assert_no_findings(made.store, made.settings, made.clock.now_us())
        await swept(made)
        await made.quiet()
        await assert_no_findings(made.store, made.settings, made.clock.now_us())


async def delete(node: Node, user: str, conversation: bytes) -> AccountResult:
    return await node.process.call(node.owner.change_account(ChangeAccount(user, DeleteConversation(conversation))))


async def swept(made: Cluster) -> None:
    """Waits until nothing is left to be emptied."""
    while len(made.node.owner.deleted_copies):  # noqa: ASYNC110 - nobody but tests waits for it
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.1)


async def texts(node: Node, user: str, conversation: bytes | None = None, **how: Any) -> list[str]:
    """What the user is shown of a conversation or of all, page by page, the newest first."""
    page = await node.messages(user, conversation, page_size=2, **how)
    found = [one["messageContent"] for one in parsed(page)]
    while page.next_cursor is not None:
        page = await node.messages(user, conversation, page_size=2, cursor=page.next_cursor)
        found += [one["messageContent"] for one in parsed(page)]
    return found


async def listed(node: Node, user: str) -> list[dict[str, Any]]:
    return parsed(await node.conversations(user))


async def talk(node: Node, count: int = 5) -> bytes:
    """Bob and Ann write to each other."""
    conversation = b""
    for number in range(count):
        pair = ("bob", "ann") if number % 2 else ("ann", "bob")
        conversation = (await node.send(*pair, f"secret {number}", f"c{number}")).conversation_id
    return conversation


def stored(made: Cluster, user: str) -> list[MessageCell]:
    columns = made.store.cells.columns(row_key(user, SHARDS), Family.MESSAGES)
    cells = [codec.decode(Family.MESSAGES, *column) for column in columns]
    return [cell for cell in cells if isinstance(cell, MessageCell)]


@both_kinds
@any_cache
@virtual_time
async def test_from_the_answer_on_nothing_is_shown_by_any_way(*, late: bool, cramped: bool) -> None:
    async with servers(late=late, cramped=cramped) as made:
        node = made.node
        conversation = await talk(node)
        other = (await node.send("cem", "ann", "other", "o1")).conversation_id
        await made.quiet()
        begun = {kind: (await how("ann")).token for kind, how in (("feed", node.changes), ("list", node.conversations))}
        of_it, of_all = (await node.messages("ann", conversation)).token, (await node.messages("ann")).token
        cursor = (await node.messages("ann", conversation, page_size=2)).next_cursor
        result = await delete(node, "ann", conversation)
        assert result.changed
        for _ in range(2):
            assert await texts(node, "ann", conversation) == []
            assert await texts(node, "ann") == ["other"]
            assert (await node.messages("ann", conversation, cursor=cursor)).items == []
            assert (await node.messages("ann", conversation, page_number=1, page_size=2)).items in ([], ())
            assert not (await node.messages("ann", conversation, token=of_it)).items
            assert not (await node.messages("ann", token=of_all)).items
            assert [one["conversationId"] for one in await listed(node, "ann")] == [other.hex()]
            changes = await node.changes("ann", token=begun["feed"])
            (gone,) = map(json.loads, changes.conversations)
            assert changes.messages == []
            assert (gone["deleted"], gone["deletedUpTo"], gone["snippet"], gone["unreadCount"]) == (
                True,
                result.version,
                None,
                0,
            )
            assert parsed(await node.conversations("ann", token=begun["list"])) == [gone]
            assert not (await delete(node, "ann", conversation)).changed
            assert [one["messageContent"] for one in parsed(await node.messages("bob", conversation))][:1] == [
                "secret 4"
            ]
            await swept(made)
            node = await made.restart()
        with pytest.raises(UnknownConversation):
            await delete(node, "ann", bytes(16))


@both_kinds
@any_cache
@virtual_time
async def test_the_next_message_brings_it_back_without_what_was_before(*, late: bool, cramped: bool) -> None:
    async with servers(late=late, cramped=cramped) as made:
        node = made.node
        conversation = await talk(node)
        await node.process.call(
            node.owner.change_account(ChangeAccount("ann", SetConversation(conversation, 1 << 52, True, True, True)))
        )
        result = await delete(node, "ann", conversation)
        if cramped:
            await swept(made)
            node = await made.restart()
        token = (await node.changes("ann")).token
        await node.send("bob", "ann", "new", "n1")
        await made.quiet()
        for _ in range(2):
            assert await texts(node, "ann", conversation) == await texts(node, "ann") == ["new"]
            (one,) = await listed(node, "ann")
            assert (one["snippet"], one["unreadCount"], one["deletedUpTo"]) == ("new", 1, result.version)
            assert "deleted" not in one
            assert (one["mutedUntil"], one.keys() & {"archived", "pinned", "markedUnread"}) == (1 << 52, set())
            changes = await node.changes("ann", token=token)
            assert [json.loads(one)["messageContent"] for one in changes.messages] == ["new"]
            assert list(map(json.loads, changes.conversations)) == [one]
            assert all(json.loads(message)["lastUpdatedTimestamp"] > result.version for message in changes.messages)
            node = await made.restart()
        await node.send("ann", "bob", "answer", "n2")
        await delete(node, "ann", conversation)
        await node.send("ann", "bob", "again", "n3")
        assert await texts(node, "ann", conversation) == ["again"]
        assert (await texts(node, "bob", conversation))[:3] == ["again", "answer", "new"]


@virtual_time
async def test_a_message_that_was_sent_before_and_comes_later_is_shown_and_one_that_comes_again_is_not() -> None:
    async with servers(late=True) as made:
        node = made.node
        conversation = await talk(node)
        known = [cell for cell in stored(made, "ann") if cell.sender_id == "bob"]
        assert known
        on_its_way = Message(known[-1].message_id[:-1] + b"\x02", conversation, "bob", ("ann", "bob"), "late")
        again = [Message(cell.message_id, conversation, "bob", ("ann", "bob"), cell.content) for cell in known]
        await delete(node, "ann", conversation)
        for _ in range(2):
            await node.process.call(_delivered(node, again))
            assert await texts(node, "ann", conversation) == []
            assert await listed(node, "ann") == []
            await swept(made)
            await node.process.call(_delivered(node, again))
            assert await listed(node, "ann") == []
            node = await made.restart()
        await node.owner.deleted_copies.loop.close()
        await node.send("ann", "bob", "again", "a1")
        await delete(node, "ann", conversation)
        await node.process.call(_delivered(node, [on_its_way, *again, on_its_way]))
        node.owner.deleted_copies.loop.start()
        await swept(made)
        for _ in range(2):
            assert await texts(node, "ann", conversation) == await texts(node, "ann") == ["late"]
            (one,) = await listed(node, "ann")
            assert "deleted" not in one
            node = await made.restart()
        # Bob has sent no such message: it is taken out, so that the copies of both are alike in the end.
        await delete(node, "ann", conversation)
        await _forget(made, "ann", on_its_way.message_id)


async def _delivered(node: Node, messages: list[Message]) -> int:
    return await node.owner.deliver("ann", messages)


async def _forget(made: Cluster, user: str, message_id: bytes) -> None:
    await swept(made)
    row = row_key(user, SHARDS)
    columns = made.store.cells.columns(row, Family.MESSAGES)
    named = [
        (Family.MESSAGES, column[0])
        for column in columns
        if getattr(codec.decode(Family.MESSAGES, *column), "message_id", b"") == message_id
    ]
    await made.store.beside().delete([RowDelete(row, named)], made.clock.now_ms() + 1)


@both_kinds
@virtual_time
async def test_what_is_done_to_a_deleted_message_is_not_heard_of(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        conversation = await talk(node, 3)
        sent = await node.send("bob", "ann", "secret", "s1")
        own = await node.send("ann", "bob", "own secret", "s2")
        await made.quiet()
        await delete(node, "ann", conversation)
        token = (await node.changes("ann")).token
        for round_number in range(2):
            await node.change("bob", sent, f"edited {round_number}")
            await node.react("bob", own, "\U0001f44d" if round_number else "\U0001f44e")
            await made.quiet()
            changes = await node.changes("ann", token=token)
            assert not changes.messages
            assert not changes.conversations
            assert await texts(node, "ann", conversation) == []
            for change in (node.change("ann", own, "mine"), node.react("ann", sent, "\U0001f44d")):
                with pytest.raises(UnknownMessage):
                    await change
            with pytest.raises(UnknownConversation):
                await node.mark_read("ann", conversation, own.message_id)
            with pytest.raises(UnknownMessage):
                await node.process.call(
                    node.owner.fetch_receipts(FetchReceipts("ann", conversation, (own.message_id,)))
                )
            await swept(made)
            node = await made.restart()
            with pytest.raises(UnknownMessage):
                await node.process.call(
                    node.owner.fetch_receipts(FetchReceipts("ann", conversation, (own.message_id,)))
                )
            token = (await node.changes("ann")).token
        assert "edited 1" in await texts(node, "bob", conversation)


@both_kinds
@virtual_time
async def test_the_store_keeps_no_text_and_of_a_group_nothing(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        conversation = await talk(node)
        group = (await node.create_group("ann", "bob")).conversation_id
        for number in range(4):
            await node.send_to("bob", group, f"secret {number}", f"g{number}")
        await made.quiet()
        await delete(node, "ann", conversation)
        await delete(node, "ann", group)
        await node.send("bob", "ann", "new", "n1")
        await node.send_to("bob", group, "new", "n2")
        await made.quiet()
        await swept(made)
        left = stored(made, "ann")
        assert not [cell for cell in left if "secret" in cell.content]
        assert [cell.content for cell in left if cell.conversation_id == group] == ["new"]
        assert len([cell for cell in left if cell.conversation_id == conversation]) == 6
        for _ in range(2):
            assert await texts(node, "ann", group) == await texts(node, "ann", conversation) == ["new"]
            node = await made.restart()
        assert len(await texts(node, "bob", group)) == 6


@both_kinds
@virtual_time
async def test_a_group_that_is_deleted_goes_on(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        group = (await node.create_group("ann", "bob", "cem")).conversation_id
        first = await node.send_to("bob", group, "secret", "g1")
        await made.quiet()
        await node.owner.deleted_copies.loop.close()
        await delete(node, "ann", group)
        assert await listed(node, "ann") == []
        token = (await node.changes("ann")).token
        await node.change("bob", first, "edited")
        await node.react("cem", first, "\U0001f44d")
        await made.quiet()
        changes = await node.changes("ann", token=token)
        assert not changes.messages
        assert not changes.conversations
        assert await listed(node, "ann") == []
        assert await texts(node, "ann", group) == []
        node.owner.deleted_copies.loop.start()
        await swept(made)
        node = await made.restart()
        await node.change("bob", first, None)
        await node.send_to("cem", group, "new", "g2")
        await made.quiet()
        assert await texts(node, "ann", group) == ["new"]
        (one,) = await listed(node, "ann")
        assert (one["kind"], one["unreadCount"]) == ("group", 1)
        await node.send_to("ann", group, "answer", "g3")
        assert await texts(node, "ann", group) == ["answer", "new"]


@both_kinds
@virtual_time
async def test_to_delete_is_not_to_read(*, late: bool) -> None:
    """What nobody has read is not told to be read, and what comes later is counted from there."""
    async with servers(late=late) as made:
        node = made.node
        conversation = await talk(node, 3)
        first = await node.send("bob", "ann", "unread", "u1")
        _, mailbox = await node.process.call(node.owner.table.loaded("ann"))
        mark = mailbox.index.get(conversation).read_mark  # type: ignore[union-attr]
        assert mark < first.message_id
        await delete(node, "ann", conversation)
        for _ in range(2):
            _, mailbox = await node.process.call(node.owner.table.loaded("ann"))
            assert mailbox.index.get(conversation).read_mark == mark  # type: ignore[union-attr]
            node = await made.restart()
        second = await node.send("bob", "ann", "new", "u2")
        await node.send("bob", "ann", "newer", "u3")
        node = await made.restart()
        with pytest.raises(UnknownMessage):
            await node.mark_read("ann", conversation, first.message_id)
        marked = await node.mark_read("ann", conversation, second.message_id)
        assert marked.unread_count == 1
        with pytest.raises(UnknownMessage):
            await node.mark_read("ann", conversation, second.message_id[:-1] + b"\x01")


@both_kinds
@virtual_time
async def test_many_messages_are_emptied_step_by_step_and_by_the_next_owner(*, late: bool) -> None:
    """Its write times are behind those of the first one, which made more than one call of the store in a millisecond:
    what it writes does not count at first, and it finds that.
    """
    async with servers(late=late) as made:
        node = made.node
        conversation = b""
        for number in range(600):
            conversation = (await node.send("bob", "ann", f"secret {number}", f"c{number}")).conversation_id
        await made.quiet()
        result = await delete(node, "ann", conversation)
        await asyncio.sleep(0.03)
        held = [cell for cell in stored(made, "ann") if cell.content]
        assert 0 < len(held) < 600
        node = await made.restart()
        await node.send("bob", "ann", "new", "n1")
        assert version_of((await node.changes("ann")).token) > result.version
        await swept(made)
        assert [cell.content for cell in stored(made, "ann") if cell.content] == ["new"]
        assert await texts(node, "ann", conversation) == ["new"]


@both_kinds
@virtual_time
async def test_sends_and_deletions_that_join_one_mutation(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        conversation = await talk(node, 2)
        await made.quiet()
        told: list[Any] = []
        following = await node.follow("ann", told.append)
        token = (await node.changes("ann")).token
        await asyncio.gather(
            node.send("ann", "bob", "before", "j1"),
            delete(node, "ann", conversation),
            node.send("ann", "bob", "between", "j2"),
            delete(node, "ann", conversation),
            node.send("ann", "bob", "after", "j3"),
        )
        frames = [json.loads(one.frame) for one in told if one.frame is not None]
        assert [item["messageContent"] for frame in frames for item in frame["messages"]][-1:] == ["after"]
        assert "between" not in str(frames[-1])
        for _ in range(2):
            assert await texts(node, "ann", conversation) == await texts(node, "ann") == ["after"]
            changes = await node.changes("ann", token=token)
            assert [json.loads(one)["messageContent"] for one in changes.messages] == ["after"]
            node = await made.restart()
        assert (await texts(node, "bob", conversation))[:3] == ["after", "between", "before"]
        following.close()


@virtual_time
async def test_what_the_other_one_reads_of_it_is_not_heard_of() -> None:
    async with servers(late=True, receipts=True) as made:
        node = made.node
        sent = await node.send("ann", "bob", "secret", "c1")
        conversation = sent.conversation_id
        await delete(node, "ann", conversation)
        token = (await node.changes("ann")).token
        receipt = Receipt(conversation, "bob", sent.message_id, sent.message_id, made.clock.now_us())
        assert await node.process.call(_told(node, receipt)) == 0
        assert not (await node.changes("ann", token=token)).conversations
        newer = await node.send("ann", "bob", "new", "c2")
        assert "receipts" not in (await listed(node, "ann"))[0]
        receipt = Receipt(conversation, "bob", newer.message_id, newer.message_id, made.clock.now_us())
        assert await node.process.call(_told(node, receipt)) == 1
        assert (await listed(node, "ann"))[0]["receipts"]["readUpTo"] == newer.message_id.hex()


async def _told(node: Node, receipt: Receipt) -> int:
    return await node.owner.take_receipts("ann", [receipt])


@both_kinds
@virtual_time
async def test_a_search_finds_none_of_it_by_an_index_of_before_and_by_a_new_one(*, late: bool, tmp_path: Path) -> None:
    async with searching(tmp_path, late=late) as made:
        node = made.node
        conversation = await talk(node)
        assert len(await whole(node, "ann", "secret")) == 5
        await node.owner.deleted_copies.loop.close()
        await delete(node, "ann", conversation)
        assert await whole(node, "ann", "secret") == []
        node.owner.deleted_copies.loop.start()
        await node.send("bob", "ann", "another secret", "n1")
        for _ in range(2):
            assert [one["messageContent"] for one in await whole(node, "ann", "secret")] == ["another secret"]
            await swept(made)
            node = await made.restart()
        assert len(await whole(node, "bob", "secret")) == 6


@virtual_time
async def test_a_step_that_was_begun_before_another_deletion_does_not_say_that_all_is_empty() -> None:
    async with servers(late=True) as made:
        node = made.node
        conversation = await talk(node)
        await node.owner.deleted_copies.loop.close()
        first = await delete(node, "ann", conversation)
        await node.send("bob", "ann", "another secret", "n1")
        await made.quiet()
        await delete(node, "ann", conversation)
        future: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        node.owner.pipeline.submit(SweepCommand("ann", conversation, first.version, [], b"", future=future))
        assert await future is None
        node.owner.deleted_copies.loop.start()
        await swept(made)
        assert not [cell for cell in stored(made, "ann") if cell.content]


@virtual_time
async def test_what_is_deleted_in_the_plan_of_the_last_step_is_emptied_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step waits in the row's queue, and behind it a message, and its deletion: all is one plan."""
    async with servers(late=True) as made:
        node, conversation = made.node, await talk(made.node)
        copies, clock = node.owner.deleted_copies, made.clock
        submit, futures = node.owner.pipeline.submit, list[asyncio.Future[CommandResult]]()

        def then_another(command: Command) -> None:
            submit(command)
            if isinstance(command, SweepCommand) and not command.following and not futures:
                futures.extend(asyncio.get_running_loop().create_future() for _ in range(2))
                made_id = message_id(clock.now_us(), 1)
                message = Message(made_id, conversation, "bob", ("ann", "bob"), "another secret")
                submit(DeliverCommand("ann", [message], future=futures[0]))
                deed = DeleteConversation(conversation)
                submit(AccountCommand("ann", deed, None, lambda _: None, future=futures[1]))

        monkeypatch.setattr(copies, "_submit", then_another)
        await delete(node, "ann", conversation)
        await swept(made)
        assert await asyncio.gather(*futures) != []
        assert not [cell for cell in stored(made, "ann") if cell.content]


@both_kinds
@virtual_time
async def test_what_a_deleted_user_had_deleted_is_left_to_the_erasure(*, late: bool) -> None:
    """Which takes all, however long it has to wait: for a group's row, or for what he has sent."""
    async with servers(late=late) as made:
        node, conversation = made.node, await talk(made.node)
        await node.owner.deleted_copies.loop.close()
        await node.owner.erasures.loop.close()
        await delete(node, "ann", conversation)
        await node.process.call(node.owner.change_account(ChangeAccount("ann", DeleteUser())))
        node.owner.deleted_copies.loop.start()
        async with asyncio.timeout(60):
            await swept(made)
        node.owner.erasures.loop.start()
        await until_done(made)
        assert not [cell for cell in stored(made, "ann") if cell.conversation_id == conversation]


@both_kinds
@virtual_time
async def test_an_operator_sees_how_many_messages_are_left(*, late: bool) -> None:
    """Also while the cells of the others are there."""
    async with servers(late=late) as made:
        node, conversation = made.node, await talk(made.node)
        assert (await summary_of(made.store, "ann")).messages == 5
        await node.owner.deleted_copies.loop.close()
        await delete(node, "ann", conversation)
        await node.send("bob", "ann", "new", "n1")
        await made.quiet()
        assert (await summary_of(made.store, "ann")).messages == 1
        node.owner.deleted_copies.loop.start()
        await swept(made)
        assert (await summary_of(made.store, "ann")).messages == 1
        assert (await summary_of(made.store, "bob")).messages == 6

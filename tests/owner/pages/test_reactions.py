"""Reactions to messages, as an owner answers: in memory and from the store, whatever is left there."""

import asyncio
import json

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.check.mailbox_check import MailboxCheck
from rowbox.cacheserver.stores.port import RowDelete
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.check.findings import Code
from rowbox.mailbox.errors import MessageUnsent, RowboxError, TooLateToChange, UnknownConversation, UnknownMessage
from rowbox.mailbox.message import Message
from rowbox.mailbox.reactions import Reaction
from rowbox.mailbox.settings.config import MessageSettings
from tests.owner.pages.written import Written, both_kinds, delivered, reactions_of, text_of, written
from tests.support.cluster import SHARDS, Json, parsed, version_of
from tests.support.virtual_time import virtual_time

HOUR_S = 3600.0
UP, HEART, LAUGH = "\U0001f44d", "\u2764\ufe0f", "\U0001f602"


@both_kinds
@virtual_time
async def test_a_reaction_is_in_both_mailboxes_and_stays_over_a_restart(late: bool) -> None:
    async with written(late=late) as chat:
        assert await chat.react(0, UP, "bob")
        assert not await chat.react(0, UP, "bob")
        assert await chat.react(0, HEART, "ann")
        assert await chat.react(0, LAUGH, "bob"), "another one takes the place of the one before"
        assert await chat.react(2, UP, "bob")
        assert await chat.react(2, "", "bob")
        assert not await chat.react(2, "", "bob")
        assert not await chat.react(1, "", "ann"), "there was nothing to take back"
        for _ in range(2):
            for user in ("ann", "bob"):
                assert await chat.reactions(user, 0) == {"ann": HEART, "bob": LAUGH}
                assert await chat.reactions(user, 2) == await chat.reactions(user, 1) == {}
                assert await chat.texts(user) == ["text 0", "text 1", "text 2"]
            await chat.made.restart()


@both_kinds
@virtual_time
async def test_one_emoji_of_both_is_counted_and_none_is_not_told(late: bool) -> None:
    async with written(late=late) as chat:
        await chat.react(0, UP, "bob")
        await chat.react(0, UP, "ann")
        for user in ("ann", "bob"):
            items = parsed(await chat.made.node.messages(user, chat.conversation))
            assert items[-1]["reactions"] == [{"emoji": UP, "count": 2, "users": ["bob", "ann"], "mine": True}]
            assert all("reactions" not in item for item in items[:-1])
        await chat.react(0, "", "ann")
        for user in ("ann", "bob"):
            (*_, item) = parsed(await chat.made.node.messages(user, chat.conversation))
            assert item["reactions"] == [{"emoji": UP, "count": 1, "users": ["bob"], "mine": user == "bob"}]


@both_kinds
@virtual_time
async def test_unread_count_snippet_and_place_in_the_list_stay(late: bool) -> None:
    async with written(late=late) as chat:
        chat.made.clock.jump(1.0)
        other = await chat.made.node.send("cem", "bob", "newer", "n")
        before = await chat.made.node.conversations("bob")
        await chat.react(2, UP, "ann")
        await chat.react(2, HEART, "bob")
        after = await chat.made.node.conversations("bob")
        dated = [{**item, "lastUpdatedTimestamp": 0} for item in parsed(after)]
        assert dated == [{**item, "lastUpdatedTimestamp": 0} for item in parsed(before)]
        assert dated[0]["conversationId"] == other.conversation_id.hex()
        assert (await chat.made.node.mark_read("bob", chat.conversation, chat.sent[0].message_id)).unread_count == 2


@both_kinds
@virtual_time
async def test_an_edit_keeps_reactions_and_an_unsend_ends_them(late: bool) -> None:
    async with written(late=late) as chat:
        await chat.react(0, UP, "bob")
        await chat.react(0, HEART, "ann")
        await chat.change(0, "edited")
        await chat.react(1, UP, "bob")
        await chat.change(1, "edited, too")
        await chat.react(1, LAUGH, "bob")
        for user in ("ann", "bob"):
            assert await chat.reactions(user, 0) == {"ann": HEART, "bob": UP}
            assert await chat.reactions(user, 1) == {"bob": LAUGH}
            assert await chat.texts(user) == ["edited", "edited, too", "text 2"]
        await chat.change(0, None)
        for user in ("ann", "bob"):
            with pytest.raises(MessageUnsent):
                await chat.react(0, LAUGH, user)
            assert not await chat.react(0, "", user), "it has none"
        for _ in range(2):
            for user in ("ann", "bob"):
                assert await chat.reactions(user, 0) == {}
                assert await chat.texts(user) == [None, "edited, too", "text 2"]
            await chat.made.restart()


@both_kinds
@virtual_time
async def test_who_may_not_react_to_what(late: bool) -> None:
    windows = MessageSettings(reaction_window_ms=3_600_000)
    async with written(late=late, messages=windows) as chat:
        with pytest.raises(UnknownConversation):
            await chat.react(0, UP, "cem")
        chat.sent.append(replace(chat.sent[0], message_id=bytes(16)))
        with pytest.raises(UnknownMessage):
            await chat.react(3, UP, "bob")
        await chat.react(1, UP, "bob")
        await asyncio.sleep(HOUR_S + 1)
        for emoji in (HEART, ""):
            with pytest.raises(TooLateToChange):
                await chat.react(1, emoji, "bob")
        assert not await chat.react(1, UP, "bob"), "the retry of what was done in time"
        assert await chat.reactions("ann", 1) == {"bob": UP}


@both_kinds
@virtual_time
async def test_a_setting_of_0_lets_nobody_react(late: bool) -> None:
    async with written(late=late, messages=MessageSettings(reaction_window_ms=0)) as chat:
        with pytest.raises(TooLateToChange):
            await chat.react(2, UP, "bob")
        assert len(await chat.cells("bob")) == 3


@both_kinds
@virtual_time
async def test_a_poll_hears_of_a_reaction_of_its_conversation_once(late: bool) -> None:
    async with written(late=late) as chat:
        node = chat.made.node
        for conversation, emoji in ((None, UP), (chat.conversation, HEART)):
            token = (await node.messages("ann", conversation)).token
            assert token is not None
            poll = asyncio.ensure_future(node.messages("ann", conversation, token=token, wait_ms=50_000))
            await asyncio.sleep(1)
            await chat.react(0, emoji, "bob")
            page = await poll
            assert [reactions_of(item, "ann") for item in parsed(page)] == [{"bob": emoji}]
            after = await node.messages("ann", conversation, token=page.token)
            assert (list(after.items), after.has_more) == ([], False)


@both_kinds
@pytest.mark.parametrize("size", [1, 2, 50])
@virtual_time
async def test_a_message_comes_once_and_newest_although_its_old_cells_were_never_removed(late: bool, size: int) -> None:
    async with written(late=late) as chat:
        before = {user: await chat.cells(user) for user in ("ann", "bob")}
        for number, emoji, user in ((0, UP, "bob"), (0, HEART, "ann"), (2, LAUGH, "bob")):
            await chat.react(number, emoji, user)
            await chat.flushed()
            before = {user: [*columns, *await chat.cells(user)] for user, columns in before.items()}
        await chat.change(0, "edited")
        await chat.react(0, "", "bob")
        await chat.change(2, None)
        await chat.flushed()
        for user, columns in before.items():
            await chat.without_removals(user, columns)
        await chat.made.restart()
        node, texts, reactions = chat.made.node, ["edited", "text 1", None], [{"ann": HEART}, {}, {}]
        for user in ("ann", "bob"):
            shown: list[Json] = []
            page, token = None, "0"
            while page is None or page.has_more:
                page = await node.messages(user, token=token, page_size=size)
                shown += parsed(page)
                token = str(page.token)
            assert [text_of(item) for item in shown] == ["text 1", "edited", None], "each at its newest change"
            assert [reactions_of(item, user) for item in shown] == [{}, {"ann": HEART}, {}]
            for number in range(3):
                (item,) = parsed(await node.messages(user, chat.conversation, page_number=2 - number, page_size=1))
                assert (text_of(item), reactions_of(item, user)) == (texts[number], reactions[number])
            assert await chat.texts(user, size) == texts
        await chat.flushed()
        for user in ("ann", "bob"):
            assert len(await chat.cells(user)) == 3, "whoever reads them removes them"


@both_kinds
@pytest.mark.parametrize("is_cold", [False, True])
@virtual_time
async def test_the_feed_gives_a_message_once_at_its_newest_reaction(late: bool, is_cold: bool) -> None:
    async with written(late=late) as chat:
        await chat.react(0, UP, "bob")
        await chat.react(1, UP, "ann")
        await chat.react(0, HEART, "ann")
        if is_cold:
            await chat.made.restart()
        for user in ("ann", "bob"):
            shown: list[tuple[str | None, dict[str, str]]] = []
            token, has_more = 0, True
            while has_more:
                page = await chat.made.node.changes(user, token=token, page_size=1)
                shown += [(text_of(one), reactions_of(one, user)) for one in map(json.loads, page.messages)]
                token, has_more = version_of(page.token), page.has_more
            assert shown == [("text 2", {}), ("text 1", {"ann": UP}), ("text 0", {"ann": HEART, "bob": UP})]


@both_kinds
@virtual_time
async def test_a_message_with_a_reaction_ends_with_its_own_age(late: bool) -> None:
    async with written(late=late, retention_ms=3 * 3_600_000) as chat:
        await asyncio.sleep(2 * HOUR_S)
        await chat.react(2, UP, "bob")
        await chat.made.restart()
        assert await chat.reactions("ann", 2) == {"bob": UP}
        await asyncio.sleep(HOUR_S + 1)
        for user in ("ann", "bob"):
            for conversation in (chat.conversation, None):
                assert list((await chat.made.node.messages(user, conversation)).items) == []
            assert await chat.snippet(user) == (None, False, 0)
            with pytest.raises(UnknownMessage):
                await chat.react(2, HEART, user)


@both_kinds
@virtual_time
async def test_a_reaction_that_comes_late_or_twice_does_not_undo_a_newer_one(late: bool) -> None:
    async with written(late=late) as chat:
        first = await chat.made.node.react("ann", chat.sent[0], UP)
        await chat.react(0, HEART, "ann")
        gone = await chat.made.node.react("ann", chat.sent[1], UP)
        await chat.react(1, "", "ann")
        never = await chat.made.node.react("ann", chat.sent[2], UP)
        await chat.change(2, None)
        owner = chat.made.node.owner
        for number, done in enumerate((first, gone, never)):
            told = chat.sent[number].message_id, chat.conversation, "ann", ("ann", "bob"), ""
            event = Message(*told, None, Reaction("ann", UP, done.last_updated_timestamp))
            for _ in range(2):
                assert await delivered(owner, chat, event) == 1
            assert [await chat.reactions("bob", one) for one in range(3)] == [{"ann": HEART}, {}, {}]
        nowhere = Message(bytes(16), chat.conversation, "ann", ("ann", "bob"), "", None, Reaction("ann", UP, 1))
        assert await delivered(owner, chat, nowhere) == 1, "what retention took is not waited for"
        assert await chat.texts("bob") == ["text 0", "text 1", None]


@virtual_time
async def test_the_next_owner_delivers_what_the_last_one_has_not() -> None:
    async with written(late=True) as chat:
        made = chat.made
        made.node.owner.delivery._deliver = _fails
        await made.node.react("bob", chat.sent[0], UP)
        await made.node.change("ann", chat.sent[0], "edited")
        await made.node.react("ann", chat.sent[0], HEART)
        assert await chat.reactions("ann", 0) == {"ann": HEART}
        assert await chat.reactions("bob", 0) == {"bob": UP}
        await made.kill()
        await made.start()
        for user in ("ann", "bob"):
            await chat.texts(user)
        await made.quiet()
        for user in ("ann", "bob"):
            assert await chat.reactions(user, 0) == {"ann": HEART, "bob": UP}
        assert await chat.texts("bob") == ["edited", "text 1", "text 2"]


def _fails(_user_id: str, _messages: object) -> "asyncio.Future[int]":
    raise RowboxError("nothing arrives")


@virtual_time
async def test_a_mailbox_that_is_handed_over_keeps_reactions() -> None:
    async with written(late=True) as chat:
        token = (await chat.made.node.messages("bob")).token
        await chat.react(0, UP, "bob")
        await chat.react(2, HEART, "ann")
        await chat.made.move()
        page = await chat.made.node.messages("bob", token=token)
        assert [reactions_of(item, "bob") for item in parsed(page)] == [{"bob": UP}, {"ann": HEART}]
        assert await chat.react(0, LAUGH, "bob")
        assert await chat.reactions("ann", 0) == {"bob": LAUGH}


@both_kinds
@virtual_time
async def test_a_reaction_that_a_copy_lacks_is_found_and_repaired(late: bool) -> None:
    async with written(late=late) as chat:
        made, before = chat.made, await chat.cells("ann")
        await chat.react(1, UP, "bob")
        await chat.flushed()
        row = row_key("ann", SHARDS)
        gone = [(Family.MESSAGES, column[0]) for column in await chat.cells("ann") if column not in before]
        log = (await made.store.get_row(row, (Family.LOG,)))[Family.LOG]
        made.clock.jump(1.0)
        await made.store.delete([RowDelete(row, [*gone, (Family.LOG, log[-1][0])])], made.clock.now_ms())
        await chat.without_removals("ann", before)
        made.clock.jump(120.0)
        check = MailboxCheck(made.store, made.settings.store, made.clock.now_us)
        report = await check.check("bob")
        assert [finding.code for finding in report.findings] == [Code.COPY_DIFFERS]
        ((holder, event),) = report.missing
        assert event.reaction is not None
        assert (holder, event.reaction.user_id, event.reaction.emoji) == ("ann", "bob", UP)
        await made.restart()
        assert await _delivered_to_ann(chat, event) == 1
        assert await chat.reactions("ann", 1) == {"bob": UP}
        assert (await check.check("bob")).findings == []


async def _delivered_to_ann(chat: Written, event: Message) -> int:
    async def deliver() -> int:
        return await chat.made.node.owner.deliver("ann", [event])

    return await chat.made.node.process.call(deliver())


@both_kinds
@virtual_time
async def test_one_reacts_to_a_note_to_oneself(late: bool) -> None:
    async with written(late=late) as chat:
        note = await chat.made.node.send("ann", "ann", "a note", "n")
        await chat.made.node.react("ann", note, UP)
        (item,) = parsed(await chat.made.node.messages("ann", note.conversation_id))
        assert (reactions_of(item, "ann"), item["clientMessageId"]) == ({"ann": UP}, "n")
        assert (await chat.made.node.send("ann", "ann", "a note", "n")).duplicate

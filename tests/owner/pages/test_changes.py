"""Messages that their authors change, as an owner answers: in memory and from the store, whatever is left there."""

import asyncio
import json

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.check.mailbox_check import MailboxCheck
from rowbox.cacheserver.stores.port import Column, RowDelete
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.check.findings import Code
from rowbox.mailbox.errors import (
    MessageUnsent,
    NotTheAuthor,
    RowboxError,
    TooLateToChange,
    UnknownConversation,
    UnknownMessage,
)
from rowbox.mailbox.ids import sent_timestamp
from rowbox.mailbox.message import Change, Message
from rowbox.mailbox.settings.config import MessageSettings
from tests.owner.pages.written import Written, both_kinds, delivered, text_of, written
from tests.support.cluster import (
    SHARDS,
    Json,
    parsed,
    version_of,
)
from tests.support.virtual_time import virtual_time

HOUR_S = 3600.0


@both_kinds
@virtual_time
async def test_an_edit_is_in_both_mailboxes_and_stays_over_a_restart(late: bool) -> None:
    async with written(late=late) as chat:
        assert await chat.change(1, "edited")
        assert not await chat.change(1, "edited")
        assert await chat.change(1, "edited again")
        for _ in range(2):
            for user in ("ann", "bob"):
                assert await chat.texts(user) == ["text 0", "edited again", "text 2"]
            assert await chat.snippet("bob") == ("text 2", False, 3)
            await chat.made.restart()


@both_kinds
@virtual_time
async def test_what_was_taken_back_stays_so_and_its_text_is_nowhere(late: bool) -> None:
    async with written(late=late) as chat:
        await chat.change(2, "a longer secret")
        assert await chat.change(2, None)
        assert not await chat.change(2, None)
        with pytest.raises(MessageUnsent):
            await chat.change(2, "text 2")
        await chat.flushed()
        for user in ("ann", "bob"):
            assert await chat.texts(user) == ["text 0", "text 1", None]
            assert (await chat.snippet(user))[:2] == (None, True)
            assert not any(b"secret" in value or b"text 2" in value for _, value in await chat.cells(user))
        assert (await chat.snippet("bob"))[2] == 3
        await chat.made.node.send("bob", "ann", "what was it?", "b")
        assert (await chat.snippet("bob"))[:2] == ("what was it?", False)


@both_kinds
@virtual_time
async def test_who_may_not_change_what(late: bool) -> None:
    windows = MessageSettings(edit_window_ms=3_600_000, unsend_window_ms=7_200_000)
    async with written(late=late, messages=windows) as chat:
        with pytest.raises(NotTheAuthor):
            await chat.change(0, "not his", "bob")
        with pytest.raises(UnknownConversation):
            await chat.change(0, None, "cem")
        chat.sent.append(replace(chat.sent[0], message_id=bytes(16)))
        with pytest.raises(UnknownMessage):
            await chat.change(3, None)
        await chat.change(1, "in time")
        await asyncio.sleep(HOUR_S + 1)
        with pytest.raises(TooLateToChange):
            await chat.change(0, "too late")
        assert not await chat.change(1, "in time"), "the retry of what was done in time"
        assert await chat.change(0, None)
        await asyncio.sleep(HOUR_S + 1)
        with pytest.raises(TooLateToChange):
            await chat.change(1, None)
        assert await chat.texts("bob") == [None, "in time", "text 2"]


@both_kinds
@virtual_time
async def test_a_setting_of_0_lets_nobody_change_a_message(late: bool) -> None:
    async with written(late=late, messages=MessageSettings(edit_window_ms=0, unsend_window_ms=0)) as chat:
        for content in ("another", None):
            with pytest.raises(TooLateToChange):
                await chat.change(2, content)
        assert await chat.texts("bob") == ["text 0", "text 1", "text 2"]


@both_kinds
@virtual_time
async def test_a_poll_hears_of_a_change_of_its_conversation_once(late: bool) -> None:
    async with written(late=late) as chat:
        node = chat.made.node
        for conversation in (None, chat.conversation):
            token = (await node.messages("bob", conversation)).token
            assert token is not None
            poll = asyncio.ensure_future(node.messages("bob", conversation, token=token, wait_ms=50_000))
            await asyncio.sleep(1)
            await chat.change(0, f"edited for {conversation!r}")
            page = await poll
            assert [text_of(item) for item in parsed(page)] == [f"edited for {conversation!r}"]
            after = await node.messages("bob", conversation, token=page.token)
            assert (list(after.items), after.has_more) == ([], False)


@both_kinds
@pytest.mark.parametrize("size", [1, 2, 50])
@virtual_time
async def test_a_message_comes_once_and_newest_although_its_old_cells_were_never_removed(late: bool, size: int) -> None:
    async with written(late=late) as chat:
        before = {user: await chat.cells(user) for user in ("ann", "bob")}
        await chat.change(0, "edited")
        await chat.flushed()
        before = {user: [*columns, *await chat.cells(user)] for user, columns in before.items()}
        await chat.change(0, "edited again")
        await chat.change(2, None)
        await chat.flushed()
        for user, columns in before.items():
            await chat.without_removals(user, columns)
        await chat.made.restart()
        node, expected = chat.made.node, ["edited again", "text 1", None]
        for user in ("ann", "bob"):
            shown: list[Json] = []
            page, token = None, "0"
            while page is None or page.has_more:
                page = await node.messages(user, token=token, page_size=size)
                shown += parsed(page)
                token = str(page.token)
            assert [text_of(item) for item in shown] == ["text 1", "edited again", None], "each at its newest change"
            for number, text in enumerate(reversed(expected)):
                (item,) = parsed(await node.messages(user, chat.conversation, page_number=number, page_size=1))
                assert text_of(item) == text
            assert await chat.texts(user, size) == expected
        assert (await node.mark_read("bob", chat.conversation, chat.sent[0].message_id)).unread_count == 2
        await chat.flushed()
        for user in ("ann", "bob"):
            assert len(await chat.cells(user)) == 3, "whoever reads them removes them"


@both_kinds
@pytest.mark.parametrize("is_cold", [False, True])
@virtual_time
async def test_the_feed_gives_a_changed_message_once_at_its_newest_change(late: bool, is_cold: bool) -> None:
    async with written(late=late) as chat:
        await chat.change(0, "edited")
        await chat.change(0, "edited again")
        await chat.change(2, None)
        if is_cold:
            await chat.made.restart()
        for user in ("ann", "bob"):
            shown: list[str | None] = []
            token, has_more = 0, True
            while has_more:
                page = await chat.made.node.changes(user, token=token, page_size=1)
                shown += [text_of(json.loads(item)) for item in page.messages]
                token, has_more = version_of(page.token), page.has_more
            assert shown == ["text 1", "edited again", None]


@both_kinds
@virtual_time
async def test_a_changed_message_ends_with_its_own_age(late: bool) -> None:
    async with written(late=late, retention_ms=3 * 3_600_000) as chat:
        await asyncio.sleep(2 * HOUR_S)
        await chat.change(2, "edited two hours later")
        await chat.made.restart()
        assert await chat.texts("bob") == ["text 0", "text 1", "edited two hours later"]
        await asyncio.sleep(HOUR_S + 1)
        for how in ({"conversation": chat.conversation}, {}, {"token": 0}):
            page = await chat.made.node.messages("bob", **how)
            assert (list(page.items), page.has_more) == ([], False)
        assert await chat.snippet("bob") == (None, False, 0)
        with pytest.raises(UnknownMessage):
            await chat.change(2, "edited again")


@both_kinds
@virtual_time
async def test_a_change_that_comes_late_or_twice_does_not_undo_a_newer_one(late: bool) -> None:
    async with written(late=late) as chat:
        await chat.change(0, "first")
        await chat.change(0, "second")
        await chat.change(1, None)
        message = chat.sent[0].message_id, chat.conversation, "ann", ("ann", "bob")
        unsent = chat.sent[1].message_id, *message[1:]
        owner, before = chat.made.node.owner, await chat.texts("bob")
        for event in (
            Message(*message, "first", Change(sent_timestamp(chat.sent[0].message_id) + 1)),
            Message(*message, "text 0"),
            Message(*unsent, "text 1", Change(1)),
            Message(*unsent, "text 1"),
        ):
            assert await delivered(owner, chat, event) == 1
            assert await chat.texts("bob") == before == ["second", None, "text 2"]


@virtual_time
async def test_the_next_owner_delivers_what_the_last_one_has_not() -> None:
    async with written(late=True) as chat:
        made = chat.made
        made.node.owner.delivery._deliver = _fails
        await made.node.change("ann", chat.sent[0], "edited")
        await made.node.change("ann", chat.sent[1], None)
        assert await chat.texts("bob") == ["text 0", "text 1", "text 2"]
        await made.kill()
        await made.start()
        await chat.texts("ann")
        await made.quiet()
        assert await chat.texts("bob") == ["edited", None, "text 2"]


def _fails(_user_id: str, _messages: object) -> "asyncio.Future[int]":
    raise RowboxError("nothing arrives")


@virtual_time
async def test_a_mailbox_that_is_handed_over_keeps_what_was_changed() -> None:
    async with written(late=True) as chat:
        token = (await chat.made.node.messages("bob")).token
        await chat.change(0, "edited")
        await chat.change(2, None)
        await chat.made.move()
        page = await chat.made.node.messages("bob", token=token)
        assert [text_of(item) for item in parsed(page)] == ["edited", None]
        assert await chat.texts("bob") == ["edited", "text 1", None]
        assert await chat.change(1, "edited by the next owner")
        assert await chat.texts("bob") == ["edited", "edited by the next owner", None]


@both_kinds
@virtual_time
async def test_a_change_that_a_copy_lacks_is_found_and_repaired(late: bool) -> None:
    async with written(late=late) as chat:
        made, before = chat.made, await chat.cells("bob")
        await chat.change(1, None)
        await chat.flushed()
        undone = await _undone(chat, before)
        made.clock.jump(120.0)
        check = MailboxCheck(made.store, made.settings.store, made.clock.now_us)
        report = await check.check("ann")
        assert [(finding.code, "before its last change" in finding.text) for finding in report.findings] == [
            (Code.COPY_DIFFERS, True)
        ]
        ((holder, message),) = report.missing
        assert (holder, message.message_id, message.change is not None) == ("bob", chat.sent[1].message_id, True)
        await made.restart()
        await delivered(made.node.owner, chat, message)
        assert await chat.texts("bob") == ["text 0", None, "text 2"]
        assert (await check.check("ann")).findings == []
        assert undone


async def _undone(chat: Written, before: list[Column]) -> bool:
    """Takes the change out of Bob's row without a trace but for the log, which is removed as well."""
    row, store = row_key("bob", SHARDS), chat.made.store
    gone = [(Family.MESSAGES, column[0]) for column in await chat.cells("bob") if column not in before]
    log = (await store.get_row(row, (Family.LOG,)))[Family.LOG]
    chat.made.clock.jump(1.0)
    await store.delete([RowDelete(row, [*gone, (Family.LOG, log[-1][0])])], chat.made.clock.now_ms())
    await chat.without_removals("bob", before)
    return bool(gone)


@both_kinds
@virtual_time
async def test_a_note_to_oneself_is_changed_too(late: bool) -> None:
    async with written(late=late) as chat:
        note = await chat.made.node.send("ann", "ann", "a note", "n")
        result = await chat.made.node.change("ann", note, "a better note")
        (item,) = parsed(await chat.made.node.messages("ann", note.conversation_id))
        assert (item["messageContent"], item["editedTimestamp"]) == ("a better note", result.last_updated_timestamp)
        assert item["clientMessageId"] == "n"


@both_kinds
@virtual_time
async def test_the_retry_of_a_send_whose_message_was_changed_is_a_duplicate(late: bool) -> None:
    async with written(late=late) as chat:
        await chat.change(0, None)
        again = await chat.made.node.send("ann", "bob", "text 0", "c0")
        assert again.duplicate
        assert again.message_id == chat.sent[0].message_id
        assert await chat.texts("bob") == [None, "text 1", "text 2"]

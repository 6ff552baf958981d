"""Reports: each message once with whoever takes them, its text as it was; whoever is reported is told nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.port import ChangeAccount, Report, ReportResult, SendResult
from rowbox.cacheserver.stores.memory.faults import Fault
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.account.deeds import CreateProfile, DeleteConversation
from rowbox.mailbox.errors import (
    BadRequest,
    FeatureOff,
    NotTheAuthor,
    RateLimited,
    ReportsOff,
    RowboxError,
    UnknownConversation,
    UnknownMessage,
    UserDeleted,
)
from rowbox.mailbox.ids import direct_conversation_id, to_text
from rowbox.mailbox.settings.config import ModerationSettings, RateLimitSettings, StoreSettings, UsersSettings
from tests.checking import assert_no_findings
from tests.owner.people.erased import delete, done, until_done
from tests.owner.people.test_blocks import SOON_S, TOGETHER, block, both_kinds, sends
from tests.support.cluster import SHARDS, UNLIMITED, Cluster, Node, cluster, parsed
from tests.support.virtual_time import virtual_time

MODERATED = replace(UNLIMITED, moderation=ModerationSettings(user="mod"))
OF_BOB = direct_conversation_id("bob", "mod")
HOUR_MS = 3_600_000


@asynccontextmanager
async def servers(*, late: bool, settings: Any = MODERATED) -> AsyncIterator[Cluster]:
    """In the end no mailbox has anything that the check finds."""
    async with cluster(late=late, settings=settings) as made:
        yield made
        await asyncio.sleep(SOON_S)
        await made.quiet()
        await assert_no_findings(made.store, made.settings, made.clock.now_us())


async def report(
    node: Node, *sent: SendResult | bytes, reason: str = "spam", user: str = "bob", **more: Any
) -> ReportResult:
    ids = tuple(one if isinstance(one, bytes) else one.message_id for one in sent)
    place = more.pop("place", TOGETHER)
    return await node.process.call(node.owner.report(Report(user, place, ids, reason, **more)))


async def reports(node: Node, user: str = "mod") -> list[Any]:
    """What a mailbox has of reports, oldest first."""
    found = reversed(parsed(await node.messages(user)))
    return [one for one in found if one.get("event", {}).get("type") == "reported"]


async def rows_of(made: Cluster, user: str) -> Any:
    return await made.store.get_row(row_key(user, SHARDS), tuple(Family))


@both_kinds
@virtual_time
async def test_a_report_is_with_whoever_takes_them_once_with_the_text_as_it_was(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        first, second = await sends(node, "you fool"), await sends(node, "as it was")
        await node.change("ann", second, "as it was edited")
        await made.quiet()
        before = await rows_of(made, "ann"), await node.messages("ann"), await node.conversations("ann")
        told = await report(node, first, second, comment="every day")
        assert (told.conversation_id, told.duplicate, len(told.message_ids)) == (OF_BOB, False, 2)
        await made.quiet()
        after = await rows_of(made, "ann"), await node.messages("ann"), await node.conversations("ann")
        assert after == before, "whoever is reported has nothing of it"
        await node.change("ann", first, None)
        await node.change("ann", second, "something nice")
        await made.quiet()
        for _ in range(2):  # from memory, and by another owner
            again = await report(node, first, second, comment="every day")
            assert again == replace(told, duplicate=True), "though it was taken back meanwhile"
            for user in ("mod", "bob"):
                found = await reports(node, user)
                assert [one["messageContent"] for one in found] == ["you fool", "as it was edited"]
                assert {(one["senderId"], one["kind"]) for one in found} == {("bob", "system")}
                assert [one["messageId"] for one in found] == list(map(to_text, told.message_ids))
                of_first, of_second = (one["event"] for one in found)
                assert (of_first["actor"], of_first["users"]) == ("bob", ["ann"])
                assert of_first["report"] == {
                    "conversationId": to_text(TOGETHER),
                    "messageId": to_text(first.message_id),
                    "sentTimestamp": first.sent_timestamp,
                    "reason": "spam",
                    "comment": "every day",
                }
                assert "editedTimestamp" in of_second["report"]
            (listed,) = parsed(await node.conversations("mod"))
            assert listed["unreadCount"] == 2
            node = await made.restart()
        assert not (await report(node, second, reason="another one")).duplicate
        assert len(await reports(node)) == 3


@both_kinds
@virtual_time
async def test_what_was_taken_back_before_is_reported_without_its_text(*, late: bool) -> None:
    async with servers(late=late) as made:
        sent = await sends(made.node, "you fool")
        await made.node.change("ann", sent, None)
        await made.quiet()
        await report(made.node, sent)
        (found,) = await reports(made.node)
        assert (found["messageContent"], found["event"]["report"]["unsent"]) == ("", True)


@both_kinds
@virtual_time
async def test_a_conversation_is_reported_with_its_newest_messages_of_others(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        for number in range(25):
            await sends(node, f"insult {number}")
            if not number % 5:
                await sends(node, f"answer {number}", "bob", "ann")
        told = await report(node)
        assert len(told.message_ids) == 20
        assert [one["messageContent"] for one in await reports(node)] == [f"insult {24 - one}" for one in range(20)]
        assert (await report(node)).duplicate


@both_kinds
@virtual_time
async def test_blocks_hide_no_report_and_refuse_none(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        sent = await sends(node, "you fool")
        await block(node, "bob", "mod")
        await block(node, "mod", "bob")
        assert not (await report(node, sent)).duplicate
        assert (await report(node, sent)).duplicate
        assert [one["messageContent"] for one in await reports(node)] == ["you fool"]


@both_kinds
@virtual_time
async def test_nobody_changes_a_report_or_reacts_to_it(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        told = await report(node, await sends(node, "you fool"))
        (made_of,) = told.message_ids
        place = await sends(node, "?", "mod", "bob")
        of_report = replace(place, message_id=made_of)
        assert place.conversation_id == OF_BOB
        before = await rows_of(made, "bob"), await rows_of(made, "mod")
        for user in ("bob", "mod"):
            with pytest.raises(NotTheAuthor):
                await node.change(user, of_report, "nothing")
            with pytest.raises(NotTheAuthor):
                await node.change(user, of_report, None)
            with pytest.raises(NotTheAuthor):
                await node.react(user, of_report, "\U0001f44d")
        assert (await rows_of(made, "bob"), await rows_of(made, "mod")) == before


@both_kinds
@virtual_time
async def test_what_cannot_be_reported_writes_nothing(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        own, theirs = await sends(node, "mine", "bob", "ann"), await sends(node, "you fool")
        told = await report(node, theirs)
        await block(node)
        hidden = await sends(node, "hidden")
        elsewhere = await sends(node, "not his", "ann", "cem")
        await made.quiet()
        before = await rows_of(made, "bob")
        refused: list[tuple[type[RowboxError], dict[str, Any], tuple[SendResult | bytes, ...]]] = [
            (NotTheAuthor, {}, (own,)),
            (UnknownMessage, {}, (elsewhere,)),
            (UnknownMessage, {}, (hidden,)),
            (UnknownMessage, {}, (bytes(16),)),
            (UnknownMessage, {"place": OF_BOB}, told.message_ids),
            (UnknownMessage, {"place": OF_BOB}, ()),
            (UnknownConversation, {"place": bytes(16)}, (theirs,)),
            (UnknownConversation, {"user": "cem"}, (theirs,)),
            (BadRequest, {"user": "mod"}, (theirs,)),
        ]
        for error, more, sent in refused:
            with pytest.raises(error):
                await report(node, *sent, **more)
        assert await rows_of(made, "bob") == before


@both_kinds
@virtual_time
async def test_what_the_user_has_deleted_is_not_reported(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        sent = await sends(node, "you fool")
        await node.process.call(node.owner.change_account(ChangeAccount("bob", DeleteConversation(TOGETHER))))
        for what in ((sent,), ()):
            with pytest.raises(UnknownMessage):
                await report(node, *what)
        later = await sends(node, "a fool, I said")
        assert len((await report(node)).message_ids) == len((await report(node, later)).message_ids) == 1
        assert [one["messageContent"] for one in await reports(node)] == ["a fool, I said"]


@both_kinds
@virtual_time
async def test_a_report_outlives_a_message_that_ends_and_what_has_ended_is_not_reported(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await sends(node, "hello", "bob", "mod")
        await sends(node, "hello", "bob", "ann")
        for user, place in (("ann", TOGETHER), ("bob", OF_BOB)):
            await node.set_ttl(user, place, HOUR_MS)
        await made.quiet()
        early, late_one = await sends(node, "you fool"), await sends(node, "as I said")
        await report(node, early)
        await made.quiet()
        await asyncio.sleep(2 * HOUR_MS / 1000)
        for what in ((late_one,), ()):
            with pytest.raises(UnknownMessage):
                await report(node, *what)
        for user in ("mod", "bob"):
            (found,) = await reports(node, user)
            assert (found["messageContent"], "expiresTimestamp" in found) == ("you fool", False)
        assert (await report(node, early)).duplicate


@both_kinds
@virtual_time
async def test_messages_of_groups_are_reported_and_what_a_group_tells_is_not(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        place = (await node.create_group("ann", "bob", "cem")).conversation_id
        await made.quiet()
        own = await node.send_to("bob", place, "hello", "b1")
        sent = await node.send_to("ann", place, "you fool", "a1")
        await made.quiet()
        before = await rows_of(made, "ann"), await rows_of(made, "cem")
        (shown, *_, event) = parsed(await node.messages("bob", conversation=place))
        assert (shown["messageContent"], event["kind"]) == ("you fool", "system")
        await report(node, sent, place=place)
        await report(node, place=place, reason="all of it")
        await made.quiet()
        for one in await reports(node):
            assert (one["messageContent"], one["event"]["users"]) == ("you fool", ["ann"])
            assert one["event"]["report"]["conversationId"] == to_text(place)
        assert len(await reports(node)) == 2
        assert (await rows_of(made, "ann"), await rows_of(made, "cem")) == before
        for error, what in ((NotTheAuthor, own.message_id), (UnknownMessage, bytes.fromhex(event["messageId"]))):
            with pytest.raises(error):
                await report(node, what, place=place)


@both_kinds
@virtual_time
async def test_reports_come_where_only_those_who_are_known_are_written_to(*, late: bool) -> None:
    async with servers(late=late, settings=replace(MODERATED, users=UsersSettings(policy="known"))) as made:
        await done(made.node, "bob", CreateProfile("Bob"))
        await report(made.node, await sends(made.node, "you fool"))
        await made.quiet()
        assert [one["messageContent"] for one in await reports(made.node)] == ["you fool"]


@both_kinds
@virtual_time
async def test_who_is_deleted_reports_no_more_and_what_he_reported_stays(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        sent = await sends(node, "you fool")
        await report(node, sent)
        await made.quiet()
        await delete(node, "bob")
        for reason in ("spam", "harassment"):  # a retry, and another one
            with pytest.raises((UserDeleted, UnknownConversation)):
                await report(node, sent, reason=reason)
        await until_done(made, "bob")
        assert [one["messageContent"] for one in await reports(node)] == ["you fool"]


@virtual_time
async def test_without_a_moderator_nobody_reports() -> None:
    async with servers(late=False, settings=UNLIMITED) as made:
        sent = await sends(made.node, "you fool")
        with pytest.raises(ReportsOff):
            await report(made.node, sent)


@virtual_time
async def test_nobody_reports_before_all_servers_know_it() -> None:
    async with servers(late=True) as made:
        sent = await sends(made.node, "you fool")
        assert made.node.ownership is not None
        made.node.ownership.features = ("blocks",)
        with pytest.raises(FeatureOff):
            await report(made.node, sent)


@virtual_time
async def test_reports_have_a_limit_of_their_own() -> None:
    settings = replace(MODERATED, rate_limits=RateLimitSettings(report_burst=2, report_per_second=0.001))
    async with servers(late=False, settings=settings) as made:
        sent = await sends(made.node, "you fool")
        for number in range(2):
            assert (await report(made.node, sent, reason=str(number))).quota is not None
        with pytest.raises(RateLimited):
            await report(made.node, sent, reason="2")
        await sends(made.node, "nobody else is limited by it", "bob", "ann")


@pytest.mark.parametrize("fault", [Fault.FAIL_BEFORE, Fault.FAIL_AFTER, Fault.EXECUTE_LATE, Fault.EXECUTE_TWICE])
@virtual_time
async def test_a_report_whose_owner_dies_is_there_once_after_a_retry(fault: Fault) -> None:
    async with servers(late=True) as made:
        sent = await sends(made.node, "you fool")
        made.node.store.faults.next(fault)
        with suppress(RowboxError):
            await report(made.node, sent)
        await made.kill()
        node = await made.start()
        made.store.land()
        told = await report(node, sent)
        await made.quiet()
        made.store.land()
        assert (await report(node, sent)).message_ids == told.message_ids
        for user in ("mod", "bob"):
            assert [one["messageId"] for one in await reports(node, user)] == [to_text(told.message_ids[0])]


@virtual_time
async def test_what_retention_took_is_reported_no_more() -> None:
    async with cluster(late=True, settings=replace(MODERATED, store=StoreSettings(retention_ms=60_000))) as made:
        sent = await sends(made.node, "you fool")
        await asyncio.sleep(61)
        with pytest.raises(UnknownMessage):
            await report(made.node, sent)

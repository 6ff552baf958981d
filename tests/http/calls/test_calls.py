"""The calls over the real owner, in both kinds of store; every answer is decoded with its documented type."""

import asyncio

import pytest
from msgspec import UNSET

from rowbox.api.auth.claims import Claims
from rowbox.api.v1.requests import parse_fetch_changes, parse_fetch_messages
from rowbox.api.v1.responses import (
    ChangeMessageResponse,
    FetchChangesResponse,
    FetchConversationResponse,
    FetchMessagesResponse,
    FetchReceiptsResponse,
    MarkReadResponse,
    SendMessageResponse,
)
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.mailbox.representation import Message, Reaction, Receipts
from rowbox.mailbox.settings.config import PollSettings
from tests.http.api import Answer, Api
from tests.support.cluster import version_of

UNKNOWN_ID = "00" * 16


async def sent(api: Api, client_message_id: str, content: str = "hello", **who: str) -> SendMessageResponse:
    return (await api.send(client_message_id, content, **who)).decode(SendMessageResponse, 201)


async def conversations(api: Api, query: str = "", user: str = "alice") -> FetchConversationResponse:
    return (await api.get(f"/v1/fetchConversation?{query}", user)).decode(FetchConversationResponse)


async def messages(api: Api, query: str = "", user: str = "alice") -> FetchMessagesResponse:
    return (await api.get(f"/v1/fetchMessages?{query}", user)).decode(FetchMessagesResponse)


async def mark_read(api: Api, conversation_id: str, message_id: str, user: str = "bob") -> Answer:
    return await api.post("/v1/markRead", {"conversationId": conversation_id, "messageId": message_id}, user)


class TestSendMessage:
    async def test_it_is_in_both_mailboxes(self, api: Api) -> None:
        result = await sent(api, "1", "hello, Bob")
        assert (result.pending_recipients, result.duplicate) == (0, False)
        for user, client_message_id in (("alice", "1"), ("bob", None)):
            (message,) = (await messages(api, user=user)).messages
            assert message.message_id == result.message_id
            assert message.conversation_id == result.conversation_id
            assert (message.sender_id, sorted(message.participants)) == ("alice", ["alice", "bob"])
            assert (message.message_content, message.sent_timestamp) == ("hello, Bob", result.sent_timestamp)
            assert (message.client_message_id or None) == client_message_id

    async def test_its_answer_says_for_how_long_its_id_is_known(self, api: Api) -> None:
        """A client tries again within that time and not later, when it would be another message."""
        answers = [await api.send("1"), await api.send("1"), await api.get("/v1/sendStatus?clientMessageId=1")]
        assert [answer.headers.get("X-Dedupe-Life") for answer in answers] == [str(7 * 24 * 3600)] * 3

    async def test_the_same_id_again_is_the_same_message(self, api: Api) -> None:
        first = await sent(api, "1")
        again = (await api.send("1")).decode(SendMessageResponse, 200)
        assert again.duplicate
        assert again.message_id == first.message_id
        assert len((await messages(api)).messages) == 1

    async def test_twenty_at_once_with_one_id_are_one_message(self, api: Api) -> None:
        answers = await asyncio.gather(*(api.send("1") for _ in range(20)))
        assert sorted(answer.status for answer in answers) == [200] * 19 + [201]
        assert len({answer.json()["messageId"] for answer in answers}) == 1
        assert len((await messages(api, user="bob")).messages) == 1

    async def test_the_same_id_with_another_payload_is_refused(self, api: Api) -> None:
        await sent(api, "1", "hello")
        (await api.send("1", "bye")).problem(422, "client_message_id_reused")
        (await api.send("1", "hello", recipient="carol")).problem(422, "client_message_id_reused")
        assert [message.message_content for message in (await messages(api)).messages] == ["hello"]

    async def test_ids_of_two_senders_do_not_meet(self, api: Api) -> None:
        one = await sent(api, "1", sender="alice", recipient="bob")
        other = await sent(api, "1", sender="bob", recipient="alice")
        assert one.message_id != other.message_id

    async def test_to_oneself_is_one_copy(self, api: Api) -> None:
        await sent(api, "1", recipient="alice")
        assert len((await messages(api)).messages) == 1
        (conversation,) = (await conversations(api)).conversations
        assert (conversation.participants, conversation.unread_count) == (("alice",), 0)

    async def test_any_text_comes_back_as_it_was(self, api: Api) -> None:
        texts = ["\0", "\u200f\u05d0", "e\u0301", "\N{GRINNING FACE}" * 16_383, '"\\\n', "<script>", "x" * 65_535]
        for number, text in enumerate(texts):
            await sent(api, str(number), text)
        fetched = (await messages(api, user="bob")).messages
        assert [message.message_content for message in reversed(fetched)] == texts

    async def test_a_message_too_large_writes_nothing(self, api: Api) -> None:
        (await api.send("1", "x" * 65_536)).problem(413, "message_too_large")
        assert (await messages(api)).messages == []
        (await api.get("/v1/sendStatus?clientMessageId=1")).problem(404, "unknown_client_message_id")

    async def test_only_an_admin_sends_for_another(self, api: Api) -> None:
        fields = {"senderId": "carol", "recipientId": "bob", "messageContent": "x", "clientMessageId": "1"}
        (await api.post("/v1/sendMessage", fields)).problem(403, "forbidden")
        assert (await messages(api, user="carol")).messages == []
        (await api.post("/v1/sendMessage", fields, "root", admin=True)).decode(SendMessageResponse, 201)
        assert [message.sender_id for message in (await messages(api, user="carol")).messages] == ["carol"]


class TestSendStatus:
    async def test_it_tells_what_became_of_a_send(self, api: Api) -> None:
        (await api.get("/v1/sendStatus?clientMessageId=1")).problem(404, "unknown_client_message_id")
        result = await sent(api, "1")
        assert (await api.get("/v1/sendStatus?clientMessageId=1")).decode(SendMessageResponse) == result
        (await api.get("/v1/sendStatus?clientMessageId=1", "bob")).problem(404, "unknown_client_message_id")


class TestChanges:
    async def test_an_edit_keeps_the_message_in_its_place(self, api: Api) -> None:
        one, two = [await sent(api, str(number)) for number in range(2)]
        token = (await messages(api, user="bob")).last_updated_timestamp
        edit = {"conversationId": one.conversation_id, "messageId": one.message_id, "messageContent": "hello, Bob"}
        edited = (await api.post("/v1/editMessage", edit)).decode(ChangeMessageResponse)
        assert (edited.message_id, edited.changed) == (one.message_id, True)
        again = (await api.post("/v1/editMessage", edit)).decode(ChangeMessageResponse)
        assert (again.last_updated_timestamp, again.changed) == (edited.last_updated_timestamp, False)
        for user in ("alice", "bob"):
            newest, oldest = (await messages(api, f"conversationId={one.conversation_id}", user)).messages
            assert (newest.message_id, oldest.message_id) == (two.message_id, one.message_id)
            assert (oldest.message_content, oldest.edited_timestamp) == ("hello, Bob", edited.last_updated_timestamp)
            assert newest.edited_timestamp is UNSET
        delta = await messages(api, f"lastUpdatedTimestamp={token}", "bob")
        assert [message.message_id for message in delta.messages] == [one.message_id]
        assert (await conversations(api, user="bob")).conversations[0].unread_count == 2

    async def test_what_was_taken_back_has_no_text(self, api: Api) -> None:
        result = await sent(api, "1", "a secret")
        place = {"conversationId": result.conversation_id, "messageId": result.message_id}
        for changed in (True, False):
            assert (await api.post("/v1/unsendMessage", place)).decode(ChangeMessageResponse).changed == changed
        for user in ("alice", "bob"):
            (message,) = (await messages(api, user=user)).messages
            assert (message.message_content, message.unsent, message.edited_timestamp) == ("", True, UNSET)
            (listed,) = (await conversations(api, user=user)).conversations
            assert (listed.snippet, listed.last_message_unsent) == (None, True)
        (await api.post("/v1/editMessage", {**place, "messageContent": "x"})).problem(409, "message_unsent")

    async def test_who_may_not(self, api: Api) -> None:
        result = await sent(api, "1")
        place = {"conversationId": result.conversation_id, "messageId": result.message_id}
        edit = {**place, "messageContent": "x"}
        for path, body in (("/v1/editMessage", edit), ("/v1/unsendMessage", place)):
            (await api.post(path, body, "bob")).problem(403, "not_the_author")
            (await api.post(path, body, "carol")).problem(404, "unknown_conversation")
            (await api.post(path, {**body, "messageId": "ff" * 16})).problem(404, "unknown_message")
            (await api.post(path, {**body, "userId": "alice"}, "bob")).problem(403, "forbidden")
            (await api.post(path, {**body, "userId": "alice"}, "root", admin=True)).decode(ChangeMessageResponse)
        (await api.post("/v1/editMessage", {**edit, "messageContent": ""})).problem(400, "bad_request")
        (await api.post("/v1/editMessage", {**edit, "messageContent": "x" * 65_536})).problem(413, "message_too_large")
        (await api.post("/v1/editMessage", place)).problem(400, "bad_request")
        (await api.post("/v1/unsendMessage", edit)).problem(400, "unknown_parameter")


UP, HEART = "\U0001f44d", "\u2764\ufe0f"


async def reacted_to(api: Api, count: int, user: str = "alice") -> Message:
    """The one message of `user`, once so many react to it; what others do to it comes a moment later."""
    query = ""
    while True:
        page = await messages(api, query, user)
        for message in page.messages:
            if message.reactions is not UNSET and sum(one.count for one in message.reactions) == count:
                return message
        query = f"lastUpdatedTimestamp={page.last_updated_timestamp}&wait=20"


class TestReactions:
    async def test_both_are_shown_who_reacts_how(self, api: Api) -> None:
        result = await sent(api, "1")
        place = {"conversationId": result.conversation_id, "messageId": result.message_id}
        for changed in (True, False):
            reacted = await api.post("/v1/react", {**place, "emoji": UP}, "bob")
            assert reacted.decode(ChangeMessageResponse).changed == changed
        (await api.post("/v1/react", {**place, "emoji": UP})).decode(ChangeMessageResponse)
        for user in ("alice", "bob"):
            both = await reacted_to(api, 2, user)
            assert both.reactions == (Reaction(UP, 2, ("bob", "alice"), mine=True),)
            assert both.message_content == "hello"
        (await api.post("/v1/react", {**place, "emoji": ""}, "bob")).decode(ChangeMessageResponse)
        assert (await reacted_to(api, 1)).reactions == (Reaction(UP, 1, ("alice",), mine=True),)
        assert (await conversations(api, user="bob")).conversations[0].unread_count == 1

    async def test_an_emoji_has_one_spelling(self, api: Api) -> None:
        result = await sent(api, "1")
        place = {"conversationId": result.conversation_id, "messageId": result.message_id}
        (await api.post("/v1/react", {**place, "emoji": HEART[0]})).decode(ChangeMessageResponse)
        again = (await api.post("/v1/react", {**place, "emoji": HEART})).decode(ChangeMessageResponse)
        assert not again.changed
        (message,) = (await messages(api)).messages
        assert message.reactions == (Reaction(HEART, 1, ("alice",), mine=True),)

    async def test_what_was_taken_back_has_none(self, api: Api) -> None:
        result = await sent(api, "1")
        place = {"conversationId": result.conversation_id, "messageId": result.message_id}
        (await api.post("/v1/react", {**place, "emoji": UP}, "bob")).decode(ChangeMessageResponse)
        await reacted_to(api, 1)
        (await api.post("/v1/unsendMessage", place)).decode(ChangeMessageResponse)
        for user in ("alice", "bob"):
            token = (await messages(api, user=user)).last_updated_timestamp
            while not (message := (await messages(api, user=user)).messages[0]).unsent:
                token = (await messages(api, f"lastUpdatedTimestamp={token}&wait=20", user)).last_updated_timestamp
            assert message.reactions is UNSET
        (await api.post("/v1/react", {**place, "emoji": HEART}, "bob")).problem(409, "message_unsent")
        assert not (await api.post("/v1/react", {**place, "emoji": ""}, "bob")).decode(ChangeMessageResponse).changed

    async def test_who_may_not(self, api: Api) -> None:
        result = await sent(api, "1")
        reaction = {"conversationId": result.conversation_id, "messageId": result.message_id, "emoji": UP}
        (await api.post("/v1/react", reaction, "carol")).problem(404, "unknown_conversation")
        (await api.post("/v1/react", {**reaction, "messageId": "ff" * 16})).problem(404, "unknown_message")
        (await api.post("/v1/react", {**reaction, "userId": "alice"}, "bob")).problem(403, "forbidden")
        (await api.post("/v1/react", {**reaction, "userId": "bob"}, "root", admin=True)).decode(ChangeMessageResponse)
        for text in ("a", "1", UP * 2, ":+1:", " ", UP + " ", "x" * 70_000):
            (await api.post("/v1/react", {**reaction, "emoji": text})).problem(400, "not_an_emoji")
        (await api.post("/v1/react", {**reaction, "emoji": None})).problem(400, "bad_request")
        (await api.post("/v1/react", {**reaction, "messageContent": "x"})).problem(400, "unknown_parameter")


class TestMarkRead:
    async def test_unread_falls_and_never_rises_again(self, api: Api) -> None:
        one, _, three = [await sent(api, str(number)) for number in range(3)]
        assert (await conversations(api, user="bob")).conversations[0].unread_count == 3
        marked = (await mark_read(api, one.conversation_id, one.message_id)).decode(MarkReadResponse)
        assert (marked.conversation_id, marked.unread_count) == (one.conversation_id, 2)
        marked = (await mark_read(api, one.conversation_id, three.message_id)).decode(MarkReadResponse)
        assert marked.unread_count == 0
        marked = (await mark_read(api, one.conversation_id, one.message_id)).decode(MarkReadResponse)
        assert marked.unread_count == 0

    async def test_the_users_other_devices_see_it_by_delta(self, api: Api) -> None:
        result = await sent(api, "1")
        token = (await conversations(api, user="bob")).last_updated_timestamp
        marked = (await mark_read(api, result.conversation_id, result.message_id)).decode(MarkReadResponse)
        delta = await conversations(api, f"lastUpdatedTimestamp={token}", "bob")
        assert delta.is_delta_update
        assert [conversation.unread_count for conversation in delta.conversations] == [0]
        assert version_of(delta.last_updated_timestamp) == marked.last_updated_timestamp

    async def test_what_is_not_there(self, api: Api) -> None:
        result = await sent(api, "1")
        (await mark_read(api, UNKNOWN_ID, result.message_id)).problem(404, "unknown_conversation")
        (await mark_read(api, result.conversation_id, "ff" * 16)).problem(404, "unknown_message")
        (await mark_read(api, result.conversation_id, result.message_id, "carol")).problem(404, "unknown_conversation")

    async def test_only_an_admin_marks_for_another(self, api: Api) -> None:
        result = await sent(api, "1")
        fields = {"userId": "bob", "conversationId": result.conversation_id, "messageId": result.message_id}
        (await api.post("/v1/markRead", fields)).problem(403, "forbidden")
        (await api.post("/v1/markRead", fields, "root", admin=True)).decode(MarkReadResponse)


class TestFetchConversation:
    async def test_a_mailbox_nobody_wrote_to_is_empty_with_head_0(self, api: Api) -> None:
        page = await conversations(api)
        assert version_of(page.last_updated_timestamp) == 0
        assert page == FetchConversationResponse(
            conversations=[],
            is_delta_update=False,
            last_updated_timestamp=page.last_updated_timestamp,
            has_more=False,
            next_cursor=None,
            reset_reason=None,
        )
        delta = await conversations(api, "lastUpdatedTimestamp=0")
        assert (delta.is_delta_update, version_of(delta.last_updated_timestamp)) == (True, 0)

    async def test_pages_by_number_and_by_cursor(self, api: Api) -> None:
        for number in range(5):
            await sent(api, str(number), recipient=f"user{number}")
        every = [conversation.conversation_id for conversation in (await conversations(api)).conversations]
        by_number = [await conversations(api, f"pageSize=2&pageNumber={number}") for number in range(3)]
        assert [item.conversation_id for page in by_number for item in page.conversations] == every
        assert [page.last_updated_timestamp is None for page in by_number] == [False, True, True]
        page = await conversations(api, "pageSize=2")
        token, found = page.last_updated_timestamp, list(page.conversations)
        while page.next_cursor is not None:
            assert page.has_more
            page = await conversations(api, f"pageSize=2&cursor={page.next_cursor}")
            assert page.last_updated_timestamp == token
            found += page.conversations
        assert [item.conversation_id for item in found] == every

    async def test_newest_first_with_its_snippet(self, api: Api) -> None:
        await sent(api, "1", "x" * 101, recipient="bob")
        last = await sent(api, "2", "second", recipient="carol")
        newest, older = (await conversations(api)).conversations
        assert (newest.snippet, newest.last_message_id) == ("second", last.message_id)
        assert newest.last_sent_timestamp == last.sent_timestamp
        assert older.snippet == "x" * 100

    async def test_more_than_200_changes_give_a_page_and_say_why(self, api: Api) -> None:
        await asyncio.gather(*(sent(api, str(number), recipient=f"user{number}") for number in range(201)))
        page = await conversations(api, "lastUpdatedTimestamp=0")
        assert (page.is_delta_update, page.reset_reason, len(page.conversations)) == (False, "too_many", 20)

    async def test_a_token_of_the_future_gives_a_page_and_says_why(self, api: Api) -> None:
        await sent(api, "1")
        _, _, bound_to = str((await conversations(api)).last_updated_timestamp).partition(".")
        page = await conversations(api, f"lastUpdatedTimestamp=9007199254740991.{bound_to}")
        assert (page.is_delta_update, page.reset_reason, len(page.conversations)) == (False, "future", 1)

    @pytest.mark.parametrize("cursor", ["x", "AAAA", "%00", "0" * 1024])
    async def test_a_cursor_of_ones_own_making_is_refused(self, cursor: str, api: Api) -> None:
        for call in ("fetchConversation", "fetchMessages"):
            (await api.get(f"/v1/{call}?cursor={cursor}")).problem(400, "bad_request")


class TestFetchMessages:
    async def test_one_conversation_or_all(self, api: Api) -> None:
        first = await sent(api, "1", recipient="bob")
        second = await sent(api, "2", recipient="carol")
        assert ids(await messages(api)) == [second.message_id, first.message_id]
        assert ids(await messages(api, f"conversationId={first.conversation_id}")) == [first.message_id]

    async def test_a_conversation_the_user_is_not_in(self, api: Api) -> None:
        result = await sent(api, "1")
        (await api.get(f"/v1/fetchMessages?conversationId={UNKNOWN_ID}")).problem(404, "unknown_conversation")
        answer = await api.get(f"/v1/fetchMessages?conversationId={result.conversation_id}", "carol")
        answer.problem(404, "unknown_conversation")

    async def test_a_page_of_large_messages_is_at_most_1_mib_and_by_number_refused(self, api: Api) -> None:
        for number in range(6):
            await sent(api, str(number), "\0" * 65_535)
        answer = await api.get("/v1/fetchMessages")
        assert len(answer.body) <= 1 << 20
        page = answer.decode(FetchMessagesResponse)
        assert (len(page.messages), page.has_more) == (2, True)
        problem = (await api.get("/v1/fetchMessages?pageNumber=1&pageSize=3")).problem(400, "page_too_large")
        assert (problem.page_number, problem.page_size, problem.retryable) == (3, 1, False)
        assert ids(await messages(api, f"cursor={problem.cursor}")) == ids(
            await messages(api, "pageNumber=3&pageSize=1")
        ) + ids(await messages(api, "pageNumber=4&pageSize=1"))

    async def test_a_delta_in_pages_catches_up(self, api: Api) -> None:
        expected = [(await sent(api, str(number))).message_id for number in range(7)]
        found, token = [], "0"
        for _ in range(10):
            page = await messages(api, f"pageSize=3&lastUpdatedTimestamp={token}", "bob")
            assert page.is_delta_update
            assert page.last_updated_timestamp is not None
            found += ids(page)
            token = page.last_updated_timestamp
            if not page.has_more:
                break
        assert sorted(found) == sorted(expected)
        assert (await messages(api, f"lastUpdatedTimestamp={token}", "bob")).messages == []

    async def test_pages_of_a_conversation_by_cursor(self, api: Api) -> None:
        expected = [(await sent(api, str(number))).message_id for number in range(7)]
        conversation_id = (await messages(api)).messages[0].conversation_id
        query = f"conversationId={conversation_id}&pageSize=3"
        page = await messages(api, query)
        found = ids(page)
        while page.next_cursor is not None:
            page = await messages(api, f"{query}&cursor={page.next_cursor}")
            found += ids(page)
        assert found == expected[::-1]


class TestWhoMayFetch:
    @pytest.mark.parametrize("call", ["fetchConversation", "fetchMessages"])
    async def test_only_oneself_or_an_admin(self, call: str, api: Api) -> None:
        await sent(api, "1")
        (await api.get(f"/v1/{call}?userId=bob", "alice")).problem(403, "forbidden")
        (await api.get(f"/v1/{call}?userId=bob", None)).problem(401, "unauthenticated")
        own = (await api.get(f"/v1/{call}", "bob")).json()
        assert (await api.get(f"/v1/{call}?userId=bob", "root", admin=True)).json() == own


def ids(page: FetchMessagesResponse) -> list[str]:
    found: list[Message] = page.messages
    return [message.message_id for message in found]


async def test_a_store_that_fails_is_503_and_the_same_request_succeeds_later(api: Api, store: MemoryStore) -> None:
    store.faults.next(Fault.FAIL_BEFORE, Op.MUTATE)
    answer = await api.send("1")
    assert answer.problem(503, "store_unavailable").retryable
    assert int(answer.headers["Retry-After"]) >= 1
    (await api.send("1")).decode(SendMessageResponse, 201)
    assert len((await messages(api, user="bob")).messages) == 1


@pytest.mark.parametrize("store", [True], indirect=True, ids=["late_writes"])
async def test_a_send_whose_outcome_is_unknown_is_503_and_its_retry_finds_it(api: Api, store: MemoryStore) -> None:
    await sent(api, "1")
    store.faults.next(Fault.FAIL_AFTER, Op.MUTATE)
    (await api.send("2")).problem(503, "store_unavailable")
    assert (await api.send("2")).decode(SendMessageResponse, 200).duplicate
    assert [message.client_message_id for message in (await messages(api)).messages] == ["2", "1"]


class TestFetchChanges:
    async def test_a_beginning_and_then_what_came(self, api: Api) -> None:
        first = (await api.get("/v1/fetchChanges", "bob")).decode(FetchChangesResponse)
        assert (first.messages, first.conversations, first.is_delta_update) == ([], [], False)
        one, two = await sent(api, "1", "one"), await sent(api, "2", "two", recipient="carol")
        path = f"/v1/fetchChanges?lastUpdatedTimestamp={first.last_updated_timestamp}"
        news = (await api.get(path, "bob")).decode(FetchChangesResponse)
        assert [message.message_id for message in news.messages] == [one.message_id]
        assert [known.last_message_id for known in news.conversations] == [one.message_id]
        assert (news.is_delta_update, news.has_more, news.account, news.reset_reason) == (True, False, False, None)
        path = "/v1/fetchChanges?lastUpdatedTimestamp=0&pageSize=1"
        own = (await api.get(path)).decode(FetchChangesResponse)
        assert ([message.message_id for message in own.messages], own.has_more) == ([one.message_id], True)
        path = f"{path.replace('=0&', '=' + own.last_updated_timestamp + '&')}"
        rest = (await api.get(path)).decode(FetchChangesResponse)
        assert ([message.message_id for message in rest.messages], rest.has_more) == ([two.message_id], False)

    async def test_a_token_of_another_call_begins_anew(self, api: Api) -> None:
        await sent(api, "1")
        token = (await messages(api)).last_updated_timestamp
        answer = await api.get(f"/v1/fetchChanges?lastUpdatedTimestamp={token}")
        assert answer.decode(FetchChangesResponse).reset_reason == "foreign"

    async def test_what_it_does_not_know_is_refused(self, api: Api) -> None:
        for query in ("conversationId=" + UNKNOWN_ID, "cursor=x", "pageNumber=0"):
            (await api.get(f"/v1/fetchChanges?{query}")).problem(400, "unknown_parameter")
        (await api.get("/v1/fetchChanges?lastUpdatedTimestamp=rubbish")).problem(400, "bad_request")
        (await api.get(f"/v1/fetchChanges?lastUpdatedTimestamp={'1' * 65}")).problem(400, "bad_request")
        (await api.get("/v1/fetchChanges?userId=bob")).problem(403, "forbidden")


class TestFetchReceipts:
    async def test_the_author_is_told_who_has_a_message(self, api: Api) -> None:
        one, two = await sent(api, "1"), await sent(api, "2")
        path = f"/v1/fetchReceipts?conversationId={one.conversation_id}&messageIds={two.message_id},{one.message_id}"
        (before, _) = (await api.get(path)).decode(FetchReceiptsResponse).receipts
        assert (before.message_id, before.delivered_to, before.read_by) == (two.message_id, 0, 0)
        token = (await conversations(api)).last_updated_timestamp
        await mark_read(api, one.conversation_id, one.message_id)
        news = await api.get(f"/v1/fetchConversation?lastUpdatedTimestamp={token}&wait=30")
        (conversation,) = news.decode(FetchConversationResponse).conversations
        assert conversation.receipts == Receipts(one.message_id, one.message_id)
        answer = (await api.get(path)).decode(FetchReceiptsResponse)
        assert [(each.delivered_to, each.read_by) for each in answer.receipts] == [(0, 0), (1, 1)]
        (member,) = answer.receipts[1].members
        assert (member.user_id, member.state) == ("bob", "read")
        assert member.read_timestamp is not None
        assert answer.as_of == conversation.last_updated_timestamp

    async def test_what_is_refused(self, api: Api) -> None:
        one = await sent(api, "1")
        of_it, call = f"conversationId={one.conversation_id}", "/v1/fetchReceipts"
        (await api.get(f"{call}?{of_it}&messageIds={one.message_id}", "bob")).problem(403, "not_the_author")
        (await api.get(f"{call}?{of_it}&messageIds={UNKNOWN_ID}")).problem(404, "unknown_message")
        nowhere = f"{call}?conversationId={UNKNOWN_ID}&messageIds={UNKNOWN_ID}"
        (await api.get(nowhere)).problem(404, "unknown_conversation")
        (await api.get(f"{nowhere}&userId=bob")).problem(403, "forbidden")
        for ids in ("", "x", f"{one.message_id},", ",".join([one.message_id] * 51)):
            (await api.get(f"{call}?{of_it}&messageIds={ids}")).problem(400, "bad_request")
        (await api.get(f"{call}?{of_it}")).problem(400, "bad_request")
        (await api.get(f"{call}?{of_it}&messageIds={one.message_id}&wait=1")).problem(400, "unknown_parameter")

    @pytest.mark.parametrize(
        ("user", "is_admin", "proves"), [("bob", False, True), ("bob", True, False), ("root", True, False)]
    )
    def test_only_the_users_own_client_proves_what_it_has(self, user: str, is_admin: bool, proves: bool) -> None:
        claims = Claims(user, is_admin, 0.0)
        query = "lastUpdatedTimestamp=5&userId=bob"
        assert parse_fetch_changes(query, claims, PollSettings()).proves is proves
        assert parse_fetch_messages(query, claims, PollSettings()).proves is proves

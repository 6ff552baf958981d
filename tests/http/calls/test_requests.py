"""What is taken and what is refused at the edge, without a server."""

import json
from typing import Any

import pytest

from rowbox.api.auth.claims import Claims
from rowbox.api.v1.requests import (
    parse_fetch_conversation,
    parse_fetch_messages,
    parse_mark_read,
    parse_send,
    parse_send_status,
)
from rowbox.cacheserver.port import FetchConversations, FetchMessages, MarkRead, Send
from rowbox.mailbox.errors import BadRequest, Forbidden, MessageTooLarge, RowboxError, UnknownParameter
from rowbox.mailbox.settings.config import PollSettings

ALICE = Claims("alice", is_admin=False, valid_until_s=0)
ADMIN = Claims("root", is_admin=True, valid_until_s=0)
POLL = PollSettings()
ID = "00" * 16
SEND: dict[str, Any] = {"recipientId": "bob", "messageContent": "hello", "clientMessageId": "1"}


def body(**changes: Any) -> bytes:
    fields = {name: value for name, value in (SEND | changes).items() if value is not ...}
    return json.dumps(fields).encode()


def error_of(query: str) -> RowboxError:
    with pytest.raises(RowboxError) as raised:
        parse_fetch_conversation(query, ALICE, POLL)
    return raised.value


class TestSend:
    def test_the_sender_defaults_to_the_token_and_may_be_named(self) -> None:
        assert parse_send(body(), ALICE) == Send("alice", "bob", "hello", "1")
        assert parse_send(body(senderId="alice"), ALICE) == Send("alice", "bob", "hello", "1")

    def test_only_an_admin_sends_for_another(self) -> None:
        assert parse_send(body(senderId="carol"), ADMIN).sender_id == "carol"
        with pytest.raises(Forbidden):
            parse_send(body(senderId="carol"), ALICE)

    def test_the_historical_spelling_is_taken(self) -> None:
        assert parse_send(body(recipientId=..., recepientId="bob"), ALICE).recipient_id == "bob"
        assert parse_send(body(recepientId="bob"), ALICE).recipient_id == "bob"
        with pytest.raises(BadRequest, match="recepientId"):
            parse_send(body(recepientId="carol"), ALICE)

    @pytest.mark.parametrize(
        "content", ["x", "\0", "\u200f", "e\u0301", "\N{GRINNING FACE}", "x" * 65_535, "\u20ac" * 21_845, "\n"]
    )
    def test_any_text_up_to_65535_bytes_is_content(self, content: str) -> None:
        assert parse_send(body(messageContent=content), ALICE).content == content

    @pytest.mark.parametrize("content", ["x" * 65_536, "\u20ac" * 21_846, "\N{GRINNING FACE}" * 16_384])
    def test_content_is_measured_in_bytes_of_utf_8(self, content: str) -> None:
        with pytest.raises(MessageTooLarge):
            parse_send(body(messageContent=content), ALICE)

    @pytest.mark.parametrize("escape", [rb"\ud800", rb"\udc00", rb"x\ud83d\u0041", rb"\ude00\ud83d"])
    def test_a_lone_surrogate_is_refused(self, escape: bytes) -> None:
        with pytest.raises(BadRequest):
            parse_send(body(messageContent="@").replace(b"@", escape), ALICE)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"recipientId": ...}, "recipientId"),
            ({"messageContent": ...}, "messageContent"),
            ({"clientMessageId": ...}, "clientMessageId"),
            ({"messageContent": ""}, "messageContent"),
            ({"messageContent": None}, "messageContent"),
            ({"messageContent": 1}, "messageContent"),
            ({"senderId": None}, "senderId"),
            ({"senderId": ""}, "senderId"),
            ({"recipientId": "a b"}, "recipientId"),
            ({"recipientId": "bob\n"}, "recipientId"),
            ({"recipientId": "b" * 129}, "recipientId"),
            ({"recipientId": "b\u00f6b"}, "recipientId"),
            ({"clientMessageId": ""}, "clientMessageId"),
            ({"clientMessageId": "1\n"}, "clientMessageId"),
            ({"clientMessageId": "a@b"}, "clientMessageId"),
            ({"clientMessageId": "1" * 65}, "clientMessageId"),
        ],
    )
    def test_a_wrong_field_is_named(self, changes: dict[str, Any], field: str) -> None:
        with pytest.raises(BadRequest, match=field):
            parse_send(body(**changes), ALICE)

    def test_an_unknown_field_is_named_and_its_name_is_cut(self) -> None:
        with pytest.raises(UnknownParameter, match="conversationID"):
            parse_send(body(conversationID=ID), ALICE)
        with pytest.raises(UnknownParameter) as raised:
            parse_send(body(**{"x" * 100_000: 1}), ALICE)
        assert len(str(raised.value)) <= 200

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"null",
            b"[]",
            b"{",
            b"{} {}",
            b"\xff",
            b'{"messageContent": "\xff"}',
            b'{"messageContent": "\xed\xa0\x80"}',
            b"\xef\xbb\xbf{}",
            b"[" * 500_000,
            b'{"messageContent": ' + b"[" * 500_000,
            b'{"x": ' + b'{"x": ' * 80_000,
        ],
        ids=lambda data: repr(data[:24]),
    )
    def test_what_is_no_such_object_is_refused(self, data: bytes) -> None:
        with pytest.raises(BadRequest):
            parse_send(data, ALICE)


class TestMarkRead:
    def test_ids_become_bytes(self) -> None:
        data = json.dumps({"conversationId": "ab" * 16, "messageId": ID}).encode()
        assert parse_mark_read(data, ALICE) == MarkRead("alice", b"\xab" * 16, bytes(16))

    @pytest.mark.parametrize("identifier", ["", "ab", "AB" * 16, ID + "0", ID[:-1] + "g", ID + "\n"])
    def test_other_texts_are_no_ids(self, identifier: str) -> None:
        data = json.dumps({"conversationId": identifier, "messageId": ID}).encode()
        with pytest.raises(BadRequest, match="conversationId"):
            parse_mark_read(data, ALICE)

    def test_only_an_admin_marks_for_another(self) -> None:
        data = json.dumps({"userId": "carol", "conversationId": ID, "messageId": ID}).encode()
        assert parse_mark_read(data, ADMIN).user_id == "carol"
        with pytest.raises(Forbidden):
            parse_mark_read(data, ALICE)


class TestSendStatus:
    def test_the_id_is_required(self) -> None:
        assert parse_send_status("clientMessageId=a%3Ab", ALICE) == ("alice", "a:b")
        with pytest.raises(BadRequest, match="clientMessageId"):
            parse_send_status("", ALICE)
        with pytest.raises(BadRequest, match="clientMessageId"):
            parse_send_status("clientMessageId=", ALICE)


class TestFetch:
    def test_defaults(self) -> None:
        assert parse_fetch_conversation("", ALICE, POLL) == FetchConversations("alice")
        assert parse_fetch_messages("", ALICE, POLL) == FetchMessages("alice", proves=True)

    def test_empty_pairs_say_nothing(self) -> None:
        assert parse_fetch_conversation("&pageSize=7&&", ALICE, POLL).page_size == 7

    def test_everything_given(self) -> None:
        query = f"userId=alice&conversationId={'ab' * 16}&pageSize=7&lastUpdatedTimestamp=5&wait=3"
        expected = FetchMessages("alice", b"\xab" * 16, None, 7, "5", None, 3000, proves=True)
        assert parse_fetch_messages(query, ALICE, POLL) == expected

    @pytest.mark.parametrize(
        ("query", "user_id"), [("userId=a%40b", "a@b"), ("userId=a%2Bb", "a+b"), ("user%49d=a:b", "a:b")]
    )
    def test_escapes_are_read(self, query: str, user_id: str) -> None:
        assert parse_fetch_conversation(query, ADMIN, POLL).user_id == user_id

    @pytest.mark.parametrize(
        ("given", "conversations", "messages"),
        [("-5", 1, 1), ("0", 1, 1), ("1", 1, 1), ("101", 100, 101), ("201", 100, 200), ("9" * 5000, 100, 200)],
    )
    def test_page_size_is_clamped(self, given: str, conversations: int, messages: int) -> None:
        assert parse_fetch_conversation(f"pageSize={given}", ALICE, POLL).page_size == conversations
        assert parse_fetch_messages(f"pageSize={given}", ALICE, POLL).page_size == messages

    @pytest.mark.parametrize(
        ("given", "wait_ms"), [("-1", 0), ("0", 0), ("55", 55_000), ("56", 55_000), ("9" * 99, 55_000)]
    )
    def test_wait_is_clamped(self, given: str, wait_ms: int) -> None:
        assert parse_fetch_conversation(f"lastUpdatedTimestamp=1&wait={given}", ALICE, POLL).wait_ms == wait_ms

    @pytest.mark.parametrize("query", ["wait=5", "wait=5&cursor=x", "wait=5&pageNumber=1"])
    def test_wait_without_a_token_is_ignored(self, query: str) -> None:
        assert parse_fetch_conversation(query, ALICE, POLL).wait_ms == 0

    def test_a_page_reaches_as_far_as_10000(self) -> None:
        assert parse_fetch_conversation("pageNumber=100&pageSize=100", ALICE, POLL).page_number == 100
        assert parse_fetch_messages("pageNumber=10000&pageSize=1", ALICE, POLL).page_number == 10_000
        assert isinstance(error_of("pageNumber=101&pageSize=100"), BadRequest)
        assert "pageNumber" in str(error_of("pageNumber=501"))

    @pytest.mark.parametrize(
        "query", ["cursor=x&pageNumber=0", "cursor=x&lastUpdatedTimestamp=0", "pageNumber=1&lastUpdatedTimestamp=0"]
    )
    def test_two_places_to_begin_at_are_refused(self, query: str) -> None:
        assert error_of(query).code == "bad_request"

    def test_page_number_0_beside_a_token_says_nothing(self) -> None:
        request = parse_fetch_conversation("pageNumber=0&lastUpdatedTimestamp=9", ALICE, POLL)
        assert (request.page_number, request.token) == (0, "9")

    def test_no_page_number_and_page_number_0_are_told_apart_where_it_matters(self) -> None:
        assert parse_fetch_messages("", ALICE, POLL).page_number is None
        assert parse_fetch_messages("pageNumber=0", ALICE, POLL).page_number == 0

    @pytest.mark.parametrize("name", ["pageNumber", "pageSize", "wait"])
    @pytest.mark.parametrize(
        "value", ["", "1.0", "%2B1", "+1", "1_0", "01", "1e3", "0x1", "%D9%A1", "true", "1 ", "-", "-0.5"]
    )
    def test_integers_have_one_spelling(self, name: str, value: str) -> None:
        assert name in str(error_of(f"{name}={value}"))

    @pytest.mark.parametrize("query", ["pageNumber=-1", "pageNumber=10001", f"lastUpdatedTimestamp={'1' * 65}"])
    def test_values_out_of_range_are_refused(self, query: str) -> None:
        assert query.partition("=")[0] in str(error_of(query))

    def test_a_token_goes_to_the_owner_as_it_is(self) -> None:
        assert parse_fetch_conversation(f"lastUpdatedTimestamp={'1' * 64}", ALICE, POLL).token == "1" * 64
        assert parse_fetch_messages("lastUpdatedTimestamp=12%2Eab", ALICE, POLL).token == "12.ab"

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("pagenumber=1", "unknown_parameter"),
            ("conversationId=" + ID, "unknown_parameter"),
            ("=1", "unknown_parameter"),
            ("=", "unknown_parameter"),
            ("x", "unknown_parameter"),
            ("pageSize=1&pageSize=1", "bad_request"),
            ("pageSize=1&page%53ize=2", "bad_request"),
            ("userId=%ff", "bad_request"),
            ("userId=", "bad_request"),
            ("userId=alice%0A", "bad_request"),
            ("userId=carol", "forbidden"),
            ("cursor=", "bad_request"),
            ("cursor=" + "x" * 1025, "bad_request"),
        ],
    )
    def test_other_queries_are_refused(self, query: str, code: str) -> None:
        assert error_of(query).code == code

    @pytest.mark.parametrize("value", ["", "ab", "AB" * 16])
    def test_a_conversation_is_named_by_its_id(self, value: str) -> None:
        with pytest.raises(BadRequest, match="conversationId"):
            parse_fetch_messages(f"conversationId={value}", ALICE, POLL)

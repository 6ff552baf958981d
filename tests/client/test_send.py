"""Sending: what is tried again and when, what the caller is told, and under which id."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowbox.client import AccessDenied, CallFailed, Client, OutcomeUnknown, Refused
from rowbox.client.calls.errors import NO_ANSWER, UNEXPECTED_ANSWER
from tests.client.scripted_server import HANG_UP, Answer, ScriptedServer, Time, client_of, problem, sent

UNAVAILABLE = problem(503, "store_unavailable")


async def test_what_was_sent(server: ScriptedServer, client: Client) -> None:
    server.will(sent("m7"))
    result = await client.send("bob", "hello", client_message_id="mine")
    assert (result.message_id, result.conversation_id, result.duplicate) == ("m7", "c1", False)
    (asked,) = server.asked
    assert (asked.path, asked.token) == ("/v1/sendMessage", "the.access.token")
    assert asked.fields == {"recipientId": "bob", "messageContent": "hello", "clientMessageId": "mine"}


async def test_each_message_has_an_id_of_its_own(server: ScriptedServer, client: Client) -> None:
    server.otherwise = sent()
    await client.send("bob", "same")
    await client.send("bob", "same")
    assert len({asked.fields["clientMessageId"] for asked in server.asked}) == 2


async def test_a_retry_is_at_once_and_then_after_growing_pauses(
    server: ScriptedServer, client: Client, time: Time
) -> None:
    server.will(UNAVAILABLE, HANG_UP, problem(500, "internal"), sent(duplicate=True))
    assert (await client.send("bob", "hello")).duplicate
    assert time.pauses == [1.0, 2.0]


async def test_it_is_given_up_when_the_patience_is_over(server: ScriptedServer, client: Client, time: Time) -> None:
    """However fast the server refuses meanwhile; the last try is at the very end."""
    server.otherwise = UNAVAILABLE
    with pytest.raises(OutcomeUnknown) as raised:
        await client.send("bob", "hello")
    assert (time.pauses, time.now_s) == ([1.0, 2.0, 4.0, 8.0, 8.0, 7.0], 30.0)
    ids = {asked.fields["clientMessageId"] for asked in server.asked}
    assert (len(server.asked), ids) == (8, {raised.value.client_message_id})
    error = raised.value
    assert (error.code, error.status, error.retryable, error.request_id) == ("store_unavailable", 503, True, "r-1")


@pytest.mark.parametrize(("patience_s", "tries"), [(0, 1), (1, 3), (3.5, 5)])
async def test_a_user_chooses_the_patience(server: ScriptedServer, time: Time, patience_s: float, tries: int) -> None:
    server.otherwise = UNAVAILABLE
    async with client_of(server, time, patience_s=patience_s) as client:
        with pytest.raises(OutcomeUnknown):
            await client.send("bob", "hello")
    assert (len(server.asked), time.now_s) == (tries, patience_s)


@pytest.mark.parametrize(("patience_s", "kind"), [(-1, ValueError), (float("nan"), ValueError), ("30", TypeError)])
async def test_a_patience_that_is_none_is_refused(client: Client, patience_s: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="patience_s is"):
        Client("http://127.0.0.1:8080", "token", patience_s=patience_s)
    with pytest.raises(kind, match="patience_s is"):
        await client.send("bob", "hello", patience_s=patience_s)


async def test_a_call_may_have_a_patience_of_its_own(server: ScriptedServer, client: Client, time: Time) -> None:
    server.otherwise = UNAVAILABLE
    for call in (
        client.send("bob", "hello", patience_s=0),
        client.send_status("mine", patience_s=0),
        client.mark_read("c1", "m1", patience_s=0),
        client.fetch_messages(patience_s=0),
        client.fetch_conversation(patience_s=0),
    ):
        with pytest.raises(OutcomeUnknown):
            await call
    assert (len(server.asked), time.pauses) == (5, [])


async def test_a_caller_goes_on_under_the_id_of_the_error(server: ScriptedServer, client: Client) -> None:
    server.otherwise = HANG_UP
    with pytest.raises(OutcomeUnknown) as raised:
        await client.send("bob", "hello")
    assert (raised.value.code, raised.value.status) == (NO_ANSWER, None)
    server.otherwise = sent(duplicate=True)
    await client.send("bob", "hello", client_message_id=raised.value.client_message_id)
    assert server.asked[0].fields == server.asked[-1].fields


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "bad_request"),
        (403, "forbidden"),
        (404, "not_found"),
        (413, "message_too_large"),
        (422, "client_message_id_reused"),
    ],
)
async def test_a_refusal_is_final(server: ScriptedServer, client: Client, status: int, code: str) -> None:
    server.will(problem(status, code))
    with pytest.raises(Refused) as raised:
        await client.send("bob", "hello", client_message_id="mine")
    error = raised.value
    assert len(server.asked) == 1
    assert (error.status, error.code, error.retryable, error.client_message_id) == (status, code, False, "mine")
    assert isinstance(error, AccessDenied) == (status == 403)


async def test_too_many_requests_are_tried_again_when_the_server_says(
    server: ScriptedServer, client: Client, time: Time
) -> None:
    server.will(*[problem(429, "rate_limited", retry_after_ms=1200)] * 2, sent())
    await client.send("bob", "hello")
    assert time.pauses == [2.2, 2.2]


async def test_too_many_requests_until_the_end_are_a_refusal(server: ScriptedServer, client: Client) -> None:
    server.otherwise = problem(429, "rate_limited", retry_after_ms=1)
    with pytest.raises(Refused) as raised:
        await client.send("bob", "hello")
    assert (len(server.asked), raised.value.retryable) == (8, True)


async def test_the_header_counts_where_the_body_says_nothing(
    server: ScriptedServer, client: Client, time: Time
) -> None:
    proxys = Answer(503, b"<html>", {"Retry-After": "3"})
    dated = Answer(503, b"<html>", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})
    server.will(proxys, problem(503, "overloaded", retry_after_ms=500, **{"Retry-After": "9"}), dated, sent())
    await client.send("bob", "hello")
    assert time.pauses == [3 + 1.0, 0.5 + 1.0, 2.0]


async def test_a_server_that_asks_for_too_long_is_not_waited_for(
    server: ScriptedServer, client: Client, time: Time
) -> None:
    """Longer than what is left of the patience, that is."""
    server.will(problem(503, "overloaded", retry_after_ms=20_000), problem(503, "overloaded", retry_after_ms=9_001))
    with pytest.raises(OutcomeUnknown) as raised:
        await client.send("bob", "hello")
    assert (raised.value.retry_after_ms, time.pauses) == (9_001, [21.0])
    server.will(problem(503, "overloaded", retry_after_ms=29_500), sent())
    await client.send("bob", "hello")
    assert time.pauses[1:] == [30.0]


async def test_a_refusal_after_a_try_without_an_answer_leaves_the_outcome_unknown(
    server: ScriptedServer, client: Client
) -> None:
    """The first try may have been carried out: a caller who is told "nothing was written" would send it anew."""
    server.will(HANG_UP, problem(403, "forbidden"))
    with pytest.raises(OutcomeUnknown) as raised:
        await client.send("bob", "hello", client_message_id="mine")
    error = raised.value
    assert (error.client_message_id, error.code, error.status, len(server.asked)) == ("mine", "forbidden", 403, 2)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(502, b"<html>Bad gateway"), OutcomeUnknown),
        (Answer(413, b"<html>Too large"), Refused),
        (Answer(401, b""), AccessDenied),
        (Answer(200, b"<html>Sign in to this network"), OutcomeUnknown),
        (Answer(201, b"{}"), OutcomeUnknown),
        (Answer(200, b'{"messageId": "\xff"}'), OutcomeUnknown),
        (Answer(200, b'{"messageId":' * 100_000), OutcomeUnknown),
        (Answer(503, b'{"code": "\xff"}'), OutcomeUnknown),
        (Answer(503, b'{"code":' * 100_000), OutcomeUnknown),
        (Answer(503, b"", {"Retry-After": "9" * 5000}), OutcomeUnknown),
        (Answer(408, b"<html>Request Timeout"), OutcomeUnknown),
        (Answer(425, b""), OutcomeUnknown),
    ],
)
async def test_an_answer_that_is_none_of_rowboxs(
    server: ScriptedServer, client: Client, answer: Answer, kind: type[CallFailed]
) -> None:
    server.otherwise = answer
    with pytest.raises(kind) as raised:
        await client.send("bob", "hello")
    assert (raised.value.code, raised.value.status) == (UNEXPECTED_ANSWER, answer.status)


async def test_the_access_token_does_not_follow_a_redirect(server: ScriptedServer, client: Client) -> None:
    server.will(Answer(307, b"", {"Location": f"{server.url}/elsewhere"}))
    with pytest.raises(Refused, match="redirect"):
        await client.send("bob", "hello")
    assert len(server.asked) == 1


FAILURES = (HANG_UP, UNAVAILABLE, problem(500, "internal"), problem(429, "rate_limited", retry_after_ms=1))


@settings(max_examples=40, deadline=None)
@given(failures=st.lists(st.sampled_from((*FAILURES, problem(422, "client_message_id_reused"))), max_size=5))
def test_every_try_of_a_message_is_the_same_request(failures: Sequence[Answer]) -> None:
    """Whatever goes wrong, in whichever order: another id would be another message."""

    async def scenario() -> None:
        server, time = ScriptedServer(), Time()
        server.will(*failures)
        server.otherwise = sent()
        async with server.listening(), client_of(server, time) as client:
            (result,) = await asyncio.gather(client.send("bob", "hello"), return_exceptions=True)
            if isinstance(result, CallFailed):
                assert result.client_message_id == server.asked[0].fields["clientMessageId"]
            assert 1 <= len(server.asked) <= len(failures) + 1
            assert all(asked.fields == server.asked[0].fields for asked in server.asked)

    asyncio.run(scenario())

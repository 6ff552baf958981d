"""A send is not tried again once the server may have forgotten its id: that would be a second message."""

import math
from typing import Any

import pytest

from rowbox.client import DEDUPE_LIFE_OVER, Client, OutcomeUnknown, new_client_message_id
from tests.client.scripted_server import HANG_UP, Answer, Asked, ScriptedServer, Step, Time, client_of, problem, sent
from tests.client.test_rowbox import client_for
from tests.http.api import Api

DAY_S = 24 * 3600.0
WEEK_S = 7 * DAY_S


def asleep(time: Time, seconds: float, answer: Answer) -> Step:
    """The machine sleeps while this is under way."""

    async def step(asked: Asked) -> Answer:
        time.asleep_s += seconds
        return answer

    return step


@pytest.mark.parametrize(("slept_s", "tries"), [(WEEK_S - 20, 2), (WEEK_S - 10, 1), (8 * DAY_S, 1)])
async def test_a_sleep_in_the_middle_of_a_send_ends_its_tries(
    server: ScriptedServer, client: Client, time: Time, slept_s: float, tries: int
) -> None:
    """A laptop that is opened after a week must not send anew what was sent before it was closed."""
    server.will(asleep(time, slept_s, HANG_UP), sent(duplicate=True))
    began = time.wall_clock()
    if tries == 2:
        assert (await client.send("bob", "hello")).duplicate
    else:
        with pytest.raises(OutcomeUnknown, match="own messages") as raised:
            await client.send("bob", "hello", client_message_id="mine")
        error = raised.value
        assert (error.code, error.retryable, error.client_message_id) == (DEDUPE_LIFE_OVER, False, "mine")
        assert error.first_tried_at == began
    assert len(server.asked) == tries


async def test_a_first_try_needs_no_memory(server: ScriptedServer, client: Client, time: Time) -> None:
    """Its turn may come late."""
    server.will(asleep(time, 8 * DAY_S, problem(413, "message_too_large")), sent())
    with pytest.raises(Exception, match="message_too_large"):
        await client.send("bob", "too large")
    await client.send("bob", "hello")


async def test_who_tries_again_by_hand_says_when_it_was_first(
    server: ScriptedServer, client: Client, time: Time
) -> None:
    server.otherwise = HANG_UP
    with pytest.raises(OutcomeUnknown) as first:
        await client.send("bob", "hello")
    again = {"client_message_id": first.value.client_message_id, "first_tried_at": first.value.first_tried_at}
    time.asleep_s += 6 * DAY_S
    server.otherwise = sent(duplicate=True)
    assert (await client.send("bob", "hello", **again)).duplicate  # type: ignore[arg-type]
    count = len(server.asked)
    time.asleep_s += DAY_S
    with pytest.raises(OutcomeUnknown) as over:
        await client.send("bob", "hello", **again)  # type: ignore[arg-type]
    assert (over.value.code, len(server.asked)) == (DEDUPE_LIFE_OVER, count)
    assert over.value.first_tried_at == first.value.first_tried_at


async def test_a_time_of_a_clock_that_was_wrong_is_not_trusted(
    server: ScriptedServer, client: Client, time: Time
) -> None:
    """A week in the future is as far away as one in the past."""
    with pytest.raises(OutcomeUnknown):
        await client.send("bob", "hello", client_message_id="mine", first_tried_at=time.wall_clock() + 8 * DAY_S)
    assert server.asked == []


@pytest.mark.parametrize(("first_tried_at", "kind"), [(math.nan, ValueError), (-1.0, ValueError), ("now", TypeError)])
async def test_a_time_that_is_none_is_a_fault(
    server: ScriptedServer, client: Client, first_tried_at: Any, kind: type[Exception]
) -> None:
    """Compared with NaN nothing is too old: it would be sent once more after a year."""
    with pytest.raises(kind, match="first_tried_at is"):
        await client.send("bob", "hello", client_message_id="mine", first_tried_at=first_tried_at)
    assert server.asked == []


async def test_a_clock_that_was_set_back_does_not_make_a_send_younger(server: ScriptedServer, time: Time) -> None:
    """The one that never jumps has counted as well: here the process was awake all the time."""

    async def after_a_week(asked: Asked) -> Answer:
        time.now_s += 8 * DAY_S
        time.asleep_s -= 8 * DAY_S
        return HANG_UP

    server.will(after_a_week)
    async with client_of(server, time, patience_s=math.inf) as client:
        with pytest.raises(OutcomeUnknown) as raised:
            await client.send("bob", "hello")
    assert (raised.value.code, len(server.asked)) == (DEDUPE_LIFE_OVER, 1)


async def test_the_server_says_how_long_its_memory_is(server: ScriptedServer, client: Client, time: Time) -> None:
    server.will(sent(headers={"X-Dedupe-Life": "3600"}))
    await client.send("bob", "hello")
    server.otherwise = sent()
    first_tried_at = time.wall_clock()
    time.asleep_s += 3500
    await client.send("bob", "hello", client_message_id="mine", first_tried_at=first_tried_at)
    time.asleep_s += 100
    with pytest.raises(OutcomeUnknown, match="for 3600 s"):
        await client.send("bob", "hello", client_message_id="mine", first_tried_at=first_tried_at)


async def test_a_life_of_nothing_is_not_believed(server: ScriptedServer, client: Client) -> None:
    """No message could be tried twice."""
    server.will(sent(headers={"X-Dedupe-Life": "0"}), HANG_UP, sent(duplicate=True))
    await client.send("bob", "hello")
    assert (await client.send("bob", "hello")).duplicate


async def test_a_real_server_says_it_and_its_messages_say_what_became_of_a_send(rowbox: Api) -> None:
    async with client_for(rowbox, "alice") as alice:
        alice._transport.dedupe_life_s = 1.0
        lost = new_client_message_id()
        sent = await alice.send("bob", "hello", client_message_id=lost)
        assert alice._transport.dedupe_life_s == WEEK_S
        alice._transport.dedupe_life_s = 1.0
        with pytest.raises(OutcomeUnknown) as raised:
            await alice.send(
                "bob", "hello", client_message_id=lost, first_tried_at=sent.sent_timestamp / 1_000_000 - 60
            )
        assert raised.value.code == DEDUPE_LIFE_OVER
        own = [message.client_message_id async for message in alice.messages(sent.conversation_id)]
        assert own == [raised.value.client_message_id]

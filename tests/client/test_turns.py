"""One message to a recipient at a time, in the order of the calls."""

import asyncio

import pytest

from rowbox.client import Client, OutcomeUnknown
from rowbox.client.calls.turns import Turns
from tests.client.scripted_server import HANG_UP, Answer, Asked, ScriptedServer, Time, sent
from tests.http.api import until


class Gate:
    """Holds the answers to bob back until it is opened; counts who is inside."""

    def __init__(self, answer: Answer) -> None:
        self.opened = asyncio.Event()
        self.inside = 0
        self.most = 0
        self._answer = answer

    async def __call__(self, asked: Asked) -> Answer:
        if asked.fields["recipientId"] != "bob":
            return sent()
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.opened.wait()
        self.inside -= 1
        return self._answer


def texts(server: ScriptedServer) -> list[str]:
    return [asked.fields["messageContent"] for asked in server.asked]


async def test_they_go_one_by_one_in_the_order_of_the_calls(server: ScriptedServer, client: Client) -> None:
    gate = server.otherwise = Gate(sent())
    async with asyncio.TaskGroup() as tasks:
        for number in range(10):
            tasks.create_task(client.send("bob", str(number)))
        await until(lambda: gate.inside == 1)
        await client.send("cleo", "to somebody else")  # waits for nobody
        assert texts(server) == ["0", "to somebody else"]
        gate.opened.set()
    assert gate.most == 1
    assert texts(server)[2:] == [str(number) for number in range(1, 10)]


async def test_the_next_goes_when_one_is_given_up(server: ScriptedServer, client: Client) -> None:
    server.will(*[HANG_UP] * 8)
    server.otherwise = sent()
    first, second = await asyncio.gather(
        client.send("bob", "first"), client.send("bob", "second"), return_exceptions=True
    )
    assert isinstance(first, OutcomeUnknown)
    assert not isinstance(second, BaseException)
    assert texts(server) == ["first"] * 8 + ["second"]


async def test_the_next_goes_when_one_is_cancelled(server: ScriptedServer, client: Client) -> None:
    gate = server.otherwise = Gate(sent())
    first, second, third = (asyncio.create_task(client.send("bob", text)) for text in ("first", "second", "third"))
    await until(lambda: gate.inside == 1)
    second.cancel()
    first.cancel()
    gate.opened.set()
    await third
    assert texts(server) == ["first", "third"]
    for task in (first, second):
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_recipient_nobody_writes_to_takes_no_room() -> None:
    turns = Turns()
    async with turns.of("bob"):
        assert turns.of("bob").locked()
    assert not turns.of("bob").locked()
    assert len(turns) == 0


async def test_a_queue_over_a_server_that_is_away_is_no_more_patient_than_one_send(
    server: ScriptedServer, client: Client, time: Time
) -> None:
    """Counted from its turn each of ten had 30 s of its own: the last one was told after five minutes."""
    server.otherwise = HANG_UP
    sends = [client.send("bob", str(number)) for number in range(10)]
    errors = await asyncio.gather(*sends, return_exceptions=True)
    assert all(isinstance(error, OutcomeUnknown) for error in errors)
    assert time.now_s == 30.0
    assert set(texts(server)) == {str(number) for number in range(10)}, "each was tried"


async def test_a_long_queue_that_moves_loses_no_patience(server: ScriptedServer, client: Client, time: Time) -> None:
    async def slow(asked: Asked) -> Answer:
        time.now_s += 10
        return sent()

    server.will(*[slow] * 9, HANG_UP, HANG_UP, HANG_UP)
    server.otherwise = sent()
    await asyncio.gather(*(client.send("bob", str(number)) for number in range(10)))
    assert texts(server)[9:] == ["9"] * 4

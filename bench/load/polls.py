"""Parked long polls: so many users, each on a connection of its own, woken by sends and parked again.

The server's gauge of waiting clients says how many are parked; a poll that is written is not yet one.
"""

import asyncio
import random
from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import NamedTuple

from bench.load.closed_loop import HOST, WrongAnswer, exchange
from bench.load.connection import Connection
from bench.load.workload import Caller
from bench.server import Server

WAIT_S = 55
PARKED_AT_ONCE = 64
"""Connections opened side by side, where it is not a storm that is measured."""
DEADLINE_S = 120.0
RETRY_S = 0.1
READINGS = 3
"""Of the gauge, one after the other and all alike, until it is believed."""
_ADDRESSES = 8
_STEP_S = 0.02
_TOKEN = b'"lastUpdatedTimestamp":"'
_MESSAGE = b'"messageId"'
_OK = b"HTTP/1.1 200 "


class WakeUp(NamedTuple):
    """From when the send was meant to be sent, and from when it was written, until the poll was answered."""

    intended_s: float
    written_s: float


class _Poll:
    """One user's poll. `written_s` 0: nobody has sent to it since it was parked."""

    __slots__ = ("after", "before", "connection", "intended_s", "token", "user", "written_s")

    def __init__(self, user: str, caller: Caller) -> None:
        self.user = user
        self.before, self.after = caller.poll(WAIT_S)
        self.token = b""
        self.connection: Connection | None = None
        self.intended_s = self.written_s = 0.0


class Polls:
    """Users whose long polls are parked. Every user has a mailbox already."""

    def __init__(self, server: Server, callers: Sequence[tuple[str, Caller]]) -> None:
        self._server = server
        self._polls = [_Poll(user, caller) for user, caller in callers]
        self._idle: list[_Poll] = []
        self._open = 0
        self._is_cut = False
        self._all_closed = asyncio.Event()
        self.wake_ups: list[WakeUp] = []
        self.errors: list[str] = []
        """What went wrong with a connection or an answer."""

    async def learn(self) -> None:
        """Asks for every user's token, which brings the mailboxes into memory."""
        asked = await exchange(self._server.port, [poll.before + b"0" + poll.after for poll in self._polls], 200)
        for poll, body in zip(self._polls, asked, strict=True):
            poll.token = _token_of(body)

    async def park(self, *, at_once: int = PARKED_AT_ONCE) -> float:
        """Connects all and sends their polls; when (perf_counter) the server was seen to have them. TimeoutError."""
        gate = asyncio.Semaphore(at_once)
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*(self._connect(gate, number, poll) for number, poll in enumerate(self._polls)))
            return await self._all_parked()

    async def cut(self) -> None:
        """Closes every connection, without a word; returns when all are closed on this side."""
        self._is_cut = True
        self._all_closed.clear()
        self._idle.clear()
        for poll in self._polls:
            if poll.connection is not None:
                poll.connection.close()
                poll.connection = None
        if self._open:
            await self._all_closed.wait()
        self._is_cut = False

    def pick(self, intended_s: float) -> str:
        """A user who is parked, chosen at random; he is sent to now. WrongAnswer: nobody is left."""
        if not self._idle:
            raise WrongAnswer("no parked poll is left to wake: the server does not keep up with the rate")
        place = random.randrange(len(self._idle))
        self._idle[place], self._idle[-1] = self._idle[-1], self._idle[place]
        poll = self._idle.pop()
        poll.intended_s, poll.written_s = intended_s, perf_counter()
        return poll.user

    async def _connect(self, gate: asyncio.Semaphore, number: int, poll: _Poll) -> None:
        address = f"{HOST[:-1]}{2 + number % _ADDRESSES}"
        async with gate:
            while True:
                try:
                    _, poll.connection = await asyncio.get_running_loop().create_connection(
                        lambda: Connection(partial(self._answered, poll), partial(self._lost, poll)),
                        HOST,
                        self._server.port,
                        local_addr=(address, 0),
                    )
                    break
                except OSError as error:
                    self.errors.append(f"connecting: {error}")
                    await asyncio.sleep(RETRY_S)
            self._open += 1
            self._send(poll)
            self._idle.append(poll)

    def _send(self, poll: _Poll) -> None:
        if poll.connection is not None:
            poll.connection.send(poll.before + poll.token + poll.after, 0.0)

    def _answered(self, poll: _Poll, connection: Connection, answer: bytes) -> None:
        now_s = perf_counter()
        if connection is not poll.connection:
            return  # of a connection that was cut
        if not answer.startswith(_OK):
            self.errors.append(answer[:200].decode(errors="replace"))
            asyncio.get_running_loop().call_later(RETRY_S, self._send, poll)
            return
        poll.token = _token_of(answer)
        if _MESSAGE in answer and poll.written_s:
            self.wake_ups.append(WakeUp(now_s - poll.intended_s, now_s - poll.written_s))
            poll.written_s = 0.0
            self._idle.append(poll)
        self._send(poll)

    def _lost(self, poll: _Poll, error: Exception | None) -> None:
        self._open -= 1
        if not self._open:
            self._all_closed.set()
        if not self._is_cut:
            self.errors.append(f"the connection of {poll.user} ended: {error}")

    async def _all_parked(self) -> float:
        """Returns when the gauge has stayed: what was cut counts until the server has noticed."""
        seen, since_s = 0, 0.0
        while seen < READINGS:
            if await self.parked() != len(self._polls):
                seen = 0
            else:
                since_s = since_s if seen else perf_counter()
                seen += 1
            await asyncio.sleep(_STEP_S)
        return since_s

    async def parked(self) -> int:
        """How many waits the server has. Asked in a thread: the loop goes on."""
        return int((await asyncio.to_thread(self._server.counters))["rowbox_waiters"])


def _token_of(answer: bytes) -> bytes:
    begin = answer.rindex(_TOKEN) + len(_TOKEN)
    return answer[begin : answer.index(b'"', begin)]

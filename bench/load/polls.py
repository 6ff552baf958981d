"""Parked long polls of many users, each on a connection of its own. Sends wake them, and they are parked again.

The server's gauge of waiting clients says how many polls are parked; a poll that was only written is not parked yet.
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
"""Connections that are opened at the same time, except in a storm."""
DEADLINE_S = 120.0
RETRY_S = 0.1
READINGS = 3
"""The number of equal readings of the gauge after which it is believed."""
_ADDRESSES = 8
_STEP_S = 0.02
_TOKEN = b'"lastUpdatedTimestamp":"'
_MESSAGE = b'"messageId"'
_OK = b"HTTP/1.1 200 "


class WakeUp(NamedTuple):
    """The seconds until a poll was answered, from the intended time of the send and from the send's writing."""

    intended_s: float
    written_s: float


class _Poll:
    """One user's poll. `written_s` is when a send to the user was written; 0 where none was since it was parked."""

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
        """Errors of connections and of answers, as text."""

    async def learn(self) -> None:
        """Asks for every user's token, which brings the mailboxes into memory."""
        asked = await exchange(self._server.port, [poll.before + b"0" + poll.after for poll in self._polls], 200)
        for poll, body in zip(self._polls, asked, strict=True):
            poll.token = _token_of(body)

    async def park(self, *, at_once: int = PARKED_AT_ONCE) -> float:
        """Connects all users and sends their polls. Returns when the server was seen to have all, by perf_counter.

        TimeoutError where it does not have them in time.
        """
        gate = asyncio.Semaphore(at_once)
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*(self._connect(gate, number, poll) for number, poll in enumerate(self._polls)))
            return await self._all_parked()

    async def cut(self) -> None:
        """Aborts every connection. Returns when all are closed on this side."""
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
        """A user whose poll is parked, chosen at random, for the caller to send to. WrongAnswer where none is left."""
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
            return  # the end of a connection that `cut` closed
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
        """Returns when the gauge has stayed at the number of users: polls that were cut count until noticed."""
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
        """How many parked polls the server has, by its gauge. It is read in a thread, so the loop goes on."""
        return int((await asyncio.to_thread(self._server.counters))["rowbox_waiters"])


def _token_of(answer: bytes) -> bytes:
    begin = answer.rindex(_TOKEN) + len(_TOKEN)
    return answer[begin : answer.index(b'"', begin)]

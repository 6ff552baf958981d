"""Users who sign in on one device after the other, and sign them out, while servers come and go."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from random import Random
from typing import Final

import aiohttp
import msgspec

from rowbox.api.http.problems import Problem
from tests.integration.cluster.support.fleet import Fleet, Machine
from tests.integration.conversations.insisting import Insisting
from tests.integration.people.choices import pause
from tests.integration.people.device_history import (
    ANSWERED,
    INF,
    SIGNED_OUT,
    Asked,
    DeviceHistory,
    SignedIn,
    device_breaches,
)
from tests.integration.support.client import UNKNOWN_OUTCOME, Client, Refused

USERS: Final = 2
_ALL: Final = 0.3
"""Part of the sign-outs that are of all, and so of the token."""
_SIGNED_IN_S: Final = 2.0
_PROBED: Final = 3
"""How many of those that were signed out before ask once more, at each turn."""
_SIGNED_OUT_CODE: Final = 4410
_SILENT_S: Final = 4.0
"""A socket whose server does not answer a ping within half of it is given up."""
_ENDS_S: Final = 60.0
"""Within this time the last socket has ended, once faults are over."""


class Devices:
    """`run` it in a task, `finish` it, and wait until `sockets_end`."""

    def __init__(self, fleet: Fleet, name: str, random: Random, patience_s: float, lands_within_s: float) -> None:
        """`name`: its users' begin with that."""
        self.history = DeviceHistory()
        self.users = [f"{name}-device-{number}" for number in range(USERS)]
        self._friend = f"{name}-friend"
        self._fleet = fleet
        self._random = random
        self._patience_s = patience_s
        self._lands_within_s = lands_within_s
        self._is_over = asyncio.Event()
        self._numbers: Iterator[int] = count()
        self._sent: dict[str, float] = {}
        """Texts that were sent to the users, and when that was asked for."""
        self._sockets: list[asyncio.Task[None]] = []

    @property
    def messages(self) -> int:
        return len(self._sent)

    @property
    def signed_out(self) -> int:
        return sum(device.out_s < INF for device in self.history.devices)

    @property
    def refusals(self) -> int:
        return sum(one.outcome == SIGNED_OUT for one in self.history.asked)

    async def run(self) -> None:
        """Until `finish`."""
        async with asyncio.TaskGroup() as tasks:
            for user_id in self.users:
                tasks.create_task(self._live(user_id))

    def finish(self) -> None:
        """Nobody signs in any more."""
        self._is_over.set()

    async def sockets_end(self) -> None:
        """Returns when the sockets of all who were signed out have ended, or have had long enough for it."""
        _, open_still = await asyncio.wait(self._sockets, timeout=_ENDS_S)
        for task in open_still:
            task.cancel()
        await asyncio.gather(*self._sockets, return_exceptions=True)
        for task in self._sockets:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def breaches(self) -> list[str]:
        """All who were ever signed out ask every API server once more."""
        for device in self.history.devices:
            for api in self._fleet.apis:
                await self._ask(device, api)
        return device_breaches(self.history)

    # ------------------------------------------------------------------ what they do

    async def _live(self, user_id: str) -> None:
        client = self._fleet.client(user_id)
        before: list[SignedIn] = []
        while not self._is_over.is_set():
            device = SignedIn(user_id, f"device-{next(self._numbers)}", client.headers["Authorization"])
            self.history.devices.append(device)
            way = self._way()
            await way.insist(lambda: client.register_device(device.device_id))  # noqa: B023 - it is awaited here
            device.has_socket = True
            self._sockets.append(asyncio.create_task(self._listen(device)))
            await self._say(user_id)
            await pause(self._is_over, self._random.uniform(0, 2 * _SIGNED_IN_S))
            await self._ask(device, self._random.choice(self._fleet.apis))
            is_all = self._random.random() < _ALL
            await self._sign_out(client, way, device, None if is_all else device.device_id)
            await self._say(user_id)
            before.append(device)
            for one in (device, *self._random.sample(before, min(_PROBED, len(before)))):
                for api in self._fleet.apis:
                    await self._ask(one, api)
            if is_all:
                await way.nothing_lands()
                client = self._fleet.client(user_id)

    async def _sign_out(self, client: Client, way: Insisting, device: SignedIn, which: str | None) -> None:
        device.out_asked_s = time.monotonic()
        try:
            await way.insist(lambda: client.sign_out(which), device)
        except Refused as refused:
            if refused.problem.code != SIGNED_OUT or which is not None or not device.unknown_outcomes:
                raise  # else it was done by the first try, of which no answer came
        device.out_s = time.monotonic()

    async def _say(self, user_id: str) -> None:
        """The friend writes to the user, until it has arrived."""
        client, way, name = self._fleet.client(self._friend), self._way(), f"to-device-{next(self._numbers)}"
        self._sent[name] = time.monotonic()
        while (await way.insist(lambda: client.send(user_id, name, name))).pending_recipients:
            pass

    async def _ask(self, device: SignedIn, api: Machine) -> None:
        """One request of it, whatever comes of it."""
        began_s = time.monotonic()
        headers = {"Authorization": device.token, "X-Device-Id": device.device_id}
        with suppress(*UNKNOWN_OUTCOME):
            async with self._fleet.session.get(f"{api.server.url}/v1/fetchMessages", headers=headers) as response:
                body = await response.read()
            problem = None if response.status < 400 else msgspec.json.decode(body, type=Problem)
            if problem is None or not problem.retryable:
                code = ANSWERED if problem is None else problem.code
                self.history.asked.append(Asked(device, api.name, began_s, code))

    async def _listen(self, device: SignedIn) -> None:
        """Until a server says that it was signed out."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=2.0)) as session:
            while device.socket_ended_s == INF:
                api = self._random.choice(self._fleet.apis)
                with suppress(aiohttp.ClientError, OSError, TimeoutError):
                    await self._follow(session, api, device)
                await asyncio.sleep(self._random.uniform(0, 0.2))

    async def _follow(self, session: aiohttp.ClientSession, api: Machine, device: SignedIn) -> None:
        url, began_s, is_new = f"{api.server.url}/v1/ws", time.monotonic(), True
        async with session.ws_connect(url, protocols=("rowbox.v1",), heartbeat=_SILENT_S) as socket:
            token = device.token.removeprefix("Bearer ")
            await socket.send_str(json.dumps({"t": "hello", "token": token, "deviceId": device.device_id}))
            await socket.send_str(json.dumps({"t": "follow", "token": None}))
            async for message in socket:
                frame = json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else {}
                if frame.get("t") != "delta":
                    continue
                if is_new:
                    self.history.asked.append(Asked(device, f"a socket of {api.name}", began_s, ANSWERED))
                    is_new = False
                texts = [one["messageContent"] for one in frame["messages"]]
                texts += [one["snippet"] for one in frame["conversations"]]
                device.told += [(self._sent[text], text) for text in texts if text in self._sent]
            if socket.close_code == _SIGNED_OUT_CODE:
                device.socket_ended_s = time.monotonic()
                if is_new:
                    self.history.asked.append(Asked(device, f"a socket of {api.name}", began_s, SIGNED_OUT))

    def _way(self) -> Insisting:
        way = Insisting(self._patience_s, self._lands_within_s)
        way.is_up.set()
        return way

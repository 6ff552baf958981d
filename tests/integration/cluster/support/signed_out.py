"""A device that is signed out while it is connected at every API server of a fleet."""

import asyncio
import json
import time
from collections.abc import Mapping

import aiohttp
import msgspec

from rowbox.api.http.problems import Problem
from tests.integration.cluster.support.fleet import Fleet, Machine
from tests.integration.support.server_process import DEADLINE_S

SIGNED_OUT, ELSEWHERE = 4410, 4409
PHONE, TABLET, LAPTOP = "phone", "tablet", "laptop"


class SignedOutDevice:
    """`signed_out` makes one. The requests of both devices have one token, and say in a header from which they are."""

    def __init__(self, fleet: Fleet, user: str) -> None:
        self._fleet = fleet
        self._authorization = fleet.client(user).headers["Authorization"]
        self.took_s = 0.0
        """From the answer to the sign-out to the last refusal: of a request, and of a socket, at each API server."""
        self.moved_s = 0.0
        """From its connection at another API server to the end of the one before."""

    async def begin(self) -> None:
        for device in (PHONE, TABLET, LAPTOP):
            assert await self._post(self._fleet.apis[0], "registerDevice", {"deviceId": device}, device) == ""
        async with aiohttp.ClientSession() as session:
            first, last = self._fleet.apis[0], self._fleet.apis[-1]
            tablet = await self._socket(session, first, TABLET)
            before = await self._socket(session, first, PHONE)
            laptop = await self._socket(session, first, LAPTOP)
            began_s = time.monotonic()
            phone = await self._socket(session, last, PHONE)
            await _is_closed(before, ELSEWHERE)
            self.moved_s = time.monotonic() - began_s
            for device in (PHONE, TABLET):
                assert await self._post(last, "signOut", {"deviceId": device}, LAPTOP) == ""
            began_s = time.monotonic()
            await self.is_out()
            for socket in (phone, tablet):
                await _is_closed(socket, SIGNED_OUT)
            self.took_s = time.monotonic() - began_s
            await laptop.send_str('{"t":"ping"}')
            while json.loads(await asyncio.wait_for(laptop.receive_str(), DEADLINE_S))["t"] != "pong":
                pass

    async def is_out(self) -> None:
        """The next request of the phone is refused by each API server, and none of the laptop."""
        for api in self._fleet.in_rotation:
            assert await self._fetch(api, PHONE) == "signed_out"
            assert await self._fetch(api, LAPTOP) == ""

    async def _socket(
        self, session: aiohttp.ClientSession, api: Machine, device: str
    ) -> aiohttp.ClientWebSocketResponse:
        socket = await session.ws_connect(f"{api.server.url}/v1/ws", protocols=("rowbox.v1",))
        token = self._authorization.removeprefix("Bearer ")
        await socket.send_str(json.dumps({"t": "hello", "token": token, "deviceId": device}))
        assert json.loads(await asyncio.wait_for(socket.receive_str(), DEADLINE_S))["t"] == "welcome"
        return socket

    async def _fetch(self, api: Machine, device: str) -> str:
        url = f"{api.server.url}/v1/fetchMessages"
        async with self._fleet.session.get(url, headers=self._headers(device)) as response:
            return _code(response.status, await response.read())

    async def _post(self, api: Machine, call: str, fields: Mapping[str, object], device: str) -> str:
        url = f"{api.server.url}/v1/{call}"
        async with self._fleet.session.post(url, json=fields, headers=self._headers(device)) as response:
            return _code(response.status, await response.read())

    def _headers(self, device: str) -> dict[str, str]:
        return {"Authorization": self._authorization, "X-Device-Id": device}


async def _is_closed(socket: aiohttp.ClientWebSocketResponse, code: int) -> None:
    assert (await asyncio.wait_for(socket.receive(), DEADLINE_S)).type is aiohttp.WSMsgType.CLOSE
    assert socket.close_code == code


def _code(status: int, body: bytes) -> str:
    """Of the problem; "" where it is none."""
    return "" if status < 400 else msgspec.json.decode(body, type=Problem).code


async def signed_out(fleet: Fleet, user: str) -> SignedOutDevice:
    """A device of the user, signed out at every API server."""
    device = SignedOutDevice(fleet, user)
    await device.begin()
    return device

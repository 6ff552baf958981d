"""A client of the socket, for tests: frames in and out, as JSON."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.http.api import Api
from tests.http.api import token as access_token

DEADLINE_S = 30


class Talk:
    """One connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, **frame: Any) -> None:
        await self.socket.send_str(json.dumps(frame))

    async def hears(self, kind: str | None = None) -> Any:
        """The next frame, of this kind."""
        async with asyncio.timeout(DEADLINE_S):
            message = await self.socket.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, (message, self.socket.close_code)
        frame = json.loads(message.data)
        assert kind in {None, frame["t"]}, frame
        return frame

    async def ends(self) -> tuple[int, str]:
        """The code and the reason of the close, whatever frames come before."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message = await self.socket.receive()
                if message.type is aiohttp.WSMsgType.CLOSE:
                    return message.data, message.extra or ""
                assert message.type is aiohttp.WSMsgType.TEXT, (message, self.socket.close_code)

    async def call(self, number: int, name: str, **args: Any) -> Any:
        await self.say(t="call", id=number, do=name, args=args)
        reply = await self.hears("reply")
        assert reply["id"] == number
        return reply


@asynccontextmanager
async def connected(api: Api, **options: Any) -> AsyncIterator[Talk]:
    """A socket before its hello. aiohttp.WSServerHandshakeError where the handshake is refused."""
    url = f"http://127.0.0.1:{api.server.port}{options.pop('path', '/v1/ws')}"
    options.setdefault("protocols", ("rowbox.v1",))
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, autoclose=options.pop("autoclose", True), **options) as socket,
    ):
        yield Talk(socket)


@asynccontextmanager
async def opened(api: Api, user: str = "alice", **hello: Any) -> AsyncIterator[Talk]:
    """A socket behind its welcome, which is not read any more."""
    async with connected(api) as talk:
        await talk.say(t="hello", token=access_token(user), **hello)
        await talk.hears("welcome")
        yield talk

"""What brings changes to a client as they happen: a socket, and an event stream. Each goes to the next address."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from tests.conformance.caller import Caller
from tests.conformance.transcript import Json

DEADLINE_S: Final = 30
_OF_THE_SOCKET: Final = ("t", "prev", "token")


class Socket:
    """A client that acknowledges what it is sent, at a token."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, token: str) -> None:
        self._socket = socket
        self._replies: dict[int, Json] = {}
        self._deltas: list[Json] = []
        self.token = token

    async def changes(self) -> Json:
        """The next changes, as fetchChanges has them. Empty ones are passed over."""
        while True:
            while not self._deltas:
                await self._hear()
            delta = self._deltas.pop(0)
            assert delta["prev"] == self.token, "a gap"
            self.token = delta["token"]
            await self._say(t="ack", token=self.token)
            body = {name: value for name, value in delta.items() if name not in _OF_THE_SOCKET}
            if not _is_empty(body):
                return body

    async def call(self, number: int, name: str, **args: Json) -> Json:
        """The reply to a call."""
        await self._say(t="call", id=number, do=name, args=args)
        while number not in self._replies:
            await self._hear()
        return self._replies.pop(number)

    async def _say(self, **frame: Json) -> None:
        await self._socket.send_str(json.dumps(frame))

    async def _hear(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            message = await self._socket.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, (message, self._socket.close_code)
        frame = json.loads(message.data)
        if frame["t"] == "reply":
            self._replies[frame["id"]] = frame
        elif frame["t"] == "delta":
            self._deltas.append(frame)


class Stream:
    """A client that reads events, at a token."""

    def __init__(self, response: aiohttp.ClientResponse, token: str) -> None:
        self._response = response
        self.token = token

    async def changes(self) -> Json:
        """As of Socket."""
        while True:
            fields: dict[str, str] = {}
            async with asyncio.timeout(DEADLINE_S):
                while line := (await self._response.content.readline()).decode().rstrip("\n"):
                    name, _, value = line.partition(": ")
                    fields[name] = value
            if fields.get("event") == "delta":
                self.token, body = fields["id"], json.loads(fields["data"])
                if not _is_empty(body):
                    return body


def _is_empty(body: Json) -> bool:
    return body["isDeltaUpdate"] and not (body["messages"] or body["conversations"])


@asynccontextmanager
async def socket_of(caller: Caller, name: str, token: str) -> AsyncIterator[Socket]:
    """A socket that follows from `token`; what the welcome says is left out."""
    url = f"{caller.next_url()}/v1/ws"
    async with caller.session.ws_connect(url, protocols=("rowbox.v1",)) as socket:
        hello = {"t": "hello", "token": caller.token(name), "follow": token}
        await socket.send_str(json.dumps(hello))
        yield Socket(socket, token)


@asynccontextmanager
async def stream_of(caller: Caller, name: str, token: str) -> AsyncIterator[Stream]:
    """An event stream from `token` on."""
    headers = {"Authorization": f"Bearer {caller.token(name)}", "Last-Event-ID": token}
    async with caller.session.get(f"{caller.next_url()}/v1/events", headers=headers) as response:
        assert response.status == 200
        yield Stream(response, token)

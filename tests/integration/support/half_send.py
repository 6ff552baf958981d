"""A send whose body comes in two parts, so that a test decides when it is in flight and when it goes on."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlsplit

import msgspec

from rowbox.api.http.problems import Problem


class HalfSend:
    """A request of which the server has seen the head and a part of the body."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rest: bytes) -> None:
        self._reader = reader
        self._writer = writer
        self._rest = rest

    @classmethod
    @asynccontextmanager
    async def begun(cls, url: str, headers: dict[str, str], body: dict[str, str]) -> AsyncIterator[Self]:
        """Sends the first half."""
        text = json.dumps(body).encode()
        given = {**headers, "Host": "rowbox", "Content-Type": "application/json", "Content-Length": str(len(text))}
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(f"POST /v1/sendMessage HTTP/1.1\r\n{head}\r\n".encode() + text[: len(text) // 2])
            await writer.drain()
            yield cls(reader, writer, text[len(text) // 2 :])
        finally:
            writer.close()
            await writer.wait_closed()

    async def refused(self) -> str:
        """Reads to the end, having sent no more: the code of the problem."""
        head, _, body = (await self._reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        return msgspec.json.decode(body, type=Problem).code

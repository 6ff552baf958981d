"""`python -m bench.live.members`: the connected members of a group, in a process of their own.

They do next to nothing, so that what is measured is the server: a frame is looked at for the serial of its message, and
each fourth is acknowledged. The moment counts in which this process has a member's bytes; the clock (perf_counter) is
the system's and the same in all processes.

    in    {"port": 8080, "tokens": [..]}, one line; the end of the input ends it
    out   "ready" once all follow, then for each message that all have: its serial, when the first had it, and the last
"""

import asyncio
import json
import sys
from time import perf_counter

import uvloop

from bench.load import socket
from bench.load.closed_loop import HOST

ACK_EVERY = 4
"""Half of the window, as rarely as a client may without being held up."""
SERIAL_CHARACTERS = 16
"""With which the content of each message begins."""
_CONTENT = b'"messageContent":"'
_OF_DELTA = b'"token":"'
_DELTA = b'{"t":"delta"'


class Members:
    """All members. `told` maps the serials of messages that not all have to the moments in which some had them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._following = 0
        self.all_follow = asyncio.Event()
        self._told: dict[bytes, list[float]] = {}

    async def open(self, port: int, tokens: list[str]) -> None:
        """Connects all."""
        for token in tokens:
            await Member(self).open(port, token)
        await self.all_follow.wait()

    def follows(self) -> None:
        """One more has the answer to its follow."""
        self._following += 1
        if self._following == self._count:
            self.all_follow.set()

    def told(self, serial: bytes) -> None:
        """One more has this message."""
        moments = self._told.setdefault(serial, [])
        moments.append(perf_counter())
        if len(moments) == self._count:
            del self._told[serial]
            print(serial.decode(), moments[0], moments[-1], flush=True)


class Member:
    """One member's socket."""

    def __init__(self, members: Members) -> None:
        self._members = members
        self._follows = False
        self._unacknowledged = 0

    async def open(self, port: int, token: str) -> None:
        """Connects, and asks to follow."""
        self._socket = await socket.connect(port, self._hear, _lost, HOST)
        self._socket.say(b'{"t":"hello","token":"%b"}' % token.encode())
        self._socket.say(b'{"t":"follow"}')

    def _hear(self, frame: bytes) -> None:
        if not frame.startswith(_DELTA):
            return
        if self._follows:
            for message in frame.split(_CONTENT)[1:]:
                self._members.told(message[:SERIAL_CHARACTERS])
        else:
            self._follows = True
            self._members.follows()
        self._unacknowledged += 1
        if self._unacknowledged == ACK_EVERY:
            self._unacknowledged = 0
            begin = frame.index(_OF_DELTA) + len(_OF_DELTA)
            self._socket.say(b'{"t":"ack","token":"%b"}' % frame[begin : frame.index(b'"', begin)])


def _lost(why: str) -> None:
    sys.exit(f"a member's socket ended: {why}")


async def main() -> None:
    """Serves whoever started this process, until its input ends."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    asked = json.loads(await lines.readline())
    await Members(len(asked["tokens"])).open(asked["port"], asked["tokens"])
    print("ready", flush=True)
    await lines.read()


if __name__ == "__main__":
    uvloop.run(main())

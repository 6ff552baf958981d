"""One API process, as the server that started it sees it: from its start until it has ended and nothing is left of it.

The process is a Python of its own and no fork, because a fork would have the store's threads, locks and descriptors. It
leads a session of its own: what a terminal sends to a group (Ctrl-C, a hang-up) reaches the server alone.
"""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from typing import Self

from rowbox.cli.serving.processes.control import Begin, Channel, Message

_END_S = 1.0
"""How long a process whose end of the channel is closed may take to end."""


class ChildProcess:
    """A running process and the channel to it."""

    def __init__(self, process: Process, channel: Channel) -> None:
        self._process = process
        self._channel = channel

    @classmethod
    async def spawn(cls, begin: Begin) -> Self:
        """Starts a process and tells it what to do. OSError where the system starts none."""
        own, its = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # the folder in which the server was started must not have its modules imported
                "-m",
                "rowbox.cli.serving.processes.api_process",
                str(its.fileno()),
                str(os.getpid()),
                stdin=DEVNULL,
                stdout=sys.stderr.fileno(),
                pass_fds=(its.fileno(),),
                start_new_session=True,
            )
        except BaseException:
            own.close()
            raise
        finally:
            its.close()
        child = cls(process, await Channel.over(own))
        child.send(begin)
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: Message) -> None:
        """See Channel."""
        self._channel.send(message)

    async def receive(self) -> Message | None:
        """See Channel. None: it has ended, or is about to."""
        return await self._channel.receive()

    def abort(self) -> None:
        """Kills it, where it runs."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> str:
        """Waits for its end, and kills it where that does not come soon: nothing of it is left then.

        Returns how it ended, for a person.
        """
        try:
            async with asyncio.timeout(_END_S):
                code = await self._process.wait()
        except BaseException as error:
            self.abort()
            code = await self._process.wait()
            if not isinstance(error, TimeoutError):
                raise
        finally:
            await self._channel.close()
        return f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"

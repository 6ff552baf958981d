"""The commands that are not answered yet, and the time after which their callers are told that nobody knows."""

import asyncio
from collections import deque
from collections.abc import Sequence

from rowbox.cacheserver.batch import resolve
from rowbox.cacheserver.commands import Command
from rowbox.mailbox.errors import StoreOutcomeUnknown

EXPIRY_INTERVAL_S = 0.25
"""How often commands that waited too long are looked for: one timer for all of them, because there may be thousands."""


class Outstanding:
    """Commands in order of arrival, all with the same time to live; so the first one is always the first to expire."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._commands: deque[Command] = deque()  # answered ones stay until they come to the front
        self._timer: asyncio.TimerHandle | None = None

    def add(self, command: Command) -> None:
        """Takes in a command that has just arrived."""
        command.deadline = self._loop.time() + self._timeout_s
        self._commands.append(command)
        if self._timer is None:
            self._timer = self._loop.call_later(EXPIRY_INTERVAL_S, self._expire)

    def forget_answered(self) -> None:
        """Lets go of what is answered at the front."""
        while self._commands and self._commands[0].future.done():
            self._commands.popleft()

    def unanswered(self) -> Sequence[Command]:
        """All that still wait."""
        return [command for command in self._commands if not command.future.done()]

    def _expire(self) -> None:
        """Tells callers that waited too long that the outcome is unknown; what was begun goes on."""
        self._timer = None
        now = self._loop.time()
        for command in self._commands:
            if command.deadline > now:
                break
            resolve(command, StoreOutcomeUnknown("the write took too long; its outcome is unknown"))
        self.forget_answered()
        if self._commands:
            self._timer = self._loop.call_later(EXPIRY_INTERVAL_S, self._expire)

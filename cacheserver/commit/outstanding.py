"""The commands that are not answered yet, and the time after which their callers are told that nobody knows."""

import asyncio
from collections.abc import Sequence

from rowbox.cacheserver.cache.commands import Command
from rowbox.cacheserver.commit.batch import resolve
from rowbox.mailbox.errors import StoreOutcomeUnknown

EXPIRY_INTERVAL_S = 0.25
"""How often commands that waited too long are looked for: one timer for all of them, because there may be thousands."""


class Outstanding:
    """Commands in order of arrival, all with the same time to live; so the first one is always the first to expire."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._commands: dict[int, Command] = {}
        """By number. One that is answered leaves at once: behind one that hangs, thousands would keep their texts."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._commands)

    def add(self, command: Command) -> None:
        """Takes in a command that has just arrived and has its number."""
        command.deadline = self._loop.time() + self._timeout_s
        self._commands[command.number] = command
        if self._timer is None:
            self._timer = self._loop.call_later(EXPIRY_INTERVAL_S, self._expire)

    def forget(self, command: Command) -> None:
        """Lets go of a command that is answered, or whose caller has left."""
        self._commands.pop(command.number, None)

    def unanswered(self) -> Sequence[Command]:
        """All that still wait."""
        return [command for command in self._commands.values() if not command.future.done()]

    def _expire(self) -> None:
        """Tells callers that waited too long that the outcome is unknown; what was begun goes on."""
        self._timer = None
        now = self._loop.time()
        expired: list[Command] = []
        for command in self._commands.values():
            if command.deadline > now:
                break
            expired.append(command)
        for command in expired:
            resolve(command, StoreOutcomeUnknown("the write took too long; its outcome is unknown"))
            self.forget(command)
        if self._commands:
            self._timer = self._loop.call_later(EXPIRY_INTERVAL_S, self._expire)

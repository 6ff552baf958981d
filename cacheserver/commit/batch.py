"""A batch: commands that were decided and go to the store in one call, with the plans that they made."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from rowbox.cacheserver.cache.commands import Command, CommandResult
from rowbox.cacheserver.cache.row import Row
from rowbox.cacheserver.clocks import Time
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.errors import RowboxError

Decided: TypeAlias = tuple[Command, Sequence[Row], CommandResult | RowboxError]
"""A command of a batch, its rows, and what its caller will be told."""


@dataclass
class Batch:
    """One store call, while it is filled and while it is under way. No caller is answered before its end.

    All plans of a batch are made at one reading of the clock, which is taken when the first plan is opened.
    """

    time: Time
    most_rows: int
    most_bytes: int
    plans: dict[Row, Plan] = field(default_factory=dict)
    decided: list[Decided] = field(default_factory=list)
    size_bytes: int = 0
    now_us: int = 0
    seen_us: int = 0
    is_full: bool = False
    """Whether the batch should take no more commands: it has enough bytes, rows or commands."""
    has_refused: bool = False
    """Whether a command is answered with an error."""

    def plan_of(self, row: Row) -> Plan:
        """The row's plan, which is opened for the first command that needs it. The row has to be loaded and not locked.

        ClockInDoubt where nothing may be planned now.
        """
        plan = self.plans.get(row)
        if plan is None:
            assert row.mailbox is not None
            if not self.now_us:
                self.now_us, self.seen_us = self.time.now_us(), self.time.seen_us()
            plan = self.plans[row] = row.mailbox.plan(self.now_us, self.seen_us)
        return plan

    def add(self, command: Command, rows: Sequence[Row], outcome: CommandResult | RowboxError) -> None:
        """Takes in a command, with what its caller will be told once the store has confirmed the batch."""
        self.decided.append((command, rows, outcome))
        self.size_bytes += command.size_bytes
        self.is_full = (
            self.size_bytes >= self.most_bytes
            or len(self.decided) >= self.most_rows
            or len(self.plans) >= self.most_rows
        )

    def clear(self) -> None:
        """Forgets all commands and plans. The caller has them decided anew, or has given them up."""
        self.plans.clear()
        self.decided.clear()
        self.size_bytes, self.is_full, self.has_refused = 0, False, False

    def drop_idle_plans(self) -> None:
        """Forgets the plans that change nothing: their rows have no part in the store call."""
        for row in [row for row, plan in self.plans.items() if plan.changes_nothing]:
            del self.plans[row]

    def fail(self, error: RowboxError) -> None:
        """Answers every command with `error`."""
        self.has_refused = True
        for command, _, _ in self.decided:
            resolve(command, error)


def resolve(command: Command, outcome: CommandResult | BaseException) -> None:
    """Gives `outcome` to a command's caller, unless the caller has left or was told that it took too long."""
    if command.future.done():
        return
    if isinstance(outcome, BaseException):
        command.future.set_exception(outcome)
    else:
        command.future.set_result(outcome)

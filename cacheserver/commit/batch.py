"""A batch: the commands that go to the store in one call, decided, with the plans they made."""

from dataclasses import dataclass, field

from rowbox.cacheserver.cache.commands import Command, CommandResult
from rowbox.cacheserver.cache.row import Row
from rowbox.cacheserver.clocks import Time
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.errors import RowboxError


@dataclass
class Batch:
    """One store call in the making, and then on its way. Nobody learns of it before its end.

    All of it is planned at one reading of the clock, made when the first plan is opened.
    """

    time: Time
    most_rows: int
    most_bytes: int
    plans: dict[Row, Plan] = field(default_factory=dict)
    decided: list[tuple[Command, CommandResult | RowboxError]] = field(default_factory=list)
    size_bytes: int = 0
    now_us: int = 0
    seen_us: int = 0
    is_full: bool = False
    """Whether it should take no more commands: of bytes, rows or commands."""

    def plan_of(self, row: Row) -> Plan:
        """The row's plan, opened if this is the first command that needs it. The row is loaded and idle.

        ClockInDoubt: nothing may be planned now.
        """
        plan = self.plans.get(row)
        if plan is None:
            assert row.mailbox is not None
            if not self.now_us:
                self.now_us, self.seen_us = self.time.now_us(), self.time.seen_us()
            plan = self.plans[row] = row.mailbox.plan(self.now_us, self.seen_us)
        return plan

    def add(self, command: Command, outcome: CommandResult | RowboxError) -> None:
        """Takes a command in, with what it will be answered if the store says yes."""
        self.decided.append((command, outcome))
        self.size_bytes += command.size_bytes
        self.is_full = (
            self.size_bytes >= self.most_bytes
            or len(self.decided) >= self.most_rows
            or len(self.plans) >= self.most_rows
        )

    def clear(self) -> None:
        """Forgets everything: what it held is decided anew, or given up."""
        self.plans.clear()
        self.decided.clear()
        self.size_bytes, self.is_full = 0, False

    def drop_idle_plans(self) -> None:
        """Forgets the plans that change nothing: their rows have no part in the store call."""
        for row in [row for row, plan in self.plans.items() if plan.changes_nothing]:
            del self.plans[row]

    def fail(self, error: RowboxError) -> None:
        """Answers every command with `error`."""
        for command, _ in self.decided:
            resolve(command, error)


def resolve(command: Command, outcome: CommandResult | BaseException) -> None:
    """Gives a command its answer, unless whoever asked has left or was told that it took too long."""
    if command.future.done():
        return
    if isinstance(outcome, BaseException):
        command.future.set_exception(outcome)
    else:
        command.future.set_result(outcome)

"""Faults of the memory store, chosen by the caller: a script of what happens next, or a seeded dice.

Nothing here fails by itself or by time, so a test that finds something finds it again.
"""

from collections import deque
from collections.abc import Mapping
from enum import Enum, auto
from random import Random


class Fault(Enum):
    """What happens to a call. Of a store without late writes only the first two are possible."""

    FAIL_BEFORE = auto()
    """Nothing is executed; StoreUnavailable."""
    BREAK = auto()
    """Nothing is executed; StoreUnusable, for this call and all that follow. Without late writes only."""
    FAIL_AFTER = auto()
    """Executed; StoreOutcomeUnknown."""
    EXECUTE_TWICE = auto()
    """Executed and confirmed; a second time when it lands."""
    EXECUTE_LATE = auto()
    """StoreOutcomeUnknown; executed when it lands."""
    EXECUTE_PARTLY = auto()
    """The first half of the rows (rounded down) is executed, the others when they land; StoreOutcomeUnknown."""


class Op(Enum):
    """Which call a fault is for."""

    MUTATE = auto()
    DELETE = auto()
    COMPARE_AND_SET = auto()
    READ = auto()


WRITES = frozenset({Op.MUTATE, Op.DELETE, Op.COMPARE_AND_SET})
_EMBEDDED = frozenset({Fault.FAIL_BEFORE, Fault.BREAK})


class Faults:
    """Decides the fate of each call: first by the script, in its order; then, if asked to, by dice."""

    def __init__(self, *, late_writes: bool) -> None:
        self._possible = frozenset(Fault) - {Fault.BREAK} if late_writes else _EMBEDDED
        self._script: deque[tuple[Fault, frozenset[Op]]] = deque()
        self._dice: Random | None = None
        self._chances: Mapping[Fault, float] = {}
        self._read_chance = 0.0

    def next(self, fault: Fault, op: Op | None = None) -> None:
        """The next call of `op` (None: the next write) meets `fault`. Asked repeatedly, they queue up."""
        self._check(fault, op)
        self._script.append((fault, WRITES if op is None else frozenset({op})))

    def roll(self, seed: int, chances: Mapping[Fault, float], *, read_chance: float = 0.0) -> None:
        """From now on every write meets each fault with its chance; a read fails with `read_chance`."""
        for fault in chances:
            self._check(fault, None)
        self._dice, self._chances, self._read_chance = Random(seed), chances, read_chance

    def clear(self) -> None:
        """No more faults."""
        self._script.clear()
        self._dice = None

    def take(self, op: Op) -> Fault | None:
        """The fate of the call that begins now."""
        if self._script and op in self._script[0][1]:
            return self._script.popleft()[0]
        if self._dice is None:
            return None
        return self._rolled(op, self._dice.random())

    def _rolled(self, op: Op, number: float) -> Fault | None:
        if op is Op.READ:
            return Fault.FAIL_BEFORE if number < self._read_chance else None
        for fault, chance in self._chances.items():
            if number < chance:
                return fault
            number -= chance
        return None

    def _check(self, fault: Fault, op: Op | None) -> None:
        if fault not in self._possible:
            raise ValueError(f"{fault.name} cannot happen in this kind of store")
        if op is Op.READ and fault is not Fault.FAIL_BEFORE:
            raise ValueError(f"{fault.name} cannot happen to a read")

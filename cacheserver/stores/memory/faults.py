"""Faults of the memory store, which the caller chooses: a script of what happens next, or seeded dice.

No call fails by itself or depending on time, so a test that finds a fault finds it again.
"""

from collections import deque
from collections.abc import Mapping
from enum import Enum, auto
from random import Random


class Fault(Enum):
    """What happens to a call. In a store without late writes only the first two can happen."""

    FAIL_BEFORE = auto()
    """The call is not executed, and raises StoreUnavailable."""
    BREAK = auto()
    """The call is not executed. It and all later calls raise StoreUnusable. For stores without late writes only."""
    FAIL_AFTER = auto()
    """The call is executed, and raises StoreOutcomeUnknown."""
    EXECUTE_TWICE = auto()
    """The call is executed and confirmed. It is executed a second time when it lands (`MemoryStore.land`)."""
    EXECUTE_LATE = auto()
    """The call raises StoreOutcomeUnknown. It is executed when it lands."""
    EXECUTE_PARTLY = auto()
    """The call raises StoreOutcomeUnknown. Half of its rows (rounded down) are executed, the others when they land."""


class Op(Enum):
    """The kind of call that a fault is for."""

    MUTATE = auto()
    DELETE = auto()
    COMPARE_AND_SET = auto()
    READ = auto()


WRITES = frozenset({Op.MUTATE, Op.DELETE, Op.COMPARE_AND_SET})
_EMBEDDED = frozenset({Fault.FAIL_BEFORE, Fault.BREAK})


class Faults:
    """Decides the fault of each call: first by the script, in its order, and then by dice, if `roll` was called."""

    def __init__(self, *, late_writes: bool) -> None:
        self._possible = frozenset(Fault) - {Fault.BREAK} if late_writes else _EMBEDDED
        self._script: deque[tuple[Fault, frozenset[Op]]] = deque()
        self._dice: Random | None = None
        self._chances: Mapping[Fault, float] = {}
        self._read_chance = 0.0

    def next(self, fault: Fault, op: Op | None = None) -> None:
        """Adds to the script: the next call of `op`, by default the next write, meets `fault`. Several queue up."""
        self._check(fault, op)
        self._script.append((fault, WRITES if op is None else frozenset({op})))

    def roll(self, seed: int, chances: Mapping[Fault, float], *, read_chance: float = 0.0) -> None:
        """From now on every write meets each fault with its chance; a read fails with `read_chance`."""
        for fault in chances:
            self._check(fault, None)
        self._dice, self._chances, self._read_chance = Random(seed), chances, read_chance

    def clear(self) -> None:
        """Empties the script and puts the dice away: no call meets a fault."""
        self._script.clear()
        self._dice = None

    def take(self, op: Op) -> Fault | None:
        """The fault of the call that begins now; None for none."""
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

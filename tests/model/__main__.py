"""The large search: ``python -m tests.model [--traces]``. Exit status 1 when a case did not end as it must."""

# ruff: noqa: T201 - a program: what it prints is its result

import gc
import sys
import time
from typing import TypeAlias

from tests.model.cases import LARGE, WEAKENED, Case
from tests.model.cluster import cluster_cases, patience_cases
from tests.model.cluster.cluster_cases import ClusterCase
from tests.model.cluster.patience_cases import PatienceCase
from tests.model.groups import group_cases
from tests.model.groups.group_cases import GroupCase
from tests.model.search import search

LIMIT = 3_000_000
AnyCase: TypeAlias = Case | ClusterCase | PatienceCase | GroupCase


def main() -> int:
    gc.disable()  # states are values that form no cycles: going through millions of them finds nothing
    print(f"{'case':50} {'states':>10} {'seconds':>8}   found", flush=True)
    weakened: list[AnyCase] = [*group_cases.WEAKENED, *patience_cases.WEAKENED, *cluster_cases.WEAKENED, *WEAKENED]
    full: list[AnyCase] = [*group_cases.LARGE, *patience_cases.LARGE, *cluster_cases.LARGE, *LARGE]
    good = [*(run(case, expected=True) for case in weakened), *(run(case, expected=False) for case in full)]
    print(f"{sum(good)} of {len(good)} cases ended as they must")
    return 0 if all(good) else 1


def run(case: AnyCase, *, expected: bool) -> bool:
    """Searches `case` and prints its line; whether a violation was found as `expected`."""
    began = time.monotonic()
    result = search(case.model(), LIMIT, lambda states: print(f"... {states:,} states", end="\r", flush=True))
    found = f"a violation after {len(result.trace)} steps" if result.violation else "nothing"
    print(f"{case.name:50} {result.states:>10,} {time.monotonic() - began:>8.1f}   {found}", flush=True)
    right = (result.violation is not None) == expected
    if result.violation and ("--traces" in sys.argv or not right):
        print(result.story())
    return right


if __name__ == "__main__":
    sys.exit(main())

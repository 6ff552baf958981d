"""Plays seeds, with all rules or with one left out."""

import warnings

import pytest

from tests.simulation.cluster.mutants import Mutant
from tests.simulation.cluster.world import ClusterWorld, quiet_logs


def broken_by(seed: int, *, tells: bool = False) -> str:
    """How a seed breaks a promise; "" where it breaks none."""
    try:
        events = ClusterWorld(seed).run()
    except Exception as error:  # noqa: BLE001 - whatever it is: the seed is named
        return "\n".join([f"seed {seed}: {type(error).__name__}: {error}", *error.__notes__])
    if tells:
        print("\n".join(events))  # noqa: T201 - for `python -m tests.simulation.cluster`
    return ""


def noticed(mutant: Mutant, seeds: range) -> str:
    """By which seed a missing rule is noticed, and by what; "" where by none."""
    with pytest.MonkeyPatch.context() as patch, quiet_logs(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mutant(patch)
        for seed in seeds:
            if text := broken_by(seed):
                return text.partition("\n")[0]
    return ""

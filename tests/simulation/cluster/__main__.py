"""`python -m tests.simulation.cluster --seeds N`: simulates many clusters, in parallel, and prints what replays each
one that broke a promise. Ends with 1 where one did.
"""

# ruff: noqa: T201 - a program: what it prints is its result

import argparse
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.simulation.cluster.mutants import MUTANTS
from tests.simulation.cluster.playing import broken_by, noticed
from tests.simulation.cluster.world import quiet_logs

SEEDS = 20_000
AT_ONCE = 20
"""Seeds that a process plays between two lines of progress."""
MOST_SHOWN = 10


def _play(seeds: range) -> tuple[int, list[str]]:
    warnings.simplefilter("ignore")
    with quiet_logs():
        broken = [text for seed in seeds if (text := broken_by(seed))]
    return len(seeds), broken


def _all(seeds: range, jobs: int) -> Iterator[tuple[int, list[str]]]:
    parts = [seeds[start : start + AT_ONCE] for start in range(0, len(seeds), AT_ONCE)]
    play: Callable[[range], tuple[int, list[str]]] = _play
    if jobs == 1:
        yield from map(play, parts)
    else:
        with ProcessPoolExecutor(jobs) as pool:
            yield from pool.map(play, parts)


def _notice(name: str, seeds: range) -> tuple[str, str, float]:
    began_s = time.process_time()
    (mutant,) = (each for each in MUTANTS if each.__name__ == name)
    return name, noticed(mutant, seeds), time.process_time() - began_s


def _search_mutants(part: str, seeds: range, jobs: int) -> int:
    names = [mutant.__name__ for mutant in MUTANTS if re.search(part, mutant.__name__)]
    unnoticed = 0
    with ProcessPoolExecutor(jobs) as pool:
        for done in as_completed([pool.submit(_notice, name, seeds) for name in names]):
            name, text, seconds = done.result()
            unnoticed += not text
            print(f"{name}: {text or f'not noticed by {len(seeds)} seeds'} ({seconds:.1f} s)", flush=True)
    return int(unnoticed > 0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.cluster", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many (default: {SEEDS})")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: 0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--mutants", nargs="?", const="", help="seeds until each rule that is left out is noticed")
    asked = parser.parse_args()
    if asked.mutants is not None:
        return _search_mutants(asked.mutants, range(asked.first, asked.first + asked.seeds), asked.jobs)
    seeds = range(asked.first, asked.first + asked.seeds)
    if len(seeds) == 1:
        broken = broken_by(seeds[0], tells=True)
        print(broken or "no promise was broken")
        return int(bool(broken))
    began_s, done, broken_seeds = time.monotonic(), 0, 0
    for count, texts in _all(seeds, asked.jobs):
        done += count
        for text in texts[: max(0, MOST_SHOWN - broken_seeds)]:
            print(text, flush=True)
        broken_seeds += len(texts)
        rate = done / (time.monotonic() - began_s)
        print(
            f"{done} of {len(seeds)} seeds, {rate:.1f}/s, {broken_seeds} broke a promise", file=sys.stderr, flush=True
        )
    print(f"{done} seeds, {broken_seeds} broke a promise")
    return int(broken_seeds > 0)


if __name__ == "__main__":
    sys.exit(main())

"""Each rule of a cluster, switched off, is noticed. docs/testing.md has a table of them in which none is missing."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from tests.cluster import mutants as of_the_lease
from tests.cluster import test_lease, test_takeovers
from tests.routing import mutants as of_the_order
from tests.simulation.cluster import mutants
from tests.simulation.cluster.mutants import NOTICED, Mutant
from tests.simulation.cluster.playing import noticed
from tests.simulation.cluster.stories import DIRECTED, OWN, Story
from tests.support.virtual_time import Deadlock

ROOT: Final = Path(__file__).parents[2]
BY_SEEDS: Final = "clusters"
BY_STORY: Final = "a story"
BY_ORDER: Final = "`tests/routing/test_order.py`"
BY_LEASE: Final = "`tests/cluster/test_lease.py`"
BY_RACES: Final = "`tests/cluster/test_takeovers.py`"
KEEP_NO_RULE: Final = {
    "node": "composes the others: what it does by itself is the owner's, or a line of a log",
    "appointment": "makes the Owner and ends it, as the grants say",
    "beat_log": "lines of a log",
    "map_watch": "reads; what it may be told to read is view's rule",
    "redis_hints": "gives and takes hints; what they may do is view's rule",
    "targets": "names of owners and links to them, as the map says",
}
"""Modules of cacheserver/node and cacheserver/routing in which no rule of the table stands, and why."""

_ROW = re.compile(
    r"^\| (?P<rule>[^|]+) \| (?P<modules>[^|]+) \| `(?P<switch>\w+)` \| (?P<noticed>[^|]+) \|$", re.MULTILINE
)


def _rows() -> list[dict[str, str]]:
    text = (ROOT / "docs/testing.md").read_text()
    return [row.groupdict() for row in _ROW.finditer(text)]


def _switches(module: ModuleType) -> Iterator[str]:
    """The functions of a module that switch a rule off: those that take a patch alone."""
    for name, function in vars(module).items():
        if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_"):
            assert list(inspect.signature(function).parameters) == ["patch"], name
            yield name


def _name(part: Any) -> str:
    part = getattr(part, "func", part)
    return str(getattr(part, "__name__", part))


@pytest.mark.parametrize(("mutant", "first"), NOTICED, ids=_name)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_clusters_notice_that_the_rule_is_missing(mutant: Mutant, first: int) -> None:
    """From a seed on that noticed it once: the next ones do as well when a story has changed."""
    assert noticed(mutant, range(first, first + 60)), "60 seeds without a violation"


@pytest.mark.parametrize(("mutant", "story"), DIRECTED, ids=_name)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_story_fails_without_the_rule(mutant: Mutant, story: Story) -> None:
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        with pytest.raises((Exception, pytest.fail.Exception, Deadlock)):
            story()


@pytest.mark.parametrize("story", OWN, ids=_name)
def test_a_story_of_the_cluster(story: Story) -> None:
    story()


def test_the_table_has_every_switch_once() -> None:
    listed = [row["switch"] for row in _rows()]
    known = [name for module in (mutants, of_the_order, of_the_lease) for name in _switches(module)]
    assert sorted(listed) == sorted(set(known) | {mutant.__name__ for mutant, _ in NOTICED})


def test_the_table_says_where_each_is_noticed() -> None:
    by_seeds = {mutant.__name__ for mutant, _ in NOTICED}
    by_story = {mutant.__name__ for mutant, _ in DIRECTED}
    by_order = {mutant.__name__ for mutant in of_the_order.ALL}
    by_lease = {mutant.__name__ for mutant in of_the_lease.MUTANTS} | set(_imported(test_lease))
    noticed_by = {
        BY_SEEDS: by_seeds,
        BY_STORY: by_story,
        BY_ORDER: by_order,
        BY_LEASE: by_lease,
        BY_RACES: set(_imported(test_takeovers)),
    }
    for row in _rows():
        assert row["switch"] in noticed_by[row["noticed"].strip()], row
    assert not by_seeds & by_story, "one of the two is enough"


def _imported(module: ModuleType) -> Iterator[str]:
    return (name for name in _switches(of_the_lease) if name in vars(module))


def test_every_module_of_the_protocol_is_in_the_table_or_keeps_no_rule() -> None:
    named = {name for row in _rows() for name in re.findall(r"`([\w/]+)\.py`", row["modules"])}
    for name in named:
        assert (ROOT / f"cacheserver/{name}.py").is_file(), name
    for folder in ("node", "routing"):
        for module in (ROOT / "cacheserver" / folder).glob("*.py"):
            is_named = f"{folder}/{module.stem}" in named
            assert module.stem == "__init__" or is_named != (module.stem in KEEP_NO_RULE), module

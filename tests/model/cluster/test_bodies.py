"""The bodies of maps: no order of events makes a cell name what is not there, and some order does without any one rule.

The digest is a second wall, behind the keys: as long as the keys are unique it has nothing to find.
"""

import pytest

from tests.model.cluster.bodies import Bodies, BodyBounds, BodyModel, BodyRules
from tests.model.search import search

LIMIT = 50_000
BOUNDS = BodyBounds()
WALL = "digest_is_compared"
KEYS = ("key_names_proposer", "key_names_nonce")


class Misled(BodyModel):
    """The model in which only a reader that takes another map than was meant is a violation."""

    def violation(self, state: Bodies) -> str | None:
        return state.wrong


def test_the_full_rules_hold() -> None:
    result = search(BodyModel(BodyRules(), BOUNDS), LIMIT)
    assert result.violation is None, result.story()


@pytest.mark.parametrize("rule", [rule for rule in BodyRules._fields if rule != WALL])
def test_a_violation_is_found_without(rule: str) -> None:
    assert search(BodyModel(BodyRules()._replace(**{rule: False}), BOUNDS), LIMIT).violation is not None


@pytest.mark.parametrize("rule", KEYS)
def test_where_keys_are_not_unique_the_digest_keeps_readers_from_another_map(rule: str) -> None:
    without = BodyRules()._replace(**{rule: False})
    assert search(Misled(without, BOUNDS), LIMIT).violation is None
    assert search(Misled(without._replace(**{WALL: False}), BOUNDS), LIMIT).violation is not None


def test_a_reader_finds_the_newest_map() -> None:
    class Finds(BodyModel):
        def violation(self, state: Bodies) -> str | None:
            return "found" if state.cell.key[0] == self.bounds.versions and not state.reader else None

    assert search(Finds(BodyRules(), BOUNDS), LIMIT).violation == "found"

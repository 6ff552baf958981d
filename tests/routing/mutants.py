"""The rules of the router's order and of its followings, each switched off: the simulation has to find what they
protect from.

One is not here: that nothing is sent to a new owner while writes are on their way to the old one. It takes three things
in one short moment, and a story of test_router.py has them.
"""

from collections.abc import Callable

import pytest

from rowbox.cacheserver.port import Routed
from rowbox.cacheserver.refused_turns import RefusedTurns
from rowbox.cacheserver.routing import router
from rowbox.cacheserver.routing.followings import Followings, KeptFollowing
from rowbox.cacheserver.routing.refusal import Refusal, Until
from rowbox.cacheserver.routing.router import Router
from rowbox.cacheserver.routing.targets import Route
from rowbox.cacheserver.routing.user_line import UserLine, UserLines, Write

Mutant = Callable[[pytest.MonkeyPatch], None]


def sent_twice_in_one_turn(patch: pytest.MonkeyPatch) -> None:
    """Rule 2 of user_line.py: a refused write is sent again while later ones of its turn are on their way."""
    patch.setattr(UserLine, "lets_through", lambda self, _write, incarnation: incarnation == self.incarnation)


def refused_writes_come_last(patch: pytest.MonkeyPatch) -> None:
    """Rule 1: a write that was refused waits behind those that came after it."""
    line_up = UserLines.line_up

    def behind(self: UserLines, line: UserLine, write: Write) -> None:
        write.number += 1_000_000 if write.refusal is not None else 0
        line_up(self, line, write)

    patch.setattr(UserLines, "line_up", behind)


def who_waits_is_overtaken(patch: pytest.MonkeyPatch) -> None:
    """Rule 1: a write that comes is sent although others wait."""

    def free_route(self: Router, line: UserLine, write: Write) -> Route | None:
        route = self._targets.of(line.user_id)
        return route if route is not None and line.lets_through(write, route.incarnation) else None

    patch.setattr(Router, "_free_route", free_route)


def the_owner_begins_whatever_comes(patch: pytest.MonkeyPatch) -> None:
    """refused_turns.py: what was sent behind a refused write is begun; and the refused one comes behind that (rule 4 of
    user_line.py, which is why the former alone is seen in test_in_turn.py only).
    """
    patch.setattr(RefusedTurns, "admit", lambda *_: None)
    patch.setattr(UserLine, "has_overtaken", lambda *_: False)


def a_turn_never_rises(patch: pytest.MonkeyPatch) -> None:
    """in_turn.py: what comes again after a refusal looks like what was sent before it."""
    patch.setattr(router, "Routed", lambda name, _: Routed(name, 1))


def asked_again_under_one_map(patch: pytest.MonkeyPatch) -> None:
    """refusal.py: who refused by a map is asked again without a newer one."""
    admits = Refusal.admits
    patch.setattr(Refusal, "admits", lambda self, now: admits(self._replace(until=Until.PAUSE), now))


def a_retry_is_a_duplicate(patch: pytest.MonkeyPatch) -> None:
    """router.py: a write that meets its own first try is told for a duplicate."""
    patch.setattr(router, "entropy_of", lambda _: -1)


def a_line_is_never_forgotten(patch: pytest.MonkeyPatch) -> None:
    """user_line.py: the table of lines grows with each user who ever wrote."""
    patch.setattr(UserLines, "done", lambda *_: None)


def a_lost_following_stays_lost(patch: pytest.MonkeyPatch) -> None:
    """followings.py: nobody looks for the next owner."""
    patch.setattr(Followings, "mend", lambda *_: None)


def who_follows_again_is_told_nothing(patch: pytest.MonkeyPatch) -> None:
    """followings.py: what happened between two owners is told by none."""
    patch.setattr(KeptFollowing, "mended", lambda self: setattr(self, "is_to_mend", False))


ALL: list[Mutant] = [
    sent_twice_in_one_turn,
    refused_writes_come_last,
    who_waits_is_overtaken,
    the_owner_begins_whatever_comes,
    a_turn_never_rises,
    asked_again_under_one_map,
    a_retry_is_a_duplicate,
    a_line_is_never_forgotten,
    a_lost_following_stays_lost,
    who_follows_again_is_told_nothing,
]

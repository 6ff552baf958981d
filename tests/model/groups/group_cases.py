"""What is searched of groups: the full rules within several bounds, and each weakened variant where it shows."""

from typing import Any, NamedTuple, TypeAlias

from tests.model.groups.fan_out import FanOutBounds, FanOutModel
from tests.model.groups.front_door import DoorBounds, DoorModel, DoorRules
from tests.model.groups.member import ALL, MemberRules
from tests.model.search import Model

Bounds: TypeAlias = FanOutBounds | DoorBounds
STILL = FanOutBounds(takeovers=0, member_takeovers=0)
SENDS = DoorBounds(("send", "send"), removals=1, returns=1, hours=1)
CHANGES = DoorBounds(("add", "remove"))


class GroupCase(NamedTuple):
    """One search: its rules and its bounds, of either model."""

    name: str
    bounds: Bounds
    rules: MemberRules | DoorRules | None = None

    def model(self) -> Model[Any]:
        if isinstance(self.bounds, FanOutBounds):
            return FanOutModel(self.rules if isinstance(self.rules, MemberRules) else ALL, self.bounds)
        return DoorModel(self.rules if isinstance(self.rules, DoorRules) else DoorRules(), self.bounds)


FULL = (
    GroupCase("group, joins and leavings", STILL),
    GroupCase("group, a message that is not shown", STILL._replace(hidden=1)),
    GroupCase("group, a member who sends", STILL._replace(own_messages=1, messages=1)),
    GroupCase("group, joins that are declined", STILL._replace(declines=1, messages=1)),
    GroupCase("group, writes that execute twice", STILL._replace(repeats=1)),
    GroupCase("group, a takeover of the member's row", STILL._replace(member_takeovers=1, messages=1)),
    GroupCase("group, a takeover of its row", STILL._replace(takeovers=1, messages=1, joins=1)),
    GroupCase("group, requests: sends", SENDS),
    GroupCase("group, requests: members", CHANGES._replace(requests=("add", "remove", "add"))),
    GroupCase("group, requests: both", DoorBounds(("send", "add", "remove"), removals=1, returns=1)),
)
"""The full rules, as the tests search them."""

LARGE = (
    GroupCase("group, takeovers of both rows", STILL._replace(takeovers=1, member_takeovers=1, messages=1, leaves=1)),
    GroupCase("group, a takeover of its row, two messages", STILL._replace(takeovers=1)),
    GroupCase("group, a takeover of the member's row, two messages", STILL._replace(member_takeovers=1)),
    GroupCase("group, declined twice", STILL._replace(declines=2)),
    GroupCase("group, declined, a takeover", STILL._replace(declines=1, member_takeovers=1, messages=1)),
    GroupCase("group, twice, a takeover", STILL._replace(repeats=1, takeovers=1, messages=1)),
    GroupCase("group, three joins", STILL._replace(joins=3, leaves=2, messages=2)),
    GroupCase("group, requests: sends, two hours", SENDS._replace(removals=2, returns=2, hours=2)),
    GroupCase(
        "group, requests: members, an hour", DoorBounds(("add", "remove", "add"), removals=1, returns=1, hours=1)
    ),
)
"""The full rules, as `make model` searches them."""

_MEMBER_BOUNDS = {
    "known_is_skipped": STILL,
    "chain": STILL,
    "join_follows_leaving": STILL,
    "hidden_advances": STILL._replace(hidden=1),
    "declined_again": STILL._replace(declines=1, joins=1),
    "declined_advances": STILL._replace(declines=1, joins=1),
    "member_check_in_plan": STILL._replace(own_messages=1, messages=0),
    "declined_is_this_join": STILL._replace(declines=1),
    "deliver_after_check": STILL._replace(takeovers=1),
    "acknowledge_after_check": STILL._replace(member_takeovers=1),
    "kept_until_acknowledged": STILL,
    "recipients_at_commit": STILL,
}
_DOOR_BOUNDS = {rule: CHANGES if rule == "not_behind" else SENDS for rule in DoorRules._fields}

WEAKENED = (
    *(
        GroupCase(f"group without {name}", bounds, ALL._replace(**{name: False}))
        for name, bounds in _MEMBER_BOUNDS.items()
    ),
    *(
        GroupCase(f"group, requests without {name}", bounds, DoorRules()._replace(**{name: False}))
        for name, bounds in _DOOR_BOUNDS.items()
    ),
)
"""Each rule left out: a violation must be found."""

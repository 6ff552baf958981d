"""What is searched of groups: the full rules within several bounds, and each weakened variant where it shows."""

from typing import Any, NamedTuple, TypeAlias

from rowbox.mailbox.groups import chain, member_row
from rowbox.mailbox.groups.group_row import GroupRow
from tests.model.groups.fan_out import FanOutBounds, FanOutModel
from tests.model.groups.front_door import DoorBounds, DoorModel, DoorRules
from tests.model.groups.member import ALL, MemberRules
from tests.model.mutants import Mutant
from tests.model.search import Model

Bounds: TypeAlias = FanOutBounds | DoorBounds
STILL = FanOutBounds(takeovers=0, member_takeovers=0)
SENDS = DoorBounds(("send", "send"), removals=1, returns=1, hours=1)
CHANGES = DoorBounds(("add", "remove"))


_STILL = "group, joins and leavings"
_HIDDEN = "group, a message that is not shown"
_DECLINED = "group, joins that are declined"
_DECLINED_TWICE = "group, a declined join, and another one"
_SENDS = "group, requests: sends"
_CHANGES = "group, requests: members"


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
    GroupCase(_STILL, STILL),
    GroupCase(_HIDDEN, STILL._replace(hidden=1)),
    GroupCase("group, a member who sends", STILL._replace(own_messages=1, messages=1)),
    GroupCase(_DECLINED, STILL._replace(declines=1, messages=1)),
    GroupCase(_DECLINED_TWICE, STILL._replace(declines=1, messages=0)),
    GroupCase("group, writes that execute twice", STILL._replace(repeats=1)),
    GroupCase("group, a takeover of the member's row", STILL._replace(member_takeovers=1, messages=1)),
    GroupCase("group, a takeover of its row", STILL._replace(takeovers=1, messages=1, joins=1)),
    GroupCase(_SENDS, SENDS),
    GroupCase(_CHANGES, CHANGES._replace(requests=("add", "remove", "add"))),
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
    "member_check_in_plan": STILL._replace(own_messages=1, messages=0),
    "deliver_after_check": STILL._replace(takeovers=1),
    "acknowledge_after_check": STILL._replace(member_takeovers=1),
    "kept_until_acknowledged": STILL,
    "recipients_at_commit": STILL,
}

WEAKENED = (
    *(
        GroupCase(f"group without {name}", bounds, ALL._replace(**{name: False}))
        for name, bounds in _MEMBER_BOUNDS.items()
    ),
    *(
        GroupCase(f"group, requests without {name}", SENDS, DoorRules()._replace(**{name: False}))
        for name in DoorRules._fields
    ),
)
"""Each rule around the rows left out: a violation must be found."""

MUTANTS = (
    Mutant(chain.verdict, "event.version <= place.chain:", "event.version <= place.chain and join is None:", _STILL),
    Mutant(chain.verdict, "event.prev == place.chain", "True", _STILL),
    Mutant(chain.verdict, "place.chain >= join.after", "True", _STILL),
    Mutant(chain.verdict, "place.has_declined and ", "False and ", _DECLINED),
    Mutant(member_row._take, "state.with_chain(part.version,", "state.with_chain(0,", _HIDDEN),
    Mutant(member_row._take_unseen, "chain=part.version)", "chain=0)", _DECLINED),
    Mutant(member_row.place_of, "max(in_state, apart)", "in_state", _DECLINED),
    Mutant(member_row.place_of, "max(in_state, apart)", "apart", _STILL),
    Mutant(GroupRow._member, "joined in (None, member.joined)", "True", _SENDS),
    Mutant(GroupRow.remove_declined, " or member.joined != joined", "", _DECLINED_TWICE),
    Mutant(GroupRow.send, "if record is not None:", "if False:", _SENDS),
    Mutant(GroupRow.send, ">= OLD_AFTER_US", "> 2 * OLD_AFTER_US", _SENDS),
    Mutant(GroupRow.send, "self._chain, recipients", "0, recipients", _STILL),
    Mutant(GroupRow.change, "group.version > new.by.chain", "False", _CHANGES),
    Mutant(GroupRow._left, "former.left if former is not None else 0", "0", _STILL),
    Mutant(GroupRow._change, "one.user_id for one in before.members", "one.user_id for one in group.members", _STILL),
    Mutant(GroupRow._change, "plan, prev = self._plan, self._chain", "plan, prev = self._plan, 0", _STILL),
)
"""A fault in a rule that ships is found by the search of the case that is named: it calls the rule, and no copy."""

"""What is searched of groups: the full rules within several bounds, and each weakened variant where it shows."""

from typing import Any, NamedTuple, TypeAlias

from rowbox.mailbox.aggregate import changes
from rowbox.mailbox.groups import chain, copies, done_already, joining, member_row, message_row, resuming
from rowbox.mailbox.groups.group_messages import GroupMessages
from rowbox.mailbox.groups.group_row import GroupRow
from rowbox.mailbox.groups.group_standing import GroupStanding
from tests.model.groups.fan_out import FanOutBounds, FanOutModel
from tests.model.groups.front_door import DoorBounds, DoorModel, DoorRules
from tests.model.groups.member import ALL, MemberRules
from tests.model.mutants import Mutant
from tests.model.search import Model

Bounds: TypeAlias = FanOutBounds | DoorBounds
STILL = FanOutBounds(takeovers=0, member_takeovers=0)
STAYING = STILL._replace(messages=1, joins=1, leaves=0)
GIVEN = STILL._replace(messages=1, joins=1, leaves=0, opens=1)
PUT_BACK = STILL._replace(joins=1, leaves=0, put_backs=1)
SENDS = DoorBounds(("send", "send"), removals=1, returns=1, whiles=1)
CHANGES = DoorBounds(("add", "remove"))
RETURNS = DoorBounds(("edit", "edit"), removals=1, returns=1)


_STILL = "group, joins and leavings"
_HIDDEN = "group, a message that is not shown"
_DECLINED = "group, joins that are declined"
_DECLINED_TWICE = "group, a declined join, and another one"
_EDITS = "group, a message that is edited"
_UNSENDS = "group, a message that is taken back"
_REACTIONS = "group, a message to which somebody reacts"
_ALL_CHANGES = "group, a reaction, an edit, taken back"
_HIDDEN_CHANGES = "group, a change of a message that is not shown"
_SENDS = "group, requests: sends"
_CHANGES = "group, requests: members"
_TEXTS = "group, requests: edits"
_TAKEN_BACK = "group, requests: an edit, and taking back"
_REACTS = "group, requests: reactions"
_RETURNS = "group, requests: edits of who returns"
_REACTS_AGAIN = "group, requests: reactions of who returns"
_PUT_BACK = "group, the member's row is put back"
_PUT_BACK_LEFT = "group, the member's row is put back, a leaving"
_PUT_BACK_EDITED = "group, the member's row is put back, an edit"
_GROUP_PUT_BACK = "group, its row is put back"
_GROUP_PUT_BACK_LEFT = "group, its row is put back, joins and leavings"
_GIVEN_AGAIN = "group, what was written before, in again"
_GIVEN_CLOSED = "group, what was written before, and the setting changes"
_GIVEN_EDITED = "group, what was written before, edited"
_GIVEN_UNSENT = "group, what was written before, edited and taken back"
_GIVEN_REACTIONS = "group, what was written before, a reaction, taken back"
_GIVEN_GROUP_PUT_BACK = "group, what was written before, its row is put back"


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
    GroupCase(_EDITS, STILL._replace(messages=1, edits=2)),
    GroupCase(_UNSENDS, STILL._replace(messages=1, edits=1, unsends=2, joins=1)),
    GroupCase(_REACTIONS, STILL._replace(messages=1, reactions=2, joins=1)),
    GroupCase(
        "group, a reaction, an edit, taken back",
        STILL._replace(messages=1, joins=1, leaves=0, edits=1, unsends=1, reactions=1),
    ),
    GroupCase(_HIDDEN_CHANGES, STILL._replace(messages=1, hidden=1, edits=1, joins=1)),
    GroupCase(
        "group, a change, a takeover of the member's row",
        STILL._replace(member_takeovers=1, messages=1, edits=1, joins=1),
    ),
    GroupCase(
        "group, a change, a takeover of its row", STILL._replace(takeovers=1, messages=1, edits=1, joins=1, leaves=0)
    ),
    GroupCase(_PUT_BACK, PUT_BACK),
    GroupCase(_PUT_BACK_LEFT, PUT_BACK._replace(messages=1, leaves=1)),
    GroupCase(_PUT_BACK_EDITED, PUT_BACK._replace(messages=1, edits=1)),
    GroupCase(
        "group, the member's row is put back, joins and leavings", PUT_BACK._replace(messages=0, joins=2, leaves=1)
    ),
    GroupCase(_GROUP_PUT_BACK, STILL._replace(joins=1, leaves=0, group_put_backs=1)),
    GroupCase(_GROUP_PUT_BACK_LEFT, STILL._replace(messages=1, group_put_backs=1)),
    GroupCase("group, both rows are put back", PUT_BACK._replace(group_put_backs=1)),
    GroupCase(_GIVEN_AGAIN, GIVEN._replace(joins=2, leaves=1)),
    GroupCase(_GIVEN_CLOSED, GIVEN._replace(opens=2, closes=1)),
    GroupCase(_GIVEN_EDITED, GIVEN._replace(edits=2)),
    GroupCase(_GIVEN_UNSENT, GIVEN._replace(edits=1, unsends=1)),
    GroupCase(_GIVEN_REACTIONS, GIVEN._replace(reactions=1, unsends=1)),
    GroupCase("group, what was written before, a declined join", GIVEN._replace(declines=1)),
    GroupCase("group, what was written before, a takeover of its row", GIVEN._replace(takeovers=1)),
    GroupCase("group, what was written before, a takeover of the member's row", GIVEN._replace(member_takeovers=1)),
    GroupCase("group, what was written before, the member's row is put back", GIVEN._replace(put_backs=1)),
    GroupCase(_GIVEN_GROUP_PUT_BACK, GIVEN._replace(joins=2, group_put_backs=1)),
    GroupCase(_SENDS, SENDS),
    GroupCase(_CHANGES, CHANGES._replace(requests=("add", "remove", "add"))),
    GroupCase(_TEXTS, DoorBounds(("edit", "edit", "edit"))),
    GroupCase(_RETURNS, RETURNS),
    GroupCase(_REACTS_AGAIN, DoorBounds(("react", "take back"), removals=1, returns=1)),
    GroupCase(_TAKEN_BACK, DoorBounds(("edit", "unsend"), removals=1, unsends=1)),
    GroupCase(_REACTS, DoorBounds(("react", "react", "take back"))),
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
    GroupCase("group, the member's row is put back, two joins", PUT_BACK._replace(messages=1, joins=2, leaves=1)),
    GroupCase("group, the member's row is put back, two messages, a leaving", PUT_BACK._replace(leaves=1)),
    GroupCase("group, the member's row is put back, taken back", PUT_BACK._replace(messages=1, edits=1, unsends=1)),
    GroupCase("group, the member's row is put back, reactions", PUT_BACK._replace(messages=1, reactions=2)),
    GroupCase("group, what was written before, three joins", GIVEN._replace(messages=2, joins=3, leaves=2)),
    GroupCase(
        "group, what was written before, the member's row is put back, a leaving", GIVEN._replace(put_backs=1, leaves=1)
    ),
    GroupCase(
        "group, what was written before, takeovers of both rows",
        GIVEN._replace(takeovers=1, member_takeovers=1, edits=1),
    ),
    GroupCase("group, requests: sends, two whiles", SENDS._replace(removals=2, returns=2, whiles=2)),
    GroupCase(
        "group, requests: members, a while", DoorBounds(("add", "remove", "add"), removals=1, returns=1, whiles=1)
    ),
)
"""The full rules, as `make model` searches them."""

_MEMBER_BOUNDS = {
    "member_check_in_plan": STILL._replace(own_messages=1, messages=0),
    "deliver_after_check": STILL._replace(takeovers=1),
    "acknowledge_after_check": STILL._replace(member_takeovers=1),
    "kept_until_acknowledged": STILL,
    "recipients_at_commit": STILL,
    "resumes": PUT_BACK,
}
_DOOR_BOUNDS = {
    "known_first": SENDS,
    "kept_for_the_sender": SENDS,
    "kept_a_while": SENDS,
    "own_copy_first": SENDS,
    "own_copy_counts": RETURNS,
}

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
"""Each rule around the rows left out: a violation must be found."""

MUTANTS = (
    Mutant(chain.verdict, "event.version <= place.chain:", "event.version <= place.chain and join is None:", _STILL),
    Mutant(chain.verdict, "event.prev <= place.chain", "True", _STILL),
    Mutant(chain.verdict, "event.prev <= place.chain", "event.prev == place.chain", _GROUP_PUT_BACK),
    Mutant(joining.given_since, "max(group.history_since, after + 1)", "1", _GIVEN_CLOSED),
    Mutant(joining.given_since, "group.history_since and ", "", _GIVEN_CLOSED),
    Mutant(joining.history_since, "before.history_since or version", "1", _GIVEN_CLOSED),
    Mutant(copies.add_copied, "copy.message_id <= state.last_message_id", "False", _GIVEN_GROUP_PUT_BACK),
    Mutant(joining.with_earlier, "part.prev)", "part.prev - 1)", _GIVEN_AGAIN),
    Mutant(GroupRow._change, "history_since=since", "history_since=0", _GIVEN_AGAIN),
    Mutant(member_row.take_event, "if plan.user_id in part.joins:", "if False:", _GIVEN_AGAIN),
    Mutant(member_row._has_it, "<= held.change.version", "== held.change.version", _GIVEN_EDITED),
    Mutant(member_row._has_it, "<= held.change.version", "== held.change.version", _GIVEN_UNSENT),
    Mutant(member_row._has_it, "held.is_unsent or ", "", _GIVEN_REACTIONS),
    Mutant(resuming.take_resumption, "if part.version <= chain:", "if False:", _PUT_BACK),
    Mutant(copies.add_copied, "copy.message_id <= state.last_message_id", "True", _PUT_BACK),
    Mutant(resuming.resumption, "if prev < former.left:", "if False:", _PUT_BACK_LEFT),
    Mutant(resuming.resumption, "GroupPart(prev, 0,", "GroupPart(prev + 1, 0,", _PUT_BACK),
    Mutant(chain.verdict, "place.chain >= join.after", "True", _STILL),
    Mutant(chain.verdict, "place.has_declined and ", "False and ", _DECLINED),
    Mutant(member_row._take, "state.with_chain(part.version,", "state.with_chain(0,", _HIDDEN),
    Mutant(member_row._take_unseen, "chain=part.version)", "chain=0)", _DECLINED),
    Mutant(member_row.place_of, "max(in_state, apart)", "in_state", _DECLINED),
    Mutant(member_row.place_of, "max(in_state, apart)", "apart", _STILL),
    Mutant(GroupStanding._member, "joined in (None, member.joined)", "True", _SENDS),
    Mutant(GroupRow.remove_declined, " or member.joined != joined", "", _DECLINED_TWICE),
    Mutant(GroupRow.send, "if record is not None:", "if False:", _SENDS),
    Mutant(GroupRow.send, ">= OLD_AFTER_US", "> 2 * OLD_AFTER_US", _SENDS),
    Mutant(GroupRow.send, "self._chain, names_of(group)", "0, names_of(group)", _STILL),
    Mutant(GroupRow.change, "group.version > new.by.chain", "False", _CHANGES),
    Mutant(GroupStanding._left, "former.left if former is not None else 0", "0", _STILL),
    Mutant(GroupRow._change, "one.user_id for one in before.members", "one.user_id for one in group.members", _STILL),
    Mutant(GroupRow._change, "plan, prev = self._plan, self._chain", "plan, prev = self._plan, 0", _STILL),
    Mutant(member_row.take_event, "message.change is not None or part.reactions is not None", "False", _EDITS),
    Mutant(member_row._take_change, "return _take_unseen(", "return 0 and _take_unseen(", _EDITS),
    Mutant(member_row._take_change, "state = state.with_chain(part.version, version, epoch)", "pass", _EDITS),
    Mutant(member_row._take_change, "() if message.change.is_unsent else held.tallies", "()", _ALL_CHANGES),
    Mutant(member_row._take_change, "() if message.change.is_unsent else held.tallies", "held.tallies", _ALL_CHANGES),
    Mutant(member_row._take_change, "content=held.content, change=held.change)", "content='')", _ALL_CHANGES),
    Mutant(GroupMessages._changed, "after = after.with_chain(version, version, epoch)", "pass", _EDITS),
    Mutant(GroupMessages.change_message, "self._chain, names_of(group)", "0, names_of(group)", _EDITS),
    Mutant(GroupMessages.change_message, "names_of(group)", "()", _EDITS),
    Mutant(GroupMessages.react, "names_of(group)", "()", _REACTIONS),
    Mutant(GroupMessages._asking, "new.by.joined", "None", _RETURNS),
    Mutant(GroupMessages._asking, "new.by.joined", "None", _REACTS_AGAIN),
    Mutant(GroupMessages._asking, "if version is None", "if True", _RETURNS),
    Mutant(GroupMessages._asking, "if version is None", "if True", _REACTS_AGAIN),
    Mutant(GroupMessages._asking, "if version is None", "if True", _TAKEN_BACK),
    Mutant(done_already.done_before, "if is_so and", "if", _RETURNS),
    Mutant(done_already.done_before, "asked.emoji == (", "'' == (", _REACTS_AGAIN),
    Mutant(done_already.has_text, "return held.is_unsent", "return False", _TAKEN_BACK),
    Mutant(done_already.has_text, "return not held.is_unsent and ", "return False and ", _RETURNS),
    Mutant(done_already.has_text, "== (user_id, content)", "[0] == user_id", _RETURNS),
    Mutant(done_already.shows_reaction, "return emoji ==", "return '' ==", _REACTS_AGAIN),
    Mutant(message_row.is_change_due, "due = not held.is_unsent", "due = True", _UNSENDS),
    Mutant(changes.is_reaction_due, "if held.is_unsent:", "if False:", _ALL_CHANGES),
    Mutant(message_row.is_change_due, "if due:", "if False:", _TEXTS),
    Mutant(message_row.is_change_due, "held.change.version if held.change is not None else 0", "0", _TEXTS),
    Mutant(message_row.is_member_reaction_due, "known.version if known is not None else 0", "0", _REACTS),
)
"""A fault in a rule that ships is found by the search of the case that is named: it calls the rule, and no copy."""

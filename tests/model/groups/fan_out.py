"""The model of a group's row and of one member's row: what one commits, the other takes, over takeovers of both.

Each row has two owners in turn. The first may lose its lease at any moment, whatever it has under way; then the second
claims the row: what the first still writes is written and does not count (rows/ searches that), and a yes that comes
for it means nothing. That is why each owner looks at its lease after a write, and before it says anything.

Steps, in every order:

- an owner of G plans an event: a message of somebody, or of the member himself; the member's join or leaving. The write
  executes at any later time, and once more if `repeats` allow it
- what was committed is in `o`, too, until the member's row has acknowledged it. G's owner sends it. What was sent stays
  on its way for ever: it arrives at any time, any number of times, in any order
- an owner of the member's row takes what arrives, in one mutation, and answers. That it has declined a join stays on
  its way for ever, too. An acknowledgement is heard at once or never: it stays true, so that one which comes late says
  what the next one says
- messages are edited, taken back and reacted to: more events, each of which the group's row may refuse
- whoever joins is given what was written before, from the moment at which that becomes so. It is read when the join is
  sent, so it may be newer than the join

Checked after every step: the member's row shows exactly the messages that the group's log has between his joins and
leavings, up to the row's chain, and those that he was given, each as the changes made it that were made while he was
in, and never goes back; nothing left `o` that the
row does not have; nobody's message is in the log who was not in, and no change of what was taken back. And from every
state the row comes to have all, once nothing fails any more: `heals`.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from tests.model.groups import shipped
from tests.model.groups.copies import Copy
from tests.model.groups.member import MemberRules, expected, goes_back, is_as_new, is_recipient, part_of
from tests.model.groups.shipped import Answer, Event, Kind, Log, MemberRow, Plan, joined, resume, take

OWNERS = ("1", "2")


class FanOutBounds(NamedTuple):
    """How often each thing may happen."""

    messages: int = 2
    own_messages: int = 0
    """... that the member sends himself."""
    joins: int = 2
    leaves: int = 1
    hidden: int = 0
    declines: int = 0
    takeovers: int = 1
    """... of G."""
    member_takeovers: int = 1
    repeats: int = 0
    """Writes of G that execute a second time."""
    edits: int = 0
    unsends: int = 0
    reactions: int = 0
    opens: int = 0
    """How often it becomes so that who joins is given what was written since."""
    closes: int = 0
    """... and that he is not."""
    put_backs: int = 0
    """How often the member's row is put back to an older state."""
    group_put_backs: int = 0
    """... and the group's row."""


class GroupOwner(NamedTuple):
    """What one owner of G has in memory: the log, and which events are to be delivered. `planned`: what it writes."""

    log: Log
    due: frozenset[int]
    planned: Event | None = None
    executed: bool = False


class MemberOwner(NamedTuple):
    """What one owner of the member's row has in memory. `then`: the row that it writes, because of `event`."""

    row: MemberRow
    event: Event | None = None
    then: MemberRow | None = None
    answer: Answer = "known"
    executed: bool = False


class FanOut(NamedTuple):
    """All that exists at one moment. `log`, `due`, `row`: what the two stored rows hold, as far as it counts."""

    left: FanOutBounds
    log: Log = ()
    due: frozenset[int] = frozenset()
    row: MemberRow = MemberRow()
    epoch: int = 1
    member_epoch: int = 1
    group: tuple[GroupOwner | None, GroupOwner | None] = (GroupOwner((), frozenset()), None)
    member: tuple[MemberOwner | None, MemberOwner | None] = (MemberOwner(MemberRow()), None)
    accepted: int = 0
    """Messages of the member that were accepted while he was in, and are not planned yet."""
    net: frozenset[Event] = frozenset()
    says_declined: frozenset[int] = frozenset()
    """Versions of joins, of which the member's row has answered that it declines them."""
    declined: frozenset[int] = frozenset()
    """The joins that the stored row has declined."""
    again: frozenset[int] = frozenset()
    """Events whose write may execute once more."""
    gaps: frozenset[int] = frozenset()
    """Events that the member's row has answered to be gaps."""
    earlier: frozenset[MemberRow] = frozenset()
    """The states to which the member's row may be put back."""
    earlier_logs: frozenset[tuple[Log, frozenset[int]]] = frozenset()
    """... and the group's row: a log, and what was in its `o`."""
    excused: int = 0
    """What the member's row shows of events up to this version may be less than it should: a row was put back."""
    is_cut: bool = False
    """Whether the group's row was put back."""
    differs: bool = False
    """... and who is in by it, and who by the member's row, may differ until that is changed again."""
    wrong: str | None = None


Step: TypeAlias = tuple[str, FanOut]


class FanOutModel:
    """The model under `rules`, within `bounds`."""

    def __init__(self, rules: MemberRules, bounds: FanOutBounds) -> None:
        self.rules, self.bounds = rules, bounds

    def initial(self) -> FanOut:
        return FanOut(self.bounds)

    def violation(self, state: FanOut) -> str | None:
        shows, should = state.row.messages, expected(state.log, state.row, state.declined)
        if state.wrong is not None:
            return state.wrong
        if not self._is_right(state, state.row, should):
            return f"the row shows {shows} at chain {state.row.chain}, and the log has {should}"
        for event in state.log:
            wrong = self._wrong(state, event)
            if wrong is not None:
                return wrong
        in_doubt = joined(state.log)
        has_declined = state.row.membership == "declined" and state.row.chain == in_doubt
        if in_doubt and has_declined and in_doubt not in state.due:
            return f"the row has declined {in_doubt}, and G is never told"
        return self.heals(state)

    def _wrong(self, state: FanOut, event: Event) -> str | None:
        """What is wrong with one event of the log."""
        before = state.log[: state.log.index(event)]
        if event.by_member and not event.of and not joined(before):
            return f"{event} is of somebody who was not in"
        if event.of and any((one.of, one.kind) == (event.of, "unsend") for one in before):
            return f"{event} changes what was taken back"
        if event.declines and joined(before) != event.declines:
            return f"{event} removes who joined at {joined(before)}, because he had declined {event.declines}"
        if is_recipient(state.log, event) != event.to_member:
            return f"{event} goes to whom it should not, or does not go to whom it should"
        is_missing = event.to_member and event.version not in state.due and state.row.chain < event.version
        if is_missing and event.version > state.excused:
            return f"{event} is in `o` no more, and the row's chain is {state.row.chain}"
        return None

    def heals(self, state: FanOut) -> str | None:
        """What is wrong once all that is in `o` was sent in its order, and nothing failed."""
        row = state.row
        for event in state.log:
            if event.version in state.due:
                said = event._replace(as_of=state.log) if event.given_since else event
                row, answer = take(row, said)
                if answer == "gap" and self.rules.resumes and state.excused:
                    row, _ = resume(row, event.prev, state.log)
                    row, answer = take(row, said)
                if answer == "gap":
                    return f"{event} is a gap to the row for ever, whose chain is {row.chain}"
        shows, should = row.messages, expected(state.log, row, state.declined)
        if not state.excused:
            return None if shows == should else f"in the end the row shows {shows}, and the log has {should}"
        return self._healed(state, row, should)

    def _healed(self, state: FanOut, row: MemberRow, should: tuple[Copy, ...]) -> str | None:
        """What is wrong in the end where a row was put back. `should`: what the log has for the member."""
        if not self._is_right(state, row, should):
            return f"in the end the row shows {row.messages}, and the log has {should}"
        since = joined(state.log)
        joins = [event for event in state.log if event.kind == "join"]
        was_in = joins[-1].version if joins else 0
        if joins and joins[-1].given_since and not state.is_cut:
            was_in = joins[-1].given_since - 1
        newest = [event.version for event in state.log if event.version in state.due]
        if state.differs or not newest or newest[-1] <= state.excused:
            return None  # nothing has come that would tell the member's row that it lacks something
        if (row.membership == "in") != (since > 0):
            return f"in the end the row says {row.membership}, and he is in by {since}"
        lacks = {copy.version for copy in should if copy.version > was_in} - {one.version for one in row.messages}
        return f"in the end the row lacks {lacks}, which came after the join {was_in}" if lacks else None

    def _is_right(self, state: FanOut, row: MemberRow, should: tuple[Copy, ...]) -> bool:
        """Whether the row shows what it should, as far as no row was put back."""
        since = state.excused
        if state.differs:
            agreed = [
                event.version for event in state.log if event.is_of_members and since < event.version <= row.chain
            ]
            if not agreed:
                return True
            since = agreed[0]
        if not since and self.bounds.opens:
            given = part_of(state.log, row, state.declined).given
            return len(row.messages) == len(should) and all(
                shown == wanted or (wanted.version in given and is_as_new(shown, wanted))
                for shown, wanted in zip(row.messages, should, strict=True)
            )
        return is_shown(row.messages, should, since)

    def successors(self, state: FanOut) -> Iterator[Step]:
        for me, owner in enumerate(state.group):
            if owner is not None:
                yield from self._plans(state, me, owner)
                yield from self._writes(state, me, owner)
                yield from self._sends(state, me, owner)
                yield from self._removes(state, me, owner)
                yield from self._resumes(state, me, owner)
                yield from self._gives(state, me, owner)
        for me, receiver in enumerate(state.member):
            if receiver is not None:
                yield from self._takes(state, me, receiver)
                yield from self._stores(state, me, receiver)
        yield from self._repeats(state)
        yield from self._takeovers(state)
        yield from self._put_backs(state)

    # ---- the group ---------------------------------------------------------------------------------------------------

    def _plans(self, state: FanOut, me: int, owner: GroupOwner) -> Iterator[Step]:
        is_in, budget = joined(owner.log) > 0, state.left
        if budget.own_messages and is_in and not self.rules.member_check_in_plan:
            fewer = budget._replace(own_messages=budget.own_messages - 1)
            yield "the member's send is accepted", state._replace(left=fewer, accepted=state.accepted + 1)
        if owner.planned is not None:
            return
        if state.accepted:
            yield from self._unchecked(state._replace(accepted=state.accepted - 1), me)
        if budget.messages:
            fewer = budget._replace(messages=budget.messages - 1)
            yield from self._planned(state._replace(left=fewer), me, Plan("message"))
            if budget.hidden:
                hidden = fewer._replace(hidden=budget.hidden - 1)
                yield from self._planned(state._replace(left=hidden), me, Plan("message", hidden=True))
        if budget.own_messages and self.rules.member_check_in_plan:
            fewer = budget._replace(own_messages=budget.own_messages - 1)
            yield from self._planned(state._replace(left=fewer), me, Plan("message", by_member=True))
        if budget.joins and not is_in:
            fewer = budget._replace(joins=budget.joins - 1)
            yield from self._planned(state._replace(left=fewer), me, Plan("join"))
        if budget.leaves and is_in:
            fewer = budget._replace(leaves=budget.leaves - 1)
            yield from self._planned(state._replace(left=fewer), me, Plan("leave"))
        yield from self._changes(state, me, owner)
        if budget.opens:
            opened = state._replace(left=budget._replace(opens=budget.opens - 1))
            yield from self._planned(opened, me, Plan("open"))
        if budget.closes:
            closed = state._replace(left=budget._replace(closes=budget.closes - 1))
            yield from self._planned(closed, me, Plan("close"))

    def _changes(self, state: FanOut, me: int, owner: GroupOwner) -> Iterator[Step]:
        """What is done to messages: by their author what he may, by Ann all else."""
        budget = state.left
        fewer: dict[Kind, FanOutBounds] = {}
        if budget.edits:
            fewer["edit"] = budget._replace(edits=budget.edits - 1)
        if budget.unsends:
            fewer["unsend"] = budget._replace(unsends=budget.unsends - 1)
        if budget.reactions:
            fewer["reaction"] = budget._replace(reactions=budget.reactions - 1)
        for message in owner.log:
            for kind, left in fewer.items() if message.kind == "message" else ():
                plan = Plan(kind, by_member=message.by_member, of=message.version)
                yield from self._planned(state._replace(left=left), me, plan)

    def _planned(self, state: FanOut, me: int, plan: Plan) -> Iterator[Step]:
        """What the group's row makes of a plan, where it does not refuse it."""
        owner = state.group[me]
        assert owner is not None
        event = shipped.planned(owner.log, plan, me + 1, state.excused + 1 if state.is_cut else 0)
        if event is not None:
            planned = _put(state.group, me, owner._replace(planned=event, executed=False))
            yield f"G{OWNERS[me]} plans {event}", state._replace(group=planned)

    def _unchecked(self, state: FanOut, me: int) -> Iterator[Step]:
        """A message of the member that was accepted, whoever is in now."""
        owner = state.group[me]
        assert owner is not None
        prev = owner.log[-1].version if owner.log else 0
        to_member = joined(owner.log) > 0
        event = Event(prev + 1, "message", prev, by_member=True, epoch=me + 1, to_member=to_member)
        planned = _put(state.group, me, owner._replace(planned=event, executed=False))
        yield f"G{OWNERS[me]} plans {event}, unchecked", state._replace(group=planned)

    def _writes(self, state: FanOut, me: int, owner: GroupOwner) -> Iterator[Step]:
        event, name = owner.planned, f"G{OWNERS[me]}"
        if event is None:
            return
        if not owner.executed:
            done = state._replace(group=_put(state.group, me, owner._replace(executed=True)))
            if state.epoch == event.epoch:
                done = done._replace(log=(*state.log, event))
                if state.left.group_put_backs:
                    done = done._replace(earlier_logs=state.earlier_logs | {(state.log, state.due)})
                if event.to_member:
                    done = done._replace(due=state.due | {event.version})
                    done = done._replace(again=state.again | {event.version} if state.left.repeats else state.again)
            yield f"the write of {event} by {name} executes", done
        elif state.epoch == me + 1 or not self.rules.deliver_after_check:
            log = (*owner.log, event)
            due = owner.due | {event.version} if event.to_member else owner.due
            applied = state._replace(group=_put(state.group, me, GroupOwner(log, due)))
            yield f"{name} hears of {event}", self._sent(applied, me)
        else:
            yield f"{name} hears of {event} too late", state._replace(group=_put(state.group, me, None))

    def _sent(self, state: FanOut, me: int) -> FanOut:
        """What is due is on its way."""
        owner = state.group[me]
        if owner is None or not self.rules.recipients_at_commit:
            return state
        due = [event for event in owner.log if event.version in owner.due and not event.given_since]
        sent = state._replace(net=state.net.union(due))
        if not self.rules.kept_until_acknowledged:
            sent = sent._replace(group=_put(state.group, me, owner._replace(due=frozenset())), due=frozenset())
        return sent

    def _sends(self, state: FanOut, me: int, owner: GroupOwner) -> Iterator[Step]:
        """Where recipients are looked up when an event is sent, that is a step of its own."""
        if self.rules.recipients_at_commit:
            return
        for event in owner.log:
            if event.version in owner.due and (event.is_of_members or joined(owner.log)):
                if event not in state.net:
                    yield f"G{OWNERS[me]} sends {event}", state._replace(net=state.net | {event})
            elif event.version in owner.due:
                yield f"G{OWNERS[me]} has nobody to send {event} to", self._done(state, me, event.version)

    def _done(self, state: FanOut, me: int, version: int) -> FanOut:
        owner = state.group[me]
        if owner is None or version not in owner.due:
            return state
        group = _put(state.group, me, owner._replace(due=owner.due - {version}))
        return state._replace(group=group, due=state.due - {version})

    def _removes(self, state: FanOut, me: int, owner: GroupOwner) -> Iterator[Step]:
        """The member's row has declined a join: G removes him, and only then is done with that join."""
        for version in state.says_declined & owner.due:
            if shipped.planned(owner.log, Plan("leave", declines=version), me + 1) is None:
                yield f"G{OWNERS[me]} is done with the declined join {version}", self._done(state, me, version)
            elif owner.planned is None:
                for label, planned in self._planned(state, me, Plan("leave", declines=version)):
                    yield f"{label}, because of a declined join", planned

    def _resumes(self, state: FanOut, me: int, owner: GroupOwner) -> Iterator[Step]:
        """The first event that is still to be delivered is a gap to the member's row: that is told how things stand."""
        if owner.due and min(owner.due) in state.gaps and self.rules.resumes:
            (first,) = (event for event in owner.log if event.version == min(owner.due))
            said = Event(first.prev, "resumption", 0, epoch=me + 1, as_of=owner.log)
            if said not in state.net:
                yield f"G{OWNERS[me]} says how things stood at {first.prev}", state._replace(net=state.net | {said})

    def _gives(self, state: FanOut, me: int, owner: GroupOwner) -> Iterator[Step]:
        """A join is sent with what the member is given, as that is in the group's row when it is read."""
        for event in owner.log:
            said = event._replace(as_of=owner.log)
            if event.version in owner.due and event.given_since and said not in state.net:
                yield f"G{OWNERS[me]} sends {event} as of {_version(owner.log)}", state._replace(net=state.net | {said})

    def _repeats(self, state: FanOut) -> Iterator[Step]:
        for version in state.again if state.left.repeats else ():
            fewer = state.left._replace(repeats=state.left.repeats - 1)
            due = state.due | {version}
            yield f"the write of {version} executes once more", state._replace(due=due, again=frozenset(), left=fewer)

    # ---- the member's row --------------------------------------------------------------------------------------------

    def _takes(self, state: FanOut, me: int, owner: MemberOwner) -> Iterator[Step]:
        if owner.then is not None:
            return
        name = f"M{OWNERS[me]}"
        for event in state.net:
            choices = (False, True) if event.kind == "join" and state.left.declines else (False,)
            for declines in choices:
                row, answer = self._made(owner.row, event, declines=declines)
                if row == owner.row:
                    if state.member_epoch == me + 1:  # an answer is given by who still is the owner
                        for label, heard in self._answered(state, event, answer):
                            if heard != state:
                                yield f"{name} answers {event}: {label}", heard
                    continue
                budget = state.left._replace(declines=state.left.declines - declines)
                taking = owner._replace(event=event, then=row, answer=answer, executed=False)
                sent = state._replace(member=_put(state.member, me, taking), left=budget)
                yield f"{name} writes what {event} makes: {answer}", sent
                if not self.rules.acknowledge_after_check:
                    for label, heard in self._answered(sent, event, answer):
                        yield f"{name} writes what {event} makes, answers at once: {label}", heard

    def _made(self, row: MemberRow, event: Event, *, declines: bool) -> tuple[MemberRow, Answer]:
        if event.kind == "resumption":
            return resume(row, event.version, event.as_of)
        return take(row, event, declines)

    def _answered(self, state: FanOut, event: Event, answer: Answer) -> Iterator[Step]:
        if event.kind == "resumption":
            yield f"{answer}, unheard", state
            return
        if answer == "gap" and self.bounds.put_backs:
            yield "gap", state._replace(gaps=state.gaps | {event.version})
            return
        if answer == "declined":
            yield answer, state._replace(says_declined=state.says_declined | {event.version})
            return
        yield f"{answer}, unheard", state
        for me in range(len(OWNERS)):
            if answer != "gap" and state.group[me] is not None:
                yield f"{answer}, G{OWNERS[me]} hears it", self._done(state, me, event.version)

    def _stores(self, state: FanOut, me: int, owner: MemberOwner) -> Iterator[Step]:
        if owner.then is None or owner.event is None:
            return
        name, event = f"M{OWNERS[me]}", owner.event
        if not owner.executed:
            done = state._replace(member=_put(state.member, me, owner._replace(executed=True)))
            if state.member_epoch == me + 1:
                done = done._replace(row=owner.then, wrong=goes_back(state.row, owner.then))
                if state.left.put_backs:
                    done = done._replace(earlier=state.earlier | {state.row})
                if owner.answer == "declined":
                    done = done._replace(declined=state.declined | {event.version})
            yield f"the write of {name} for {event} executes", done
        elif state.member_epoch == me + 1:
            applied = state._replace(member=_put(state.member, me, MemberOwner(owner.then)))
            for label, heard in self._answered(applied, event, owner.answer):
                yield f"{name} answers {event}: {label}", heard
        else:
            yield f"{name} hears of {event} too late", state._replace(member=_put(state.member, me, None))

    # ---- takeovers ---------------------------------------------------------------------------------------------------

    def _takeovers(self, state: FanOut) -> Iterator[Step]:
        if state.left.takeovers and state.epoch == 1:
            fewer = state.left._replace(takeovers=state.left.takeovers - 1)
            second = GroupOwner(state.log, state.due)
            taken = state._replace(epoch=2, left=fewer, group=(state.group[0], second))
            yield "G2 claims the group's row", self._sent(taken, 1)
        if state.left.member_takeovers and state.member_epoch == 1:
            fewer = state.left._replace(member_takeovers=state.left.member_takeovers - 1)
            member = (state.member[0], MemberOwner(state.row))
            yield "M2 claims the member's row", state._replace(member_epoch=2, left=fewer, member=member)

    # ---- restores ----------------------------------------------------------------------------------------------------

    def _put_backs(self, state: FanOut) -> Iterator[Step]:
        """A row is put back, while its owner is stopped: what that had under way is lost."""
        left = state.left
        excused = max(state.excused, state.row.chain)
        for row in state.earlier if left.put_backs else ():
            member = (MemberOwner(row), None)
            put_back = state._replace(row=row, member=member, excused=excused, earlier=frozenset())
            yield (
                f"the member's row is put back to {row.chain}",
                put_back._replace(left=left._replace(put_backs=left.put_backs - 1)),
            )
        for log, due in state.earlier_logs if left.group_put_backs else ():
            newest = max(excused, _version(state.log))
            put_back = state._replace(
                log=log,
                due=due,
                group=(GroupOwner(log, due), None),
                excused=newest,
                is_cut=True,
                differs=any(event.is_of_members for event in state.log[len(log) :]),
                earlier_logs=frozenset(),
            )
            fewer = left._replace(group_put_backs=left.group_put_backs - 1)
            yield (
                f"the group's row is put back to {_version(log)}",
                self._sent(put_back._replace(left=fewer), 0),
            )


def is_shown(shows: tuple[Copy, ...], should: tuple[Copy, ...], excused: int) -> bool:
    """Whether a row shows what it should; of what happened up to the version `excused` it may lack or have anything."""
    if not excused:
        return shows == should
    by_version = {copy.version: copy for copy in shows}
    theirs = {copy.version for copy in should}
    if any(copy.version > excused and copy.version not in theirs for copy in shows):
        return False
    for copy in should:
        shown = by_version.get(copy.version)
        if shown is None:
            if copy.version > excused:
                return False
            continue
        is_behind = copy.changed > excused and shown.changed < copy.changed
        is_other = shown.changed == copy.changed and shown.unsent != copy.unsent
        if is_behind or is_other or (copy.reacted > excused and shown.reacted < copy.reacted):
            return False
    return True


def _version(log: Log) -> int:
    return log[-1].version if log else 0


def _put(pair: tuple, me: int, value: object) -> tuple:  # type: ignore[type-arg]  # two kinds of pairs
    return (value, pair[1]) if me == 0 else (pair[0], value)

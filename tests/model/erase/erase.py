"""Ann is deleted: her row with two owners in turn, a row of somebody she writes to, and a group that she is added to.

What is searched is what ships: rows are columns of the store, each mutation is a `Plan` (mailbox/account/erasing), each
load a `ClaimedRow`, and what is removed says cacheserver/people/erasures. The model adds what may happen:

- a write is executed at once, later than its owner's patience, or never, whoever owns the row then; so is a removal
- the owner is replaced at any moment, also between its write and the answer, and between any two steps of the work
- what Bob sends, and the join of a group, come at any time, as often as they like
- a day passes once everything is wiped: what was late has come by then, or never will
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rowbox.cacheserver.cache.commands import DeliverCommand
from rowbox.cacheserver.people import erasures
from rowbox.hbase_schema.families import Family
from rowbox.mailbox import fence as fences
from rowbox.mailbox.account.account_row import AccountRow
from rowbox.mailbox.account.deeds import CreateProfile, DeleteUser
from rowbox.mailbox.account.erasing import KEPT, ErasingRow
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.needs import DedupeNeed, Fact
from rowbox.mailbox.aggregate.plan import NewSend
from rowbox.mailbox.cells import MEMBERSHIP, PROFILE, FenceCell
from rowbox.mailbox.errors import JoinDeclined, NotTheOwner
from rowbox.mailbox.group import GroupPart, Info, Join, Standing, Told
from rowbox.mailbox.ids import client_id_hash, message_id, payload_hash
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import ErasureStep, Profile
from tests.model.changes.rows import (
    ANN,
    BOB,
    BOTH,
    CONVERSATION_ID,
    EPOCHS,
    NOW_US,
    Row,
    claimed,
    fence_in,
    first_fence,
    index_of,
    mailbox_of,
    stored,
    without,
    written,
)

GROUP_ID = bytes(15) + b"g"
HERS = b"Annabel"
"""What her profile says of her, and her message: no column may have it in the end."""
FROM_BOB = Message(message_id(NOW_US - 100, 1), CONVERSATION_ID, BOB, BOTH, "of Bob")
JOIN = Message(
    message_id(NOW_US - 90, 3),
    GROUP_ID,
    BOB,
    (),
    "",
    group=GroupPart(
        NOW_US - 90,
        0,
        (ANN, BOB),
        told=Told("added", (ANN,)),
        info=Info("a group", 2, (BOB, ANN)),
        joins={ANN: Join("member", 0)},
    ),
)


class Rules(NamedTuple):
    """The owner's side of the rules; each can be left out. Those of the core are left out by a fault in a function."""

    check_after_write: bool = True
    """What was written is said only by an owner that still is one."""
    waits_for_the_outbox: bool = True
    leaves: bool = True
    keeps_its_own_epoch: bool = True
    """What is kept is written under the epoch that removes all else."""
    looks_again: bool = True
    """A step is over once nothing is found that would have to be removed."""
    drops_its_memory: bool = True
    sweeps: bool = True
    """A day later all is removed once more."""


FULL = Rules()


class Writing(NamedTuple):
    """A mutation on its way, what its yes says ("delete": the user is; "join": it is there), and the version that it
    gives.
    """

    put: Row
    says: str
    head: int
    is_executed: bool = False


class Owner(NamedTuple):
    """An owner of the row: what it knows of the index, its mutation on its way, and whether what Ann has sent may still
    have to be delivered.
    """

    number: int
    known: Row
    has_outbox: bool
    writing: Writing | None = None


class State(NamedTuple):
    row: Row
    owner: Owner | None
    """The one who has the row by now; None: the second one, who has not loaded it yet."""
    before: Owner | None
    """The first one, once it was replaced: it does not know, and may still be about to answer."""
    late: frozenset[Row]
    late_removals: frozenset[Row]
    given: int = 0
    """The highest version that was given, as far as anybody was told."""
    is_deleted: bool = False
    """Whether somebody was told so."""
    bob_has_it: bool = False
    is_member: bool = False
    was_added: bool = False
    has_taken: bool = False
    """Whether her owner has said that her row has the join, or declines it: it does not come again."""
    day_is_over: bool = False
    wrong: str | None = None


class Erase:
    """The model. `has_group`: she is added to a group at some time; else Bob writes to her."""

    def __init__(self, *, has_group: bool, rules: Rules = FULL) -> None:
        self._has_group = has_group
        self._rules = rules

    def initial(self) -> State:
        """She has a profile, and has written to Bob, who has not got it yet."""
        row = stored([first_fence()])
        plan = mailbox_of(0, row).plan(NOW_US - 1_000)
        AccountRow(plan).do(CreateProfile(HERS.decode()))
        hashes = client_id_hash("c"), payload_hash(CONVERSATION_ID, HERS.decode())
        new = NewSend(ANN, CONVERSATION_ID, BOTH, HERS.decode(), "c", *hashes, 1)
        need = plan.send(new)
        assert isinstance(need, DedupeNeed)
        plan.send(new, Fact(need, plan.head, None))
        row = written(row, stored(plan.cells()))
        return State(row, Owner(0, index_of(row), has_outbox=True), None, frozenset(), frozenset(), plan.head)

    def successors(self, state: State) -> Iterable[tuple[str, State]]:
        yield from self._of_owner(state)
        yield from self._of_replaced(state)
        for put in state.late:
            yield (
                "the store executes a late write",
                state._replace(row=written(state.row, put), late=state.late - {put}),
            )
        for gone in state.late_removals:
            left = state.late_removals - {gone}
            yield "the store executes a late removal", state._replace(row=without(state.row, gone), late_removals=left)
        if self._has_group and not state.was_added:
            yield "she is added to a group", state._replace(is_member=True, was_added=True)
        if _is_wiped(state) and not state.day_is_over:
            nothing: frozenset[Row] = frozenset()
            yield "a day passes", state._replace(late=nothing, late_removals=nothing, before=None, day_is_over=True)

    def violation(self, state: State) -> str | None:
        owner = state.owner
        if state.wrong is not None or owner is None or owner.writing is not None:
            return state.wrong
        if not fence_in(owner.known):
            return "the fence is gone"
        mailbox = _mailbox(owner)
        if mailbox.head < state.given:
            return f"the head is {mailbox.head}, and {state.given} was given"
        profile = mailbox.state(PROFILE)
        if profile is None:
            return "the tombstone is gone"
        if state.is_deleted and profile.erasure is None:
            return "a deleted user is not deleted"
        is_done = profile.erasure is not None and profile.erasure.step is ErasureStep.DONE
        return _left(state, mailbox) if is_done else None

    def _of_owner(self, state: State) -> Iterator[tuple[str, State]]:
        owner = state.owner
        if owner is None:
            yield "the second owner loads the row", _loaded(state)
            return
        if owner.number == 0:
            yield "the owner is replaced", state._replace(owner=None, before=owner)
        if owner.writing is not None:
            yield from self._goes_on(state, owner, is_owner=True)
            return
        mailbox = _mailbox(owner)
        if owner.has_outbox:
            done = owner._replace(has_outbox=False)
            yield "what she has sent is delivered", state._replace(owner=done, bob_has_it=True)
        if not state.is_deleted:
            yield "she is deleted", _does(state, owner, "delete", lambda plan: AccountRow(plan).do(DeleteUser()))
        if not self._has_group:
            yield "Bob's message comes", _delivers(state, owner, FROM_BOB)
        elif state.was_added and not state.has_taken:
            yield "her join comes", _delivers(state, owner, JOIN)
        if mailbox.is_erased:
            yield from self._erases(state, owner, mailbox)

    def _erases(self, state: State, owner: Owner, mailbox: Mailbox) -> Iterator[tuple[str, State]]:
        """As Erasures goes on."""
        profile, rules = _profile(mailbox), self._rules
        assert profile.erasure is not None
        step = profile.erasure.step
        if step is ErasureStep.CLOSED:
            is_in = any(one.standing is Standing.IN for one in mailbox.states_of(MEMBERSHIP).values())
            if is_in and state.is_member and rules.leaves:
                yield "the group's row removes her", state._replace(is_member=False)
            elif not (owner.has_outbox and rules.waits_for_the_outbox):
                yield "the wipe begins", _enters(state, owner, ErasureStep.WIPING)
        elif step is not ErasureStep.DONE and profile.epoch != mailbox.epoch and rules.keeps_its_own_epoch:
            yield "the tombstone is written anew", _enters(state, owner, step)
        elif step is ErasureStep.WIPING or (step is ErasureStep.SWEEPING and state.day_is_over):
            yield from self._removes(state, owner, mailbox, step)

    def _removes(self, state: State, owner: Owner, mailbox: Mailbox, step: ErasureStep) -> Iterator[tuple[str, State]]:
        try:
            gone = _removable(mailbox, state.row)
        except NotTheOwner:
            return  # it drops the mailbox, and is told that it was replaced
        of_index = index_of(gone)
        for what, part in (("the index", of_index), ("all but the index", gone - of_index)):
            if part:
                yield f"{what} is removed", state._replace(row=without(state.row, part))
        if gone and not state.late_removals and owner.number == 0:
            yield "a removal hangs", state._replace(late_removals=frozenset({gone}))
        sweeps = step is ErasureStep.WIPING or self._rules.sweeps
        if gone and self._rules.looks_again and sweeps:
            return
        if step is ErasureStep.SWEEPING:
            yield "the erasure is done", _enters(state, owner, ErasureStep.DONE)
        elif len(mailbox.index) and self._rules.drops_its_memory:
            known = owner._replace(known=index_of(state.row))
            yield "the owner drops its memory, and loads", state._replace(owner=known)
        else:
            yield "the wipe is over", _enters(state, owner, ErasureStep.SWEEPING)

    def _of_replaced(self, state: State) -> Iterator[tuple[str, State]]:
        before = state.before
        if before is None:
            return
        if before.writing is not None:
            if not before.writing.is_executed:
                yield "its write hangs", state._replace(before=None, late=state.late | {before.writing.put})
            yield from self._goes_on(state, before, is_owner=False)
            return
        mailbox = _mailbox(before)
        profile = _profile(mailbox)
        if profile.erasure is not None and profile.erasure.step is ErasureStep.WIPING:
            try:
                gone = _removable(mailbox, state.row)
            except NotTheOwner:
                yield "the replaced owner sees that it is", state._replace(before=None)
            else:
                yield "the replaced owner removes", state._replace(before=None, row=without(state.row, gone))

    def _goes_on(self, state: State, owner: Owner, *, is_owner: bool) -> Iterator[tuple[str, State]]:
        writing = owner.writing
        assert writing is not None
        if not writing.is_executed:
            done = owner._replace(writing=writing._replace(is_executed=True))
            after = state._replace(row=written(state.row, writing.put))
            yield "the store executes it", after._replace(owner=done) if is_owner else after._replace(before=done)
        elif is_owner:
            known = owner._replace(known=written(owner.known, index_of(writing.put)), writing=None)
            yield "the owner hears yes", _said(state._replace(owner=known), writing)
        elif self._rules.check_after_write:
            yield "the replaced owner hears yes, and says nothing", state._replace(before=None)
        else:
            yield "the replaced owner hears yes", _said(state._replace(before=None), writing)


def _left(state: State, mailbox: Mailbox) -> str | None:
    """What is wrong once the erasure is done."""
    if not state.bob_has_it:
        return "what she had sent is lost"
    if state.is_member and state.has_taken:
        return "she is in a group for ever"
    if len(mailbox.index):
        return "memory has what was erased"
    left = [cell for cell in state.row if _is_hers(cell)]
    return f"{left} is left" if left else None


def _does(state: State, owner: Owner, says: str, do: object) -> State:
    plan = _mailbox(owner).plan(NOW_US)
    do(plan)  # type: ignore[operator]
    if plan.changes_nothing:
        return _said(state, Writing(frozenset(), says, plan.head))
    return state._replace(owner=owner._replace(writing=Writing(stored(plan.cells()), says, plan.head)))


def _enters(state: State, owner: Owner, step: ErasureStep) -> State:
    return _does(state, owner, "", lambda plan: ErasingRow(plan).enter(step))


def _delivers(state: State, owner: Owner, message: Message) -> State:
    mailbox = _mailbox(owner)
    command = DeliverCommand(ANN, (message,), future=None)  # type: ignore[arg-type]
    while True:
        plan = mailbox.plan(NOW_US)
        answer = command.decide([plan])
        if isinstance(answer, int | JoinDeclined):
            break
        command.fact = Fact(answer, plan.head, _holds(state.row))  # type: ignore[arg-type]
    if isinstance(answer, JoinDeclined):
        return state._replace(is_member=False, has_taken=True)
    if plan.changes_nothing:
        return state._replace(has_taken=state.has_taken or message is JOIN)
    says = "join" if message is JOIN else ""
    if state.is_deleted:
        return state._replace(wrong="something comes in behind the answer")
    return state._replace(owner=owner._replace(writing=Writing(stored(plan.cells()), says, plan.head)))


def _said(state: State, writing: Writing) -> State:
    """The answer to what was written."""
    is_deleted = state.is_deleted or writing.says == "delete"
    has_taken = state.has_taken or writing.says == "join"
    return state._replace(is_deleted=is_deleted, has_taken=has_taken, given=max(state.given, writing.head))


def _loaded(state: State) -> State:
    """The claim is read and written at one moment here."""
    if not fence_in(state.row):
        return state._replace(wrong="the fence is gone")
    row = claimed(fence_in(state.row), state.row)
    fence = fences.claim(fence_in(state.row), EPOCHS[1], row.head, NOW_US // 1000, "second")
    after = written(state.row, stored([FenceCell(EPOCHS[1], fence)]))
    parcels = [cell for cell in claimed(fence, after).outbox if not cell.is_reminder]
    return state._replace(row=after, owner=Owner(1, index_of(after), has_outbox=bool(parcels)))


def _removable(mailbox: Mailbox, row: Row) -> Row:
    """What a look at the row finds that has to go. NotTheOwner."""
    erasure = _profile(mailbox).erasure
    return frozenset(cell for cell in row if not erasures._is_kept(*cell[:2], mailbox, erasure))


def _holds(row: Row) -> bool:
    """Whether Bob's message is there: the windows of this model's mailboxes hold nothing."""
    return any(cell[0] is Family.MESSAGES and b"of Bob" in cell[2] for cell in row)


def _is_wiped(state: State) -> bool:
    owner = state.owner
    if owner is None or owner.writing is not None:
        return False
    erasure = _profile(_mailbox(owner)).erasure
    return erasure is not None and erasure.step is ErasureStep.SWEEPING


def _is_hers(cell: tuple[Family, bytes, bytes]) -> bool:
    """Whether a column is neither a tombstone, nor what refuses tokens, nor a fence, nor the reminder."""
    family, qualifier, value = cell
    if HERS in value or family not in (Family.INDEX, Family.OUTBOX):
        return True
    return family is Family.INDEX and qualifier[:1] not in KEPT | {b"f"}


def _mailbox(owner: Owner) -> Mailbox:
    return mailbox_of(owner.number, owner.known)


def _profile(mailbox: Mailbox) -> Profile:
    profile = mailbox.state(PROFILE)
    assert profile is not None
    return profile

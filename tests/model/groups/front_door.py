"""The model of the way to a group's row: a member's requests, which his own owner forwards and tries again.

A client has a list of requests, and asks the next one once the one before was answered. It may ask again before that:
then it hears the answer to its newest try only, for the connection of the one before is gone. Its owner forwards each
try to G, any number of times, because answers get lost. A forward stays on its way for ever: it arrives at any time,
any number of times, also when the client is long past it. Another admin may remove the member, and add him
again. The member's own row takes the group's events in their order and some time later (fan_out.py).

G refuses what was accepted long ago, and may forget a send once the sender's own row has had the message for as long.

What a request does to the member's message may also be undone by somebody else, who takes it back.

Checked after every step: no send is in the log twice; nobody is told that a send was refused which is in the log; who
was answered finds his message in his own mailbox; what was answered last about somebody's membership is so, and what
was answered last about the message: nobody is told that a request was refused because of which it is as it is.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

from tests.model.groups.shipped import Asked, Before, Touched, answer, is_in, own_copy_is_so

Do: TypeAlias = Literal["send", "add", "remove", "edit", "unsend", "react", "take back"]
OF_THE_MESSAGE = ("edit", "unsend", "react", "take back")


class DoorRules(NamedTuple):
    """The rules around the group's row. ``DoorRules(known_first=False)`` is the protocol without that rule.

    The others are in that row's own code, into which test_groups.py puts faults.
    """

    known_first: bool = True
    """The own row is asked whether it knows the send before it is asked who is in. Else: the other way round."""
    kept_for_the_sender: bool = True
    """G knows a send until the sender's own row has the message. Else: for a while after it was taken."""
    kept_a_while: bool = True
    """... and a while longer: as long as what was accepted before that may still come. Else: until then."""
    own_copy_first: bool = True
    """A send is answered once the sender's own row has it. Else: once G has it."""
    own_copy_counts: bool = True
    """Who is out by his own row is refused unless his copy of the message is as he wants it. Else: always."""


class DoorBounds(NamedTuple):
    requests: tuple[Do, ...]
    tries: int = 2
    """... of each request, at most."""
    removals: int = 0
    """How often another admin removes the member who asks."""
    returns: int = 0
    """... and adds him again."""
    whiles: int = 0
    """How often so much time passes that G refuses what was accepted before."""
    unsends: int = 0
    """How often another admin takes back the member's message, which is there from the first."""


class Forward(NamedTuple):
    """A try of a request, accepted when the actor's row had taken the events up to `chain`, and was in by `joined`."""

    number: int
    attempt: int
    chain: int
    joined: int
    is_old: bool = False


class Door(NamedTuple):
    """All that exists at one moment. Versions are of G."""

    head: int = 0
    changed: int = 0
    """The version of the newest change of who is in."""
    memberships: tuple[int, ...] = (0,)
    """The versions at which the actor joined, left, joined again, and so on. He was in at first."""
    other_in: bool = False
    log: tuple[tuple[int, int], ...] = ()
    """Sends: the version, and which request."""
    known: frozenset[int] = frozenset()
    """The requests that G remembers as taken."""
    settled: frozenset[int] = frozenset()
    """... of these, those that the actor's own row had when time passed last."""
    chain: int = 0
    """What the actor's row has of G."""
    forwards: frozenset[Forward] = frozenset()
    answers: frozenset[tuple[int, int, str]] = frozenset()
    """Request, try, and what was said."""
    asked: int = 0
    """The number of the request that the client asks now, from 1; 0: none yet."""
    attempt: int = 0
    heard: str | None = None
    """What it was told about that request."""
    left: DoorBounds = DoorBounds(())
    wrong: str | None = None
    message: Touched = Touched()
    """The member's message, to which his requests may do something."""
    earlier: tuple[Touched, ...] = (Touched(),)
    """What it was in the actor's own row after each change that reached that, or will: those made while he was in."""

    def own_copy(self) -> Touched:
        """The message in the actor's own row."""
        return [copy for copy in self.earlier if copy.changed <= self.chain][-1]

    def with_message(self, message: Touched) -> "Door":
        """With the message changed by the next event."""
        reaches = self.joined_by(self.head) is not None
        earlier = (*self.earlier, message) if reaches else self.earlier
        return self._replace(head=message.changed, message=message, earlier=earlier)

    def joined_by(self, version: int) -> int | None:
        """The join by which the actor is in as of a version of G; None: he is out."""
        changes = [change for change in self.memberships if change <= version]
        return changes[-1] if len(changes) % 2 else None

    def left_by(self, version: int) -> int:
        """The version at which the actor left last, as of a version of G; 0: never."""
        lefts = [change for change in self.memberships[1::2] if change <= version]
        return lefts[-1] if lefts else 0

    def own_has(self, number: int) -> bool:
        """Whether the actor's own row has the message of a request, and so knows the send."""
        return any(request == number and version <= self.chain for version, request in self.log)


Step: TypeAlias = tuple[str, Door]


class DoorModel:
    """The model under `rules`, within `bounds`."""

    def __init__(self, rules: DoorRules, bounds: DoorBounds) -> None:
        self.rules, self.bounds = rules, bounds

    def initial(self) -> Door:
        return Door(left=self.bounds)

    def violation(self, state: Door) -> str | None:
        if state.wrong is not None:
            return state.wrong
        sends = [request for _, request in state.log]
        if len(sends) != len(set(sends)):
            return f"a send is in the log twice: {state.log}"
        if state.heard == "refused" and state.asked in sends:
            return f"request {state.asked} was refused, and is in the log"
        if self._do(state.asked) in OF_THE_MESSAGE:
            return self._untrue(state)
        if state.heard in ("done", "known") and self._do(state.asked) != "send":
            wanted = self._do(state.asked) == "add"
            if state.other_in != wanted:
                return f"{self._do(state.asked)} was answered, and then undone by what came late"
        if state.heard in ("done", "known") and self._do(state.asked) == "send" and not state.own_has(state.asked):
            return f"request {state.asked} was answered, and the own mailbox does not show it"
        return None

    def _untrue(self, state: Door) -> str | None:
        """What is wrong with the message, after what the client was told of the request that it made last."""
        message, number = state.message, state.asked
        is_so = {
            "edit": message.text == number or message.is_unsent,
            "unsend": message.is_unsent,
            "react": message.reaction == number or message.is_unsent,
            "take back": message.reaction == 0,
        }[self._do(number)]
        if state.heard in ("done", "known") and not is_so:
            return f"request {number} was answered, and then undone by what came late: {message}"
        if state.heard == "refused" and message.shows(number):
            return f"request {number} was refused, and is done: {message}"
        if state.heard in ("done", "known") and state.chain < message.changed and not self._is_moving(state):
            return f"request {number} was answered, and the own mailbox does not show it"
        return None

    def _is_moving(self, state: Door) -> bool:
        """Whether somebody else has changed the message since the client's requests did."""
        return state.message.is_unsent and self._do(state.asked) != "unsend"

    def _do(self, number: int) -> Do:
        return self.bounds.requests[number - 1] if number else "send"

    def successors(self, state: Door) -> Iterator[Step]:
        yield from self._client(state)
        for forward in state.forwards:
            yield from self._arrives(state, forward)
        if state.chain < state.head:
            yield f"the member's row takes event {state.chain + 1}", state._replace(chain=state.chain + 1)
        is_in, left = state.joined_by(state.head) is not None, state.left
        changed = state._replace(head=state.head + 1, changed=state.head + 1)
        changed = changed._replace(memberships=(*state.memberships, state.head + 1))
        if left.removals and is_in:
            yield "another admin removes the member", changed._replace(left=left._replace(removals=left.removals - 1))
        if left.returns and not is_in:
            yield "another admin adds the member", changed._replace(left=left._replace(returns=left.returns - 1))
        if left.unsends and not state.message.is_unsent:
            taken = state.with_message(Touched(0, state.head + 1, is_unsent=True))
            yield "another admin takes the message back", taken._replace(left=left._replace(unsends=left.unsends - 1))
        if left.whiles:
            old = frozenset(forward._replace(is_old=True) for forward in state.forwards)
            settled = frozenset(number for number in state.known if self._may_settle(state, number))
            fewer = left._replace(whiles=left.whiles - 1)
            yield "a while passes", state._replace(settled=settled, forwards=old, left=fewer)
        for number in state.known:
            if number in state.settled or (not self.rules.kept_a_while and self._may_settle(state, number)):
                yield f"G forgets request {number}", state._replace(known=state.known - {number})

    def _may_settle(self, state: Door, number: int) -> bool:
        return not self.rules.kept_for_the_sender or state.own_has(number)

    def _client(self, state: Door) -> Iterator[Step]:
        for number, attempt, said in state.answers:
            if (number, attempt) == (state.asked, state.attempt) and state.heard is None:
                yield f"the client hears of request {number}: {said}", state._replace(heard=said)
        if state.heard is not None or state.asked == 0:
            if state.asked < len(self.bounds.requests):
                yield from self._asks(state._replace(asked=state.asked + 1, attempt=1, heard=None))
        elif state.attempt < self.bounds.tries:
            yield from self._asks(state._replace(attempt=state.attempt + 1))

    def _asks(self, state: Door) -> Iterator[Step]:
        """The owner of the client's own row has the request, for the first time or again."""
        number, do = state.asked, self._do(state.asked)
        is_known = do == "send" and state.own_has(number)
        joined = is_in(state.joined_by(state.chain), state.left_by(state.chain), state.chain)
        label = f"the member's owner has request {number}, {do}"
        looks = joined is None and self.rules.own_copy_counts
        if do in OF_THE_MESSAGE and looks and own_copy_is_so(state.own_copy(), do, number):
            yield f"{label}: it is so", state._replace(heard="known")
        elif is_known and (self.rules.known_first or joined is not None):
            yield f"{label}: known", state._replace(heard="known")
        elif joined is None:
            yield f"{label}: refused", state._replace(heard="refused")
        else:
            forward = Forward(number, state.attempt, state.chain, joined)
            yield f"{label}: forwards it", state._replace(forwards=state.forwards | {forward})

    def _arrives(self, state: Door, forward: Forward) -> Iterator[Step]:
        do, number = self._do(forward.number), forward.number
        if do in OF_THE_MESSAGE:
            yield from self._touches(state, forward, do)
            return
        label = f"G has request {number}, {do}, accepted at {forward.chain}"
        version, joined = state.head + 1, state.joined_by(state.head)
        left = 0 if joined is not None else state.left_by(state.head)
        before = Before(state.head, state.changed, joined, left, state.other_in, state.known)
        said = answer(before, Asked(number, do, forward.chain, forward.joined, forward.is_old))
        if said == "comes too late":
            return  # 503: tried again, and then accepted anew
        if said == "known":
            if state.own_has(number) or not self.rules.own_copy_first:
                yield f"{label}: known", self._answered(state, forward, "known")
        elif said == "refused":
            yield f"{label}: refused", self._answered(state, forward, "refused")
        elif do == "send":
            log = (*state.log, (version, number))
            taken = state._replace(head=version, log=log, known=state.known | {number})
            yield f"{label}: taken", taken if self.rules.own_copy_first else self._answered(taken, forward, "done")
        elif said == "it is so":
            yield f"{label}: it is so", self._answered(state, forward, "done")
        else:
            changed = state._replace(head=version, changed=version, other_in=do == "add")
            yield f"{label}: done", self._answered(changed, forward, "done")

    def _touches(self, state: Door, forward: Forward, do: Do) -> Iterator[Step]:
        """A forward that does something to the message arrives."""
        number, version = forward.number, state.head + 1
        label = f"G has request {number}, {do}, accepted at {forward.chain}"
        joined, left = state.joined_by(state.head), state.left_by(state.head)
        before = Before(state.head, state.changed, joined, left, state.other_in, state.known, state.message)
        said = answer(before, Asked(number, do, forward.chain, forward.joined, forward.is_old))
        if said == "comes too late":
            return
        if said == "refused":
            yield f"{label}: refused", self._answered(state, forward, "refused")
        elif said == "it is so":
            if state.chain >= state.message.changed or not self.rules.own_copy_first:
                yield f"{label}: it is so", self._answered(state, forward, "known")
        else:
            taken = state.with_message(state.message.after(do, number, version))
            if (state.asked, state.heard) == (number, "refused"):
                taken = taken._replace(wrong=f"request {number} was refused, and is done all the same")
            yield f"{label}: done", taken if self.rules.own_copy_first else self._answered(taken, forward, "done")

    def _answered(self, state: Door, forward: Forward, answer: str) -> Door:
        return state._replace(answers=state.answers | {(forward.number, forward.attempt, answer)})

"""The model of one row: two processes, of which one owns it at a time, a slow store, and a map.

A state (`state.py`) is the row in the store, the calls under way in the network, both processes' memory, the map, and
what clients were shown so far. A step is one event, and everything happens in every order:

- the network: a call executes. A call whose sender gave up or died stays under way for ever and may execute at any
  later moment, or never; some stay under way after they executed, and execute again.
- time: the message cells expire; a day passes, after which no call of the days before executes.
- the cluster: a lease lapses, and comes back if nobody took over; a process restarts; the map gives the row to the
  other process, or to a new incarnation.
- a process loads and claims, sends a write, hears the store's yes, gives up, answers a read, sweeps, evicts.

What is abstracted, and why nothing is lost by it:

- A pause is no event. A process that is paused is one whose steps do not come; an answer of the store is heard any
  time after the call executed, or never.
- The lease's clocks are not here: that a lease has lapsed, by its holder's own clock, before the map gives the row
  away is what the lease promises, and here it is given (cluster.py searches it). `dead_before_grant` takes it away.
- A check of the lease and what follows from it (serving, confirming, answering) are one step. What was true at the
  check was true at a moment between request and answer, and linearizability asks no more. For the same reason an
  answer is computed when it is sent.
- A check of the lease before a write and the sending are one step, too: the time between them is part of the time
  that the write is under way, all of which is over when a day has passed.
- Clients send any message at any time, any number of times: a retry needs no state. A message that the owner knows is
  answered from memory like a read, under the same check, so the read stands for both.
- Messages are alike: message y is first sent with or after x, z after y. Any other order is this one with the names
  exchanged.
- A read shows nothing above the owner's head: its own write under way is not shown before it is confirmed.

What is checked, on every answer (a confirmed write, a read): it extends every answer given before, whoever gave it
(nothing confirmed or shown is lost or reordered; no answer is older than one before it; the head never falls), no
message and no version stands in it twice, and the messages found in the store are exactly those of the index, less
the expired.

How to read a trace: `names.py`. A and B are the processes; a label that begins with "late" is a call that nobody
waits for.
"""

from collections.abc import Iterator

from rowbox.mailbox.fence import FOLD_AFTER_MS, make_epoch, next_epoch
from tests.model.rows import owner
from tests.model.rows.names import PROCESSES, name_call, name_epoch, name_history
from tests.model.rows.owner import Mailbox
from tests.model.rows.row import Call, History, Row, execute
from tests.model.rows.rules import Bounds, Rules
from tests.model.rows.state import Left, Process, State, World, abandon, owns, put_process, spend, with_t

FIRST_MESSAGE = ("A loads", "A's fence", "A hears", "A sends put [x@", "A's put", "A hears")
"""How a warm search begins: the first step whose label begins so, one after the other."""

Step = tuple[str, State]


class OneRow:
    """The model under `rules`, within `bounds`."""

    def __init__(self, rules: Rules, bounds: Bounds) -> None:
        self.rules, self.bounds = rules, bounds
        self.conversations = max(bounds.conversations) + 1

    def initial(self) -> State:
        """An empty row that the first map version gave to A; B is alive."""
        left = Left(*(getattr(self.bounds, field) for field in Left._fields))
        state = State(Row(), frozenset(), (Process(granted=1), Process()), World(left))
        for beginning in FIRST_MESSAGE if self.bounds.warm else ():
            state = next(following for label, following in self.successors(state) if label.startswith(beginning))
        return state

    def violation(self, state: State) -> str | None:
        return state.world.wrong

    def successors(self, state: State) -> Iterator[Step]:
        yield from self.network(state)
        yield from self.time(state)
        for me, process in enumerate(state.processes):
            yield from self.cluster(state, me)
            if process.granted:
                yield from self.waiting(state, me)
                yield from self.serving(state, me)
                yield from self.starting(state, me)

    # ---- the network and time ----------------------------------------------------------------------------------------

    def network(self, state: State) -> Iterator[Step]:
        for call in state.underway:
            done = self.executed(state, call)
            yield f"late: {name_call(call)} executes", done._replace(underway=state.underway - {call})
            if state.world.left.repeats:
                yield f"late: {name_call(call)} executes, and will again", spend(done, "repeats")
        for me, process in enumerate(state.processes):
            if process.call is not None and not process.executed:
                what = f"{PROCESSES[me]}'s {name_call(process.call)} executes"
                done = put_process(self.executed(state, process.call), me, process._replace(executed=True))
                yield what, done
                if state.world.left.repeats:
                    again = done._replace(underway=state.underway | {process.call})
                    yield f"{what}, and will again", spend(again, "repeats")

    def executed(self, state: State, call: Call) -> State:
        row = execute(state.row, call, rising_t=self.rules.rising_t)
        return State(row, state.underway, state.processes, state.world)

    def time(self, state: State) -> Iterator[Step]:
        row, world = state.row, state.world
        if world.left.expiries and row.messages:
            world = world._replace(expired=world.expired | row.messages)
            gone = state._replace(row=row._replace(messages=frozenset()), world=world)
            yield "all message cells expire", spend(gone, "expiries")
        if world.left.days and all(process.call is None for process in state.processes):
            passed = spend(state._replace(underway=frozenset()), "days")
            yield "a day passes: nothing from before executes any more", passed

    # ---- the cluster -------------------------------------------------------------------------------------------------

    def cluster(self, state: State, me: int) -> Iterator[Step]:
        process, name, left = state.processes[me], PROCESSES[me], state.world.left
        if process.lease and owns(state, me):
            yield f"{name}'s lease lapses", put_process(state, me, process._replace(lease=False))
        if left.returns and not process.lease and owns(state, me):
            returned = put_process(state, me, process._replace(lease=True))
            yield f"{name}'s lease comes back", spend(returned, "returns")
        if left.restarts and process.granted:
            yield f"{name} restarts", spend(put_process(abandon(state, me), me, self.restarted(state, me)), "restarts")
        if left.grants and process.lease and not owns(state, me):
            version, there = state.world.map_version + 1, state.world.owner
            if self.is_free(state):
                yield f"map version {version} gives the row to {name}", self.granted(state, me)
            elif self.bounds.moves and state.processes[there].call is None:
                freed = put_process(state, there, state.processes[there]._replace(granted=0, mailbox=None))
                yield f"{PROCESSES[there]} hands the row to {name} in map version {version}", self.granted(freed, me)

    def restarted(self, state: State, me: int) -> Process:
        """Another incarnation, that owns nothing; where map versions are given twice, it has the old one all the same.

        Without the rule it is the same incarnation, as far as it and the row can tell.
        """
        process = state.processes[me]
        if not self.rules.incarnation:
            return Process(process.granted, life=process.life)
        return Process(process.granted, life=process.life + 1) if self.bounds.twins and owns(state, me) else Process()

    def is_free(self, state: State) -> bool:
        """Whether the incarnation that the map names has lost its lease, or is no more."""
        there = state.world.owner
        alive = state.processes[there].lease and owns(state, there)
        return not (alive and self.rules.dead_before_grant)

    @staticmethod
    def granted(state: State, me: int) -> State:
        version = state.world.map_version + 1
        given = put_process(state, me, state.processes[me]._replace(granted=version))
        return spend(given._replace(world=state.world._replace(map_version=version, owner=me)), "grants")

    # ---- a process that waits for a call -----------------------------------------------------------------------------

    def waiting(self, state: State, me: int) -> Iterator[Step]:
        process, name = state.processes[me], PROCESSES[me]
        if process.call is None:
            return
        checks = self.rules.check_after_claim if process.mailbox is None else self.rules.check_after_write
        if process.executed and (process.lease or not checks):
            yield f"{name} hears that {name_call(process.call)} succeeded", self.succeeded(state, me, process.call)
        if process.n < self.bounds.unknowns:
            idle = Process(process.granted, self.after_unknown(process), process.lease, life=process.life)
            yield f"{name} gives up on {name_call(process.call)}", put_process(abandon(state, me), me, idle)

    def after_unknown(self, process: Process) -> int:
        """The n to go on with."""
        epoch = make_epoch(process.granted, process.n)
        following = next_epoch(epoch) if self.rules.raise_n else epoch
        assert following is not None
        return following - make_epoch(process.granted, 0)

    def succeeded(self, state: State, me: int, call: Call) -> State:
        process = state.processes[me]
        assert process.then is not None
        heard = put_process(state, me, process._replace(mailbox=process.then, call=None, executed=False, then=None))
        return self.shown(heard, process.then.messages(), "the confirmation") if call.entries else heard

    # ---- a process that serves ---------------------------------------------------------------------------------------

    def serving(self, state: State, me: int) -> Iterator[Step]:
        """What a process does whether it waits for a call or not."""
        process, name = state.processes[me], PROCESSES[me]
        if process.mailbox is not None and (process.lease or not self.rules.check_before_answer):
            answered = self.answered(state, process.mailbox)
            if answered != state:
                yield f"{name} answers a read: {name_history(process.mailbox.messages())}", answered
        claimed = process.mailbox if self.rules.sweep_after_claim else process.mailbox or process.then
        if claimed is not None and state.world.left.sweeps:
            deletion = owner.sweep(self.rules, state.row, claimed)
            if deletion is not None:
                sweeping = state._replace(underway=state.underway | {deletion})
                yield f"{name} sends {name_call(deletion)}", self.swept(sweeping)

    @staticmethod
    def swept(state: State) -> State:
        """One sweep less; after the last one nobody asks what else is useless."""
        after = spend(state, "sweeps")
        if after.world.left.sweeps:
            return after
        for me, process in enumerate(state.processes):
            mailbox, then = (owner.without_garbage(one) for one in (process.mailbox, process.then))
            after = put_process(after, me, process._replace(mailbox=mailbox, then=then))
        return after

    def answered(self, state: State, mailbox: Mailbox) -> State:
        """A read is answered with the index from memory and the messages from the store."""
        messages, found = mailbox.messages(), owner.page(self.rules, state.row, mailbox)
        answered = self.shown(state, messages, "the read")
        unexpired = set(messages) - state.world.expired
        if answered.world.wrong is None and not unexpired <= set(found) <= set(messages):
            wrong = f"the index says {name_history(messages)}, the messages found are {name_history(found)}"
            answered = answered._replace(world=answered.world._replace(wrong=wrong))
        return answered

    @staticmethod
    def shown(state: State, messages: History, what: str) -> State:
        """Clients are shown `messages`: compared with all that they were shown before, and remembered."""
        before, wrong = state.world.shown, None
        if len({entry.message for entry in messages}) < len(messages):
            wrong = f"{what} shows a message twice: {name_history(messages)}"
        elif len({entry.version for entry in messages}) < len(messages):
            wrong = f"{what} shows a version twice: {name_history(messages)}"
        elif messages[: len(before)] != before:
            wrong = f"{what} says {name_history(messages)} after clients were shown {name_history(before)}"
        return state._replace(world=state.world._replace(shown=max(before, messages, key=len), wrong=wrong))

    # ---- a process that is free to begin something -------------------------------------------------------------------

    def starting(self, state: State, me: int) -> Iterator[Step]:
        process = state.processes[me]
        if process.call is not None:
            if process.mailbox is not None and process.then is not None and not self.rules.one_in_flight:
                yield from self.writes(abandon(state, me), me, process.then)
            return
        if process.mailbox is None:
            yield from self.loads(state, me)
            return
        yield f"{PROCESSES[me]} evicts the mailbox", put_process(state, me, process._replace(mailbox=None))
        if process.lease or not self.rules.check_before_write:
            yield from self.writes(state, me, process.mailbox)

    def loads(self, state: State, me: int) -> Iterator[Step]:
        process = state.processes[me]
        epoch = make_epoch(process.granted, process.n)
        loaded = self.loaded(state, process, state.row)
        if loaded is None:
            return
        mailbox, must_claim = loaded
        what = f"{PROCESSES[me]} loads for {name_epoch(epoch)}: finds {name_history(mailbox.messages())}"
        served = put_process(state, me, process._replace(mailbox=mailbox))
        if not must_claim or not self.rules.claim_on_load:
            yield f"{what}, serves", served
            return
        call = with_t(state, owner.fence_call(mailbox))
        if self.rules.await_claim:
            claiming = put_process(state, me, process._replace(call=call, then=mailbox))
            yield f"{what}, sends {name_call(call)}", claiming
        else:
            yield f"{what}, sends {name_call(call)}, serves", served._replace(underway=state.underway | {call})

    def loaded(self, state: State, process: Process, row: Row) -> tuple[Mailbox, bool] | None:
        """What `process` makes of `row` as it was read."""
        epoch, name, sweeps = make_epoch(process.granted, process.n), str(process.life), state.world.left.sweeps > 0
        return owner.load(self.rules, row, epoch, name, self.conversations, self.now_ms(state), sweeps=sweeps)

    def writes(self, state: State, me: int, mailbox: Mailbox) -> Iterator[Step]:
        """Any message that the mailbox does not have, or all of them in one mutation."""
        messages = range(len(self.bounds.conversations))
        unknown = [message for message in messages if message not in mailbox.ids]
        batches = [[message] for message in unknown if message <= state.world.sent]
        if len(unknown) > 1:
            batches.append(unknown)
        for batch in batches if state.world.left.puts else ():
            pairs = [(message, self.bounds.conversations[message]) for message in batch]
            ahead = self.bounds.ahead if me == 0 else 0
            after, put = owner.mutation(self.rules, mailbox, pairs, ahead=ahead, outbox=self.bounds.outbox)
            call = with_t(state, put)
            process = state.processes[me]._replace(call=call, executed=False, then=after)
            sending = put_process(state, me, process)
            world = state.world._replace(sent=max(state.world.sent, batch[-1] + 1))
            yield f"{PROCESSES[me]} sends {name_call(call)}", spend(sending._replace(world=world), "puts")

    def now_ms(self, state: State) -> int:
        return (self.bounds.days - state.world.left.days) * FOLD_AFTER_MS

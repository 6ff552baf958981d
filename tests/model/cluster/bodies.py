"""The model of the map's cell and of the bodies that it names, as map_store.py writes and reads them.

The cluster's model (cluster.py) takes from here that whoever reads the cell gets the map that was meant, or nothing.

Two proposers change the map, a reader looks. Steps, in every order:

- a proposer reads what stands, makes the next version, and puts its body. The put executes at any later time, any
  number of times, or never; only its first execution may be heard of
- a proposer that hears of it swaps the cell; one that does not draws another nonce, or makes another map of the same
  version, because it has judged anew
- a swap executes at any later time, or never. Whoever's map stands removes the bodies of versions that are old, as far
  as it sees them at that moment; that they go executes at any later time
- the reader reads the cell, and at any later time the body

What is checked after every step: the body that the cell names is there and says what was meant, and the reader has not
taken anything else for it. What a map says is here who made it, and how often it had made one before.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

KEPT = 1
"""Bodies of so many versions stay."""
PROPOSERS = "PQ"
Key: TypeAlias = tuple[int, str, int]
"""Version, proposer, nonce."""
Content: TypeAlias = str


class BodyRules(NamedTuple):
    """``BodyRules(put_is_confirmed=False)`` is the protocol without that rule."""

    key_names_proposer: bool = True
    """Two proposers never put the same key. Else: the key is the version alone."""
    key_names_nonce: bool = True
    """Nor does one proposer, twice. Else: version and proposer."""
    put_is_confirmed: bool = True
    """The cell names a body once its put is known to have executed. Else: once it was sent."""
    missing_is_read_again: bool = True
    """Where the body is missing, the cell is read again. Else: it is an empty map."""
    digest_is_compared: bool = True
    """What is not what the cell's digest is of counts as missing."""
    old_ones_only: bool = True
    """Bodies are removed of versions below the one that stands. Else: all others, also of a version yet to come."""


class BodyBounds(NamedTuple):
    """How often each thing may happen."""

    versions: int = 3
    drafts: int = 3
    """Maps that all proposers make, and bodies that they put, together."""


class Root(NamedTuple):
    """The map's cell. `meant`: what whoever swapped it in has put, of which the digest is."""

    key: Key
    meant: Content


class Proposer(NamedTuple):
    """What one has on its way."""

    expected: Root
    root: Root
    is_confirmed: bool = False


class Bodies(NamedTuple):
    """All that exists at one moment."""

    cell: Root
    bodies: tuple[tuple[Key, Content], ...]
    puts: frozenset[tuple[Key, Content]] = frozenset()
    swaps: frozenset[tuple[Root, Root]] = frozenset()
    removals: frozenset[Key] = frozenset()
    proposers: tuple[Proposer | None, Proposer | None] = (None, None)
    reader: Root | None = None
    drafts: int = 0
    wrong: str | None = None

    def body(self, key: Key) -> Content | None:
        return dict(self.bodies).get(key)


Step = tuple[str, Bodies]


class BodyModel:
    """The model under `rules`, within `bounds`."""

    def __init__(self, rules: BodyRules, bounds: BodyBounds) -> None:
        self.rules, self.bounds = rules, bounds

    def initial(self) -> Bodies:
        first = Root((1, "P", 0), "first")
        return Bodies(first, ((first.key, first.meant),))

    def violation(self, state: Bodies) -> str | None:
        if state.wrong is None and state.body(state.cell.key) != state.cell.meant:
            return f"the standing map is {state.body(state.cell.key)}, and {state.cell.meant} was meant"
        return state.wrong

    def successors(self, state: Bodies) -> Iterator[Step]:
        yield from self._store(state)
        yield from self._reader(state)
        for me, proposer in enumerate(state.proposers):
            yield from self._proposer(state, me, proposer)

    def _store(self, state: Bodies) -> Iterator[Step]:
        for key, content in state.puts:
            bodies = _with(state.bodies, key, content)
            heard = state._replace(bodies=bodies)
            yield f"the put of {content} executes", heard
            for me, proposer in enumerate(state.proposers):
                if proposer is not None and proposer.root == (key, content) and not proposer.is_confirmed:
                    confirmed = proposer._replace(is_confirmed=True)
                    yield f"{PROPOSERS[me]} hears of {content}", heard._replace(proposers=_put(state, me, confirmed))
        for expected, root in state.swaps:
            if state.cell == expected:
                # Others expect what stood before, and no cell ever stands twice: they never execute.
                yield f"the cell names {root.meant}", state._replace(cell=root, swaps=frozenset())
        for key in state.removals:
            bodies = tuple(item for item in state.bodies if item[0] != key)
            yield f"the body {key} goes", state._replace(bodies=bodies, removals=state.removals - {key})

    def _proposer(self, state: Bodies, me: int, proposer: Proposer | None) -> Iterator[Step]:
        name = PROPOSERS[me]
        if proposer is None or proposer.expected != state.cell:
            if proposer is not None and proposer.root == state.cell:
                yield f"{name} removes what is old", self._removes(state, me)
            if state.cell.key[0] < self.bounds.versions:
                yield from self._drafts(state, me, state.cell)
            return
        if not proposer.is_confirmed:
            yield from self._drafts(state, me, proposer.expected)
            if state.drafts < self.bounds.drafts:
                again = proposer.root._replace(key=self._key(me, proposer.root.key[0], state.drafts))
                yield f"{name} puts {again.meant} under another nonce", self._puts(state, me, proposer.expected, again)
        if proposer.is_confirmed or not self.rules.put_is_confirmed:
            swaps = state.swaps | {(proposer.expected, proposer.root)}
            yield f"{name} sends the swap to {proposer.root.meant}", state._replace(swaps=swaps)

    def _drafts(self, state: Bodies, me: int, expected: Root) -> Iterator[Step]:
        if state.drafts < self.bounds.drafts:
            version = expected.key[0] + 1
            content = f"{PROPOSERS[me]}{state.drafts} of version {version}"
            root = Root(self._key(me, version, state.drafts), content)
            yield f"{PROPOSERS[me]} puts {content}", self._puts(state, me, expected, root)

    def _key(self, me: int, version: int, nonce: int) -> Key:
        if not self.rules.key_names_proposer:
            return version, "", 0
        return version, PROPOSERS[me], nonce if self.rules.key_names_nonce else 0

    def _puts(self, state: Bodies, me: int, expected: Root, root: Root) -> Bodies:
        return state._replace(
            puts=state.puts | {(root.key, root.meant)},
            proposers=_put(state, me, Proposer(expected, root)),
            drafts=state.drafts + 1,
        )

    def _removes(self, state: Bodies, me: int) -> Bodies:
        stands = state.cell.key
        keys = (key for key, _ in state.bodies)
        old = (key for key in keys if (key[0] <= stands[0] - KEPT if self.rules.old_ones_only else key != stands))
        return state._replace(removals=state.removals.union(old), proposers=_put(state, me, None))

    def _reader(self, state: Bodies) -> Iterator[Step]:
        if state.reader is None:
            yield "the reader reads the cell", state._replace(reader=state.cell)
            return
        meant, found = state.reader.meant, state.body(state.reader.key)
        if self.rules.digest_is_compared and found != meant:
            found = None
        is_taken = found is not None or not self.rules.missing_is_read_again
        wrong = f"the reader takes {found} for {meant}" if is_taken and found != meant else None
        yield f"the reader reads {found}", state._replace(reader=None, wrong=wrong)


def _with(bodies: tuple[tuple[Key, Content], ...], key: Key, content: Content) -> tuple[tuple[Key, Content], ...]:
    return tuple(sorted({**dict(bodies), key: content}.items()))


def _put(state: Bodies, me: int, proposer: Proposer | None) -> tuple[Proposer | None, Proposer | None]:
    first, second = state.proposers
    return (proposer, second) if me == 0 else (first, proposer)

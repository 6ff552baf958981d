"""Whether a state comes to a good end: once everything goes well again, every shard has an owner that answers.

From a state of the cluster's model everything that is under way is lost, one node at most stops for ever without a
word, and then nothing goes wrong any more: each node that runs beats in its turn, its calls are answered, who was
replaced begins another life, and who runs no more is found silent by those who watch it. An owner whom nobody watches
would stay in the map for ever. So a search in which every state heals shows that whatever happened, somebody notices
the end of every owner, and can do something about it.
"""

from collections.abc import Iterable

from rowbox.cacheserver.node.judgement import Look, Member, next_swap, plan_input, raised
from rowbox.cacheserver.node.move_rules import is_decided, takes_back
from rowbox.cacheserver.shardmap.shard_map import ShardMap
from tests.model.cluster.cluster import Cluster
from tests.model.cluster.cluster_map import model_map, plans, shipped_map
from tests.model.cluster.cluster_row import Life, State, Store
from tests.model.cluster.cluster_rules import ClusterBounds, ClusterRules

ROUNDS = 6
"""Of everybody's beats."""
SWAPS = 8
"""Of one beat, as in membership.py."""


class Healing:
    """A cluster in which all goes well from now on."""

    def __init__(self, rules: ClusterRules, bounds: ClusterBounds) -> None:
        self._cluster = Cluster(rules, bounds)
        self._plans = min(bounds.plans, 1)
        self._known: dict[tuple[Store, tuple[Life, ...]], bool] = {}

    def heals(self, state: State) -> bool:
        """Whether every shard gets an owner that answers, whichever node is missing."""
        lives = tuple(map(_as_woken, state.lives))
        return self._heals(state.store, lives) and all(
            self._heals(state.store, lives[:me] + lives[me + 1 :]) for me in range(len(lives))
        )

    def _heals(self, store: Store, lives: tuple[Life, ...]) -> bool:
        key = store, lives
        if key not in self._known:
            self._known[key] = self._comes_to_answer(store, lives)
        return self._known[key]

    def _comes_to_answer(self, store: Store, lives: tuple[Life, ...]) -> bool:
        running = list(lives)
        for _ in range(ROUNDS):
            for me in range(len(running)):
                store, running[me] = self._beat(store, running, me)
            if len(frozenset().union(*(life.answers for life in running))) == len(store.map.owners):
                return True
        return False

    def _beat(self, store: Store, running: list[Life], me: int) -> tuple[Store, Life]:
        cluster, life = self._cluster, running[me]
        names = {one.name for one in running}
        has_renewed = False
        for _ in range(SWAPS):
            life, look = cluster.look(life, store)
            gone = frozenset(cell.incarnation for cell in look.row.cells.values()) - names
            life = cluster.take_in(life, look, store)
            member = cluster.member(life, has_renewed=has_renewed)._replace(
                silent=gone, lively=names - {life.name}, has_waited=True
            )
            swap = next_swap(look, member)
            if swap is not None:
                store = store.put(swap.place, swap.cell)
                is_own = swap.cell.incarnation == life.name
                has_renewed = has_renewed or is_own
                life = life._replace(beat=swap.cell.beat) if is_own else life
                continue
            if life.ending:
                return store, Life(f"{life.name[0]}{int(life.name[1:]) + 1}")
            changed = self._changed(look, member, life)
            if changed is None:
                break
            store = store._replace(map=model_map(changed))
        mover, applied = life.mover, life.applied
        if mover is not None and applied is not None and is_decided(mover.sent_over, shipped_map(applied)):
            life = life._replace(mover=None)
        return store, life

    def _changed(self, look: Look, member: Member, life: Life) -> ShardMap | None:
        if life.mover is not None and (back := takes_back(look.map, life.name, dict(life.mover.grants))) is not None:
            return back
        given = plan_input(look, member)
        return raised(look, member) or (next(plans(given, self._plans), None) if given is not None else None)


class Healed:
    """A model in which a state that does not heal is a violation."""

    def __init__(self, rules: ClusterRules, bounds: ClusterBounds) -> None:
        self._cluster, self._healing = Cluster(rules, bounds), Healing(rules, bounds)

    def initial(self) -> State:
        return self._cluster.initial()

    def successors(self, state: State) -> Iterable[tuple[str, State]]:
        return self._cluster.successors(state)

    def violation(self, state: State) -> str | None:
        wrong = self._cluster.violation(state)
        return wrong or (None if self._healing.heals(state) else "some shard is without an owner for ever")


def _as_woken(life: Life) -> Life:
    """Without what decides nothing any more: its lease has lapsed, and its looks are forgotten."""
    return life._replace(lease=0, over=0, seen=None, writing=0)

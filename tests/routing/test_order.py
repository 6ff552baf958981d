"""A user's writes are begun by each owner in the order in which the router got them, whatever happens meanwhile; and
whoever follows a user is told of each.
"""

import asyncio
import os
from collections import defaultdict
from random import Random

import pytest

from rowbox.cacheserver.port import Changed, FetchMessages, Follow, Following, Lost, Send
from rowbox.cacheserver.routing.followings import CHECK_S
from rowbox.mailbox.errors import RowboxError
from tests.routing import mutants
from tests.routing.cluster import SHARDS, Faults, ModelCluster
from tests.routing.mutants import Mutant
from tests.support.virtual_time import run_virtual

SEEDS = int(os.environ.get("ROWBOX_SIMULATION_SEEDS", "0")) or 100
MOST_SEEDS = 100
USERS = ("ann", "bob", "cy", "dee", "eve")


class Follower:
    """A client that pulls when it is told that something has changed, and never else."""

    def __init__(self, cluster: ModelCluster, user: str) -> None:
        self.cluster = cluster
        self.user = user
        self.token = "0"
        self.following: Following
        self.told: list[Changed | Lost] = []
        self._pulls: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        self.following = await self.cluster.router.follow(Follow(self.user), self._notify)
        self._notify(Changed(self.following.head, self.token))

    def _notify(self, what: Changed | Lost) -> None:
        self.told.append(what)
        if isinstance(what, Changed) and self._pulls is None:
            self._pulls = asyncio.get_running_loop().create_task(self._pull())

    async def _pull(self) -> None:
        while True:
            told = len(self.told)
            try:
                page = await self.cluster.router.fetch_messages(FetchMessages(self.user, token=self.token))
            except RowboxError:
                await asyncio.sleep(0.2)
                continue
            self.token = str(page.token)
            if len(self.told) == told:  # nothing came meanwhile
                self._pulls = None
                return


class Chaos:
    """Users who send without waiting, over a cluster whose shards move and whose owners die, and who are followed."""

    def __init__(self, seed: int, *, unknown: float) -> None:
        self.random = Random(seed)
        faults = Faults(unknown, self.random.choice([0.0005, 0.004, 0.02]), self.random.choice([0.0, 0.003, 0.02]))
        self.cluster = ModelCluster(self.random, faults, local=self.random.choice([None, "a"]))
        self.confirmed: defaultdict[str, set[str]] = defaultdict(set)
        self.failed: list[str] = []
        self.broken: list[str] = []
        self._lives = 1
        self._has_lapsed = False
        self.followers = [Follower(self.cluster, user) for user in USERS]

    async def run(self) -> None:
        self.cluster.start()
        await asyncio.gather(*(follower.begin() for follower in self.followers))
        await asyncio.gather(self._trouble(), *(self._user(user) for user in USERS))
        await asyncio.sleep(2 * CHECK_S)  # whatever is under way ends
        self._judge()
        self._judge_followers()
        await self._all_is_well()
        await self.cluster.close()

    async def _user(self, user: str) -> None:
        sends = []
        for number in range(self.random.randint(5, 40)):
            sends.append(asyncio.ensure_future(self._send(user, f"{number:03}")))
            await asyncio.sleep(0)  # in this order
            if self.random.random() < 0.5:
                await asyncio.sleep(self.random.choice([0.001, 0.01, 0.1]))
            if self.random.random() < 0.05:
                sends[-1].cancel()
        await asyncio.gather(*sends, return_exceptions=True)

    async def _send(self, user: str, name: str) -> None:
        try:
            result = await self.cluster.router.send(Send(user, "zoe", "hello", name))
        except RowboxError as error:
            self.failed.append(f"{user} {name} {error!r}")
            return
        self.confirmed[user].add(name)
        if result.duplicate:
            self.broken.append(f"{user}'s {name} was asked for once, and the answer says that it is a duplicate")
        page = await self._fetch(user)
        if page is not None and name.encode() not in page:
            self.broken.append(f"{user}'s {name} is confirmed, and the next fetch does not show it")

    async def _fetch(self, user: str) -> list[bytes] | None:
        try:
            return list((await self.cluster.router.fetch_messages(FetchMessages(user))).items)
        except RowboxError as error:
            self.failed.append(f"{user}'s fetch {error!r}")
            return None

    async def _trouble(self) -> None:
        for _ in range(self.random.randint(2, 12)):
            await asyncio.sleep(self.random.choice([0.0, 0.005, 0.05, 0.3]))
            trouble = self.random.choice([self._move, self._move, self._move, self._cut, self._lapse, self._kill])
            await trouble()

    async def _move(self) -> None:
        cluster, shard = self.cluster, self.random.randrange(SHARDS)
        owner = cluster.standing.owner_of(shard)
        others = [node.incarnation for node in cluster.standing.nodes if node != owner]
        if owner is None or not others or cluster.owners[owner.incarnation].is_dead:
            return
        to = self.random.choice(others)
        cluster.standing = cluster.standing.next().sending([shard], to)
        cluster.spread(0.01)
        await asyncio.sleep(self.random.uniform(0, 0.02))
        mover = cluster.owners[owner.incarnation]
        mover.apply(cluster.standing)
        mover.close_shard(shard)
        await asyncio.sleep(self.random.choice([0.0, 0.002, 0.05]))
        is_given = self.random.random() < 0.5 and not cluster.owners[to].is_dead
        after = cluster.standing.next()
        cluster.standing = after.giving([shard], to) if is_given else after.sending([shard], None)
        if not is_given and self.random.random() < 0.5:
            mover.apply(cluster.standing)
        cluster.spread(self.random.choice([0.0, 0.01, 0.3]))

    async def _cut(self) -> None:
        link = self.random.choice(list(self.cluster.links.values()))
        link.cut()
        await asyncio.sleep(self.random.choice([0.0, 0.02]))
        asyncio.get_running_loop().call_later(self.random.choice([0.0, 0.05, 0.4]), link.mend)

    async def _lapse(self) -> None:
        owner = self.random.choice(list(self.cluster.owners.values()))
        owner.has_lapsed = self._has_lapsed = True
        await asyncio.sleep(self.random.choice([0.0, 0.005, 0.1]))
        owner.has_lapsed = False

    async def _kill(self) -> None:
        cluster = self.cluster
        own = cluster.targets.local
        mortal = [one for one in cluster.owners.values() if not one.is_dead and (own is None or one is not own.target)]
        if len(mortal) < 2 or self._lives > 4:
            return
        victim = self.random.choice(mortal)
        victim.is_dead = True
        if victim.incarnation in cluster.links:
            cluster.links[victim.incarnation].cut()
        await asyncio.sleep(self.random.choice([0.05, 0.6]))
        self._lives += 1
        shards = cluster.standing.shards_of(victim.incarnation)
        cluster.standing = cluster.standing.next().unlisting({victim.incarnation})
        cluster.list_nodes([f"{victim.incarnation.split('-')[0]}-{self._lives}"])
        to = self.random.choice([node.incarnation for node in cluster.standing.nodes])
        cluster.standing = cluster.standing.giving(shards, to)
        cluster.spread(self.random.choice([0.01, 0.5]))

    async def _all_is_well(self) -> None:
        """When nothing happens any more, everybody is served at once."""
        self.failed.clear()
        for link in self.cluster.links.values():
            link.mend()
        self.cluster.faults = Faults()
        await asyncio.gather(*(self._send(user, "last") for user in USERS))
        self.broken += self.failed

    def _judge(self) -> None:
        for owner in self.cluster.owners.values():
            for user in USERS:
                names = list(dict.fromkeys(name for of, name in owner.begun if of == user))
                if names != sorted(names):
                    self.broken.append(f"{owner.incarnation} began {user}'s writes in the order {names}")
        for user in USERS:
            stored = [one.client_message_id for one in self.cluster.mailboxes[user]]
            if len(set(stored)) != len(stored):
                self.broken.append(f"{user} has a message twice: {stored}")
            if missing := self.confirmed[user] - set(stored):
                self.broken.append(f"{user} misses {missing}")
            confirmed = [name for name in stored if name in self.confirmed[user]]
            if confirmed != sorted(confirmed):
                self.broken.append(f"{user}'s confirmed messages stand in the order {confirmed}")
            if not (self.cluster.faults.unknown or self._has_lapsed) and stored != sorted(stored):
                self.broken.append(f"{user}'s messages stand in the order {stored}")
        if self.cluster.asked_under_one_map:
            self.broken.append(f"asked again under the same map: {self.cluster.asked_under_one_map}")
        if twice := [sent for sent, times in self.cluster.in_turns.items() if times > 1]:
            self.broken.append(f"sent twice in one turn: {twice}")
        lines = self.cluster.router.lines
        if len(lines) or lines.waiting.count or lines.waiting.size_bytes or len(self.cluster.router.judges):
            self.broken.append(f"left behind: {[line.user_id for line in lines]}, {lines.waiting.count} writes")

    def _judge_followers(self) -> None:
        for follower in self.followers:
            if follower.token != str(len(self.cluster.mailboxes[follower.user])):
                self.broken.append(f"{follower.user} was not told of all: {follower.token}, {follower.told[-5:]}")


def breaches(seed: int, *, unknown: float = 0.0) -> list[str]:
    async def run() -> list[str]:
        chaos = Chaos(seed, unknown=unknown)
        await chaos.run()
        return chaos.broken

    return run_virtual(run())


@pytest.mark.parametrize("unknown", [0.0, 0.1])
def test_writes_are_begun_in_the_order_in_which_they_came(unknown: float) -> None:
    broken = {seed: found for seed in range(SEEDS) if (found := breaches(seed, unknown=unknown))}
    assert not broken


@pytest.mark.parametrize("mutant", mutants.ALL, ids=lambda mutant: mutant.__name__)
def test_a_rule_that_is_switched_off_is_noticed(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    assert any(breaches(seed, unknown=0.1 * (seed % 2)) for seed in range(MOST_SEEDS))

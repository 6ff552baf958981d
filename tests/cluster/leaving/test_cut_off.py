"""Servers that reach the store, and not one another: who is cut off from most of the others leaves its shards to them.

One cut, however it is, never has the cluster go to and fro, and never leaves nobody.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import combinations, product
from typing import Any

import pytest

from rowbox.cacheserver.clocks import StoreClock
from rowbox.cacheserver.node import judgement, watch
from rowbox.cacheserver.node.judgement import Contacts, is_in_touch
from rowbox.cacheserver.node.membership import Membership
from rowbox.cacheserver.shardmap.cluster_row import ClusterReader, ClusterRow
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap, empty_map
from tests.cluster.servers import Links, Server, Servers, servers
from tests.cluster.world import SHARDS
from tests.support.virtual_time import run_virtual, virtual_time

AT_REST_S = 5.0
HEALED_S = 30.0
LONG_S = 60.0


async def at_rest(all_of_them: Servers, names: str) -> tuple[Links, list[Server]]:
    """Servers that own shards, each some, and have links with one another."""
    links = Links()
    made = [all_of_them.add(name, links) for name in names]
    for server in made:
        server.node.start()
    for server in made:
        await server.listed()
    await _share(all_of_them, made)
    await asyncio.sleep(AT_REST_S)
    return links, made


async def _share(all_of_them: Servers, made: list[Server]) -> None:
    """Gives each an equal part, as its moves would."""
    maps = MapStore(all_of_them.store, "the test", StoreClock(all_of_them.clock.now_us).next_ms)

    def shared(standing: ShardMap) -> ShardMap | None:
        if len({standing.owner_of(shard) for shard in range(SHARDS)}) == len(made):
            return None
        after = standing.next()
        for place, server in enumerate(made):
            after = after.giving(range(place, SHARDS, len(made)), server.node.incarnation)
        return after

    await maps.change(shared)


def shards(made: list[Server]) -> dict[str, int]:
    """By name of those that own any: how many."""
    owned = {server.name: len(server.node._shards) for server in made}
    return {name: count for name, count in owned.items() if count}


def lives(made: list[Server]) -> list[str]:
    return [server.node.incarnation for server in made]


def a_way(links: Links, kind: str) -> None:
    """Cuts a off from b and c: altogether, or one way."""
    ways = {"a calls nobody": [("a", "b"), ("a", "c")], "nobody calls a": [("b", "a"), ("c", "a")]}
    links.cut = {cut for name, cuts in ways.items() if kind in (name, "both ways") for cut in cuts}


async def one_that_is_cut_off(kind: str) -> None:
    async with servers() as all_of_them:
        links, made = await at_rest(all_of_them, "abc")
        before = lives(made)
        assert set(shards(made)) == set("abc")
        a_way(links, kind)
        await asyncio.sleep(HEALED_S)
        healed = shards(made)
        assert set(healed) == {"b", "c"}
        assert sum(healed.values()) == SHARDS
        assert lives(made)[1:] == before[1:]
        after = lives(made)
        await asyncio.sleep(LONG_S)
        assert (shards(made), lives(made)) == (healed, after), "it does not go to and fro"
        links.cut = set()
        await made[0].listed()


@pytest.mark.parametrize("kind", ["both ways", "a calls nobody", "nobody calls a"])
def test_who_is_cut_off_leaves_its_shards_and_comes_back_with_the_links(kind: str) -> None:
    run_virtual(one_that_is_cut_off(kind))


async def one_that_misses_beats() -> None:
    async with servers() as all_of_them:
        links, made = await at_rest(all_of_them, "abc")
        one, reader = made[0], ClusterReader(all_of_them.store)
        life = one.node.incarnation
        a_way(links, "both ways")
        await asyncio.sleep(AT_REST_S + 2.0)
        for _ in range(10):
            one.wire.is_cut = True
            await asyncio.sleep(1.0)
            one.wire.is_cut = False
            for _ in range(6):
                await asyncio.sleep(0.5)
                cell = (await reader.whole()).cell_of(life)
                assert cell is not None
                assert cell.reaches_peers is False, "it takes back what it has said"
        assert one.node.missed_beats == 10
        assert one.node.incarnation == life, "it looks without a gap for too short a time"
        await asyncio.sleep(HEALED_S)
        assert set(shards(made)) == {"b", "c"}


def test_one_that_misses_a_beat_now_and_then_does_not_take_back_that_it_is_cut_off() -> None:
    """With each change of its word shards would be planned to and fro."""
    run_virtual(one_that_misses_beats())


async def nobody_in_touch(*groups: str) -> None:
    async with servers() as all_of_them:
        links, made = await at_rest(all_of_them, "".join(groups))
        before = shards(made), lives(made)
        links.part(*groups)
        await asyncio.sleep(LONG_S)
        assert (shards(made), lives(made)) == before


@pytest.mark.parametrize("groups", [("a", "b"), ("a", "b", "c"), ("ab", "cd"), ("ab", "c", "de")])
def test_where_nobody_is_in_touch_with_most_everybody_stays(groups: tuple[str, ...]) -> None:
    run_virtual(nobody_in_touch(*groups))


@pytest.mark.parametrize("groups", [("abc", "defg"), ("a", "b", "cdef")])
def test_the_larger_part_serves_everybody(groups: tuple[str, ...]) -> None:
    """Also where the stewards are all in the smaller one."""

    @virtual_time
    async def run() -> None:
        async with servers() as all_of_them:
            links, made = await at_rest(all_of_them, "".join(groups))
            links.part(*groups)
            await asyncio.sleep(HEALED_S)
            assert set(shards(made)) == set(groups[-1])
            assert sum(shards(made).values()) == SHARDS

    run()


@virtual_time
async def test_a_cut_between_two_of_many_moves_nothing() -> None:
    async with servers() as all_of_them:
        links, made = await at_rest(all_of_them, "abcd")
        before = shards(made), lives(made)
        for pair in combinations("abcd", 2):
            links.cut = {pair}
            await asyncio.sleep(HEALED_S)
            assert (shards(made), lives(made)) == before


@pytest.mark.parametrize("seconds", [4.0, 9.0])
def test_a_cut_that_ends_soon_moves_nothing(seconds: float) -> None:
    @virtual_time
    async def run() -> None:
        async with servers() as all_of_them:
            links, made = await at_rest(all_of_them, "abc")
            before = shards(made), lives(made)
            for _ in range(3):
                links.part("a", "bc")
                await asyncio.sleep(seconds)
                links.cut = set()
                await asyncio.sleep(2.0)
            await asyncio.sleep(HEALED_S)
            assert (shards(made), lives(made)) == before

    run()


async def one_link_after_the_other() -> None:
    async with servers() as all_of_them:
        links, made = await at_rest(all_of_them, "abcd")
        before = lives(made)
        for one, other in combinations("abcd", 2):
            links.cut |= {(one, other), (other, one)}
            await asyncio.sleep(0.6)
        await asyncio.sleep(LONG_S)
        assert sum(shards(made).values()) == SHARDS
        assert lives(made) == before


def test_when_all_links_are_cut_one_after_the_other_everybody_stays() -> None:
    """Each notices it at another time, and whoever is first still hears that the others are in touch."""
    run_virtual(one_link_after_the_other())


async def one_that_reaches_nobody() -> None:
    async with servers() as all_of_them:
        links, _ = await at_rest(all_of_them, "abc")
        links.cut = {(one, other) for one, other in product("abcd", "abcd") if "d" in (one, other)}
        late = all_of_them.add("d", links)
        late.node.start()
        await asyncio.sleep(HEALED_S)
        assert not late.node._is_listed
        assert late.node.standing()[0] == "waiting for links with the other servers of the cluster"
        links.cut = set()
        await late.listed()


def test_a_server_that_cannot_reach_the_others_is_not_taken_in() -> None:
    """One with another secret, or behind a firewall: as an owner it would be of no use to anybody."""
    run_virtual(one_that_reaches_nobody())


@virtual_time
async def test_a_server_that_waits_for_links_takes_over_from_one_that_dies() -> None:
    async with servers() as all_of_them:
        links, (only,) = await at_rest(all_of_them, "a")
        links.part("a", "b")
        late = all_of_them.add("b", links)
        late.node.start()
        await asyncio.sleep(HEALED_S)
        assert not late.node._is_listed
        only.cut_off()
        await asyncio.sleep(HEALED_S)
        assert shards([late]) == {"b": SHARDS}
        only.cut_off(is_cut=False)
        await asyncio.sleep(HEALED_S)
        assert shards([only, late]) == {"b": SHARDS}, "now it is the other one that waits"


@pytest.mark.parametrize("kind", ["a star", "nobody calls a", "a calls nobody"])
def test_where_shards_move_over_links_nothing_goes_to_and_fro(kind: str) -> None:
    """In a star most are not in touch, and are again as soon as some of them have left; whoever has left reaches the
    middle, and must not come back in their stead.
    """

    @virtual_time
    async def run() -> None:
        async with servers() as all_of_them:
            links, made = await at_rest(all_of_them, "abcde")
            links.moves_at_once = 8
            await asyncio.sleep(HEALED_S)
            if kind == "a star":
                links.part(*"bcde")
            else:
                ways = [("a", other) for other in "bcde"]
                links.cut = {way if kind == "a calls nobody" else way[::-1] for way in ways}
            await asyncio.sleep(LONG_S)
            rests = shards(made), lives(made)
            assert sum(rests[0].values()) == SHARDS
            assert ("a" in rests[0]) == (kind == "a star")
            await asyncio.sleep(LONG_S)
            assert (shards(made), lives(made)) == rests

    run()


@virtual_time
async def test_all_that_come_back_after_all_have_ended_wait_for_none_of_those() -> None:
    """The first take the places of those who have ended, of whom nothing is there then but the map's word."""
    async with servers() as all_of_them:
        links, made = await at_rest(all_of_them, "abc")
        for server in made:
            await server.node.close()
        links.servers.clear()
        again = [all_of_them.add(name, links) for name in "abc"]
        for server in again:
            server.node.start()
        for server in again:
            await server.listed()
        assert sum(shards(again).values()) == SHARDS


def test_no_two_parts_of_a_cluster_are_both_in_touch() -> None:
    """For every graph of links among five servers: who is in touch with half of the others shares one of them, or a
    link, with everybody else who is. So no two groups that have no links with each other are both in touch.
    """
    names = "abcde"
    listing = empty_map(8).next().listing([ListedNode(name, name, f"{name}:1") for name in names])
    ways = list(combinations(names, 2))
    look = judgement.Look(ClusterRow(None, {}, {}), listing, is_whole=False)
    for chosen in product([False, True], repeat=len(ways)):
        linked = {way for way, is_there in zip(ways, chosen, strict=True) if is_there}
        with_whom = {name: {x for way in linked if name in way for x in way} - {name} for name in names}
        in_touch = [name for name in names if is_in_touch(look, _member(name, with_whom[name]))]
        for one, other in combinations(in_touch, 2):
            assert other in with_whom[one] or with_whom[one] & with_whom[other]


def _member(name: str, contacts: set[str]) -> judgement.Member:
    return judgement.Member(ListedNode(name, name), "", 1, contacts=Contacts(contacts, contacts))


# Each rule switched off


def _counts_calls_alone(patch: pytest.MonkeyPatch) -> None:
    def contacts_of(links: Links, server: Server) -> Contacts:
        calls = contacts(links, server).calls
        return Contacts(calls, calls)

    contacts = Links.contacts_of
    patch.setattr(Links, "contacts_of", contacts_of)


def _leaves_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(watch, "LEAVE_PEERS_BEATS", 0)


def _leaves_to_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(judgement, "_is_cut_off", lambda _look, me, _newest: not me.reaches_peers and me.may_leave_peers)


def _is_believed_before_it_is_listed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Membership, "reaches_peers", property(lambda self: not self.touch.is_cut_off))


def _takes_back_what_it_said(patch: pytest.MonkeyPatch) -> None:
    """Whenever a beat has failed."""

    def forget(self: Membership) -> None:
        _forget(self)
        self.touch.saw(is_in_touch=True)

    _forget = Membership._forget
    patch.setattr(Membership, "_forget", forget)


@pytest.mark.parametrize(
    ("rule_is_off", "scenario"),
    [
        (_counts_calls_alone, partial(one_that_is_cut_off, "nobody calls a")),
        (_leaves_at_once, one_link_after_the_other),
        (_leaves_to_nobody, partial(nobody_in_touch, "a", "b")),
        (_is_believed_before_it_is_listed, one_that_reaches_nobody),
        (_takes_back_what_it_said, one_that_misses_beats),
    ],
)
def test_a_rule_that_is_switched_off_is_noticed(
    rule_is_off: Callable[[pytest.MonkeyPatch], None],
    scenario: Callable[[], Coroutine[Any, Any, None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule_is_off(monkeypatch)
    with pytest.raises(AssertionError):
        run_virtual(scenario())

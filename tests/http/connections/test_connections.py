"""The rules over all connections of a port, with connections that do nothing by themselves."""

import asyncio
import logging

import pytest

from rowbox.api.http.connections import REPORT_EVERY_S, ConnectionLimits, Connections, Cut
from tests.support.virtual_time import virtual_time


class StillPeer:
    """A connection that is told what it holds."""

    def __init__(self, connections: Connections, *, is_known: bool = False) -> None:
        self.is_known = is_known
        self.held = 0
        self.unsent = 0
        self.is_open = True
        self._connections = connections
        assert connections.let_in()
        connections.opened(self)

    def held_bytes(self) -> int:
        return self.held

    def unsent_bytes(self) -> int:
        return self.unsent

    def probe(self) -> None:
        """Nobody asks it anything."""

    def abort(self) -> None:
        self.is_open = False

    def holds(self, size: int) -> None:
        self.held = size
        self._connections.holds(self)


@pytest.fixture
async def connections() -> Connections:
    return Connections(ConnectionLimits(most=3, held_bytes=1000, head_s=600, write_s=600))


async def test_the_one_that_has_been_idle_longest_makes_room(connections: Connections) -> None:
    first, second, third = (StillPeer(connections, is_known=True) for _ in range(3))
    connections.asks(first)
    connections.answered(first)
    connections.asks(third)
    assert connections.let_in()
    assert (first.is_open, second.is_open, third.is_open) == (True, False, True)
    assert connections.let_in()
    assert not first.is_open
    assert connections.cuts[Cut.ROOM] == 2
    assert connections.refused == 0


async def test_a_stranger_makes_room_before_who_had_a_token(connections: Connections) -> None:
    known, stranger = StillPeer(connections, is_known=True), StillPeer(connections)
    StillPeer(connections, is_known=True)
    assert connections.let_in()
    assert (known.is_open, stranger.is_open) == (True, False)


async def test_where_nobody_is_idle_one_who_keeps_us_waiting_goes(connections: Connections) -> None:
    peers = [StillPeer(connections, is_known=True) for _ in range(3)]
    for peer in peers:
        connections.asks(peer)
    peers[1].unsent = 10
    connections.stalls(peers[1])
    assert connections.let_in()
    assert [peer.is_open for peer in peers] == [True, False, True]


async def test_where_all_are_being_answered_the_new_one_is_refused(connections: Connections) -> None:
    for _ in range(3):
        connections.asks(StillPeer(connections, is_known=True))
    assert not connections.let_in()
    assert connections.refused == 1


async def test_those_that_are_not_opened_yet_have_their_place(connections: Connections) -> None:
    assert all(connections.let_in() for _ in range(3))
    assert not connections.let_in()
    connections.did_not_come()
    assert connections.let_in()


async def test_one_who_gets_known_while_he_holds_bytes_is_closed_once(connections: Connections) -> None:
    peer, other = StillPeer(connections), StillPeer(connections)
    peer.holds(400)
    peer.is_known = True
    peer.holds(500)
    other.holds(400)
    assert connections.held_bytes == 900
    other.holds(600)
    assert (peer.is_open, other.is_open) == (True, False), "the stranger, though he came later"
    assert connections.held_bytes == 500
    peer.holds(1001)
    assert not peer.is_open
    assert connections.held_bytes == 0
    assert connections.cuts[Cut.BYTES] == 2


async def test_one_that_was_cut_off_is_counted_no_more(connections: Connections) -> None:
    peer = StillPeer(connections)
    peer.unsent = 600
    connections.stalls(peer)
    peer.holds(600)
    assert not peer.is_open
    assert len(connections) == 0
    for tell in (connections.holds, connections.stalls, connections.answered, connections.head_begun, connections.lost):
        tell(peer)
    assert connections.held_bytes == 0
    assert list(connections.idle()) == []
    assert sum(connections.cuts.values()) == 1


@virtual_time
async def test_nothing_is_asked_of_one_that_left() -> None:
    """Its head is not late, its answer does not stand still, and it is not probed: it would be cut off, and counted."""
    connections = Connections(ConnectionLimits(most=3, held_bytes=1000, head_s=2, write_s=2, probe_s=2))
    peer = StillPeer(connections)
    peer.unsent = 10
    connections.stalls(peer)
    connections.half_closed(peer)
    connections.lost(peer)
    assert not [*connections._heads, *connections._writes, *connections._probes]
    await asyncio.sleep(3)
    assert set(connections.cuts.values()) == {0}


@virtual_time
async def test_an_answer_that_was_sent_after_all_has_no_time_any_more() -> None:
    """It would be looked at while nothing waits, which is an error."""
    connections = Connections(ConnectionLimits(most=3, held_bytes=1000, head_s=600, write_s=2))
    peer = StillPeer(connections)
    peer.unsent = 10
    connections.stalls(peer)
    connections.flows(peer)
    assert not len(connections._writes)


async def test_what_was_sent_after_all_is_counted_no_more(connections: Connections) -> None:
    peer = StillPeer(connections)
    peer.unsent = 600
    connections.stalls(peer)
    assert connections.held_bytes == 600
    connections.flows(peer)
    assert connections.held_bytes == 0
    assert {sample[0]: sample[4] for sample in connections.samples() if not sample[3]} == {
        "rowbox_http_connections": 1,
        "rowbox_http_connections_limit": 3,
        "rowbox_http_held_bytes": 0,
        "rowbox_http_held_limit_bytes": 1000,
        "rowbox_http_refused_connections_total": 0,
        "rowbox_http_accept_failures_total": 0,
        "rowbox_http_broken_requests_total": 0,
    }


@virtual_time
async def test_what_is_no_http_is_counted_and_said_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    connections = Connections(ConnectionLimits(most=3, held_bytes=1000, head_s=600, write_s=600))
    for _ in range(100):
        for _ in range(1000):
            connections.sent_no_http("192.0.2.1", "BadStatusLine")
        await asyncio.sleep(0.5)
    assert connections.broken == 100_000
    assert len(caplog.records) == 50 / REPORT_EVERY_S
    assert sum(int(record.getMessage().rpartition("(")[2].split()[0]) for record in caplog.records) == 80_001

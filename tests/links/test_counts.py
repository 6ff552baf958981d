"""What both sides of links count, for the metrics."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rowbox.cacheserver.link_counts import LinkCounts
from rowbox.cacheserver.rpc.calls import Lane
from rowbox.cacheserver.rpc.credit import WINDOWS, Window
from rowbox.cacheserver.rpc.peer import PING_PAUSE_S, Peer, calling_counts
from rowbox.cacheserver.rpc.wire import LinkTiming
from rowbox.mailbox.errors import LinkLost, Overloaded, StoreOutcomeUnknown
from tests.links.linked import API, READ, linked
from tests.support.virtual_time import settle, virtual_time


def counted(counts: LinkCounts, *labels: str) -> dict[str, float]:
    """By name without `rowbox_link`, and the values of labels beside the side's own."""
    found: dict[str, float] = {}
    for name, _, _, of, value in counts.samples():
        assert of["side"] in ("calls", "serves")
        more = [value for label, value in of.items() if label not in ("link", "side")]
        found[" ".join([name.removeprefix("rowbox_link").lstrip("_"), *more])] = value
    return {label: found[label] for label in labels} if labels else found


@virtual_time
async def test_both_sides_count_links_calls_and_bytes(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        await settle()
        waiting = [both.write("1"), both.write("2"), both.wait("3")]
        await settle()
        for counts in (both.peer.counts, both.listener.counts):
            found = counted(counts, "s", "s_made_total", "calls_in_flight requests", "calls_in_flight waits")
            assert list(found.values()) == [1, 1, 2, 1]
        both.parked.answer_all()
        await asyncio.gather(*waiting)
        await both.read("x" * 100_000)
        calls, serves = counted(both.peer.counts), counted(both.listener.counts)
        assert calls["calls_in_flight requests"] == serves["calls_in_flight requests"] == 0
        for sent, received in ((calls, serves), (serves, calls)):
            assert sent["sent_bytes_total"] > 100_000
            assert received["received_bytes_total"] >= sent["sent_bytes_total"]  # lengths and the handshake as well


@virtual_time
async def test_what_was_counted_of_a_link_that_is_lost_is_not_forgotten(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        await both.read("x" * 50_000)
        waiting = both.write("1")
        await settle()
        before = [counted(counts) for counts in (both.peer.counts, both.listener.counts)]
        both.cut()
        with pytest.raises(StoreOutcomeUnknown):
            await waiting
        await settle()
        for counts, was in zip((both.peer.counts, both.listener.counts), before, strict=True):
            found = counted(counts)
            assert found["s"] == 0
            assert not any(value for name, value in found.items() if name.startswith("calls_in_flight"))
            for name in ("s_made_total", "sent_bytes_total", "received_bytes_total"):
                assert found[name] >= was[name] > 0
        await both.peer.up()
        for counts in (both.peer.counts, both.listener.counts):
            assert counted(counts, "s", "s_made_total") == {"s": 1, "s_made_total": 2}


@virtual_time
async def test_calls_that_are_refused_for_credit_are_counted_by_lane(tmp_path: Path) -> None:
    windows = {**WINDOWS, Lane.REQUESTS: Window(1, 1 << 20)}
    async with linked(tmp_path, windows=windows) as both:
        waiting = both.write("1")
        for _ in range(3):
            with pytest.raises(Overloaded):
                both.write("2")
        assert counted(both.peer.counts)["calls_refused_total requests"] == 3
        await settle()
        both.parked.answer_all()
        await waiting


@virtual_time
async def test_connections_of_which_no_link_comes_are_counted_by_the_reason(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        stranger = Peer(both.endpoint, API, b"another secret, of thirty-two bytes")
        stranger.start()
        with pytest.raises(LinkLost):
            await stranger.call(READ, "hello", timeout_s=5)
        assert counted(both.listener.counts)["refusals_total proof"] >= 1
        assert counted(stranger.counts)["refusals_total proof"] >= 1
        assert counted(both.peer.counts)["s"] == 1
        await both.listener.close()
        await asyncio.sleep(5)
        assert counted(stranger.counts)["refusals_total unreachable"] >= 1
        await stranger.close()


@virtual_time
async def test_a_link_is_measured_now_and_then_by_a_call_that_does_nothing(tmp_path: Path) -> None:
    async with linked(tmp_path, timing=LinkTiming(beat_s=30)) as both:
        loop: Any = asyncio.get_running_loop()
        await asyncio.sleep(PING_PAUSE_S / 2)
        assert counted(both.peer.counts)["round_trip_seconds"] < 0.1
        link = next(iter(both.listener.links()))
        link.wire.pause_writing()  # the owner's answers wait
        loop.call_later(PING_PAUSE_S / 2 + 0.75, link.wire.resume_writing)
        await asyncio.sleep(PING_PAUSE_S)
        assert counted(both.peer.counts)["round_trip_seconds"] == pytest.approx(0.75, abs=0.1)
        assert "round_trip_seconds" not in counted(both.listener.counts)


@virtual_time
async def test_several_peers_are_counted_as_one(tmp_path: Path) -> None:
    counts = calling_counts()
    async with linked(tmp_path / "a", counts=counts) as one, linked(tmp_path / "b", counts=counts):
        assert counted(counts, "s", "s_made_total") == {"s": 2, "s_made_total": 2}
        await one.peer.close()
        await settle()
        assert counted(counts, "s", "s_made_total") == {"s": 1, "s_made_total": 2}

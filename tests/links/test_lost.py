"""Links that are lost: what is known of the calls in flight, how it is noticed, and how links are made again."""

import asyncio
import gc
import logging
from itertools import pairwise
from pathlib import Path

import pytest

from rowbox.cacheserver.rpc.endpoint import UnixEndpoint
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.listener import Listener
from rowbox.cacheserver.rpc.peer import MOST_QUEUED, Peer, _Attempt
from rowbox.cacheserver.rpc.wire import SILENT_BEATS, LinkTiming
from rowbox.mailbox.errors import LinkLost, Overloaded, StoreOutcomeUnknown, WrongIncarnation
from tests.links.linked import API, OWNER, READ, SECRET, Parked, connection, handlers_of, linked, unruly
from tests.support.virtual_time import settle, virtual_time


@virtual_time
async def test_a_write_that_was_sent_is_of_unknown_outcome_all_else_was_not_done(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        sent, waits = both.write("sent"), both.wait("a poll")
        await settle()
        both.cut()
        unsent = both.write("made in the turn in which the link is lost")
        for waiting, kind in ((sent, StoreOutcomeUnknown), (waits, LinkLost)):
            with pytest.raises(kind):
                await waiting
        with pytest.raises((LinkLost, StoreOutcomeUnknown)):
            await unsent
        await settle()
        assert all(answer.cancelled() for answer in both.parked.answers.values())
        assert both.parked.asked == ["sent", "a poll"]


@virtual_time
async def test_what_had_not_left_was_not_done(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        unsent = both.write("not sent")
        both.peer._link.wire.give_up("cut by the test")  # type: ignore[union-attr]
        with pytest.raises(LinkLost):
            await unsent
        await settle()
        assert both.parked.asked == []


@virtual_time
async def test_a_lost_link_is_made_again(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        both.cut()
        await asyncio.sleep(0.2)
        await both.peer.up()
        assert await both.read("again") == "AGAIN"
        assert both.peer.links == 2


@virtual_time
async def test_a_connection_that_is_lost_after_its_attempt_is_no_error_of_the_loop(tmp_path: Path) -> None:
    """A process that was paused for longer than either may take finds both the attempt and its handshake too late."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    peer = Peer(UnixEndpoint(tmp_path / "nobody"), API, SECRET)
    wire = _Attempt(peer).make_wire()
    wire.give_up("the handshake took too long")
    del wire
    await settle()
    gc.collect()
    assert told == []


@virtual_time
async def test_a_link_on_which_nothing_is_said_stays(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        await asyncio.sleep(3_600)
        assert both.peer.links == 1
        assert await both.read("still here") == "STILL HERE"


@virtual_time
async def test_a_peer_that_is_silent_for_two_beats_is_given_up_by_either_side(tmp_path: Path) -> None:
    """As of a machine that lost its power: no end of the connection is heard."""
    async with linked(tmp_path) as both, unruly(both.endpoint, Identity("chat", "silent")):
        await settle()
        assert set(both.listener.peers) == {"api-1", "silent"}
        await asyncio.sleep(1.9)
        assert set(both.listener.peers) == {"api-1", "silent"}
        await asyncio.sleep(1.2)
        assert set(both.listener.peers) == {"api-1"}


@virtual_time
async def test_a_listener_that_falls_silent_is_given_up(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        waiting = both.write("sent")
        await settle()
        for link in both.listener.links():
            link.wire._timer.cancel()
        with pytest.raises(StoreOutcomeUnknown, match="silent"):
            await waiting


def test_a_process_that_was_stopped_itself_does_not_take_the_others_for_silent(tmp_path: Path) -> None:
    """Its peers have spoken, and their bytes wait unread: a pause of this process ends no link."""

    @virtual_time
    async def stopped() -> None:
        async with linked(tmp_path) as both:
            loop = asyncio.get_running_loop()
            for pause in (0.01, 0, 0, 0, 0, 0.01):  # 0: stopped again before it has read anything
                loop._jumping.now_s += 5  # type: ignore[attr-defined]
                await asyncio.sleep(pause)
            assert both.peer.links == 1
            assert await both.read("still here") == "STILL HERE"

    stopped()


@virtual_time
async def test_a_timer_that_comes_late_and_before_the_sockets_are_read_counts_no_silence(tmp_path: Path) -> None:
    """With uvloop timers come first: after a stop nothing has been read when the beat is counted."""
    async with linked(tmp_path) as both:
        (link,) = both.listener.links()
        wire = link.wire
        wire._has_heard, wire._silent_beats = False, SILENT_BEATS - 1
        asyncio.get_running_loop()._jumping.now_s += 5  # type: ignore[attr-defined]
        wire._look()
        assert wire.reason == ""
        wire._has_heard, wire._silent_beats = False, SILENT_BEATS - 1
        wire._look()
        assert wire.reason == "the peer is silent"


@virtual_time
async def test_between_attempts_calls_end_at_once_and_during_one_they_wait_for_it(tmp_path: Path) -> None:
    async with linked(tmp_path, is_up=False) as both:
        early = both.read("made before the first attempt")
        both.peer.start()
        assert await early == "MADE BEFORE THE FIRST ATTEMPT"
        await both.listener.close()
        await asyncio.sleep(10)
        with pytest.raises(LinkLost, match="no link to unix:"):
            both.read("nobody is there")


@virtual_time
async def test_what_waits_for_an_attempt_is_bounded_ends_with_it_and_at_its_deadline(tmp_path: Path) -> None:
    async with linked(tmp_path, is_up=False) as both:
        first = both.read("0", timeout_s=0.5)
        waiting = [both.write(str(number)) for number in range(1, MOST_QUEUED)]
        with pytest.raises(Overloaded):
            both.read("one more")
        with pytest.raises(LinkLost, match="in time"):
            await first
        waiting[0].cancel()
        both.read("there is room again")
        await both.listener.close()
        both.peer.start()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(answer) for answer in done[1:]} == {LinkLost}


@virtual_time
async def test_a_process_that_does_not_answer_is_called_after_pauses_that_grow(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And not all at once: the pauses of two callers differ."""
    attempts: dict[str, list[float]] = {"a": [], "b": []}
    loop = asyncio.get_running_loop()
    peers = [Peer(UnixEndpoint(tmp_path / name), API, SECRET) for name in attempts]
    for peer, times in zip(peers, attempts.values(), strict=True):
        refused = peer._refused
        peer._refused = lambda error, refused=refused, times=times: (times.append(loop.time()), refused(error))[1]  # type: ignore[method-assign, misc]
        peer.start()
    await asyncio.sleep(60)
    for peer in peers:
        await peer.close()
    pauses = [later - earlier for earlier, later in pairwise(attempts["a"])]
    assert all(before / 2 < after for before, after in pairwise(pauses))
    assert pauses[0] <= 0.1
    assert all(1 <= pause <= 2.1 for pause in pauses[8:])
    assert set(attempts["a"][1:]).isdisjoint(attempts["b"][1:])
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) <= 2 * 7


@virtual_time
async def test_a_new_life_in_its_place_is_not_taken_for_the_one_that_was_looked_for(tmp_path: Path) -> None:
    async with linked(tmp_path, is_up=False, expects="owner-0") as both:
        waiting = both.read("of the life before")
        both.peer.start()
        with pytest.raises(LinkLost):
            await waiting
        await asyncio.sleep(1)
        with pytest.raises(WrongIncarnation):
            both.read("of the life before")


@virtual_time
async def test_who_does_not_know_the_secret_is_served_nothing_and_is_told_of_once_in_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parked = Parked()
    listener = Listener(OWNER, SECRET, handlers_of(parked))
    endpoint = await listener.listen(UnixEndpoint(tmp_path / "in" / "a.sock"))
    stranger = Peer(endpoint, API, b"another secret, of thirty-two bytes")
    waiting = stranger.call(READ, "hello", timeout_s=50)
    stranger.start()
    with pytest.raises(LinkLost):
        await waiting
    await asyncio.sleep(30)
    assert listener.refused > 10
    lines = [record.message for record in caplog.records if record.name.endswith("listener")]
    assert 1 <= len(lines) <= 4
    assert "does not know the secret" in lines[0]
    assert listener.peers == ()
    await stranger.close()
    await listener.close()


@virtual_time
async def test_a_second_link_of_one_incarnation_takes_the_place_of_the_first(tmp_path: Path) -> None:
    """Its caller has lost the first one: what it was asked there must not be done after what is asked here."""
    async with linked(tmp_path) as both:
        waiting = both.write("on the first link")
        await settle()
        async with unruly(both.endpoint):
            with pytest.raises(StoreOutcomeUnknown, match="the link was lost"):
                await waiting
            await settle()
            assert both.parked.answers["on the first link"].cancelled()


@virtual_time
async def test_closing_ends_what_waits(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        waiting = both.write("sent")
        await settle()
        await both.peer.close()
        with pytest.raises(StoreOutcomeUnknown, match="this process ends"):
            await waiting
        with pytest.raises(LinkLost):
            both.read("after the end")
        await settle()
        assert both.listener.peers == ()


@virtual_time
async def test_a_handshake_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    async with linked(tmp_path, timing=LinkTiming(connect_s=2.0)) as both, connection(both.endpoint) as (reader, _):
        assert await reader.read() == b""
        assert asyncio.get_running_loop().time() == pytest.approx(2.0, abs=0.1)
        assert both.listener.peers == ("api-1",)

"""Peers that keep no rule: what they cost is bounded, and the others notice nothing."""

import asyncio
import tracemalloc
from pathlib import Path

import pytest

from rowbox.cacheserver.rpc import frames, listener
from rowbox.cacheserver.rpc.calls import Lane
from rowbox.cacheserver.rpc.credit import WINDOWS, Window
from rowbox.cacheserver.rpc.handshake import LONGEST_MESSAGE_BYTES, Calling, Identity
from rowbox.cacheserver.rpc.listener import MOST_STRANGERS
from rowbox.cacheserver.rpc.wire import BATCH_BYTES, MOST_BUFFERED_BYTES
from rowbox.mailbox.errors import LinkLost
from tests.links.linked import SECRET, Linked, connection, linked, unruly
from tests.support.virtual_time import settle, virtual_time

EVIL = Identity("chat", "evil")
HUGE = (frames.MOST_MESSAGE_BYTES + 1).to_bytes(4)


async def _the_others_are_served(both: Linked) -> None:
    assert await both.read("hello") == "HELLO"
    assert both.peer.links == 1


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        (LONGEST_MESSAGE_BYTES + 1).to_bytes(4),
        HUGE,
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x04\xde\xad\xbe\xef",
    ],
    ids=["http", "long", "huge", "empty", "garbage"],
)
def test_a_stranger_that_talks_nonsense_is_cut_off(tmp_path: Path, said: bytes) -> None:
    @virtual_time
    async def cut_off() -> None:
        async with linked(tmp_path) as both, connection(both.endpoint) as (reader, writer):
            writer.write(said)
            while await reader.read(1_000):
                pass
            assert asyncio.get_running_loop().time() < 1
            await _the_others_are_served(both)

    cut_off()


@virtual_time
async def test_a_stranger_may_not_skip_the_proof(tmp_path: Path) -> None:
    async with linked(tmp_path) as both, connection(both.endpoint) as (reader, writer):
        message = frames.message_of([frames.call(1, "write", 5_000, 0, "evil")])
        writer.write(len(message).to_bytes(4) + message)
        while await reader.read(1_000):
            pass
        await settle()
        assert both.parked.asked == []


@virtual_time
async def test_a_stranger_that_was_refused_is_heard_no_more(tmp_path: Path) -> None:
    async with linked(tmp_path) as both, connection(both.endpoint) as (reader, writer):
        hello = Calling(Identity("another", "evil"), SECRET, b"n" * 32).hello
        writer.write(2 * (len(hello).to_bytes(4) + hello))
        while await reader.read(1_000):
            pass
        assert both.listener.refused == 1


@virtual_time
async def test_a_handshake_with_an_earlier_incarnation_comes_to_nothing(tmp_path: Path) -> None:
    """Its caller would take the new one for that, and send it what is not its own."""
    async with linked(tmp_path) as both, connection(both.endpoint) as (reader, writer):
        calling = Calling(EVIL, SECRET, b"n" * 32)
        writer.write(len(calling.hello).to_bytes(4) + calling.hello)
        proof = calling.challenged(await reader.readexactly(int.from_bytes(await reader.readexactly(4))), b"")
        both.listener.become(Identity("chat", "owner-2"))
        writer.write(len(proof).to_bytes(4) + proof)
        await settle()
        assert "evil" not in both.listener.peers


@virtual_time
async def test_strangers_take_a_bounded_number_of_places_for_a_bounded_time(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        held = [
            await asyncio.open_unix_connection(str(both.endpoint.path))  # type: ignore[union-attr]
            for _ in range(2 * MOST_STRANGERS)
        ]
        await settle()
        assert len(both.listener._strangers) == MOST_STRANGERS
        await _the_others_are_served(both)
        await asyncio.sleep(2.5)
        assert not both.listener._strangers
        for _, writer in held:
            writer.transport.abort()


@virtual_time
async def test_a_process_has_no_more_links_than_it_may_and_keeps_those_that_it_has(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listener, "MOST_LINKS", 2)
        async with linked(tmp_path) as both, unruly(both.endpoint, EVIL):
            async with unruly(both.endpoint, Identity("chat", "one too many")) as third:
                assert await third.is_cut_off()
            assert both.listener.peers == ("api-1", "evil")
            await _the_others_are_served(both)


@virtual_time
async def test_a_link_is_made_at_once_while_the_silent_hold_all_places_of_strangers(tmp_path: Path) -> None:
    """Whoever came first gives way. If the newest were refused, links would wait for as long as places are renewed."""
    async with linked(tmp_path) as both:
        held = [
            await asyncio.open_unix_connection(str(both.endpoint.path))  # type: ignore[union-attr]
            for _ in range(MOST_STRANGERS)
        ]
        try:
            await settle()
            assert len(both.listener._strangers) == MOST_STRANGERS
            both.cut()
            await settle()
            await both.peer.up()
            assert await both.read("again") == "AGAIN"
            assert asyncio.get_running_loop().time() < 1
        finally:
            for _, writer in held:
                writer.transport.abort()
            await settle()


@pytest.mark.parametrize(
    "said",
    [
        HUGE,
        b"\x00\x00\x00\x04\xde\xad\xbe\xef",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x05\xdd\xff\xff\xff\xff",
        b"\x00\x01\x86\xa5\xdd\x00\x00\x00\x01" + b"\x91" * 100_000,
    ],
    ids=["huge", "garbage", "empty", "many frames", "deep"],
)
def test_a_peer_that_sends_no_frames_is_cut_off(tmp_path: Path, said: bytes) -> None:
    @virtual_time
    async def cut_off() -> None:
        async with linked(tmp_path) as both, unruly(both.endpoint, EVIL) as evil:
            evil.say_frames(frames.call(1, "wait", 5_000, 0, "a call of its own"))
            await settle()
            evil.writer.write(said)
            assert await evil.is_cut_off()
            assert asyncio.get_running_loop().time() < 1
            assert both.parked.answers["a call of its own"].cancelled()
            await _the_others_are_served(both)

    cut_off()


@pytest.mark.parametrize(
    "said",
    [
        frames.answer(1, "x"),
        frames.failed(1, [], "", {}),
        frames.push("map", 1),
        frames.GOODBYE,
        frames.call(1, "wait", 1, 0, "x") + frames.call(1, "wait", 1, 0, "x"),
    ],
    ids=["answer", "failed", "push", "goodbye", "an id twice"],
)
def test_a_peer_that_says_what_only_the_other_side_says_is_cut_off(tmp_path: Path, said: bytes) -> None:
    @virtual_time
    async def cut_off() -> None:
        async with linked(tmp_path) as both, unruly(both.endpoint, EVIL) as evil:
            evil.say(b"\xdd" + (said.count(b"wait") or 1).to_bytes(4) + said)
            assert await evil.is_cut_off()
            assert asyncio.get_running_loop().time() < 1
            await _the_others_are_served(both)

    cut_off()


@virtual_time
async def test_half_a_message_is_held_for_two_beats_of_silence(tmp_path: Path) -> None:
    async with linked(tmp_path) as both, unruly(both.endpoint, EVIL) as evil:
        evil.writer.write((1_000_000).to_bytes(4) + b"x" * 500_000)
        await asyncio.sleep(1.5)
        assert "evil" in both.listener.peers
        await asyncio.sleep(2)
        assert "evil" not in both.listener.peers
        assert await evil.is_cut_off()


@virtual_time
async def test_a_peer_that_floods_beyond_its_window_is_cut_off(tmp_path: Path) -> None:
    windows = {**WINDOWS, Lane.WAITS: Window(10, 1_000), Lane.REQUESTS: Window(10, 1_000)}
    for name, body in (("wait", "x"), ("write", "x" * 400)):
        async with linked(tmp_path / name, windows=windows) as both, unruly(both.endpoint, EVIL) as evil:
            evil.say_frames(*(frames.call(number, name, 60_000, 0, body) for number in range(11)))
            assert await evil.is_cut_off()
            await settle()
            assert all(answer.cancelled() for answer in both.parked.answers.values())
            assert len(both.parked.asked) <= 10
            await _the_others_are_served(both)


@virtual_time
async def test_unknown_calls_are_answered_and_count(tmp_path: Path) -> None:
    async with linked(tmp_path) as both, unruly(both.endpoint, EVIL) as evil:
        evil.say_frames(*(frames.call(number, "unheard", 60_000, 0, {"a": 1}) for number in range(100)))
        answers = await evil.next_frames()
        assert [(type(answer), answer.kinds[0]) for answer in answers if isinstance(answer, frames.Failed)] == [
            (frames.Failed, "UnknownCall")
        ] * 100
        await _the_others_are_served(both)


@virtual_time
async def test_a_body_of_another_kind_is_a_bad_request_and_nothing_else(tmp_path: Path) -> None:
    async with linked(tmp_path) as both, unruly(both.endpoint, EVIL) as evil:
        deep = b"\x91" * 5_000 + b"\xc0"
        evil.say_frames(
            frames.call(1, "write", 60_000, 0, 5),
            frames.call(2, "write", 60_000, 0, ["x"]),
            b"\x96\x00\x03\xa5write\xcd\x03\xe8\x00" + b"\xc4\x01x",
        )
        first = await evil.next_frames()
        assert [type(answer) for answer in first] == [frames.Failed] * 3
        evil.say_frames(b"\x96\x00\x04\xa5write\xcd\x03\xe8\x00" + deep)
        assert await evil.is_cut_off()
        await _the_others_are_served(both)


@virtual_time
async def test_cancels_of_what_is_not_there_are_nothing(tmp_path: Path) -> None:
    async with linked(tmp_path) as both, unruly(both.endpoint, EVIL) as evil:
        for _ in range(10):
            evil.say_frames(*(frames.cancel(number) for number in range(10_000)))
            await evil.writer.drain()
            await settle()
        assert "evil" in both.listener.peers
        await _the_others_are_served(both)


@virtual_time
async def test_a_peer_that_reads_nothing_costs_what_its_window_holds_and_is_cut_off(tmp_path: Path) -> None:
    """Its answers wait as what the handlers returned, not as bytes; nothing is begun beyond its window."""
    windows = {**WINDOWS, Lane.MOVES: Window(64, 64 << 20)}
    async with linked(tmp_path, windows=windows) as both, unruly(both.endpoint, EVIL) as evil:
        blob = b"x" * (512 << 10)
        tracemalloc.start()
        try:
            for number in range(64):
                evil.say_frames(frames.call(number, "blob", 60_000, 0, blob))
                await settle(5)
            await settle()
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        link = next(link for link in both.listener.links() if link.session.remote == EVIL)
        assert link.wire.transport.get_write_buffer_size() <= MOST_BUFFERED_BYTES + BATCH_BYTES + len(blob)
        assert held < 64 * len(blob) * 1.3
        await _the_others_are_served(both)
        for _ in range(8):
            await asyncio.sleep(0.5)
            evil.say_frames(frames.BEAT)  # it lives, and reads nothing
        assert "evil" not in both.listener.peers
        await _the_others_are_served(both)


@virtual_time
async def test_a_caller_that_forgets_its_call_has_it_ended_at_its_deadline(tmp_path: Path) -> None:
    async with linked(tmp_path) as both, unruly(both.endpoint, EVIL) as evil:
        evil.say_frames(frames.call(1, "write", 1_500, 0, "forgotten"))
        await asyncio.sleep(1)
        evil.say_frames(frames.BEAT)
        assert not both.parked.answers["forgotten"].done()
        await asyncio.sleep(0.7)
        assert both.parked.answers["forgotten"].cancelled()
        (answer,) = await evil.next_frames()
        assert isinstance(answer, frames.Failed)


@virtual_time
async def test_a_peer_that_reads_slowly_is_not_cut_off_and_gets_everything(tmp_path: Path) -> None:
    async with linked(tmp_path) as both, unruly(both.endpoint, EVIL) as evil:
        blob = b"x" * (512 << 10)
        evil.say_frames(*(frames.call(number, "blob", 600_000, 0, blob) for number in range(20)))
        read, answered = bytearray(), 0
        while answered < 20:
            await asyncio.sleep(0.2)
            evil.say_frames(frames.BEAT)
            read += await evil.reader.read(128 << 10)
            while len(read) >= 4 and len(read) >= 4 + int.from_bytes(read[:4]):
                end = 4 + int.from_bytes(read[:4])
                answered += sum(isinstance(one, frames.Answer) for one in frames.frames_of(bytes(read[4:end])))
                del read[:end]
        assert "evil" in both.listener.peers


@virtual_time
async def test_a_listener_that_answers_nonsense_loses_the_link(tmp_path: Path) -> None:
    """Its caller takes nothing of it: the calls in flight are of unknown outcome, and a new link is made."""
    for nonsense in (
        frames.answer(77, "to no call"),
        frames.call(1, "write", 5, 0, "against the direction"),
        frames.cancel(1),
        b"\xc1",
    ):
        async with linked(tmp_path) as both:
            waiting = both.wait("a poll")
            await settle()
            for link in both.listener.links():
                link.say(nonsense)
            with pytest.raises(LinkLost):
                await waiting
            await asyncio.sleep(0.2)
            await both.peer.up()
            assert await both.read("again") == "AGAIN"


@pytest.mark.parametrize("said", ["an answer", "goodbye"])
def test_what_has_not_left_is_answered_by_nobody(tmp_path: Path, said: str) -> None:
    """Neither by a listener that guesses its number, nor by one that takes no more calls: it was not done."""

    @virtual_time
    async def not_done() -> None:
        async with linked(tmp_path) as both:
            assert both.peer._link is not None
            both.peer._link.wire.pause_writing()
            waiting = both.write("not sent")
            for link in both.listener.links():
                link.say(frames.GOODBYE if said == "goodbye" else frames.answer(waiting.id, "forged"))  # type: ignore[attr-defined]
            with pytest.raises(LinkLost, match="was not done"):
                await waiting
            assert asyncio.get_running_loop().time() < 1
            assert both.parked.asked == []

    not_done()


@virtual_time
async def test_a_listener_that_publishes_without_end_fills_no_memory(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        for number in range(1_000):
            for link in both.listener.links():
                link.say(frames.push(f"kind {number}", "x" * 1_000))
        await settle()
        assert len(both.peer.published) == 64

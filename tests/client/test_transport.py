"""One call: how it is used, how long it is listened to, and on which connection it goes."""

import asyncio
import socket

import pytest

from rowbox.client import Client, Message, OutcomeUnknown, Sent
from rowbox.client.calls.awake import MachineSlept
from rowbox.client.calls.connections import probing_socket
from rowbox.client.calls.errors import NO_ANSWER
from rowbox.client.calls.transport import Transport, _Try
from tests.client.scripted_server import (
    HANG_UP,
    Answer,
    Asked,
    ScriptedServer,
    Step,
    Time,
    client_of,
    delta,
    never,
    sent,
)
from tests.http.api import until


async def test_it_is_used_inside_async_with() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Client("http://127.0.0.1:8080", "token").send("bob", "hello")


@pytest.mark.parametrize(("wait_s", "call_s", "margin_s"), [(0, 0.02, 9), (1, 9, -0.98)])
async def test_a_server_that_is_silent_is_listened_to_for_a_time(
    server: ScriptedServer, wait_s: int, call_s: float, margin_s: float
) -> None:
    """A poll for its wait and a margin."""
    server.otherwise = never
    async with Transport(server.url, "token", call_s=call_s, margin_s=margin_s) as transport, asyncio.timeout(5):
        with pytest.raises(OutcomeUnknown) as raised:
            await transport.get("fetchMessages", {}, Sent, wait_s=wait_s)
    assert (raised.value.code, str(raised.value)) == (NO_ANSWER, "no answer to fetchMessages: none within 0.02 s")


async def test_a_path_in_front_of_the_api_is_kept(server: ScriptedServer) -> None:
    async with Transport(f"{server.url}/chat/", "token") as transport:
        with pytest.raises(OutcomeUnknown):
            await transport.get("sendStatus", {"clientMessageId": "mine", "userId": None}, Sent)
    (asked,) = server.asked
    assert (asked.path, asked.query) == ("/chat/v1/sendStatus", {"clientMessageId": "mine"})


@pytest.mark.parametrize("silence", [never, HANG_UP], ids=["silent", "closed"])
async def test_after_a_try_without_an_answer_no_idle_connection_is_used(server: ScriptedServer, silence: Step) -> None:
    """What killed one has killed the others: each would cost a try its whole time."""
    everybody = asyncio.Barrier(5)

    async def together(asked: Asked) -> Answer:
        await everybody.wait()
        return sent()

    server.will(*[together] * 5, silence)
    server.otherwise = sent()
    async with Transport(server.url, "token") as transport:
        await asyncio.gather(*(transport.post("sendMessage", {"number": str(n)}, Sent) for n in range(5)))
        trying = asyncio.create_task(transport.post("sendMessage", {}, Sent))
        await until(lambda: len(server.asked) == 6)
        for one in transport._tries:  # the silent one: its time is over, and not before it was asked
            one.scope.reschedule(asyncio.get_running_loop().time())
        with pytest.raises(OutcomeUnknown):
            await trying
        await transport.post("sendMessage", {}, Sent)
    before, dead, fresh = server.asked[:5], server.asked[5], server.asked[6]
    assert len({asked.port for asked in before}) == 5
    assert dead.port in {asked.port for asked in before}
    assert fresh.port not in {asked.port for asked in before}


async def test_what_is_under_way_elsewhere_goes_on(server: ScriptedServer) -> None:
    """A slow answer on the old connections is waited for, and they are closed behind it."""
    opened = asyncio.Event()

    async def slow(asked: Asked) -> Answer:
        await opened.wait()
        return sent()

    server.will(slow, HANG_UP)
    async with Transport(server.url, "token") as transport:
        waiting = asyncio.create_task(transport.post("sendMessage", {}, Sent))
        await until(lambda: len(server.asked) == 1)
        with pytest.raises(OutcomeUnknown):
            await transport.post("sendMessage", {}, Sent)
        opened.set()
        assert (await waiting).message_id == "m1"
        assert transport._connections is not None
        assert len(transport._connections._all) == 1


async def test_who_leaves_in_the_middle_leaves_no_connection(server: ScriptedServer) -> None:
    server.otherwise = never
    async with Transport(server.url, "token") as transport:
        connections = transport._connections
        waiting = asyncio.create_task(transport.post("sendMessage", {}, Sent))
        await until(lambda: len(server.asked) == 1)
    assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], OutcomeUnknown)
    assert connections is not None
    await connections.retire()  # as a try does that fails behind the end
    assert not connections._all


class WallClock:
    """Counts what the machine slept, and not what a busy one did not give us."""

    def __init__(self) -> None:
        self.asleep_s = 0.0
        self.readings = 0

    def __call__(self) -> float:
        self.readings += 1
        return 1_800_000_000 + self.asleep_s


async def test_what_died_in_a_sleep_is_noticed_when_the_machine_wakes(server: ScriptedServer) -> None:
    """At 80c87b5 a poll went on for the rest of its 45 seconds, which had stood still meanwhile."""
    clock = WallClock()
    server.otherwise = never
    async with Transport(server.url, "token", tick_s=0.01, wall_clock=clock) as transport, asyncio.timeout(5):
        poll = asyncio.create_task(transport.get("fetchMessages", {}, Sent, wait_s=30))
        send = asyncio.create_task(transport.post("sendMessage", {}, Sent))
        await until(lambda: len(server.asked) == 2)
        clock.asleep_s = 3600
        for answer in await asyncio.gather(poll, send, return_exceptions=True):
            assert isinstance(answer, OutcomeUnknown)
            assert str(answer).endswith("the machine slept")
            assert isinstance(answer.__cause__, MachineSlept), "by which a call knows that no patience was lost"
        server.otherwise = sent()
        await transport.post("sendMessage", {}, Sent)
    assert server.asked[-1].port not in {asked.port for asked in server.asked[:-1]}


async def test_a_try_may_end_in_the_moment_of_waking() -> None:
    """Where the clock of the timeouts counts the sleep as well."""
    this = _Try(0.01)

    async def wait_for_nothing() -> None:
        async with this.scope:
            asyncio.get_running_loop().call_at((this.scope.when() or 0) + 1e-9, this.end)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await wait_for_nothing()
    assert not this.has_slept
    assert this.why(TimeoutError()) == "none within 0.01 s"


async def test_a_try_whose_time_was_over_long_ago_is_one_of_before_a_sleep(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped for 34 s gave its send up when it went on: without another try, all patience gone."""
    loop, woken_s = asyncio.get_running_loop(), 0.0
    now = loop.time
    monkeypatch.setattr(loop, "time", lambda: now() + woken_s)
    server.otherwise = never
    async with Transport(server.url, "token") as transport:
        send = asyncio.create_task(transport.post("sendMessage", {}, Sent))
        await until(lambda: len(server.asked) == 1)
        woken_s = 34.0
        (error,) = await asyncio.gather(send, return_exceptions=True)
    assert isinstance(error, OutcomeUnknown)
    assert isinstance(error.__cause__, MachineSlept)


async def test_a_follower_goes_on_when_the_machine_wakes(server: ScriptedServer, time: Time) -> None:
    clock, client = WallClock(), client_of(server, time)
    server.will(delta(10, token=10), never, delta(11, token=11))
    client._transport = Transport(server.url, "token", tick_s=0.01, wall_clock=clock)
    async with client, asyncio.timeout(5):
        follow = client.follow("t9")
        await anext(follow)
        following = asyncio.ensure_future(anext(follow))
        await until(lambda: len(server.asked) == 2)
        clock.asleep_s = 3600
        change = await following
    assert isinstance(change, Message)
    assert change.message_content == "text 11"


async def test_a_clock_that_is_set_by_little_or_back_ends_nothing(server: ScriptedServer) -> None:
    clock = WallClock()
    server.will(never)
    async with Transport(server.url, "token", tick_s=0.01, wall_clock=clock) as transport:
        poll = asyncio.create_task(transport.get("fetchMessages", {}, Sent, wait_s=30))
        await until(lambda: len(server.asked) == 1)
        for asleep_s in (4.0, -3600.0):
            clock.asleep_s = asleep_s
            before = clock.readings
            await until(lambda: clock.readings >= before + 4)  # noqa: B023 - it is awaited here
        assert not poll.done()
        poll.cancel()
        await asyncio.gather(poll, return_exceptions=True)


def test_a_silent_peer_is_probed() -> None:
    """By the system: one that vanished without a word is noticed in some ten seconds, within a poll too."""
    with probing_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000


async def test_the_connections_of_a_client_are_probed(server: ScriptedServer) -> None:
    server.otherwise = sent()
    async with Transport(server.url, "token") as transport:
        await transport.post("sendMessage", {}, Sent)
        assert transport._connections is not None
        connector = transport._connections._current.session.connector
        assert connector is not None
        assert connector._factory is not None
        (idle,) = (protocol for protocols in connector._conns.values() for protocol, _ in protocols)
        assert idle.transport is not None
        made = idle.transport.get_extra_info("socket")
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1

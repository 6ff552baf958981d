"""Calls to what users chose: they reach the public internet, as it was looked at, and nothing else."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable

import pytest
from aiohttp import web

from rowbox.cacheserver.push.port import Answer, Outcome
from rowbox.cacheserver.push.services.addresses import is_public
from rowbox.cacheserver.push.services.guarded import GuardedSession, Said, answer_of
from rowbox.cacheserver.push.services.names import MachineNames
from tests.push.services import Names, Stalled, never_ends, serving, session_here

Tls = tuple[ssl.SSLContext, ssl.SSLContext]
PRIVATE = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1", "64:ff9b::7f00:1"]


class Counting:
    """A server that counts its requests."""

    def __init__(self, answer: Callable[[], web.Response]) -> None:
        self._answer = answer
        self.requests: list[web.BaseRequest] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        await request.read()
        return self._answer()


async def post(session: GuardedSession, url: str) -> Said | Answer:
    try:
        return await session.post(url, b"{}", {})
    finally:
        await session.close()


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("beside", [[], ["1.1.1.1"]], ids=["alone", "beside-a-public-one"])
async def test_a_name_that_means_an_address_within_is_not_called(address: str, beside: list[str]) -> None:
    names = Names({"hook.test": [[*beside, address]]})
    answer = await post(GuardedSession(resolver=names), "https://hook.test/")
    assert isinstance(answer, Answer)
    assert (answer.outcome, "public" in answer.reason) == (Outcome.BROKEN, True)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "127.1", "0x7f000001", "169.254.169.254"])
async def test_an_address_in_the_place_of_a_name_is_not_called(host: str, tls: Tls) -> None:
    server = Counting(lambda: web.Response(status=204))
    async with serving(server.handle, tls[0]) as port:
        answer = await post(session_here(tls[1]), f"https://{host}:{port}/")
    assert isinstance(answer, Answer)
    assert answer.outcome is Outcome.BROKEN
    assert not server.requests


async def test_a_name_is_asked_for_once_and_its_addresses_are_called_as_they_were_looked_at() -> None:
    """DNS rebinding: public when it is looked at, and this machine a moment later."""
    looked_at: list[str] = []

    def may_call(address: str) -> bool:
        looked_at.append(address)
        return is_public(address)

    names = Names({"hook.test": [["192.0.0.9"], ["127.0.0.1"]]})
    answer = await post(GuardedSession(resolver=names, may_call=may_call, timeout_s=0.05), "https://hook.test/")
    assert isinstance(answer, Answer)
    assert answer.outcome is Outcome.LATER, "nobody answers there"
    assert names.asked == ["hook.test"]
    assert set(looked_at) == {"192.0.0.9"}
    assert len(looked_at) >= 2, "once as the name's, and once when a socket is about to be connected"


async def test_each_socket_is_looked_at_by_its_own_address(tls: Tls) -> None:
    """The last line: where something else than the resolver has led there."""
    server, asked = Counting(lambda: web.Response(status=204)), 0

    def may_call(address: str) -> bool:
        nonlocal asked
        asked += 1
        return asked == 1  # the resolver lets it pass

    async with serving(server.handle, tls[0]) as port:
        session = GuardedSession(resolver=Names({"hook.test": [["127.0.0.1"]]}), may_call=may_call, tls=tls[1])
        answer = await post(session, f"https://hook.test:{port}/")
    assert isinstance(answer, Answer)
    assert (answer.outcome, asked) == (Outcome.BROKEN, 2)
    assert not server.requests


async def test_a_redirect_is_not_followed(tls: Tls) -> None:
    inner = Counting(lambda: web.Response(status=204))
    async with serving(inner.handle, tls[0]) as inner_port:
        location = {"Location": f"https://other.test:{inner_port}/"}
        outer = Counting(lambda: web.Response(status=307, headers=location))
        async with serving(outer.handle, tls[0]) as port:
            said = await post(session_here(tls[1]), f"https://hook.test:{port}/")
    assert isinstance(said, Said)
    assert answer_of(said).outcome is Outcome.BROKEN
    assert (len(outer.requests), len(inner.requests)) == (1, 0)


async def test_no_proxy_of_the_environment_is_asked(tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server = Counting(lambda: web.Response(status=204))
    async with serving(server.handle, tls[0]) as port:
        assert await post(session_here(tls[1]), f"https://hook.test:{port}/") == Said(204, 0)


async def test_a_server_that_does_not_answer_is_given_up(tls: Tls) -> None:
    stalled = Stalled()
    async with serving(stalled.handle, tls[0]) as port:
        answer = await post(session_here(tls[1], timeout_s=0.1), f"https://hook.test:{port}/")
        stalled.is_over.set()
    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.after_ms) == (Outcome.LATER, 0)


async def test_an_answer_without_end_is_not_read(tls: Tls) -> None:
    async with serving(never_ends, tls[0]) as port:
        assert await post(session_here(tls[1], timeout_s=60), f"https://hook.test:{port}/") == Said(200, 0)


async def test_a_server_of_another_authority_is_told_nothing(tls: Tls) -> None:
    server = Counting(lambda: web.Response(status=204))
    async with serving(server.handle, tls[0]) as port:
        session = GuardedSession(resolver=Names({"hook.test": [["127.0.0.1"]]}), may_call=lambda _: True)
        answer = await post(session, f"https://hook.test:{port}/")
    assert isinstance(answer, Answer)
    assert answer.outcome is Outcome.LATER
    assert not server.requests


async def test_names_are_asked_for_in_threads_of_their_own() -> None:
    """Of the loop's own threads the clock's file needs one, and a name may take as long as its owner wants."""
    release, asked = threading.Event(), threading.Event()

    def slow(*_: object) -> list[object]:
        asked.set()
        assert release.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", slow)
        session = GuardedSession()
        posts = [asyncio.create_task(session.post(f"https://h{n}.test/", b"", {})) for n in range(40)]
        await asyncio.to_thread(asked.wait, 30)
        await asyncio.to_thread(lambda: None)
        release.set()
        answers = await asyncio.gather(*posts)
        await session.close()
    assert {answer.outcome for answer in answers if isinstance(answer, Answer)} == {Outcome.BROKEN}
    assert len(answers) == 40


async def test_what_the_machine_takes_a_name_for() -> None:
    names = MachineNames()
    found = await names.resolve("localhost", 443, socket.AF_INET)
    assert [(one["host"], one["port"], one["family"]) for one in found] == [("127.0.0.1", 443, socket.AF_INET)]
    await names.close()


async def test_a_dead_port_and_a_name_that_is_none_come_later(tls: Tls) -> None:
    async with serving(never_ends, tls[0]) as port:
        pass
    for url in (f"https://hook.test:{port}/", "https://nobody.test/"):
        answer = await post(session_here(tls[1]), url)
        assert isinstance(answer, Answer)
        assert answer.outcome is Outcome.LATER


@pytest.mark.parametrize(
    ("status", "retry_after", "outcome", "after_ms"),
    [
        (200, "", Outcome.OK, 0),
        (201, "", Outcome.OK, 0),
        (204, "", Outcome.OK, 0),
        (301, "", Outcome.BROKEN, 0),
        (400, "", Outcome.BROKEN, 0),
        (401, "", Outcome.BROKEN, 0),
        (403, "", Outcome.REFUSED, 0),
        (404, "", Outcome.GONE, 0),
        (410, "", Outcome.GONE, 0),
        (413, "", Outcome.BROKEN, 0),
        (429, "30", Outcome.LATER, 30_000),
        (429, "0", Outcome.LATER, 1),
        (429, "soon", Outcome.LATER, 0),
        (500, "", Outcome.LATER, 0),
        (503, "Fri, 01 Jan 2021 00:00:00 GMT", Outcome.LATER, 1),
        (503, "-5", Outcome.LATER, 0),
        (503, "9" * 400, Outcome.LATER, 999_999_999_000),
    ],
)
async def test_what_a_status_says(status: int, retry_after: str, outcome: Outcome, after_ms: int, tls: Tls) -> None:
    headers = {"Retry-After": retry_after} if retry_after else {}
    server = Counting(lambda: web.Response(status=status, headers=headers))
    async with serving(server.handle, tls[0]) as port:
        said = await post(session_here(tls[1]), f"https://hook.test:{port}/")
    assert isinstance(said, Said)
    answer = answer_of(said)
    assert (answer.outcome, answer.after_ms) == (outcome, after_ms)
    assert "hook.test" not in answer.reason

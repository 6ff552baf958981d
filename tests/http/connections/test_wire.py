"""Paths, methods, request ids, and what is not even HTTP."""

import asyncio
import json
from typing import Any, cast

import pytest

from rowbox.api.http.response import header_lines
from rowbox.api.http.wire import WireResponse
from tests.http.api import Answer, Api, token
from tests.http.scripted_port import ScriptedPort

PATHS = {
    "/v1/sendMessage": "POST",
    "/v1/markRead": "POST",
    "/v1/sendStatus": "GET",
    "/v1/fetchConversation": "GET",
    "/v1/fetchMessages": "GET",
    "/": "GET",
    "/docs": "GET",
    "/openapi.json": "GET",
}


@pytest.mark.parametrize(
    "path",
    ["/v1", "/v1/", "/v1/sendmessage", "/v1/sendMessage/", "/docs/x", "/%2e%2e/etc/passwd", "//", "/v2/x?y"],
)
async def test_there_is_nothing_at_other_paths(path: str, edge: Api) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        (await edge.request(method, path)).problem(404, "not_found")


@pytest.mark.parametrize("path", PATHS)
async def test_other_methods_are_refused_and_told_which_there_are(path: str, edge: Api) -> None:
    allowed = ["GET", "HEAD"] if PATHS[path] == "GET" else ["POST"]
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE"}.difference(allowed):
        answer = await edge.request(method, path)
        answer.problem(405, "method_not_allowed")
        assert answer.headers["Allow"] == ", ".join(allowed)


VARIES = {"date", "x-request-id"}


@pytest.mark.parametrize("path", [path for path, method in PATHS.items() if method == "GET"])
@pytest.mark.parametrize("user", ["alice", None])
async def test_head_is_get_without_the_body(path: str, user: str | None, edge: Api) -> None:
    """Its answers too: 401 where a token is missing. At 80c87b5 it was 405 everywhere."""
    query = "?clientMessageId=1" if path == "/v1/sendStatus" else ""
    got, head = await edge.get(path + query, user), await edge.request("HEAD", path + query, user)
    assert head.body == b""
    assert head.status == got.status
    assert _steady(head) == _steady(got)
    assert int(head.headers["Content-Length"]) == len(got.body) > 0


@pytest.mark.in_process
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/readyz?verbose"])
async def test_head_on_the_operators_port(path: str, edge: Api, scripted: ScriptedPort) -> None:
    for unready in ([], ["the store does not answer"]):
        scripted.unready = unready
        got, head = await edge.admin(path), await edge.admin(path, "HEAD")
        assert (head.status, head.body, _steady(head)) == (got.status, b"", _steady(got))
    assert (await edge.admin("/metrics", "HEAD")).body == b""


async def test_head_where_there_is_nothing_or_no_get(edge: Api) -> None:
    for path, status in (("/v1/nothing", 404), ("/v1/sendMessage", 405)):
        answer = await edge.request("HEAD", path)
        assert (answer.status, answer.body) == (status, b"")


async def test_the_next_request_of_a_connection_follows_a_head(edge: Api) -> None:
    """A byte of a body behind a HEAD would be read as the next answer."""
    lines = f"/docs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token('alice')}\r\n"
    answers = await edge.raw(f"HEAD {lines}\r\nGET {lines}Connection: close\r\n\r\n".encode())
    head, behind = answers.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert behind.startswith(b"HTTP/1.1 200 OK")


def _steady(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.lower() not in VARIES}


@pytest.mark.parametrize("given", ["a", "0123-abc", "with space", "x" * 128, '"<&>'])
async def test_a_sane_request_id_is_echoed(given: str, edge: Api) -> None:
    assert (await edge.get("/v1/fetchMessages", headers={"X-Request-Id": given})).headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, "\u00e4", "a\tb"])
async def test_another_one_is_replaced(given: str | None, edge: Api) -> None:
    headers = {} if given is None else {"X-Request-Id": given}
    one = (await edge.get("/v1/fetchMessages", headers=headers)).headers["X-Request-Id"]
    two = (await edge.get("/v1/fetchMessages", headers=headers)).headers["X-Request-Id"]
    assert given not in {one, two}
    assert one != two


async def test_answers_are_not_kept_by_caches_nor_guessed_at(edge: Api) -> None:
    for answer in (await edge.get("/v1/fetchMessages"), await edge.get("/v1/fetchMessages", None)):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Server"] == "rowbox"


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    ],
    ids=lambda data: repr(data[:40]),
)
async def test_what_is_not_http_gets_a_problem_and_a_closed_connection(data: bytes, edge: Api) -> None:
    header, _, body = (await edge.raw(data)).partition(b"\r\n\r\n")
    assert header.split(b" ", 2)[1] == b"400"
    assert b"application/problem+json" in header
    problem = json.loads(body)
    assert (problem["code"], problem["status"]) == ("bad_request", 400)


async def test_a_request_without_a_path_is_not_found(edge: Api) -> None:
    header, _, body = (await edge.raw(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).partition(
        b"\r\n\r\n"
    )
    assert header.startswith(b"HTTP/1.1 404 ")
    assert json.loads(body)["code"] == "not_found"


async def test_a_whole_url_as_the_target_is_read(edge: Api, scripted: ScriptedPort) -> None:
    """As proxies send it."""
    lines = [
        "GET http://x/v1/fetchMessages?pageSize=3 HTTP/1.1",
        "Host: x",
        "Connection: close",
        f"Authorization: Bearer {token('alice')}",
    ]
    answer = await edge.raw("\r\n".join([*lines, "", ""]).encode())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert scripted.calls[0].page_size == 3


def test_a_header_with_a_line_break_is_none() -> None:
    assert header_lines({"A": "b", "C": "d"}) == "A: b\r\nC: d\r\n"
    for broken in ("b\r\nSet-Cookie: x", "b\n", "\rb"):
        with pytest.raises(ValueError, match="line break"):
            header_lines({"A": broken})


@pytest.mark.parametrize(
    ("version", "header", "connection"),
    [
        ("1.1", "", b""),
        ("1.1", "Connection: close\r\n", b"close"),
        ("1.0", "", b"close"),
        ("1.0", "Connection: keep-alive\r\n", b"keep-alive"),
    ],
)
async def test_a_connection_stays_open_as_its_client_wants(
    version: str, header: str, connection: bytes, edge: Api
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.server.port)
    writer.write(f"GET /docs HTTP/{version}\r\nHost: x\r\n{header}\r\n".encode())
    lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    assert [line for line in lines if line.startswith(b"Connection: ")] == (
        [b"Connection: " + connection] if connection else []
    )
    if connection == b"close":
        await reader.read()  # ends, because the server closes
    writer.close()


class SlowClient:
    """What an answer sees of a request whose client does not read: `writer.drain()` returns once he does."""

    def __init__(self, *, is_slow: bool) -> None:
        self.protocol = self.writer = self
        self.is_slow = is_slow
        self.sent = b""
        self.reads = asyncio.Event()
        self.answers = 0

    def send(self, answer: bytes) -> bool:
        self.sent += answer
        self.answers += not self.is_slow
        return not self.is_slow

    def answered(self) -> None:
        self.answers += 1

    async def drain(self) -> None:
        await self.reads.wait()


@pytest.mark.parametrize("is_slow", [True, False])
async def test_a_client_that_does_not_read_is_waited_for_however_small_the_answer(is_slow: bool) -> None:
    client = SlowClient(is_slow=is_slow)
    sending = asyncio.create_task(WireResponse(b"x", keep_alive=True).prepare(cast("Any", client)))
    await asyncio.sleep(0)
    assert client.sent == b"x"
    assert client.answers == (0 if is_slow else 1)
    assert sending.done() is not is_slow
    client.reads.set()
    await sending
    assert client.answers == 1

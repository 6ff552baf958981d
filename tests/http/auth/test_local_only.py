"""A server without authentication answers its own machine only, whatever a browser on that machine is made to send."""

import socket
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from rowbox.api.auth.insecure import InsecureAuthenticator
from rowbox.api.edge.local_only import is_local
from rowbox.mailbox.settings.config import Settings
from tests.http.api import ANY_PORT, NO_LIMITS, Api, serving
from tests.http.scripted_port import ScriptedPort

LISTED = "https://chat.example"
INSECURE = Settings(server=replace(ANY_PORT, insecure_dev=True, cors_origins=(LISTED,)), rate_limits=NO_LIMITS)
ALICE = "Authorization: Bearer insecure:alice"


@pytest.fixture
async def insecure(scripted: ScriptedPort) -> AsyncIterator[Api]:
    async with serving(scripted, INSECURE, authenticator=InsecureAuthenticator("127.0.0.1")) as api:
        yield api


async def status(api: Api, *lines: str, target: str = "/v1/fetchMessages", method: str = "GET") -> tuple[int, bytes]:
    request = [f"{method} {target} HTTP/1.1", *lines, ALICE, "Connection: close", "", ""]
    answer = await api.raw("\r\n".join(request).encode())
    return int(answer.split(b" ")[1]), answer


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:1", "127.8.8.8", "[::1]:8080", "me.localhost:80"]
)
async def test_this_machines_names_are_answered(host: str, insecure: Api) -> None:
    assert (await status(insecure, f"Host: {host}"))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil-localhost",
        "192.168.0.1",
        "0.0.0.0",
        "[::]",
        "[2001:db8::1]:8080",
        "[::1",
        "[::1]evil.example",
        "",
        "localhost@evil.example",
        "localhost evil.example",
    ],
)
async def test_another_name_is_refused_at_every_path(host: str, insecure: Api, scripted: ScriptedPort) -> None:
    """At 80c87b5 a page whose name was made to resolve to 127.0.0.1 could be any user."""
    for target in ("/v1/fetchMessages", "/", "/nothing"):
        code, answer = await status(insecure, f"Host: {host}", target=target)
        assert code == 403
        assert b'"code":"not_local"' in answer
    assert (await status(insecure, f"Host: {host}", method="OPTIONS"))[0] == 403
    assert scripted.calls == []


async def test_neither_none_nor_two_names_do(insecure: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getfqdn", lambda: "localhost")  # what aiohttp takes for a request without a Host
    assert (await status(insecure))[0] in {400, 403}
    old = f"GET /v1/fetchMessages HTTP/1.0\r\n{ALICE}\r\n\r\n"
    assert (await insecure.raw(old.encode())).startswith(b"HTTP/1.1 403 ")
    assert (await status(insecure, "Host: localhost", "Host: evil.example"))[0] in {400, 403}
    assert (await status(insecure, "Host: localhost", target="http://evil.example/v1/fetchMessages"))[0] == 403
    assert (await status(insecure, "Host: localhost", target="http://localhost/v1/fetchMessages"))[0] == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "file://", "http://[", "https://chat.example.org"])
async def test_a_page_from_elsewhere_is_refused_without_cors_too(origin: str, insecure: Api) -> None:
    """A WebSocket asks no preflight: the server has to look itself."""
    upgrade = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    for lines in ((), upgrade):
        assert (await status(insecure, "Host: localhost", f"Origin: {origin}", *lines))[0] == 403


@pytest.mark.parametrize("origin", [LISTED, "http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]:1"])
async def test_a_page_of_this_machine_or_of_the_list_is_answered(origin: str, insecure: Api) -> None:
    assert (await status(insecure, "Host: localhost", f"Origin: {origin}"))[0] == 200


async def test_the_admin_port_too_where_it_is_this_machines(insecure: Api, scripted: ScriptedPort) -> None:
    assert (await insecure.admin("/metrics")).status == 200
    rebound = {"Host": "evil.example"}
    assert (await insecure.admin("/metrics", headers=rebound)).status == 403
    opened = Settings(server=replace(INSECURE.server, admin_host="0.0.0.0"))
    async with serving(scripted, opened, authenticator=InsecureAuthenticator("127.0.0.1")) as api:
        assert (await api.admin("/metrics", headers=rebound)).status == 200


async def test_where_tokens_tell_callers_apart_any_name_will_do(edge: Api) -> None:
    answer = await edge.get("/v1/fetchMessages", headers={"Host": "chat.example", "Origin": "https://x.example"})
    assert answer.status == 200


@pytest.mark.parametrize("name", ["localhost.", "a.b.localhost", "127.0.0.1", "::1"])
def test_names_of_this_machine(name: str) -> None:
    assert is_local(name)

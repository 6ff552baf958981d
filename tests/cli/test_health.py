import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from rowbox.cli.main import main
from tests.support.alone import own_port

PAGES: dict[str, tuple[int, dict[str, object]]] = {
    "/healthz": (200, {"status": "ok"}),
    "/readyz?verbose": (503, {"ready": False, "reasons": ["draining", "store_unavailable"]}),
}
"""What a server answers that lives and is not ready."""


@contextmanager
def listening(answer: Callable[[str], bytes]) -> Iterator[int]:
    """The port of something that speaks HTTP and answers each path with these bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(answer(self.path))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def page(path: str) -> bytes:
    status, body = PAGES[path]
    return b"HTTP/1.0 %d x\r\n\r\n%s" % (status, json.dumps(body).encode())


def health(port: int, *flags: str) -> Result:
    return CliRunner().invoke(main, ["health", "--admin-port", str(port), *flags])


def test_a_server_that_lives() -> None:
    with listening(page) as port:
        result = health(port)
    assert (result.exit_code, result.stdout) == (0, "alive\n")


def test_one_that_lives_but_is_not_ready_names_its_reasons() -> None:
    with listening(page) as port:
        result = health(port, "--ready")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: not ready: draining, store_unavailable\n"


def test_one_that_is_ready() -> None:
    with listening(lambda _: b'HTTP/1.0 200 x\r\n\r\n{"ready": true}') as port:
        result = health(port, "--ready")
    assert (result.exit_code, result.stdout) == (0, "ready\n")


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_a_server_that_listens_everywhere_is_asked_on_this_machine(host: str) -> None:
    with listening(page) as port:
        assert health(port, "--admin-host", host).exit_code == 0


def test_it_is_asked_at_the_admin_ports_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which does not follow the API's, that may be of another network."""
    monkeypatch.setenv("ROWBOX_SERVER_HOST", "192.0.2.1")
    with listening(page) as port:
        assert health(port).exit_code == 0


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0\r\n", b"HTTP/1.0 200 x\r\n\r\n<html>", b"HTTP/1.0 200 x\r\n\r\n[]"])
def test_something_else_on_the_port_is_one_line(answer: bytes) -> None:
    with listening(lambda _: answer) as port:
        result = health(port)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: no Rowbox answers at 127.0.0.1, admin port {port}")
    assert len(result.stderr.splitlines()) == 1


def test_nobody_there_is_one_line() -> None:
    with own_port() as port:
        result = health(port)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1

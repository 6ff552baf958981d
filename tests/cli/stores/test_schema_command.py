"""`rowbox schema` and `rowbox doctor` without a cluster: what is refused at once, and gateways that fail."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from rowbox.cli.gateways import find_thrift2
from rowbox.cli.main import main
from rowbox.hbase_schema.thrift.spoken import HTTP
from rowbox.mailbox.settings.config import HBaseAddress, HBaseSettings
from tests.support.alone import own_port

BUSY_MACHINE_S = 5.0
"""With the timeout that a call has by default the two would take ten seconds."""
VERBS = [("schema", "plan"), ("schema", "apply"), ("schema", "verify"), ("doctor",)]


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environment)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of this machine."""
    monkeypatch.delenv("TEST_HBASE", raising=False)
    monkeypatch.chdir(str(tmp_path))


@contextmanager
def gateway(reply: bytes) -> Iterator[str]:
    """Something that answers every call with `reply` and hangs up; without a reply it says nothing for ever."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            calls = []
            while True:
                try:
                    call, _ = server.accept()
                except OSError:
                    break
                calls.append(call)
                if reply:
                    call.recv(1024)
                    call.sendall(reply)
                    call.close()
            for call in calls:
                call.close()

        thread = Thread(target=serve)
        thread.start()
        try:
            yield "{}:{}".format(*server.getsockname())
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("verb", VERBS[:3])
def test_the_embedded_store_has_no_schema_to_apply(verb: tuple[str, ...]) -> None:
    result = run(*verb)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "name a cluster: --store hbase://host:port/prefix" in result.stderr


@pytest.mark.parametrize("verb", VERBS[:3])
@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"", "gave no answer to getThriftServerType: timed out"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", HTTP.advice),
    ],
)
def test_a_gateway_that_is_deaf_or_none_is_one_line_within_the_call_timeout(
    verb: tuple[str, ...], reply: bytes, reason: str
) -> None:
    with gateway(reply) as first, gateway(reply) as second:
        began = time.monotonic()
        result = run(*verb, "--store", f"hbase://{first},{second}/p", ROWBOX_HBASE_CALL_TIMEOUT_MS="200")
        assert time.monotonic() - began < 2 * 200 / 1000 + BUSY_MACHINE_S
    assert (result.exit_code, result.stdout) == (1, "")
    failures = [f"gateway {name} {reason}" for name in (first, second)]
    assert result.stderr == f"Error: {'; '.join(failures)}\n"


def test_the_doctor_calls_a_deaf_gateway_wrong() -> None:
    with gateway(b"") as name:
        result = run("doctor", "--store", f"hbase://{name}/p", ROWBOX_HBASE_CALL_TIMEOUT_MS="200")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0].startswith(f"WRONG    gateway {name}: ")


def test_the_default_thrift2_gateway_may_be_missing_and_is_missed_aloud(capsys: pytest.CaptureFixture[str]) -> None:
    with own_port() as port:
        assert (
            find_thrift2(HBaseAddress((("127.0.0.1", port - 1),), "p"), None, HBaseSettings(call_timeout_ms=200))
            is None
        )
    assert f"No Thrift2 (gateway 127.0.0.1:{port} cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("schema", "plan", "--regions", "65"), "65 regions for 64 shards"),
        (("schema", "apply", "--compression", "best"), "best"),
        (("schema", "verify", "--regions", "2"), "No such option"),
        (
            ("schema", "plan", "--store", "hbase://nowhere/p"),
            "expected embedded or hbase://host:port[,host:port]/prefix",
        ),
    ],
)
def test_wrong_options_are_errors_of_usage(arguments: tuple[str, ...], reason: str) -> None:
    environment = {"ROWBOX_STORE_URL": "hbase://127.0.0.1:1/p", "ROWBOX_STORE_SHARDS": "64"}
    result = run(*arguments, **environment)
    assert result.exit_code == 2
    assert reason in result.stderr


def test_a_gateway_is_a_host_and_a_port() -> None:
    result = run("doctor", "--store", "hbase://127.0.0.1:1/p", "--gateway-info", "nowhere")
    assert (result.exit_code, result.stderr) == (1, "Error: --gateway-info nowhere: expected host:port\n")

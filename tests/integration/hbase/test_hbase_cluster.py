"""The HBase that the tests of the store run on, and developers: what deploy/hbase promises of it."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import happybase
import pytest

from tests.support.hbase_cluster import COMMAND, ROOT, HBaseCluster

pytestmark = pytest.mark.integration

_LISTENING = "0A"
"""How /proc/net/tcp says that a socket is a server's."""
_ANY_NAMES = ["gateway-1", "gateway-2", "master", "region-server-1", "region-server-2", "thrift2", "zookeeper"]


@contextmanager
def connected(cluster: HBaseCluster, gateway: int = 0, timeout_ms: int = 60_000) -> Iterator[happybase.Connection]:
    host, port = cluster.hbase.gateways[gateway]
    connection = happybase.Connection(host, port, timeout=timeout_ms)
    try:
        yield connection
    finally:
        connection.close()


def open_files(pid: int) -> Iterator[str]:
    """What a process has open, but for what it closes while we look."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield link.readlink().name


def listening_addresses(pid: int) -> set[str]:
    """Where the servers of a process listen, as the kernel writes addresses: 0100007F is 127.0.0.1."""
    links = open_files(pid)
    sockets = {name.removeprefix("socket:[").removesuffix("]") for name in links if name.startswith("socket:[")}
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()]
    return {row[1].partition(":")[0] for row in rows if row[3] == _LISTENING and row[9] in sockets}


def test_it_listens_on_loopback_and_nowhere_else(hbase_cluster: HBaseCluster) -> None:
    for name in _ANY_NAMES:
        pid = hbase_cluster.pid_of(name)
        assert pid is not None
        assert listening_addresses(pid) == {"0100007F"}, name


def test_each_gateway_tells_the_settings_it_runs_with(hbase_cluster: HBaseCluster) -> None:
    for port in hbase_cluster.info_ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/conf?format=json", timeout=10) as answer:
            settings = {entry["key"]: entry["value"] for entry in json.load(answer)["properties"]}
        assert settings["hbase.client.retries.number"] == "6"
        assert settings["hbase.thrift.server.socket.read.timeout"] == "600000"


def test_a_killed_gateway_leaves_the_other_and_comes_back(hbase_cluster: HBaseCluster) -> None:
    hbase_cluster.kill("gateway-1")
    assert hbase_cluster.pid_of("gateway-1") is None
    with connected(hbase_cluster, gateway=1) as second:
        second.tables()
    hbase_cluster.heal()
    with connected(hbase_cluster) as first:
        first.tables()


def test_a_paused_process_does_not_answer_and_goes_on(hbase_cluster: HBaseCluster) -> None:
    hbase_cluster.pause("gateway-2")
    with connected(hbase_cluster, gateway=1, timeout_ms=500) as paused, pytest.raises(TimeoutError):
        paused.tables()
    hbase_cluster.resume("gateway-2")
    with connected(hbase_cluster, gateway=1) as resumed:
        resumed.tables()


def test_what_was_confirmed_survives_the_end_of_every_process(hbase_cluster: HBaseCluster) -> None:
    table, rows = f"survivor_{uuid4().hex}", {b"%04d" % number for number in range(500)}
    with connected(hbase_cluster) as connection:
        connection.create_table(table, {"f": {}})
        with connection.table(table).batch() as batch:
            for row in rows:
                batch.put(row, {b"f:q": row})
    for name in _ANY_NAMES:
        hbase_cluster.kill(name)
    hbase_cluster.heal()
    with connected(hbase_cluster) as connection:
        found = {row: columns[b"f:q"] for row, columns in connection.table(table).scan()}
    assert found == {row: row for row in rows}


@pytest.mark.parametrize("reason", ["asked to end", "a process ended"])
def test_in_the_foreground_it_ends_as_a_whole(hbase_cluster: HBaseCluster, reason: str) -> None:
    """As a container does: politely when it is asked to, and with an error when it can no longer do its work."""
    command = [*COMMAND, "run", "--dir", str(hbase_cluster.folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as foreground:
        assert foreground.stdout is not None
        assert foreground.stdout.readline().startswith("HBase is ready")
        if reason == "asked to end":
            foreground.terminate()
        else:
            hbase_cluster.kill("thrift2")
        _, errors = foreground.communicate(timeout=120)
    assert (foreground.returncode, "Error: thrift2 ended" in errors) == (
        (0, False) if reason == "asked to end" else (1, True)
    )
    assert [hbase_cluster.pid_of(name) for name in _ANY_NAMES] == [None] * len(_ANY_NAMES)


def test_up_again_changes_nothing(hbase_cluster: HBaseCluster) -> None:
    before = {name: hbase_cluster.pid_of(name) for name in _ANY_NAMES}
    hbase_cluster.heal()
    assert {name: hbase_cluster.pid_of(name) for name in _ANY_NAMES} == before

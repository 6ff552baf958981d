"""A real HBase for tests, driven by the command that users have (deploy/hbase): only its verbs are known here.

`HBase` is one to use: many tests share it, so each takes a prefix of its own and harms no process. `HBaseCluster` is
one to break: it has processes to kill and to pause.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from rowbox.hbase_schema.thrift.wire import DEFAULT, Wire
from rowbox.mailbox.settings.config import HBaseAddress, HBaseSettings
from tests.conftest import require
from tests.support.alone import alone

ROOT: Final = Path(__file__).parents[2]
COMMAND: Final = (sys.executable, "-m", "deploy.hbase")
"""The command that starts HBase; it is run in ROOT."""
RUNNING: Final = "TEST_HBASE"
"""host:thrift1port:thrift2port[:transport:protocol] of an HBase that runs already: a developer's, kept between runs.

Not ROWBOX_*: an unknown setting of that name stops every `rowbox` that a test starts.
"""
STARTS_S: Final = 300
"""Of five JVMs on two cores, beside all else that runs there."""
_HOST: Final = "127.0.0.1"
_JAVA_OPTIONS: Final = "-XX:TieredStopAtLevel=1"
"""The quick compiler only: a start takes 14 s of CPU instead of 23 s, and no test runs long enough to regain them."""


class HBase(NamedTuple):
    """Where an HBase is: its Thrift1 gateways and its Thrift2 gateway, as (host, port)."""

    gateways: tuple[tuple[str, int], ...]
    thrift2: tuple[str, int]
    wire: Wire = DEFAULT
    """The transport and protocol of the Thrift1 gateways."""

    @property
    def thrift_port(self) -> int:
        """The port of the first Thrift1 gateway."""
        return self.gateways[0][1]

    @property
    def thrift2_port(self) -> int:
        return self.thrift2[1]

    def settings(self, call_timeout_ms: int = HBaseSettings().call_timeout_ms) -> HBaseSettings:
        """The settings by which Rowbox reaches the gateways."""
        return HBaseSettings(
            call_timeout_ms=call_timeout_ms, transport=self.wire.transport, protocol=self.wire.protocol
        )

    def address(self, prefix: str) -> HBaseAddress:
        return HBaseAddress(self.gateways, prefix)

    def url(self, prefix: str) -> str:
        """The address that `rowbox --store` takes."""
        gateways = ",".join(f"{host}:{port}" for host, port in self.gateways)
        return f"hbase://{gateways}/{prefix}"


class HBaseCluster:
    """One that a test may break. The names of its processes: zookeeper, master, region-server-N, gateway-N, thrift2.

    With one region server, `master` is ZooKeeper and the region server as well.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` holds a cluster that was made by `up`."""
        self.folder = folder
        status = self._status()
        gateways = tuple((_HOST, port) for port in status["gatewayPorts"])
        wire = Wire(status["transport"], status["protocol"])
        self.hbase = HBase(gateways, (_HOST, status["thrift2Port"]), wire)
        self.info_ports: list[int] = status["infoPorts"]
        """Where each Thrift1 gateway tells its settings: http://127.0.0.1:PORT/conf."""

    def pid_of(self, name: str) -> int | None:
        """None while it does not run."""
        (pid,) = (process["pid"] for process in self._status()["processes"] if process["name"] == name)
        return int(pid) if pid is not None else None

    def name_at(self, port: int) -> str:
        """Of the process whose port that is: HBase names region servers by theirs."""
        (name,) = (process["name"] for process in self._status()["processes"] if process["port"] == port)
        return str(name)

    def kill(self, name: str) -> None:
        """Kills a process, and returns when it is gone."""
        _control("kill", self.folder, name)

    def pause(self, name: str) -> None:
        _control("pause", self.folder, name)

    def resume(self, name: str) -> None:
        _control("resume", self.folder, name)

    def start(self, name: str) -> None:
        """Starts a process again, and returns when its JVM runs: the process answers some seconds later."""
        _control("start", self.folder, name)

    def heal(self) -> None:
        """Resumes and starts whatever a test left behind, and returns when every gateway lists the tables."""
        _control("up", self.folder, "--timeout", str(STARTS_S))

    def _status(self) -> Any:
        done = _run("status", self.folder, "--json")
        return json.loads(done.stdout)


@contextmanager
def running_cluster(
    folder: Path, *, region_servers: int = 1, gateways: int = 1, wire: Wire = DEFAULT
) -> Iterator[HBaseCluster]:
    """A cluster in `folder`, on free ports; killed at the end, with all that was done to it, and its data removed."""
    require("java", "openjdk-17-jre-headless")
    require("mvn", "maven")
    processes = ("--region-servers", str(region_servers), "--gateways", str(gateways), "--port-base", "0")
    wishes = (*processes, "--timeout", str(STARTS_S), "--transport", wire.transport, "--protocol", wire.protocol)
    try:
        _control("up", folder, *wishes)
        yield HBaseCluster(folder)
    finally:
        _run("down", folder, "--now")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def shared_hbase(folder: Path) -> Iterator[HBase]:
    """The one that a session's tests share: the running one that TEST_HBASE names, or else a new one."""
    named = os.environ.get(RUNNING)
    if named:
        host, thrift1_port, thrift2_port, *wire = named.split(":")
        spoken = Wire(*wire) if wire else DEFAULT  # type: ignore[arg-type]
        yield HBase(((host, int(thrift1_port)),), (host, int(thrift2_port)), spoken)
        return
    with running_cluster(folder) as cluster:
        yield cluster.hbase


def resolve_jars() -> None:
    """Has Maven fetch what HBase needs, once; a test's own time is too short for that on an empty machine."""
    with alone("jars"):
        _control("jars", None)


def _control(verb: str, folder: Path | None, *arguments: str) -> None:
    done = _run(verb, folder, *arguments)
    if done.returncode != 0:
        pytest.fail(f"deploy.hbase {verb}: {done.stdout}{done.stderr}")


def _run(verb: str, folder: Path | None, *arguments: str) -> "subprocess.CompletedProcess[str]":
    where = () if folder is None else ("--dir", str(folder))
    command = [*COMMAND, verb, *where, *arguments]
    environment = {**os.environ, "JAVA_TOOL_OPTIONS": _JAVA_OPTIONS}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

"""Runs a real HBase for the benchmark, by the command that users have (deploy/hbase)."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.load.closed_loop import HOST

ROOT = Path(__file__).parents[2]


class HBase(NamedTuple):
    """A running HBase: one gateway, and the processes whose CPU counts as the store's."""

    port: int
    thrift2_port: int
    gateway_pid: int
    server_pid: int

    @property
    def pids(self) -> tuple[int, int]:
        """The process ids of the gateway, and of HBase: ZooKeeper, master and region server are one process."""
        return self.gateway_pid, self.server_pid

    def url(self, prefix: str) -> str:
        """The store's URL, for `--store`."""
        return f"hbase://{HOST}:{self.port}/{prefix}"

    def schema_flags(self, prefix: str) -> tuple[str, str]:
        """The flags of the verbs of `rowbox schema`."""
        return f"--store={self.url(prefix)}", f"--thrift2={HOST}:{self.thrift2_port}"


@contextmanager
def running_hbase(folder: Path) -> Iterator[HBase]:
    """An HBase on free ports, with its data in `folder`. It is stopped in the end."""
    try:
        _control("up", folder, "--port-base", "0", "--heap-mb", "2048")
        status = json.loads(_control("status", folder, "--json"))
        pids = {process["name"]: int(process["pid"]) for process in status["processes"]}
        yield HBase(status["gatewayPorts"][0], status["thrift2Port"], pids["gateway-1"], pids["master"])
    finally:
        _control("down", folder, "--now")


def _control(verb: str, folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "deploy.hbase", verb, "--dir", str(folder), *arguments]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout

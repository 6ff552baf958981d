"""A real HBase of the benchmark's own, by the command that users have (deploy/hbase)."""

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
    """One gateway, and the processes whose CPU is the store's."""

    port: int
    thrift2_port: int
    gateway_pid: int
    server_pid: int

    @property
    def pids(self) -> tuple[int, int]:
        """Of the gateway; of ZooKeeper, master and region server, which are one process."""
        return self.gateway_pid, self.server_pid

    def url(self, prefix: str) -> str:
        """What `--store` takes."""
        return f"hbase://{HOST}:{self.port}/{prefix}"

    def schema_flags(self, prefix: str) -> tuple[str, str]:
        """What the schema's verbs take."""
        return f"--store={self.url(prefix)}", f"--thrift2={HOST}:{self.thrift2_port}"


@contextmanager
def running_hbase(folder: Path) -> Iterator[HBase]:
    """Started on free ports, with its data in `folder`; stopped in the end."""
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

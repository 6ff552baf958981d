"""A cluster's life: up, down, status. Each of these is one pass over the processes, and safe to repeat.

A folder holds one cluster: its layout, configuration, logs, pids and data. The data outlive all processes.
"""

import fcntl
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from deploy.hbase import configuration, jars, probe
from deploy.hbase.errors import ClusterError
from deploy.hbase.layout import LOOPBACK, PORTS, Layout
from deploy.hbase.process import POLL_S, JavaProcess

PORTS_DEADLINE_S = 15.0
"""How long a start waits for a port. A JVM that was killed gives its ports back about a second late."""
PROBE_S = 5.0
GRACE_S = 40.0
"""How long a polite end may take. It flushes memory to disk, which took up to 24 s on a busy machine. A kill after that
loses nothing either."""


class Status(NamedTuple):
    """The state of one process: not running (no pid), running, or answering."""

    name: str
    pid: int | None
    port: int
    answers: bool


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lets one start or stop run at a time. A second `up` waits for the first, and then finds everything done."""
    folder.mkdir(0o700, parents=True, exist_ok=True)  # it holds mail
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Cluster:
    """The cluster in `folder`, whether it runs or not."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.folder = folder
        self.layout = layout
        self.processes = [JavaProcess(folder, daemon) for daemon in layout.daemons()]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The cluster that was made in `folder`. ClusterError where there is none."""
        folder = folder.resolve()
        return cls(folder, Layout.load(folder))

    @classmethod
    def make(cls, folder: Path, wishes: Mapping[str, Any]) -> Self:
        """The cluster in `folder`, from now on with the fields `wishes` of its layout. All other fields stay as they
        were.

        A `port_base` of 0 takes any free ports. ClusterError where it runs with other settings, or where its data are
        those of another number of region servers.
        """
        folder = folder.resolve()
        is_new = not Layout.exists(folder)
        kept = Layout() if is_new else Layout.load(folder)
        layout = replace(kept, **wishes)
        if layout.port_base == 0:
            layout = replace(layout, port_base=_free_block() if is_new else kept.port_base)
        if not is_new:
            cls(folder, kept).require_compatible(layout)
        layout.save(folder)
        return cls(folder, layout)

    def require_compatible(self, layout: Layout) -> None:
        """ClusterError where this cluster cannot become one of `layout` now."""
        if layout.region_servers != self.layout.region_servers:
            raise ClusterError(
                f"{self.folder} holds a cluster of {self.layout.region_servers} region server(s); give another --dir"
            )
        if layout != self.layout and any(process.pid() for process in self.processes):
            raise ClusterError(f"the cluster in {self.folder} runs with other settings; take it down first")

    def process(self, name: str) -> JavaProcess:
        """The process of this name. ClusterError where the cluster has none."""
        for process in self.processes:
            if process.name == name:
                return process
        names = ", ".join(process.name for process in self.processes)
        raise ClusterError(f"the cluster in {self.folder} has no process {name}; it has: {names}")

    # ------------------------------------------------------------------ up

    def start(self, processes: list[JavaProcess]) -> None:
        """Starts those of `processes` that do not run, and resumes paused ones. It waits for none of them.

        ClusterError where Java is missing, or another program uses a port.
        """
        for process in processes:
            process.resume()
        missing = [process for process in processes if process.pid() is None]
        java = jars.require_tool("java", "openjdk-17-jre-headless")
        classpath = f"{configuration.write(self.folder, self.layout)}:{jars.resolve()}/*"
        for process in missing:
            self._wait_until_free(process)
        for process in missing:
            process.start(java, classpath)

    def _wait_until_free(self, process: JavaProcess) -> None:
        port = process.daemon.port
        host = self.layout.listen if process.daemon.is_gateway else LOOPBACK
        if not _happens(lambda: probe.is_free(host, port), time.monotonic() + PORTS_DEADLINE_S):
            raise ClusterError(f"port {port}, for {process.name}, is in use; give another --port-base")

    def wait_until_ready(self, timeout_s: float) -> None:
        """Returns when every gateway lists the tables. ClusterError at the deadline, and where a process ended."""
        deadline = time.monotonic() + timeout_s
        for process in self.processes:
            if not _happens(lambda: self._answers(process), deadline, unless=self.require_all_running):  # noqa: B023
                raise ClusterError(f"{process.name} does not answer after {timeout_s:.0f} s; see {process.log}")

    def _answers(self, process: JavaProcess) -> bool:
        if process.name == "thrift2":
            return probe.thrift2_lists_tables(process.daemon.port, PROBE_S)
        if process.daemon.is_gateway:
            wire = probe.Wire(is_framed=self.layout.transport == "framed", is_compact=self.layout.protocol == "compact")
            return probe.thrift1_lists_tables(process.daemon.port, PROBE_S, wire)
        return probe.accepts(process.daemon.port, PROBE_S)

    def require_all_running(self) -> None:
        """ClusterError, with the last lines of its log, where a process ended."""
        for process in self.processes:
            if process.pid() is None:
                raise ClusterError("\n".join([f"{process.name} ended; {process.log}:", *process.last_lines()]))

    # ------------------------------------------------------------------ down and status

    def stop(self, grace_s: float = GRACE_S) -> None:
        """Ends all processes, and ZooKeeper last, because the others sign off from it.

        After `grace_s` it kills the rest.
        """
        deadline = time.monotonic() + grace_s
        last = [process for process in self.processes if process.name == "zookeeper"]
        for group in ([process for process in self.processes if process not in last], last):
            for process in group:
                process.terminate()
            for process in group:
                process.end(deadline)

    def status(self) -> list[Status]:
        return [
            Status(process.name, pid := process.pid(), process.daemon.port, pid is not None and self._answers(process))
            for process in self.processes
        ]


def _happens(event: Callable[[], bool], deadline: float, *, unless: Callable[[], None] = lambda: None) -> bool:
    """Whether `event` is true before `deadline`. `unless` may raise to end the wait early."""
    while not event():
        unless()
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True


def _free_block() -> int:
    """The first of PORTS free ports in a row. They are below the range from which the system takes ports for outgoing
    connections, because such a connection could take one at any time.
    """
    for _ in range(100):
        base = random.randrange(10_000, 32_000)
        if all(probe.is_free(LOOPBACK, port) for port in range(base, base + PORTS)):
            return base
    raise ClusterError("no block of free ports was found; give --port-base")

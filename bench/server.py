"""Runs a server as a process of its own, until it is stopped, and reads its CPU and its memory."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from bench.load.closed_loop import HOST
from rowbox.mailbox.settings.config import EMBEDDED

STOP_S = 15.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
TICK_S = 1 / _TICKS_PER_S
"""The system counts CPU in these: whoever used less has used none."""
_ROWBOX = "from rowbox.cli.main import main; main()"
_READY = re.compile(rf"http://{re.escape(HOST)}:(\d+)")
_ADMIN = re.compile(rf"metrics: http://{re.escape(HOST)}:(\d+)")


def cpu_s(pid: int) -> float:
    """Seconds of CPU that all threads of a process have used, in user and in kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def children_of(pid: int) -> tuple[int, ...]:
    """The processes that a process has started and that still run."""
    return tuple(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()))


def rss_bytes(pid: int) -> int:
    """The bytes of a process's memory that are in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Server(NamedTuple):
    """A running server.

    `admin_port` is 0 where it has none. `behind` are the processes that work for this server alone.
    """

    name: str
    pid: int
    port: int
    admin_port: int
    behind: tuple[int, ...] = ()

    def cpu_s(self) -> float:
        """Seconds of CPU that it and what is behind it have used."""
        return sum(map(cpu_s, (self.pid, *self.behind)))

    def rss_bytes(self) -> int:
        """The bytes of its memory that are in RAM, without the kernel's memory for its sockets and files."""
        return rss_bytes(self.pid)

    def counters(self) -> dict[str, float]:
        """Its Prometheus samples that have no labels; none where it has no admin port."""
        if not self.admin_port:
            return {}
        connection = HTTPConnection(HOST, self.admin_port, timeout=5)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        pairs = (line.split(" ") for line in lines if line.startswith("rowbox_") and "{" not in line)
        return {name: float(value) for name, value, *_ in pairs}


@contextmanager
def running(
    name: str,
    arguments: Sequence[str],
    log: Path,
    settings: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> Iterator[Server]:
    """Runs Python with `arguments` until the block ends. Its stderr goes to `log`. `settings`: ROWBOX_* variables.

    `python` may be that of another checkout, whose Rowbox then runs.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ROWBOX_")}
    environment |= settings or {}
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            [python, *arguments], stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
        ) as process,
    ):
        try:
            yield _ready(name, process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def rowbox(data_dir: Path, store: str = EMBEDDED) -> list[str]:
    """Arguments for `running`: Rowbox as users start it, without rate limits."""
    where = (f"--data-dir={data_dir}", f"--store={store}")
    return ["-c", _ROWBOX, "serve", *where, "--port=0", "--admin-port=0", "--rate-limits=off"]


def run_rowbox(*arguments: str) -> None:
    """Runs a verb of Rowbox to its end. CalledProcessError where it fails."""
    subprocess.run([sys.executable, "-c", _ROWBOX, *arguments], check=True, stdout=subprocess.DEVNULL)


def printed_by_rowbox(*arguments: str) -> str:
    """What a verb of Rowbox prints. CalledProcessError where it fails."""
    return subprocess.run(
        [sys.executable, "-c", _ROWBOX, *arguments], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def _ready(name: str, process: "subprocess.Popen[str]", log: Path) -> Server:
    assert process.stdout is not None
    line = process.stdout.readline()
    port, admin_port = _READY.search(line), _ADMIN.search(line)
    if port is None:
        raise RuntimeError(f"{name} did not start: {line}{log.read_text(encoding='utf-8', errors='replace')}")
    return Server(name, process.pid, int(port[1]), int(admin_port[1]) if admin_port else 0)

"""One process of a cluster, which is started in the background and found again by later commands.

A pid file outlives its process, and by then another program may have the pid. So each JVM has its cluster's folder and
its name on its command line, and a pid without that mark is not one of the cluster's.
"""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from deploy.hbase.errors import ClusterError
from deploy.hbase.layout import Daemon

POLL_S = 0.05

JAVA_FLAGS = [
    # What HBase's own launcher passes on Java 11 and later: it and its libraries reach into the JDK.
    "-Dorg.apache.hbase.thirdparty.io.netty.tryReflectionSetAccessible=true",
    "--add-modules=jdk.unsupported",
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in (
            "java.io",
            "java.nio",
            "sun.nio.ch",
            "java.lang",
            "jdk.internal.ref",
            "java.lang.reflect",
            "java.util",
            "java.util.concurrent",
        )
    ),
    *(
        f"--add-exports=java.base/{package}=ALL-UNNAMED"
        for package in ("jdk.internal.misc", "sun.net.dns", "sun.net.util")
    ),
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    "-Djava.net.preferIPv4Stack=true",  # else a port on 127.0.0.1 is one on every address of IPv6, too
    "-Dzookeeper.admin.enableServer=false",  # a web server of its own, on port 8080
    "-XX:+ExitOnOutOfMemoryError",  # a JVM that ran out of memory half works: better it ends, and is seen to
]


class JavaProcess:
    """A daemon of the cluster in `folder`, running or not."""

    def __init__(self, folder: Path, daemon: Daemon) -> None:
        self.daemon = daemon
        self.log = folder / "logs" / f"{daemon.name}.log"
        self._pid_file = folder / "pids" / f"{daemon.name}.pid"
        self._mark = f"-Drowbox.process={folder}:{daemon.name}"

    @property
    def name(self) -> str:
        return self.daemon.name

    def pid(self) -> int | None:
        """The pid of the running process. None where none runs, or the process has ended and is being cleared away."""
        try:
            pid = int(self._pid_file.read_text())
            command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if self._mark.encode() in command_line.split(b"\0") else None

    def start(self, java: str, classpath: str) -> None:
        """Starts the process in the background, in a session of its own, so that Ctrl-C in the terminal does not end
        it.
        """
        command = [java, *JAVA_FLAGS, self._mark, f"-Xmx{self.daemon.heap_mb}m", "-cp", classpath, self.daemon.main]
        self.log.parent.mkdir(exist_ok=True)
        self._pid_file.parent.mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*command, *self.daemon.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._pid_file.write_text(f"{process.pid}\n")
        # The kernel shows a new program's command line a moment after it began. Until then it would look ended.
        while self.pid() is None and process.poll() is None:
            time.sleep(POLL_S)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the process. ClusterError where it does not run."""
        if not self._send(number):
            raise ClusterError(f"{self.name} does not run")

    def terminate(self) -> None:
        """Asks the process to end, also where it is paused. Does nothing where it does not run."""
        self._send(signal.SIGTERM)
        self.resume()

    def resume(self) -> None:
        """Lets a paused process go on. Does nothing where it does not run."""
        self._send(signal.SIGCONT)

    def end(self, deadline: float) -> None:
        """Waits until `deadline` (of time.monotonic) for the process to end; then kills it, and waits for that."""
        while self.pid() is not None:
            if time.monotonic() >= deadline:
                self.kill()
                return
            time.sleep(POLL_S)

    def kill(self) -> None:
        """Kills the process, and returns when it is gone. Does nothing where it does not run."""
        while self._send(signal.SIGKILL):
            time.sleep(POLL_S)

    def _send(self, number: signal.Signals) -> bool:
        pid = self.pid()
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):  # it ended since
            os.kill(pid, number)
        return True

    def last_lines(self, count: int = 10) -> list[str]:
        """The last `count` lines of the process's log."""
        return self.log.read_text(errors="replace").splitlines()[-count:] if self.log.exists() else []

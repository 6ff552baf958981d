"""The jars that the processes run on, resolved by Maven from pom.xml: once, and again when that file changes.

All clusters of a checkout share the jars, because to resolve them takes long, and they never change while a cluster
runs.
"""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

from deploy.hbase.errors import ClusterError

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
LIB = HERE / "target" / "lib"
STAMP = HERE / "target" / "pom.sha256"
"""The file with the digest of the pom.xml that LIB was made from. A digest and no time, because a checkout changes
times."""


def resolve() -> Path:
    """The folder of the jars, up to date. ClusterError where Maven is missing or fails; its last lines tell why."""
    wanted = hashlib.sha256(POM.read_bytes()).hexdigest()
    STAMP.parent.mkdir(exist_ok=True)
    with (STAMP.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs that start at once: the second one waits
        if not STAMP.exists() or STAMP.read_text().strip() != wanted:
            _run_maven()
            STAMP.write_text(wanted + "\n")
    return LIB


def require_tool(name: str, package: str) -> str:
    """The path of a command. ClusterError, naming Debian's `package`, where there is none."""
    path = shutil.which(name)
    if path is None:
        raise ClusterError(f"HBase needs {name} (Debian: apt-get install {package})")
    return path


def _run_maven() -> None:
    shutil.rmtree(LIB, ignore_errors=True)  # a jar of the version before would stay on the classpath
    print("Resolving HBase's jars by Maven (once, and again when pom.xml changes) ...", flush=True)
    maven = require_tool("mvn", "maven")
    command = [maven, "--quiet", "--batch-mode", f"--file={POM}", "package"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError("Maven could not resolve HBase:\n" + "\n".join(done.stdout.splitlines()[-10:]))

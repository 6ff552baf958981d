"""`make test` installs what the selected tests need of the system and nothing else; the Makefile without a Python."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


SELECTIONS: dict[tuple[str, ...], str] = {
    ("tests/unit",): "",
    ("tests/integration/test_start.py", "-k", "curl"): "curl",
    (
        "tests/house/deploy/test_deploy.py",
        "tests/integration/gateway/test_hbase_wires.py",
    ): "docker-compose haproxy java mvn promtool systemd-analyze",
    ("tests/browser/test_looks.py",): "chromium",
}
"""Arguments of pytest, and the tools that it is to count."""
_COLLECT = """
import json, sys, pytest
for selection in json.loads(sys.argv[1]):
    code = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *selection])
    print("selection ended:", int(code))
"""


def test_only_what_is_selected_is_counted() -> None:
    """In one process, which imports once what all tests import."""
    command = [sys.executable, "-c", _COLLECT, json.dumps(list(SELECTIONS))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    needed, found = "", []
    for line in done.stdout.splitlines():
        if line.startswith("needed of the system: "):
            needed = line.partition(": ")[2]
        elif line.startswith("selection ended:"):
            found.append((needed, line))
            needed = ""
    assert found == [(tools, "selection ended: 0") for tools in SELECTIONS.values()], done.stdout + done.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH on which nothing of the tests' tools is, and an apt-get that writes down what it was asked for."""
    for name in ("sh", "cat", "rm", "mktemp"):
        (tmp_path / name).symlink_to(shutil.which(name) or "/nowhere")
    say(tmp_path, "apt-get", f'echo "$@" >> {tmp_path}/asked')
    return tmp_path


def say(machine: Path, name: str, script: str) -> None:
    (machine / name).write_text(f"#!/bin/sh\n{script}\n")
    (machine / name).chmod(0o755)


def install(machine: Path, *tools: str, user: int = 0) -> "subprocess.CompletedProcess[str]":
    say(machine, "id", f"echo {user}")
    script = (ROOT / "tests" / "install-tools").read_text().replace("PATH=$PATH:/usr/sbin:/sbin", ":")
    (machine / "install-tools").write_text(script)
    command = ["/bin/sh", str(machine / "install-tools"), *tools]
    return subprocess.run(command, env={"PATH": str(machine)}, capture_output=True, text=True, check=False, timeout=60)


def test_a_layer_that_needs_nothing_installs_nothing(machine: Path) -> None:
    done = install(machine)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (machine / "asked").exists()


def test_what_is_needed_and_missing_is_installed_by_its_package(machine: Path) -> None:
    say(machine, "strace", "")  # this one is there
    assert install(machine, "strace", "curl", "java", "docker-compose").returncode == 0
    update, asked = (machine / "asked").read_text().splitlines()
    assert update.startswith("update")
    assert asked.endswith("--no-install-recommends curl openjdk-17-jre-headless docker-compose")


def test_a_package_that_would_start_a_server_is_not_installed_for_its_command(machine: Path) -> None:
    say(machine, "redis-check-rdb", "")
    say(machine, "ln", f'echo "$@" >> {machine}/linked')
    assert install(machine, "redis-server").returncode == 0
    assert (machine / "asked").read_text().splitlines()[1].endswith("--no-install-recommends redis-tools")
    assert (machine / "linked").read_text() == f"-sf {machine}/redis-check-rdb /usr/local/bin/redis-server\n"


def test_who_may_install_nothing_is_told_in_one_line(machine: Path) -> None:
    done = install(machine, "curl", "mvn", user=1000)
    assert done.stderr.count("\n") == 1
    assert "apt-get install curl maven" in done.stderr
    assert not (machine / "asked").exists()


@pytest.mark.parametrize("target", ["serve", "test", "hbase-up", "hbase-down", "bench", "model"])
def test_a_machine_without_python_is_told_so_in_one_line(target: str, tmp_path: Path) -> None:
    """hbase-up and hbase-down ran `-m deploy.hbase` as a command, and said whatever the shell says to that."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "bin").mkdir()
    for name in ("sh", "echo", "test"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or "/nowhere")
    environment = {**os.environ, "PATH": str(tmp_path / "bin"), "MAKEFLAGS": ""}
    make = shutil.which("make")
    assert make is not None
    done = subprocess.run(
        [make, target], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith(f"{make}: ***") and "***" not in line]
    assert done.returncode != 0
    assert said == ["Rowbox needs Python 3.11 or newer with its venv module (Debian: apt-get install python3-venv)."], (
        done.stdout + done.stderr
    )

"""Both runs, very short: every scenario runs and is reported. Their numbers mean nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.machine import is_on_disk
from tests.conftest import leave_out

ROOT = Path(__file__).parent.parent.parent


def run(module: str, folder: Path, *arguments: str) -> str:
    if not is_on_disk(folder):
        leave_out("needs a temporary folder on a disk: the benchmarks refuse to run in memory")
    command = [sys.executable, "-m", module, *arguments, "--folder", str(folder), "--no-write"]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.mark.integration
def test_bench(tmp_path: Path) -> None:
    before = (ROOT / "docs" / "benchmarks.md").read_bytes()
    text = run("bench", tmp_path, *"--turns 1 --seconds 0.2 --parked 500 --mailboxes 100 --searched 500".split())
    for words in (
        "| durable send        | durable ceiling |",
        "| delta of 2 messages | rowbox",
        "| RocksDB alone |",
        "p99.9 ms",
        "500 parked polls took ",
        "all back after s",
        "Cold load",
        "The first search of a mailbox of 500 messages",
        "| others' send p99 meanwhile / before ",
        "| send p99 at half the maximal rate, ms",
        "| a parked poll, KB",
        "| owner's CPU for durable send, 1 API process / none ",
    ):
        assert words in text
    assert (ROOT / "docs" / "benchmarks.md").read_bytes() == before


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_bench_live(tmp_path: Path) -> None:
    """A client that stalls is waited for until the server gives it up, which takes a minute: that part is left out."""
    arguments = "--turns 1 --seconds 0.2 --sockets 200 --no-stalled".split()
    text = run("bench.live", tmp_path, *arguments)
    for words in (
        "| told by sockets ",
        "| sends alone, by HTTP ",
        "| the same, from the answer to its sender ",
        "200 sockets that follow took ",
        "| sends by sockets / by HTTP, per CPU-second ",
        "| an idle socket, KB ",
        "| over two hops, p99 at half the rate, after the sender's answer, ms ",
        "| copies to members over the embedded store, per CPU-second ",
        "| the last of 100 connected members has it p99 over the embedded store, ms ",
    ):
        assert words in text


@pytest.mark.integration
def test_links(tmp_path: Path) -> None:
    if not is_on_disk(tmp_path):
        leave_out("needs a temporary folder on a disk: the benchmarks refuse to run in memory")
    command = [sys.executable, "-m", "bench.links", *"--turns 1 --seconds 0.2 --in-flight 4 --folder".split()]
    text = subprocess.run([*command, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    for words in ("| send ", "| newest page of 20 |", "| empty delta ", "| owner / one |"):
        assert words in text


@pytest.mark.integration
def test_links_among_owners() -> None:
    command = [sys.executable, "-m", "bench.links.owners", *"--turns 1 --seconds 0.1 --owners 1 --owners 2".split()]
    text = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    for words in ("| 1      | 64                 | any ", "| 2      | 256 ", "| of the same owner | "):
        assert words in text


@pytest.mark.integration
def test_bench_long(tmp_path: Path) -> None:
    sizes = "--messages 100 --messages 200 --conversations 10 --conversations 20 --mailboxes 20 --mailboxes 200"
    text = run("bench.long", tmp_path, *sizes.split(), *"--turns 1 --seconds 0.05 --churned 200 --minutes 0.03".split())
    for words in (
        "| conversations in a mailbox | 20 ",
        "| newest page of 20 over mailboxes in the store, largest p50 / least ",
        "| RSS under churn at most, MB ",
    ):
        assert words in text

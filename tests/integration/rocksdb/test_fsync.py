"""A send is confirmed only after the device has it: seen from outside, by the server's system calls."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import require
from tests.integration.support import mutants, strace
from tests.integration.support.server_process import ROWBOX, ServerProcess

pytestmark = [pytest.mark.integration, pytest.mark.tools("strace")]

IN_SEQUENCE = 20
AT_ONCE = 40
_REQUEST = re.compile(r"mark-\d{4}")
_CONFIRMED = '"HTTP/1.1 201 Created'
_SYNCS = {"fsync", "fdatasync"}
_READS = {"read", "recvfrom", "recvmsg"}


def unsynced_confirmations(calls: Sequence[strace.Call]) -> tuple[int, list[str]]:
    """How many 201 were written, and those before which no fsync of what they confirm came to its end.

    The request was read from the same connection and holds a mark; the last write of that mark to the write-ahead log
    before the 201 must be followed by a sync of that log, begun after that write and ended before the 201.
    """
    marks: dict[str, str] = {}
    findings, confirmed = [], 0
    for at, call in enumerate(calls):
        if call.name in _READS and (mark := _REQUEST.search(call.text)):
            marks[call.file] = mark[0]
        elif _CONFIRMED in call.text:
            confirmed += 1
            mark_text = marks.pop(call.file)
            if not _is_synced(mark_text, calls[:at], call.began):
                findings.append(f"{mark_text} was confirmed before the device had it")
    return confirmed, findings


def _is_synced(mark: str, before: Sequence[strace.Call], deadline: int) -> bool:
    logged = [call for call in before if call.file.endswith(".log") and call.name not in _SYNCS and mark in call.text]
    return bool(logged) and any(
        call.name in _SYNCS
        and call.file == logged[-1].file
        and call.began > logged[-1].ended
        and call.result == 0
        and call.ended < deadline
        for call in before
    )


async def traced_sends(tmp_path: Path, command: Sequence[str]) -> list[strace.Call]:
    """The system calls of a server that confirms sends, one after the other and then many at once."""
    trace = tmp_path / "trace"
    traced = (*strace.command(require("strace"), trace), *command)
    async with ServerProcess(tmp_path / "data", command=traced) as server:
        ann = server.client("ann")
        for number in range(IN_SEQUENCE):
            await ann.send("ben", f"mark-{number:04}", f"id-{number}")
        async with asyncio.TaskGroup() as tasks:
            for number in range(IN_SEQUENCE, IN_SEQUENCE + AT_ONCE):
                client = server.client(f"user{number % 7}")
                tasks.create_task(client.send(f"user{number % 5}", f"mark-{number:04}", f"id-{number}"))
        await server.stop()
    with trace.open(encoding="utf-8", errors="replace") as lines:
        return strace.parse(lines)


async def test_an_fsync_stands_before_every_201(tmp_path: Path) -> None:
    confirmed, findings = unsynced_confirmations(await traced_sends(tmp_path, (ROWBOX,)))
    assert (confirmed, findings) == (IN_SEQUENCE + AT_ONCE, [])


async def test_without_sync_every_201_is_found_out(tmp_path: Path) -> None:
    confirmed, findings = unsynced_confirmations(await traced_sends(tmp_path, mutants.command("without-sync")))
    assert (confirmed, len(findings)) == (IN_SEQUENCE + AT_ONCE, IN_SEQUENCE + AT_ONCE)


def test_a_sync_that_another_thread_interrupts_is_read_whole() -> None:
    lines = [
        '1 write(24</data/000008.log>, "mark-0007", 9) = 9',
        "1 fdatasync(24</data/000008.log> <unfinished ...>",
        '2 read(9<anon_inode:[eventfd]>, "", 8) = 8',
        "1 <... fdatasync resumed>)          = 0",
    ]
    sync = strace.parse(lines)[1]
    assert (sync.name, sync.file, sync.began, sync.ended, sync.result) == ("fdatasync", "/data/000008.log", 1, 3, 0)

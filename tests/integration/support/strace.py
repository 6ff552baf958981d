"""What a process asked of the kernel, as strace saw it: when each call began and ended, in one order.

The order can be trusted where one event causes the other: strace holds a thread at the end of a call until it has
written it down, so what the thread does next, or wakes another to do, comes later in the file.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CALLS: Final = ("read", "recvfrom", "recvmsg", "write", "writev", "pwrite64", "sendto", "sendmsg", "fsync", "fdatasync")
_STRING_BYTES: Final = 1 << 20
_LINE: Final = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$")
_UNFINISHED: Final = "<unfinished ...>"
_RESULT: Final = re.compile(r" = (-?\d+)[^=]*$")
_FILE: Final = re.compile(r"^\d+<(.*?)>[,) ]")


@dataclass
class Call:
    """One system call: `file` is the path or socket of its first argument; `began`, `ended` are places in the order."""

    name: str
    file: str
    text: str
    began: int
    ended: int
    result: int | None = None


def command(strace: str, trace: Path) -> tuple[str, ...]:
    """What to put before a command. It stays the caller's own child (-D), so signals and exit codes are its own."""
    what = f"trace={','.join(CALLS)}"
    return (
        strace,
        "-D",
        "-f",
        "-y",
        "-qq",
        "-s",
        str(_STRING_BYTES),
        "-e",
        what,
        "-e",
        "signal=none",
        "-o",
        str(trace),
    )


def parse(lines: Iterable[str]) -> list[Call]:
    """The calls in the order in which they began. One that never ended has no result."""
    calls: list[Call] = []
    open_calls: dict[str, Call] = {}
    for place, line in enumerate(lines):
        match = _LINE.match(line)
        if match is None:
            continue
        thread, resumed, name, rest = match.groups()
        if resumed is None:
            file = _FILE.match(rest)
            call = Call(name, file[1] if file is not None else "", "", place, place)
            calls.append(call)
        else:
            call = open_calls.pop(thread)
        call.text += rest
        if rest.endswith(_UNFINISHED):
            open_calls[thread] = call
        elif result := _RESULT.search(rest):
            call.ended, call.result = place, int(result[1])
    return calls

"""Runs verbs of `rowbox` that die at a chosen moment: as from a kill -9, before their n-th call that changes a folder.

    dies_at.py        reads lines: n and the verb's arguments, separated by tabs; n = 0: it does not die
                      answers each with one line of JSON: an Ended

Each verb runs in a fork, which is cheap: nothing is imported again.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

CHANGES: Final = ("mkdir", "link", "rename", "replace", "fsync")
"""Removing is not counted: what there is to remove depends on where the one before died."""


class Ended(NamedTuple):
    """How a verb ended; `calls`: how many it made of those that count, 0 where it died."""

    code: int
    output: str
    calls: int

    @property
    def died(self) -> bool:
        return self.code == -signal.SIGKILL


@contextmanager
def dying_verbs() -> Iterator[Callable[..., Ended]]:
    """A function (n, arguments...) that runs a verb."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ask, answers = process.stdin, process.stdout

        def run(number: int, *arguments: str | Path) -> Ended:
            ask.write("\t".join(map(str, (number, *arguments))) + "\n")
            ask.flush()
            return Ended(*json.loads(answers.readline()))

        try:
            yield run
        finally:
            ask.close()


def _die_at(number: int, calls: list[str]) -> None:
    """Counts in `calls`. Files are written before their fsync, so a kill in between is one before it."""

    def counted(name: str) -> Callable[..., Any]:
        call = getattr(os, name)

        def run(*arguments: Any, **options: Any) -> Any:
            calls.append(name)
            if len(calls) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return run

    for name in CHANGES:
        setattr(os, name, counted(name))


def _serve() -> None:
    from rowbox.cli.main import main

    for line in sys.stdin:
        number, *arguments = line.rstrip("\n").split("\t")
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as counted:
            child = os.fork()
            if not child:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                calls: list[str] = []
                _die_at(int(number), calls)
                try:
                    main(arguments, prog_name="rowbox")
                finally:
                    counted.write(str(len(calls)))
                    counted.flush()
            _, status = os.waitpid(child, 0)
            output.seek(0)
            counted.seek(0)
            ended = Ended(os.waitstatus_to_exitcode(status), output.read(), int(counted.read() or 0))
            print(json.dumps(ended), flush=True)  # noqa: T201


if __name__ == "__main__":
    _serve()

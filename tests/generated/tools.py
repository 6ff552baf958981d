"""Running what makes and checks a client, while the server goes on in this process."""

import asyncio
import os
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

DEADLINE_S = 120
"""npm fetches 45 MB where nobody did before; everything else is a matter of seconds."""


async def run(*command: str | Path, cwd: Path, path: Path | None = None) -> str:
    """What `command` printed; it has to succeed. `path` is a folder of programs that come first."""
    search = os.environ["PATH"] if path is None else f"{path}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=PIPE, stderr=STDOUT, cwd=cwd, env=os.environ | {"PATH": search, "NO_COLOR": "1"}
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            output, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.communicate()
        raise
    text = output.decode()
    assert process.returncode == 0, f"{' '.join(map(str, command))}\n{text}"
    return text

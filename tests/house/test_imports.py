"""What a server does not use it does not import: each start of an embedded server would pay for it."""

import subprocess
import sys
from pathlib import Path
from typing import Final

CLIENTS: Final = {"happybase", "thriftpy2", "redis"}
"""Of HBase and of Redis, which only servers of a cluster use: each some tenth of what `rowbox serve` would import."""
START: Final = """
import asyncio, sys
from rowbox.cli.verbs import serve
from rowbox.cli.serving.backends import backend
from rowbox.mailbox.settings.config import load

async def start() -> None:
    settings = load({"server.data_dir": sys.argv[1]}, {}, None).settings
    async with backend(settings, print) as opened:
        await opened.ready()

assert serve.command
asyncio.run(start())
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_an_embedded_server_imports_no_client_of_a_cluster(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START, tmp_path / "data"], capture_output=True, text=True, check=True, timeout=120
    )
    imported = set(done.stdout.split())
    assert {"rowbox", "rocksdict"} <= imported
    assert imported & CLIENTS == set()

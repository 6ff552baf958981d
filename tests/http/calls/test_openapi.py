"""Schemathesis against the served document, with its default checks: valid data is taken, invalid data refused, and
every answer is one that the document describes.
"""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.mailbox.settings.config import PollSettings, Settings
from tests.http.api import ANY_PORT, NO_LIMITS, Api, token

DEADLINE_S = 90
SEED = 1


@pytest.fixture
def settings() -> Settings:
    """Nobody waits long here."""
    return Settings(server=ANY_PORT, rate_limits=NO_LIMITS, poll=PollSettings(max_wait_ms=1))


@pytest.mark.parametrize("store", [False], indirect=True, ids=["embedded"])
async def test_schemathesis_finds_nothing(api: Api, owner: Owner, store: MemoryStore, tmp_path: Path) -> None:
    many = ["--max-examples=25", "--max-time=15", f"--seed={SEED}", "--generation-database=none"]
    patient = ["--suppress-health-check=too_slow", "--request-timeout=60"]  # a busy machine is no fault of the server
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("st")),
        "run",
        f"http://127.0.0.1:{api.server.port}/openapi.json",
        f"--header=Authorization: Bearer {token('alice')}",
        *many,
        *patient,
        "--no-color",
        env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(Path(__file__).parent)},
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(DEADLINE_S):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-10_000:]

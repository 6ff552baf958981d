"""docs/how-to/backup-and-restore.md: the script for every day, beside a server, and the restore that one tries."""

import asyncio
import os
from pathlib import Path
from typing import Final

import pytest

from tests.integration.documents.fenced import block
from tests.integration.support.server_process import DEADLINE_S, ROWBOX, ServerProcess, rowbox

pytestmark = pytest.mark.integration

PAGE: Final = Path(__file__).parents[3] / "docs" / "how-to" / "backup-and-restore.md"


async def run(script: Path, server: ServerProcess) -> None:
    """On the machine of a server whose admin port is another one than usual."""
    environment = os.environ | {
        "PATH": f"{Path(ROWBOX).parent}:{os.environ['PATH']}",
        "ROWBOX_SERVER_ADMIN_PORT": server.admin_url.rpartition(":")[2],
    }
    process = await asyncio.create_subprocess_exec("sh", str(script), env=environment)
    async with asyncio.timeout(DEADLINE_S):
        assert await process.wait() == 0


async def test_seven_days_are_kept_and_the_newest_can_be_restored(tmp_path: Path) -> None:
    backups, data = tmp_path / "backups", tmp_path / "data"
    backups.mkdir()
    (backups / "notes").write_text("of the operator")
    for day in range(1, 10):
        (backups / f"2001-01-{day:02}").mkdir()
    script = tmp_path / "daily.sh"
    text = block(PAGE, "daily.sh")
    assert text.count("/backups/") == 2
    script.write_text(text.replace("/backups/", f"{backups}/").replace("/var/lib/rowbox", str(data)))
    async with ServerProcess(data) as server:
        await server.client("alice").send("bob", "hello", "first")
        await run(script, server)
    *kept, newest, notes = sorted(path.name for path in backups.iterdir())
    assert (kept, notes) == ([f"2001-01-{day:02}" for day in range(4, 10)], "notes")
    tried = tmp_path / "tried"
    assert (await rowbox("restore", backups / newest, "--data-dir", tried)).code == 0
    checked = await rowbox("check", "--data-dir", tried)
    assert (checked.code, "2 copies of messages: nothing found" in checked.out) == (0, True)

"""Records the transcripts anew, over one server and the embedded store: python -m tests.conformance"""

import asyncio
import tempfile
from pathlib import Path

from tests.conformance.deployments import one_server
from tests.conformance.recorded import FOLDER, played


async def record() -> None:
    """Plays every story once, and writes down what was answered."""
    with tempfile.TemporaryDirectory() as folder:
        async with one_server(Path(folder), {}) as deployment:
            transcripts = await played(deployment)
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name, lines in transcripts.items():
        (FOLDER / f"{name}.json").write_text("\n".join([*lines, ""]))


asyncio.run(record())

"""openapi-typescript makes types of openapi.json: a program over them compiles, and sends a message under Node."""

import fcntl
import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import leave_out
from tests.generated.tools import run
from tests.http.api import Api, token

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
OWN_PROGRAMS = Path(sys.executable).parent
"""Where Node and npm are: a dev dependency brings them."""


async def installed() -> Path:
    """The folder of what package-lock.json names; npm writes a copy of that file when all of it is there."""
    modules = HERE / "node_modules"
    with (HERE / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once would install into each other's folder
        stamp = modules / ".of-package-lock.json"
        if not stamp.exists() or stamp.read_bytes() != (HERE / "package-lock.json").read_bytes():
            try:
                await run("npm", "ci", "--no-audit", "--no-fund", cwd=HERE, path=OWN_PROGRAMS)
            except (AssertionError, TimeoutError) as error:
                leave_out(f"needs npm's registry, once: {error}")
            shutil.copyfile(HERE / "package-lock.json", stamp)
    return modules


async def test_it_makes_types_of_a_client_that_sends(rowbox: Api, document: Path, tmp_path: Path) -> None:
    modules = await installed()
    for name in ("package.json", "send.ts", "tsconfig.json"):
        shutil.copyfile(HERE / name, tmp_path / name)
    (tmp_path / "node_modules").symlink_to(modules)
    programs = modules / ".bin"
    await run(programs / "openapi-typescript", document, "--output", "api.d.ts", cwd=tmp_path, path=OWN_PROGRAMS)
    await run(programs / "tsc", cwd=tmp_path, path=OWN_PROGRAMS)
    url = f"http://127.0.0.1:{rowbox.server.port}"
    answer = await run("node", "made/send.js", url, token("alice"), cwd=tmp_path, path=OWN_PROGRAMS)
    assert json.loads(answer) == [["hello"], "client_message_id_reused", "unknown_conversation"]

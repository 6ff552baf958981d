"""What checks the JavaScript checks all of it, and is the same on each machine."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def loaded(name: str) -> Any:
    return json.loads((ROOT / name).read_text())


def listed(*patterns: str) -> list[str]:
    given = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, check=True, capture_output=True, text=True)
    return given.stdout.splitlines()


@pytest.mark.parametrize("lock", listed("*package-lock.json"))
def test_the_tools_are_pinned_and_come_from_any_registry(lock: str) -> None:
    asked = loaded(str(Path(lock).with_name("package.json")))["devDependencies"]
    assert [version for version in asked.values() if not re.fullmatch(r"[\d.]+", version)] == []
    locked = loaded(lock)["packages"]
    assert locked[""]["devDependencies"] == asked
    loose = [name for name, package in locked.items() if "resolved" in package or (name and "integrity" not in package)]
    assert loose == []


def test_no_script_is_left_out() -> None:
    left_out = [
        name
        for name in listed("*.js", "*.mjs")
        if not re.match(r"(api|tests)/.*\.js$", name) and not name.startswith("api/web/chat/vendor/")
    ]
    assert left_out == []
    assert loaded("biome.json")["files"]["includes"] == ["api/**/*.js", "tests/**/*.js", "!api/web/chat/vendor"]

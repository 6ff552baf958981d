"""What checks the JavaScript checks all of it, and is the same on each machine."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def loaded(name: str) -> Any:
    return json.loads((ROOT / name).read_text())


def test_the_tools_are_pinned_and_come_from_any_registry() -> None:
    asked = loaded("package.json")["devDependencies"]
    assert [version for version in asked.values() if not re.fullmatch(r"[\d.]+", version)] == []
    locked = loaded("package-lock.json")["packages"]
    assert locked[""]["devDependencies"] == asked
    assert [
        name for name, package in locked.items() if "resolved" in package or (name and "integrity" not in package)
    ] == []


def test_no_script_is_left_out() -> None:
    listed = subprocess.run(["git", "ls-files", "*.js", "*.mjs"], cwd=ROOT, check=True, capture_output=True, text=True)
    left_out = [
        name
        for name in listed.stdout.splitlines()
        if not re.match(r"(api|tests)/.*\.js$", name) and not name.startswith("api/chat/vendor/")
    ]
    assert left_out == []
    assert loaded("biome.json")["files"]["includes"] == ["api/**/*.js", "tests/**/*.js", "!api/chat/vendor"]

"""What `make` finds on a machine that has little."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["python3", "python3.11", "python3.13"])
def test_one_python_is_enough_under_any_of_its_names(tmp_path: Path, name: str) -> None:
    make = shutil.which("make")
    assert make is not None
    (tmp_path / name).symlink_to(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
    shown = subprocess.run(
        [make, "--dry-run", "--always-make", "serve"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{name} -m venv .venv" in shown.stdout

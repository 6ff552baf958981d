"""What a user installs works where nothing of the repository is near: not its folder, not its links."""

import subprocess
import sys
import sysconfig
import tarfile
import venv
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import pytest

import rowbox

ROOT = Path(__file__).parents[2]
FOLDERS = ("mailbox", "hbase_schema", "cacheserver", "api", "cli", "client")

pytestmark = pytest.mark.integration


def run(*command: str | Path, cwd: Path) -> str:
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=120).stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sdist, and the wheel that was built from that sdist and not from the repository.

    Without isolation: hatchling is one of our dev dependencies, so building needs no network.
    """
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (wheel,) = dist.glob("*.whl")
    return wheel


def shipped() -> set[str]:
    """What a wheel must hold: every file of these folders, the web page's too."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS, cwd=ROOT).splitlines()
    return {f"rowbox/{name}" for name in listed if (ROOT / name).is_file()}


def test_the_wheel_holds_every_file_of_the_folders_and_no_other_top_level(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    assert shipped() - names == set()
    assert {name.partition("/")[0] for name in names} == {"rowbox", f"rowbox-{rowbox.__version__}.dist-info"}


def test_the_wheel_carries_the_licence_of_everything_in_it(wheel: Path) -> None:
    """Ours, and those of what the chat page takes from others: each asks that it is passed on with the copy."""
    with ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        said = message_from_bytes(archive.read(metadata))
        carried = {Path(name).name: archive.read(name) for name in archive.namelist() if "/licenses/" in name}
    vendored = (ROOT / "api" / "web" / "chat" / "vendor").glob("LICENSE-*")
    assert carried == {path.name: path.read_bytes() for path in (ROOT / "LICENSE", *vendored)}
    assert (said["License-Expression"], said["Author"]) == ("Apache-2.0 AND MIT", "The Rowbox authors")


def test_the_sdist_holds_files_where_the_repository_has_links(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        assert not any(member.issym() for member in tar)


def test_the_installed_command_runs_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    """The dependencies come by a .pth line from where the tests run.

    Fetching them again would test the network and take a minute; that pyproject.toml names them all is shown by
    `make test`, which installs into an empty .venv.
    """
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    assert run(python.with_name("rowbox"), "--version", cwd=tmp_path) == f"rowbox, version {rowbox.__version__}\n"
    where = run(python, "-c", "import rowbox.mailbox as m, mailbox; print(m.__file__, mailbox.__file__)", cwd=tmp_path)
    ours, standard = where.split()
    assert Path(ours) == site / "rowbox" / "mailbox" / "__init__.py"
    assert Path(standard) == Path(sysconfig.get_path("stdlib")) / "mailbox.py"

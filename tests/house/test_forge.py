"""What stands here for a public forge is valid, asks for little, and runs what one runs by hand.

No forge runs in the tests: the files are held against the schemas that check-jsonschema carries, and the rules that no
schema knows are looked at one by one.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema.validators import validator_for
from pre_commit.clientlib import load_config

from deploy.release_notes import release_notes

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").iterdir() if path.name != "config.yml")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TARGETS = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def read(path: Path) -> Any:
    """As a forge reads it, whose YAML is 1.2: `on` is a word there, and no yes."""
    document = yaml.safe_load(path.read_text())
    return {"on" if key is True else key: part for key, part in document.items()}


def faults(schema: str, document: object) -> list[str]:
    rules = get_builtin_schema(schema)
    return [f"{error.json_path}: {error.message}" for error in validator_for(rules)(rules).iter_errors(document)]


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        *(("vendor.github-workflows", path) for path in WORKFLOWS),
        *(("vendor.github-issue-forms", path) for path in FORMS),
        ("vendor.github-issue-config", ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml"),
        ("vendor.dependabot", ROOT / ".github" / "dependabot.yml"),
        ("vendor.compose-spec", ROOT / "docker-compose.yml"),
    ],
    ids=lambda given: given.name if isinstance(given, Path) else "",
)
def test_each_file_is_what_its_schema_says(schema: str, path: Path) -> None:
    assert faults(schema, read(path)) == []


def test_a_schema_that_takes_everything_would_be_noticed() -> None:
    workflow = read(WORKFLOWS[0])
    assert faults("vendor.github-workflows", {key: part for key, part in workflow.items() if key != "jobs"}) != []


# ---------------------------------------------------------------------- workflows


def jobs() -> list[tuple[str, dict[str, Any]]]:
    return [(f"{path.name} {name}", job) for path in WORKFLOWS for name, job in read(path)["jobs"].items()]


def steps() -> list[dict[str, Any]]:
    return [step for _, job in jobs() for step in job.get("steps", ())]


def test_a_workflow_reads_and_only_the_one_that_publishes_writes() -> None:
    for path in WORKFLOWS:
        assert read(path)["permissions"] == {"contents": "read"}
    may_write = {name: job["permissions"] for name, job in jobs() if "permissions" in job}
    assert may_write == {"release.yml publish": {"contents": "write", "packages": "write"}}
    (publish,) = (job for name, job in jobs() if name in may_write)
    assert publish["needs"] == "ci"
    fetches = [step for step in publish["steps"] if re.search(r"checkout|setup-|pip|npm|make", str(step))]
    assert fetches == []  # what holds that token runs nothing that came from elsewhere


def test_a_job_ends_and_leaves_no_token_in_the_checkout() -> None:
    assert [name for name, job in jobs() if "uses" not in job and "timeout-minutes" not in job] == []
    checkouts = [step for step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_every_action_is_the_forges_own_in_one_version() -> None:
    """Any other runs somebody's code beside the token: it would have to be pinned to a commit and read."""
    used = {step["uses"] for step in steps() if "uses" in step}
    assert [action for action in used if not re.fullmatch(r"actions/[a-z-]+@v\d+", action)] == []
    assert len({action.partition("@")[0] for action in used}) == len(used)


def test_no_word_of_a_stranger_gets_into_a_script() -> None:
    """A title or the name of a branch in `${{ }}` is pasted into the shell before it runs; a variable is not."""
    assert [step["run"] for step in steps() if "${{" in step.get("run", "")] == []


def test_they_run_what_one_runs_by_hand() -> None:
    lines = "\n".join(step["run"] for step in steps() if "run" in step)
    assert set(re.findall(r"\bmake ([a-z-]+)", lines)) <= TARGETS
    assert {"make check", "make dist", ".ci/run"} <= set(lines.splitlines())
    folders = re.findall(r"\btests/[a-z]+", "".join(path.read_text() for path in WORKFLOWS))
    assert folders
    assert all((ROOT / folder).is_dir() for folder in folders)


def test_they_check_under_every_python_that_we_name() -> None:
    matrix = read(ROOT / ".github/workflows/ci.yml")["jobs"]["check"]["strategy"]["matrix"]["python"]
    named = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert matrix == named
    assert PROJECT["project"]["requires-python"] == f">={named[0]}"
    candidates = re.findall(r"python3\.\d+", (ROOT / "Makefile").read_text())
    assert candidates == [f"python{version}" for version in named]


# ---------------------------------------------------------------------- a release


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A checkout in which 1.2.3 may be released."""
    for name, text in {
        "src/rowbox/__init__.py": '"""Text."""\n\n__version__ = "1.2.3"\n',
        "api/web/client/package.json": '{"version": "1.2.3"}',
        "CHANGELOG.md": "# Changes\n\n## 1.2.3, 2026-12-01\n\n- One.\n- Two.\n\n## 1.2.2, 2026-11-01\n\n- Old.\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_release_is_told_by_the_newest_section_of_the_changelog(release: Path) -> None:
    assert release_notes("v1.2.3", release) == "- One.\n- Two.\n"


@pytest.mark.parametrize(
    ("path", "old", "new", "told"),
    [
        ("src/rowbox/__init__.py", "1.2.3", "1.2.4", r"the tag is v1\.2\.3, and the version is 1\.2\.4"),
        ("api/web/client/package.json", "1.2.3", "1.2.2", r"api/web/client/package\.json has the version 1\.2\.2"),
        ("CHANGELOG.md", "1.2.3, 2026-12-01", "1.2.3, not yet released", "CHANGELOG.md begins with"),
        ("CHANGELOG.md", "## 1.2.3, 2026-12-01", "## 1.2.4, 2026-12-01", "CHANGELOG.md begins with"),
    ],
)
def test_a_tag_that_is_not_the_version_releases_nothing(
    path: str, old: str, new: str, told: str, release: Path
) -> None:
    (release / path).write_text((release / path).read_text().replace(old, new))
    with pytest.raises(ValueError, match=told):
        release_notes("v1.2.3", release)


@pytest.mark.parametrize("arguments", [["v0.0.0"], [], ["v1", "v2"]])
def test_a_refusal_is_one_line(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "deploy.release_notes", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("Error: ")


# ---------------------------------------------------------------------- pre-commit and pins


def test_pre_commit_runs_make_check_and_names_no_versions() -> None:
    path = ROOT / ".pre-commit-config.yaml"
    load_config(str(path))  # it is valid
    (repository,) = read(path)["repos"]
    (hook,) = repository["hooks"]
    assert (repository["repo"], hook["language"], hook["entry"]) == ("local", "system", "make check")
    assert (hook["pass_filenames"], hook["always_run"]) == (False, True)


def test_what_judges_the_code_is_pinned_and_is_what_runs() -> None:
    """A newer linter or type checker has other opinions: a checkout that was green would fail by itself one day."""
    dev = PROJECT["project"]["optional-dependencies"]["dev"]
    pinned = dict(entry.split("==") for entry in dev if "==" in entry)
    assert set(pinned) == {"check-jsonschema", "kubernetes-validate", "mypy", "ruff"}
    for command in ("mypy", "ruff"):
        tool = shutil.which(command, path=str(Path(sys.executable).parent))
        assert tool is not None
        said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
        assert said.split()[1] == pinned[command], "make does it: pyproject.toml is newer than .venv"


# ---------------------------------------------------------------------- documents for those who come


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_every_path_target_and_link_that_they_name_is_there(name: str) -> None:
    text = (ROOT / name).read_text()
    paths = re.findall(r"`\.?((?:[\w.-]+/)+[\w.-]*)`", text) + re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [path for path in paths if not (ROOT / path).exists() and not (ROOT / f".{path}").exists()] == []
    assert set(re.findall(r"(?:`|^    )make ([a-z-]+)", text, re.MULTILINE)) <= TARGETS


@pytest.mark.parametrize("path", ["LICENSE", "api/web/client/LICENSE"])
def test_the_licence_is_apaches_text_unchanged(path: str) -> None:
    digest = hashlib.sha256((ROOT / path).read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_the_image_is_built_of_all_that_the_wheel_is_built_of() -> None:
    """A file that a build needs and a container lacks is found out when somebody builds the container."""
    names = {Path(name).parts[0] for name in PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]}
    names |= {link.name for link in (ROOT / "src/rowbox").iterdir() if link.is_symlink()}
    copied = set(re.findall(r"^COPY (?!--)(.+) \S+$", (ROOT / "deploy/rowbox/Dockerfile").read_text(), re.MULTILINE))
    assert {word for line in copied for word in line.split()} == names
    assert {f"!{name}" for name in names} <= set((ROOT / ".dockerignore").read_text().splitlines())

"""Every relative link of the documents leads to a file that is there, and to a heading where it names one."""

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
_CODE: Final = re.compile(r"^( *)(```|~~~).*?^\1\2[^\n]*$|^(?: {4}|\t)[^\n]*$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
"""Fenced, indented, and in a line: nothing in it is a link or a heading."""
_LINK: Final = re.compile(r"\]\(([^()\s]+)\)")
_HEADING: Final = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


def listed(*patterns: str) -> list[str]:
    """Files of the checkout that git does not ignore: also what was written and not yet added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", *patterns]
    given = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in given.stdout.splitlines() if (ROOT / name).exists()]


DOCUMENTS: Final = [name for name in listed("*.md") if not name.startswith("api/chat/vendor/")]


def anchor(heading: str) -> str:
    """The anchor that GitHub, GitLab and Gitea make of a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


@cache
def anchors(document: Path) -> frozenset[str]:
    text = re.sub(r"^( *)(```|~~~).*?^\1\2[^\n]*$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    for heading in _HEADING.findall(text):
        first, again = anchor(heading), 0
        while (name := f"{first}-{again}" if again else first) in found:
            again += 1
        found.add(name)
    return frozenset(found)


def broken(document: Path) -> Iterator[str]:
    """The links of one document that lead nowhere."""
    for target in _LINK.findall(_CODE.sub("", document.read_text())):
        if re.match(r"[a-z]+:", target):
            continue  # to elsewhere: nobody is asked for it in a test
        path, _, name = target.partition("#")
        there = (document.parent / path) if path else document
        is_document = there.suffix == ".md" and there.is_file()
        if not there.exists() or (name and not (is_document and name in anchors(there))):
            yield target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_link_leads_somewhere(name: str) -> None:
    assert list(broken(ROOT / name)) == []


def test_a_broken_one_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# One `two`, three: (four)\n\n# Twice\n\n# Twice\n\n```\n# no heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n\n[a](there.md#one-two-three-four) [b](there.md#twice-1) [c](#here) [d](https://e.f/g#h) `[i](j)`\n"
        "\n    [k](l)\n\n[m](gone.md) [n](there.md#no-heading) [o](there.md#twice-2) ![p](#nowhere)\n"
    )
    assert list(broken(page)) == ["gone.md", "there.md#no-heading", "there.md#twice-2", "#nowhere"]


def test_each_document_is_reached_from_the_readme() -> None:
    """By links alone: a page that nothing leads to is a page that nobody finds."""
    reached, next_ones = set[Path](), [ROOT / "README.md"]
    while next_ones:
        document = next_ones.pop()
        if document in reached or not document.is_file():
            continue
        reached.add(document)
        targets = _LINK.findall(_CODE.sub("", document.read_text())) if document.suffix == ".md" else []
        next_ones += [(document.parent / target.partition("#")[0]).resolve() for target in targets]
    pages = {ROOT / name for name in DOCUMENTS if name.startswith("docs/")}
    alone = {str(page.relative_to(ROOT)) for page in pages - reached if page.parent.name != "adr"}
    assert alone == set()


def test_each_decision_has_a_number_of_its_own() -> None:
    """And its heading says the same one. Two that are written at the same time take the same, unless somebody looks."""
    files = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = [int(file.name.partition("-")[0]) for file in files]
    assert numbers == list(range(1, len(files) + 1))
    assert [file.name for file, at in zip(files, numbers, strict=True) if f"# {at}. " not in file.read_text()[:8]] == []


def test_no_merge_left_its_marks() -> None:
    """A conflict that was resolved in haste. (A rebase that goes on with one asks nobody.)"""
    command = ["git", "grep", "--untracked", "-nE", "^([<]{7} |[>]{7} |[|]{7} )"]
    assert subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True).stdout == ""

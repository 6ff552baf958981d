"""Each command line of `rowbox` in the documents is one that `rowbox` understands, and each file of settings is one."""

import re
import shlex
from collections.abc import Iterator
from typing import Final

import click
import pytest

from rowbox.cli.main import VERBS
from rowbox.mailbox.settings.config import load
from tests.house.documents.test_links import DOCUMENTS, ROOT
from tests.house.reference.command_line import contexts

_LINE: Final = re.compile(r"(?<![\w-])rowbox (?=([a-z][^#`|)\n]*))")
_INDENTED: Final = re.compile(r"^ {4}[^\n]*$", re.MULTILINE)
_FENCED: Final = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PAGES: Final = [name for name in DOCUMENTS if not name.startswith(("docs/adr/", "docs/reference/", ".github/"))]


def command_lines(text: str) -> Iterator[str]:
    """What stands behind `rowbox` in code, up to the end of the command."""
    fenced = [code for language, code in _FENCED.findall(text) if language in {"sh", "console"}]
    for code in (*fenced, *_INDENTED.findall(_FENCED.sub("", text))):
        for line in _LINE.findall(code.replace("\\\n", " ")):
            if line.split()[0] in VERBS:
                yield re.split(r" (?:>|&|;|\d>)", line)[0].strip()


def understood(line: str) -> bool:
    """Whether the words are a verb with options and arguments of its own. Nothing is run."""
    words = shlex.split(line)
    verbs = contexts()
    path = max((path for path in verbs if words[: len(path)] == list(path)), key=len, default=None)
    if path is None:
        path = ("token", "issue") if words[:1] == ["token"] else None
        words = ["token", "issue", *words[1:]]
    if path is None:
        return False
    try:
        verbs[path].command.make_parser(verbs[path]).parse_args(words[len(path) :])
    except click.UsageError:
        return False
    return True


@pytest.mark.parametrize("name", _PAGES)
def test_each_command_line_is_one(name: str) -> None:
    assert [line for line in command_lines((ROOT / name).read_text()) if not understood(line)] == []


def test_one_that_is_none_is_found() -> None:
    page = """
    rowbox serve --port 9000          # it is
    TOKEN=$(.venv/bin/rowbox token --user alice)
    docker exec rowbox rowbox health --ready
    rowbox serve --prot 9000
    rowbox token revoke --user
    rowbox schema drop
    """
    lines = list(command_lines(page))
    assert len(lines) == 6
    assert [line for line in lines if not understood(line)] == lines[3:]


@pytest.mark.parametrize("name", _PAGES)
def test_each_file_of_settings_can_be_used(name: str) -> None:
    for language, text in _FENCED.findall((ROOT / name).read_text()):
        if language == "toml":
            load({}, {}, text)

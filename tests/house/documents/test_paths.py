"""Each path of this repository that a document or a comment names is there: a folder, a file, or the end of its path.

`pipeline.py` and `commit/pipeline.py` are ends of `cacheserver/commit/pipeline.py`. Links have a test of their own
(test_links.py), and so have the ways on the architecture page (tests/house/test_layering.py).
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

import pytest

from tests.house.documents.test_links import ROOT, listed

_FOLDERS: Final = "api|bench|cacheserver|cli|client|deploy|docs|examples|hbase_schema|mailbox|src|tests"
_IN_DOCUMENTS: Final = re.compile(
    rf"`((?:{_FOLDERS})/[\w./-]*|(?:[\w-]+/)*[\w-]+\.(?:py|js|jsonl|md|svg|thrift|toml|yml))`"
    rf"|(?<![\w./`<-])((?:{_FOLDERS})/[\w/-]+\.(?:py|js|md))\b"
)
_IN_CODE: Final = re.compile(
    rf"(?<![\w./<{{-])((?:{_FOLDERS})/[\w/-]+(?:\.(?:py|js|md|jsonl|yml|json|toml|cfg))?(?![\w{{]|/\w|\.\w))"
    rf"|(?<![\w./<{{-])((?:[\w-]+/)*\w+\.py)\b"
)
_ELSEWHERE: Final = frozenset({"base_protocol.py", "web_protocol.py", "rowbox.toml", "mint.py"})
"""Files of aiohttp, an operator's file of settings, and the file that a how-to has its reader write."""
_DOCUMENTS: Final = [
    name for name in listed("*.md") if not name.startswith(("docs/reference/", "api/web/chat/vendor/"))
]
_SOURCES: Final = [name for name in listed("*.py", "*.js") if not name.startswith(("tests/", "api/web/chat/vendor/"))]


def ends_of(paths: list[str]) -> frozenset[str]:
    """Every end of every path, and of every folder on it."""
    found: set[str] = set()
    for path in paths:
        for whole in (PurePosixPath(path), *PurePosixPath(path).parents):
            found.update("/".join(whole.parts[first:]) for first in range(len(whole.parts)))
    return frozenset(found)


_THERE: Final = ends_of(listed())


def lost(text: str, names: re.Pattern[str]) -> Iterator[str]:
    """The paths in `text` that are not there."""
    for found in names.finditer(text):
        name = next(filter(None, found.groups())).rstrip("/.")
        if name not in _ELSEWHERE and not {name, f"{name}.py", f"{name}.md"} & _THERE and not _is_an_adr(name):
            yield name


def _is_an_adr(name: str) -> bool:
    """`docs/adr/0017` is short for the one file that begins so."""
    return name.startswith("docs/adr/") and any(path.startswith(f"{name}-") for path in _THERE)


@pytest.mark.parametrize("name", _DOCUMENTS)
def test_each_path_in_a_document_is_there(name: str) -> None:
    assert list(lost((ROOT / name).read_text(), _IN_DOCUMENTS)) == []


@pytest.mark.parametrize("name", _SOURCES)
def test_each_path_in_a_module_is_there(name: str) -> None:
    """In docstrings, comments and texts for people alike."""
    assert list(lost((ROOT / name).read_text(), _IN_CODE)) == []


def test_one_that_is_lost_is_found() -> None:
    page = (
        "`cacheserver/pipeline.py` `commit/pipeline.py` `plan.py` `plans.py` (mailbox/plan.py) `api/chat/` `api/web/`"
    )
    assert list(lost(page, _IN_DOCUMENTS)) == ["cacheserver/pipeline.py", "plans.py", "mailbox/plan.py", "api/chat"]
    module = '"""See cacheserver/rows/cleaner.py, rows/folding.py, loaders.py, docs/adr/0099 and tests/gone."""'
    assert list(lost(module, _IN_CODE)) == ["loaders.py", "docs/adr/0099", "tests/gone"]

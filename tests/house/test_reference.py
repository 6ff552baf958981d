"""The pages of docs/reference say what the code says. What differs, `make docs` writes anew."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

from rowbox.api.http.drain import Drain
from rowbox.api.http.problems import KINDS
from rowbox.api.telemetry.counters import HttpCounters
from rowbox.api.telemetry.health import health_pages
from rowbox.api.telemetry.metrics import Metrics
from rowbox.api.v1.openapi import openapi
from rowbox.api.web.pages import pages
from tests.house.reference import command_line, errors, examples, metrics
from tests.house.reference.metrics import Families
from tests.house.reference.page import FOLDER, filled
from tests.house.reference.pages import PAGES

ROOT = FOLDER.parents[1]
REMEDY = "make docs writes what the code says"


def text_of(page: str) -> str:
    return (FOLDER / page).read_text()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_the_code_says(page: str) -> None:
    assert text_of(page) == filled(text_of(page), PAGES[page]()), REMEDY


@pytest.mark.integration
def test_the_metrics_are_those_that_servers_expose(families: Families) -> None:
    assert text_of("metrics.md") == filled(text_of("metrics.md"), metrics.parts(families)), REMEDY
    assert metrics.unexplained(families, text_of("metrics.md")) == set()
    assert {"`loop`", "`purge`"} <= metrics.unexplained(families, "## Labels\n\n`keys`\n\n## Alerts\n\n`purge`, `loop`")


def test_the_page_has_the_metrics_that_the_source_names() -> None:
    """Also one that no server of a test exposes, because what it tells of did not happen there."""
    sources = [path.read_text() for folder in ("api", "cacheserver", "cli") for path in (ROOT / folder).rglob("*.py")]
    named = {name for text in sources for name in re.findall(r'"(rowbox_[a-z0-9_]+)"', text)} - {"rowbox_request_id"}
    assert named == set(re.findall(r"^\| `(rowbox_[a-z0-9_]+)`", text_of("metrics.md"), re.MULTILINE))


@pytest.mark.integration
def test_a_metric_is_understood_alone(families: Families) -> None:
    """And not by the one in front of it, as "Their bytes." and "What they take." are."""
    for family in families.values():
        assert re.match(r"[A-Z1].*\.$", family.help), family.name
        assert not re.match(r"(\w+ )?(it|its|they|their)\b", family.help, re.IGNORECASE), family.name


class TestExamples:
    async def test_they_are_what_a_server_answers(self) -> None:
        assert examples.FILE.read_bytes() == await examples.recorded(), REMEDY

    @pytest.mark.parametrize("call", [of for item in openapi()["paths"].values() for of in item.values()])
    def test_each_answer_of_a_call_has_one(self, call: dict[str, Any]) -> None:
        for status, answer in call["responses"].items():
            (media,) = answer["content"].values()
            assert media["examples"], (call["operationId"], status)


def described() -> Iterator[tuple[str, str]]:
    """Whatever of the API a reader asks for: its name, and what is said of it."""
    document = openapi()
    for item in document["paths"].values():
        for call in item.values():
            yield call["operationId"], call["description"]
            yield from (
                (f"{call['operationId']}: {of['name']}", of["description"]) for of in call.get("parameters", ())
            )
    for name, of in document["components"]["headers"].items():
        yield name, of["description"]
    for name, schema in document["components"]["schemas"].items():
        yield name, schema["description"]
        if "Problem" not in name or name == "Problem":
            yield from ((f"{name}.{key}", field.get("description", "")) for key, field in schema["properties"].items())
    yield from ((code, kind.advice) for code, kind in KINDS.items())


def test_what_a_reader_asks_for_has_a_sentence() -> None:
    assert {name for name, text in described() if not re.search(r"[A-Z`1].*\.$", text, re.DOTALL)} == set()


def test_whether_a_retry_helps_is_what_the_errors_say() -> None:
    """The document goes by the status of a code; the classes decide what a client is told."""
    documented = {(code, problem["retryable"]) for code, problem in openapi()["x-problems"].items()}
    assert errors.retryable_of_classes() == documented


def test_every_code_belongs_to_an_error() -> None:
    assert set(KINDS) <= errors.codes_of_classes()


def test_the_other_paths_are_those_that_a_server_has() -> None:
    section = text_of("http-api.md").partition("## Other paths\n")[2]
    admin = [page.path for page in health_pages([], Drain(), Metrics(HttpCounters()))]
    told = {path.partition("?")[0] for path in re.findall(r"`(/[\w./?-]*)`", section)} - {"/operator/", "/operator/..."}
    assert told == {*admin, *(page.path for page in pages())}


class TestVerbs:
    @pytest.mark.parametrize(
        ("verb", "text"),
        list(command_line.verbs().items()),
        ids=lambda value: value if value.startswith("rowbox") else "",
    )
    def test_its_help_says_what_it_reads_and_writes(self, verb: str, text: str) -> None:
        assert re.search(r"\breads?\b", text, re.IGNORECASE), verb
        assert re.search(r"\bwrites?\b|\breads only\b", text, re.IGNORECASE), verb

    def test_one_that_exits_with_a_code_of_its_own_says_so(self) -> None:
        verbs = command_line.verbs()
        own = re.compile(r"(?:sys\.exit|SystemExit)\(")
        exiting = {
            verb for verb, function in command_line.functions().items() if own.search(inspect.getsource(function))
        }
        assert "rowbox check" in exiting
        assert {verb for verb in exiting if not re.search(r"\bexit [12]\b", verbs[verb], re.IGNORECASE)} == set()


class TestPage:
    PAGE = "# One\n\n<!-- make docs: a -->\nold\n<!-- end -->\n\nby hand\n\n<!-- make docs: b -->\n<!-- end -->\n"

    def test_only_what_is_between_marks_is_written(self) -> None:
        new = filled(self.PAGE, {"a": "new\n", "b": "\nnewer"})
        a, b = (
            f"<!-- make docs: {name} -->\n\n{text}\n\n<!-- end -->\n" for name, text in (("a", "new"), ("b", "newer"))
        )
        assert new == f"# One\n\n{a}\nby hand\n\n{b}"
        assert filled(new, {"a": "new", "b": "newer"}) == new

    @pytest.mark.parametrize("parts", [{"a": ""}, {"a": "", "b": "", "c": ""}])
    def test_a_part_that_is_not_marked_and_a_mark_without_a_part_are_errors(self, parts: dict[str, str]) -> None:
        with pytest.raises(ValueError, match="the page marks the parts"):
            filled(self.PAGE, parts)

    def test_a_part_that_is_marked_twice_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="the page marks the parts"):
            filled(self.PAGE * 2, {"a": "", "b": ""})

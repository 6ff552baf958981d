"""errors.md: every code that the API answers with, and those that end a verb or a server."""

from collections.abc import Iterator
from typing import Any

from rowbox.api.http.problems import KINDS, MEDIA_TYPE
from rowbox.api.v1.openapi import openapi
from rowbox.cli import operator, secret_rotation
from rowbox.cli.verbs.cluster import drained
from rowbox.mailbox.errors import RowboxError
from tests.house.reference.http_api import fields
from tests.house.reference.page import code, sentences, table

_RAISED_BY_VERBS = (drained, operator, secret_rotation)
"""Imported so that the classes of their errors are there to be listed."""


def parts() -> dict[str, str]:
    return {
        "overview": table(("code", "status", "meaning", "a retry helps"), map(_row, KINDS)),
        "codes": "\n".join(map(_section, KINDS)),
        "problem": fields("Problem"),
        "verbs": table(("code", "meaning"), _of_verbs()),
    }


def codes_of_classes() -> set[str]:
    """Every code that an error of Rowbox can have."""
    return {kind.code for kind in _classes(RowboxError)}


def retryable_of_classes() -> set[tuple[str, bool]]:
    """What the API says of each error that a client can meet: may the same request succeed later?"""
    classes = [kind for kind in _classes(RowboxError) if kind.code in KINDS]
    return {(kind.code, kind.retryable or KINDS[kind.code].status >= 500) for kind in classes}


def _row(name: str) -> tuple[str, ...]:
    return f"[{code(name)}](#{name})", str(KINDS[name].status), KINDS[name].title, _retry(name)


def _retry(name: str) -> str:
    if not openapi()["x-problems"][name]["retryable"]:
        return "no"
    return "yes, after `Retry-After`" if KINDS[name].status in {429, 503} else "yes"


def _section(name: str) -> str:
    kind = KINDS[name]
    return f"### {code(name)}\n\n{kind.status}. {kind.title}. {kind.advice}\n\nAnswered by: {_answered_by(name)}.\n"


def _answered_by(name: str) -> str:
    calls = [call for item in openapi()["paths"].values() for call in item.values()]
    by = [call["operationId"] for call in calls if name in _codes(call)]
    if not by:
        return "what is no call of the API"
    links = (f"[{call}](http-api.md#{call.lower()})" for call in by)
    return "every call" if len(by) == len(calls) else ", ".join(links)


def _codes(call: dict[str, Any]) -> Iterator[str]:
    for answer in call["responses"].values():
        yield from answer["content"].get(MEDIA_TYPE, {"examples": ()})["examples"]


def _of_verbs() -> Iterator[tuple[str, str]]:
    first = {kind.code: kind for kind in reversed(list(_classes(RowboxError)))}
    for name in sorted(set(first) - set(KINDS)):
        yield code(name), sentences(first[name].__doc__ or "")


def _classes(kind: type[RowboxError]) -> Iterator[type[RowboxError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _classes(below)

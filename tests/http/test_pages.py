"""The documentation a server carries."""

import re
from typing import Any

import jsonschema_rs
import pytest

from rowbox.api.handlers import Handlers
from rowbox.api.openapi import openapi
from rowbox.api.problems import KINDS
from rowbox.mailbox.config import PollSettings
from tests.http.api import Api
from tests.http.scripted_port import ScriptedPort

PAGES = {
    "/docs": "text/html; charset=utf-8",
    "/docs/docs.js": "text/javascript; charset=utf-8",
    "/docs/docs.css": "text/css; charset=utf-8",
    "/openapi.json": "application/json",
}


@pytest.mark.parametrize(("path", "content_type"), PAGES.items())
async def test_a_page_needs_no_token_and_loads_nothing_from_elsewhere(path: str, content_type: str, edge: Api) -> None:
    answer = await edge.get(path, None)
    assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert not re.search(rb"(?:https?:)?//[\w.-]+\.\w+", answer.body.replace(b"// ", b""))


async def test_the_pages_script_makes_text_and_no_markup(edge: Api) -> None:
    script = (await edge.get("/docs/docs.js", None)).body.decode()
    for dangerous in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "DOMParser",
    ):
        assert dangerous not in script
    page = (await edge.get("/docs", None)).body.decode()
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", page)


def test_the_document_has_exactly_the_calls_there_are() -> None:
    documented = {(path, method.upper()) for path, item in openapi()["paths"].items() for method in item}
    there = {(call.path, call.method) for call in Handlers(ScriptedPort(), PollSettings()).operations()}
    assert documented == there


def operations() -> list[Any]:
    return [(path, method, item[method]) for path, item in openapi()["paths"].items() for method in item]


@pytest.mark.parametrize(("path", "method", "operation"), operations(), ids=lambda value: str(value)[:24])
def test_examples_fit_their_schemas(path: str, method: str, operation: dict[str, Any]) -> None:
    components = openapi()["components"]
    seen = set()
    for status, response in operation["responses"].items():
        for media in response["content"].values():
            validator = jsonschema_rs.validator_for({"components": components, **media["schema"]})
            for code, example in media.get("examples", {}).items():
                validator.validate(example["value"])
                assert KINDS[code].status == int(status)
                seen.add(code)
    assert {"bad_request", "unauthenticated", "rate_limited", "internal", "overloaded"} <= seen


def test_answers_may_gain_fields_and_requests_may_not() -> None:
    schemas = openapi()["components"]["schemas"]
    closed = {name for name, schema in schemas.items() if schema.get("additionalProperties") is False}
    assert closed == {"SendMessage", "MarkReadUpTo"}

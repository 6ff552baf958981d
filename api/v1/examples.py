"""The examples of openapi.json: requests, and what a server answered to them.

Nobody wrote them by hand: `make docs` plays them on a server and writes examples.json, and a test fails where a server
answers otherwise.
"""

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

_Json = dict[str, Any]


class Example(msgspec.Struct, frozen=True):
    """One request and its answer. `request` has the user, the path with its query, and the body of a POST."""

    call: str
    status: int
    summary: str
    request: _Json
    value: _Json


def examples_of(call: str, status: int) -> _Json:
    """The examples of one answer, as OpenAPI has them: each under a name, with the request as an extension."""
    found = [one for one in _examples() if (one.call, one.status) == (call, status)]
    return {str(number): _shown(one) for number, one in enumerate(found, start=1)}


def refusals_of(call: str) -> _Json:
    """The examples of a call's errors, by code."""
    return {one.value["code"]: _shown(one) for one in _examples() if one.call == call and "code" in one.value}


def _shown(one: Example) -> _Json:
    return {"summary": one.summary, "x-request": one.request, "value": one.value}


@cache
def _examples() -> list[Example]:
    text = (files("rowbox.api.v1") / "examples.json").read_bytes()
    return msgspec.json.decode(text, type=list[Example])

"""The errors of openapi.json: for each status that a call can answer with, a schema that is whole in itself.

Each schema names exactly its status and its codes. It is written out and not narrowed from a common one by `allOf`,
because generators of clients cannot merge a number with a constant, and then leave the answer out.
"""

import copy
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Any, Final

import msgspec

from rowbox.api.http.problems import KINDS, MEDIA_TYPE, Problem, problem_of
from rowbox.api.v1.call_docs import CALLS
from rowbox.api.v1.examples import refusals_of
from rowbox.api.v1.reading.call_doc import CallDoc
from rowbox.mailbox.errors import RowboxError

_Json = dict[str, Any]
_ALWAYS: Final = (
    "bad_request",
    "unknown_parameter",
    "unauthenticated",
    "token_revoked",
    "signed_out",
    "forbidden",
    "not_local",
    "rate_limited",
    "internal",
    "handover_in_progress",
    "keys_unavailable",
    "store_unavailable",
    "overloaded",
)
_ONLY_PAGE_TOO_LARGE: Final = ("pageNumber", "pageSize", "cursor")


def problems_by_status(call: CallDoc) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The statuses of errors that a call has, each with its codes."""
    return _grouped([*_ALWAYS, *call.problems])


def problem_media(call: CallDoc, status: int, codes: Sequence[str]) -> _Json:
    """The content of the answer with this status: its schema and an example of each code.

    An example is one that a server answered (examples.json), where there is such a one.
    """
    name, played = _schema_name(call, status, codes), refusals_of(call.name)
    return {
        MEDIA_TYPE: {
            "schema": {"$ref": f"#/components/schemas/{name}"},
            "examples": {code: played.get(code, {"value": _example(code)}) for code in codes},
        }
    }


def problem_kinds() -> _Json:
    """The table of codes in openapi.json: of each, what all its problems have in common."""
    shared = ("status", "title", "retryable")
    return {code: {name: _example(code)[name] for name in shared} | {"advice": KINDS[code].advice} for code in KINDS}


def problem_schemas() -> _Json:
    """`Problem`, which any error is, and one for each status of a call."""
    _, schemas = msgspec.json.schema_components([Problem])
    general: _Json = schemas["Problem"]
    named = {
        _schema_name(call, status, codes): _narrowed(general, status, codes)
        for call in CALLS
        for status, codes in problems_by_status(call)
    }
    return {"Problem": general} | {name: schema | {"title": name} for name, schema in named.items()}


def _schema_name(call: CallDoc, status: int, codes: Sequence[str]) -> str:
    """One schema for what several calls answer alike; a call with codes of its own has one of its own."""
    is_usual = _usual().get(status) == codes
    return f"Problem{status}" if is_usual else f"{call.name[0].upper()}{call.name[1:]}Problem{status}"


@cache
def _usual() -> dict[int, tuple[str, ...]]:
    """Of each status the codes that are no call's own: those that all calls have, or all that have the status."""
    kinds: defaultdict[int, set[tuple[str, ...]]] = defaultdict(set)
    for call in CALLS:
        for status, codes in problems_by_status(call):
            kinds[status].add(codes)
    return dict(_grouped(_ALWAYS)) | {status: next(iter(of)) for status, of in kinds.items() if len(of) == 1}


def _narrowed(general: _Json, status: int, codes: Sequence[str]) -> _Json:
    schema = copy.deepcopy(general)
    properties = schema["properties"]
    properties["status"] = {"type": "integer", "const": status}
    properties["code"] = {"type": "string", "enum": list(codes)}
    schema["description"] = "; ".join(KINDS[code].title for code in codes) + "."
    if "page_too_large" not in codes:
        for name in _ONLY_PAGE_TOO_LARGE:
            del properties[name]
    if status in {429, 503}:
        schema["required"] = [*schema["required"], "retryAfterMs"]
    else:
        del properties["retryAfterMs"]
    return schema


def _grouped(codes: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    for status, group in groupby(sorted(codes, key=_status), _status):
        yield status, tuple(group)


def _example(code: str) -> _Json:
    error = RowboxError("what exactly was wrong")
    error.code = code
    error.retryable = KINDS[code].status in {429, 503}
    example: _Json = msgspec.to_builtins(problem_of(error, "3f9a1c-2b"))
    return example


def _status(code: str) -> int:
    return KINDS[code].status

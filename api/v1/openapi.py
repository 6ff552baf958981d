"""The OpenAPI 3.1 document, assembled from the types that validate requests and that answers are decoded with in tests.

What a schema cannot say stands in descriptions: limits in bytes, values that are clamped (they have no minimum or
maximum, because none is refused), and parameters that exclude each other.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from rowbox import __version__
from rowbox.api.http.problems import KINDS
from rowbox.api.v1.call_docs import CALLS
from rowbox.api.v1.examples import examples_of
from rowbox.api.v1.openapi_problems import problem_kinds, problem_media, problem_schemas, problems_by_status
from rowbox.api.v1.reading.call_doc import CallDoc

_Json = dict[str, Any]

_DESCRIPTION: Final = """Every user owns a mailbox; a message is in the sender's and in every recipient's exactly once.

With a 4xx nothing was written. After a 5xx or a timeout the outcome is unknown: send the same request again, with the
same clientMessageId. All times are whole microseconds since the epoch. Fields and headers may be added to answers.
HEAD is answered wherever GET is, with the same status and headers.

A request may say in the header X-Device-Id from which of the user's devices it comes (registerDevice): 1 to 64
characters of A-Z a-z 0-9 . _ : -, and the same as the token's claim did, if that has one."""
_HEADERS: Final[_Json] = {
    "RequestId": {
        "description": "The id under which the server's log has the request: its own X-Request-Id, where that is 1 to "
        "128 printable ASCII characters, else a new one.",
        "required": True,
        "schema": {"type": "string"},
    },
    "RetryAfter": {
        "description": "Seconds to wait before the same request is sent again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "Authenticate": {
        "description": 'RFC 6750: `Bearer`, with `error="invalid_token"` where there was a token.',
        "required": True,
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": '`"send";r=59;t=1`: 59 requests of the class are left, and in 1 s there are as many as can be. '
        "Where a limit is set.",
        "schema": {"type": "string"},
    },
    "RateLimitPolicy": {
        "description": '`"send";q=60;w=12`: 60 requests of the class at once, and as many again within 12 s. Where a '
        "limit is set.",
        "schema": {"type": "string"},
    },
    "DedupeLife": {
        "description": "Seconds for which a clientMessageId makes a retry the same message, from its first try on.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "PollTimeout": {
        "description": "Seconds that a client which waits should listen: `wait` and 15 more. Where it waits.",
        "schema": {"type": "integer"},
    },
}


def openapi_json() -> bytes:
    """The document."""
    return msgspec.json.encode(openapi())


def openapi() -> _Json:
    """The document as plain data."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Rowbox", "version": __version__, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": {f"/v1/{call.name}": {call.method: _operation(call)} for call in CALLS},
        "x-problems": problem_kinds(),
        "components": {
            "schemas": _component_schemas(),
            "headers": _HEADERS,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(call: CallDoc) -> _Json:
    operation: _Json = {"operationId": call.name, "summary": call.summary, "description": call.description}
    if call.method == "post":
        content = {"application/json": {"schema": _body_schema(call.request.__name__)}}
        operation["requestBody"] = {"required": True, "content": content}
    else:
        operation["parameters"] = _parameters(call.request)
    answers = {str(status): _answer(status, text, call) for status, text in call.answers.items()}
    problems = {str(status): _problem_response(call, status, codes) for status, codes in problems_by_status(call)}
    operation["responses"] = answers | problems
    return operation


def _answer(status: int, text: str, call: CallDoc) -> _Json:
    own = ["X-Poll-Client-Timeout"] * call.is_poll + ["X-Dedupe-Life"] * call.names_a_send
    headers = _headers("X-Request-Id", "RateLimit", "RateLimit-Policy", *own)
    media = {"schema": _reference(call.response.__name__), "examples": examples_of(call.name, status)}
    content = {"application/json": media}
    return {"description": text, "headers": headers, "content": content}


def _parameters(query: type[Struct]) -> list[_Json]:
    schema = msgspec.json.schema(query)["$defs"][query.__name__]
    return [_parameter(name, dict(of), name in schema["required"]) for name, of in schema["properties"].items()]


def _parameter(name: str, schema: _Json, is_required: bool) -> _Json:  # noqa: FBT001 - a field of the document
    description = schema.pop("description", "")
    return {"name": name, "in": "query", "required": is_required, "description": description, "schema": schema}


def _problem_response(call: CallDoc, status: int, codes: tuple[str, ...]) -> _Json:
    names = ["X-Request-Id"]
    if status in {429, 503}:
        names.append("Retry-After")
    if status == 401:
        names.append("WWW-Authenticate")
    if status == 429:
        names += ["RateLimit", "RateLimit-Policy"]
    description = "; ".join(KINDS[code].title for code in codes)
    return {"description": description, "headers": _headers(*names), "content": problem_media(call, status, codes)}


def _component_schemas() -> _Json:
    requests = [call.request for call in CALLS if call.method == "post"]
    responses = [call.response for call in CALLS]
    _, taken = msgspec.json.schema_components(requests, ref_template="#/components/schemas/{name}")
    _, given = msgspec.json.schema_components(responses, ref_template="#/components/schemas/{name}")
    given |= problem_schemas()
    for schema in given.values():
        del schema["additionalProperties"]  # ours are decoded strictly in tests; clients have to let us add some
    for schema in taken.values():
        _describe_tag(schema)
    taken["SendMessage"], taken[_TO_CONVERSATION], taken[_ONCE] = _forms(taken["SendMessage"])
    return taken | given


_ONCE: Final = "SendMessageAsOnceSpelled"
_TO_CONVERSATION: Final = "SendMessageToConversation"
_TO: Final = ("recipientId", "conversationId", "recepientId")


def _describe_tag(schema: _Json) -> None:
    """A field that says which of several forms this is, is none of the type's own: so the type says nothing of it."""
    for field in schema["properties"].values():
        if len(field.get("enum", ())) == 1:
            field.setdefault("description", "Which form it is.")


def _forms(send: _Json) -> tuple[_Json, _Json, _Json]:
    """The forms of a send as whole schemas. One schema with a `oneOf` of required names would say the same, but
    generators of clients do not read that.
    """
    forms = []
    for name in _TO:
        properties = {key: of for key, of in send["properties"].items() if key == name or key not in _TO}
        forms.append(send | {"properties": properties, "required": [*send["required"], name]})
    now, there, once = forms
    now |= {"title": "SendMessage", "description": "A message to one recipient, who may be the sender."}
    there |= {"title": _TO_CONVERSATION, "description": "A message to a group, or to a conversation of two."}
    once |= {"title": _ONCE, "description": "A send with `recepientId`, as it was once spelled.", "deprecated": True}
    return now, there, once


def _body_schema(name: str) -> _Json:
    if name == "SendMessage":
        return {"oneOf": [_reference(name), _reference(_TO_CONVERSATION), _reference(_ONCE)]}
    return _reference(name)


_HEADER_COMPONENTS: Final = {
    "X-Request-Id": "RequestId",
    "Retry-After": "RetryAfter",
    "WWW-Authenticate": "Authenticate",
    "RateLimit": "RateLimit",
    "X-Dedupe-Life": "DedupeLife",
    "RateLimit-Policy": "RateLimitPolicy",
    "X-Poll-Client-Timeout": "PollTimeout",
}


def _headers(*names: str) -> _Json:
    return {name: {"$ref": f"#/components/headers/{_HEADER_COMPONENTS[name]}"} for name in names}


def _reference(name: str) -> _Json:
    return {"$ref": f"#/components/schemas/{name}"}

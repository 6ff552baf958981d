"""http-api.md: the calls, their values and their headers, of the document that a server gives at /openapi.json."""

import json
import shlex
from collections.abc import Iterable, Iterator
from typing import Any, Final

from rowbox.api.http.problems import MEDIA_TYPE
from rowbox.api.v1.openapi import openapi
from tests.house.reference.page import code, sentences, table

Json = dict[str, Any]
_JSON: Final = "application/json"
_DOCUMENT: Final[Json] = openapi()
_VALUES: Final[Json] = _DOCUMENT["components"]["schemas"]


def parts() -> dict[str, str]:
    calls = list(_calls())
    overview = [
        (f"[{of['operationId']}](#{of['operationId'].lower()})", code(line), of["summary"]) for line, of in calls
    ]
    return {
        "about": _DOCUMENT["info"]["description"],
        "overview": table(("call", "request", "what it does"), overview),
        "calls": "\n".join("\n".join(_call(line, of)) for line, of in calls),
        "values": "\n".join(f"### {name}\n\n{_value(name)}" for name in _inner_values()),
        "headers": table(("header", "type", "meaning"), _header_rows()),
    }


def _calls() -> Iterator[tuple[str, Json]]:
    """Each call: method and path, and what the document says of it."""
    for path, item in _DOCUMENT["paths"].items():
        yield from ((f"{method.upper()} {path}", call) for method, call in item.items())


def _call(line: str, call: Json) -> Iterator[str]:
    yield f"## {call['operationId']}\n\n`{line}`\n\n{call['summary']}\n"
    if "description" in call:
        yield f"{call['description']}\n"
    if "parameters" in call:
        rows = [_given_row(of["name"], of["schema"], of["description"], of["required"]) for of in call["parameters"]]
        yield f"Query parameters:\n\n{table(('name', 'type', 'default', 'meaning'), rows)}"
    if "requestBody" in call:
        yield from _body(call["requestBody"]["content"][_JSON]["schema"])
    answers = {status: of for status, of in call["responses"].items() if _JSON in of["content"]}
    rows = [(code(status), of["description"], _codes(of["headers"])) for status, of in answers.items()]
    yield f"Answers:\n\n{table(('status', 'when', 'headers'), rows)}"
    for name in dict.fromkeys(_name(of["content"][_JSON]["schema"]) for of in answers.values()):
        yield f"The body of an answer, a {code(name)}. {_value(name)}"
    for of in answers.values():
        yield from map(_example, of["content"][_JSON]["examples"].values())
    refusals = {status: of["content"] for status, of in call["responses"].items() if status not in answers}
    rows = [(code(status), ", ".join(map(_problem, _problems(of)))) for status, of in refusals.items()]
    yield f"Errors:\n\n{table(('status', 'codes'), rows)}"
    yield from (_example(one) for of in refusals.values() for one in _problems(of).values() if "x-request" in one)


def _body(schema: Json) -> Iterator[str]:
    """The first form of a body in full; the others are older spellings."""
    first, *others = map(_name, schema.get("oneOf", [schema]))
    of = _VALUES[first]
    rows = [_given_row(name, field, "", name in of["required"]) for name, field in of["properties"].items()]
    yield f"The body, in JSON, is a {code(first)}. {sentences(of['description'])}\n"
    yield table(("name", "type", "default", "meaning"), rows)
    yield from (f"Or a {code(other)}: {sentences(_VALUES[other]['description'])}\n" for other in others)


def _value(name: str) -> str:
    """A value of answers, with its fields."""
    of = _VALUES[name]
    return f"{sentences(of['description'])}\n\n{fields(name)}"


def fields(name: str) -> str:
    """The fields of a value of answers."""
    of = _VALUES[name]
    absent = dict.fromkeys(set(of["properties"]) - set(of["required"]), "may be absent")
    rows = [(code(key), _type(field), absent.get(key, ""), _meaning(field)) for key, field in of["properties"].items()]
    return table(("name", "type", "", "meaning"), rows)


def _inner_values() -> list[str]:
    """The names of the values that stand in lists of others."""
    fields = [field for of in _VALUES.values() for field in of["properties"].values()]
    return sorted({_name(field["items"]) for field in fields if "$ref" in field.get("items", ())})


def _given_row(name: str, schema: Json, meaning: str, is_required: bool) -> tuple[str, ...]:
    default = "required" if is_required else code(json.dumps(schema["default"])) if "default" in schema else ""
    return code(name), _type(schema), default, meaning or _meaning(schema)


def _header_rows() -> Iterable[tuple[str, ...]]:
    answers = [answer for _, call in _calls() for answer in call["responses"].values()]
    named = {name: _name(of) for answer in answers for name, of in answer["headers"].items()}
    for name, component in sorted(named.items()):
        of = _DOCUMENT["components"]["headers"][component]
        yield code(name), _type(of["schema"]), sentences(of["description"])


def _problems(content: Json) -> Json:
    """The errors of one status, by code."""
    examples: Json = content[MEDIA_TYPE]["examples"]
    return examples


def _problem(name: str) -> str:
    return f"[`{name}`](errors.md#{name})"


def _example(example: Json) -> str:
    """A request as a line for the shell, and its answer."""
    request = example["x-request"]
    lines = [f'curl -s "$ROWBOX{request["path"]}" -H "Authorization: Bearer ${request["user"].upper()}"']
    if "body" in request:
        body = shlex.quote(json.dumps(request["body"], ensure_ascii=False))
        lines[0] += " -H 'Content-Type: application/json'"
        lines.append(f"     -d {body}")
    answer = json.dumps(example["value"], indent=2, ensure_ascii=False)
    return f"{example['summary']}\n\n```sh\n{f' {chr(92)}{chr(10)}'.join(lines)}\n```\n\n```json\n{answer}\n```\n"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(map(code, names))


def _meaning(schema: Json) -> str:
    return sentences(schema.get("description", ""))


def _name(reference: Json) -> str:
    name: str = reference["$ref"].rpartition("/")[2]
    return name


def _type(schema: Json) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return code(_name(schema))
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return "one of " + ", ".join(code(json.dumps(value)) for value in schema["enum"])
    if schema["type"] == "array":
        return f"array of {_type(schema['items'])}"
    words = [schema["type"], _bounds(schema, "minimum", "maximum", "")]
    words += [_bounds(schema, "minLength", "maxLength", " characters"), code(schema.get("pattern", ""))]
    return ", ".join(filter(None, words))


def _bounds(schema: Json, least: str, most: str, unit: str) -> str:
    if most in schema:
        return f"{schema.get(least, 0)} to {schema[most]}{unit}"
    if least not in schema:
        return ""
    return f"at least {schema[least]}" if least == "minimum" else "not empty"

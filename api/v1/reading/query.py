"""Query strings to msgspec structs: each name once, only names the call has, integers in their one plain spelling.

aiohttp's own `request.query` is a MultiDict that keeps repetitions, takes what is not UTF-8 for replacement characters,
and costs more than the rest of a fetch's parsing.
"""

import re
from typing import Generic, TypeVar
from urllib.parse import unquote_plus

import msgspec
from msgspec import Struct

from rowbox.mailbox.errors import BadRequest, UnknownParameter

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_HUGE = 1 << 62
_UNKNOWN_FIELD = "Object contains unknown field "
_AT_FIELD = re.compile(r"(.*) - at `\$\.(.*)`", re.DOTALL)
_MAX_DETAIL = 200
_T = TypeVar("_T", bound=Struct)


class QueryParser(Generic[_T]):
    """Reads query strings into one struct, whose fields are texts and integers."""

    def __init__(self, struct: type[_T]) -> None:
        self._struct = struct
        fields = msgspec.json.schema(struct)["$defs"][struct.__name__]["properties"]
        self._is_integer = {name: "integer" in str(schema.get("type")) for name, schema in fields.items()}

    def parse(self, query: str) -> _T:
        """The struct. UnknownParameter, BadRequest naming the parameter."""
        values: dict[str, str | int] = {}
        is_escaped = "%" in query or "+" in query
        for pair in query.split("&"):
            if not pair:
                continue  # as browsers do, "a=1&" and "&&" are read without an empty parameter
            name, _, text = pair.partition("=")
            if is_escaped:
                name, text = _decoded(name), _decoded(text)
            is_integer = self._is_integer.get(name)
            if is_integer is None:
                raise UnknownParameter(f"there is no parameter {name[:_MAX_DETAIL]!r}")
            if name in values:
                raise BadRequest(f"{name} is given more than once")
            if is_integer:
                is_plain = text.isdecimal() and text[0] != "0" and text.isascii() and len(text) < 18
                values[name] = int(text) if is_plain else _integer(name, text)
            else:
                values[name] = text
        try:
            return msgspec.convert(values, self._struct)
        except msgspec.ValidationError as error:
            raise as_bad_request(error) from error


def as_bad_request(error: Exception) -> BadRequest:
    """An error of msgspec as one that names the field. Its text is cut, because it may quote the caller."""
    text = str(error)
    if text.startswith(_UNKNOWN_FIELD):
        return UnknownParameter(f"there is no field {text.removeprefix(_UNKNOWN_FIELD)}"[:_MAX_DETAIL])
    at_field = _AT_FIELD.fullmatch(text)
    return BadRequest((f"{at_field[2]}: {at_field[1]}" if at_field else text)[:_MAX_DETAIL])


def _decoded(text: str) -> str:
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError as error:
        raise BadRequest("the query string is not UTF-8") from error


def _integer(name: str, text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise BadRequest(f"{name}: Expected a whole number in decimal digits")
    if len(text) > 18:  # beyond any limit here, and Python refuses to convert thousands of digits
        return -_HUGE if text.startswith("-") else _HUGE
    return int(text)

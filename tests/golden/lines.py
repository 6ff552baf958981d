"""The golden lines, and what it means that code still agrees with one.

Each file `*.jsonl` beside this module holds one JSON object a line. A line is never edited and never removed: it
stands for bytes in somebody's store. A changed format gets a line of its own, at the end, with the same `case`; then
every line must decode, and of each case the last one must be what is written today.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from rowbox.mailbox.cells import KINDS
from rowbox.mailbox.two_states import IndexCell

Line = Mapping[str, Any]


def lines(name: str) -> list[Line]:
    """All lines of `name`.jsonl, the oldest first."""
    text = Path(__file__).with_name(f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def of_today(all_lines: Iterable[Line]) -> list[Line]:
    """Of each case the last line: the format that is written."""
    return list({line["case"]: line for line in all_lines}.values())


def named(value: Any) -> Any:
    """`value` as JSON: fields by their names, bytes as hexadecimal digits."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(named(key)): named(held) for key, held in value.items()}
    fields = dict(_fields(value))
    if fields or isinstance(value, msgspec.Struct):
        return {name: named(field) for name, field in fields.items()}
    if isinstance(value, Mapping):
        return {key: named(item) for key, item in value.items()}
    return [named(item) for item in value] if isinstance(value, (tuple, list)) else value


def differences(golden: Any, value: Any, path: str = "") -> Iterator[str]:
    """In what `value` says something else than `golden` does, which is `named` of what was written.

    A field that `golden` does not have came later: then it must hold its default.
    """
    fields = dict(_fields(value))
    if fields and isinstance(golden, dict):
        for name in golden.keys() - fields.keys():
            yield f"{path}.{name} is gone"
        for name, field in fields.items():
            if name in golden:
                yield from differences(golden[name], field, f"{path}.{name}")
            elif (default := _default(type(value), name)) != field:
                yield f"{path}.{name} came later and is {field!r}, not its default {default!r}"
    elif isinstance(golden, list) and isinstance(value, (tuple, list)) and len(golden) == len(value):
        for place, (one, other) in enumerate(zip(golden, value, strict=True)):
            yield from differences(one, other, f"{path}[{place}]")
    elif named(value) != golden:
        yield f"{path} is {named(value)!r}, was written as {golden!r}"


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, IndexCell):
        # A key has been called by what it is since before there were kinds.
        yield from {f"{KINDS[value.kind].name}_id": value.key}.items() if value.key else ()
        yield from (("epoch", value.epoch), ("current", value.current), ("previous", value.previous))
    elif isinstance(value, msgspec.Struct):
        yield from ((name, getattr(value, name)) for name in type(value).__struct_fields__)
    elif isinstance(value, Mapping):
        yield from ((str(key), field) for key, field in value.items())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from ((name, getattr(value, name)) for name in value._fields)


def _default(kind: type, name: str) -> Any:
    if issubclass(kind, msgspec.Struct):
        (field,) = (field for field in msgspec.structs.fields(kind) if field.name == name)
        return field.default
    return getattr(kind, "_field_defaults", {}).get(name, "none given")

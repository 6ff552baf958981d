"""One setting: what it is called in a file, in the environment and on the command line, how its text is read, and what
its value may be.

All of this is derived from a field of a struct in config.py. The field's type and its `msgspec.Meta` give the range and
the meaning, its name gives the unit (`_ms` a duration, `bytes` a size). So the reference in docs/, `rowbox config
default` and the error messages cannot differ from what is accepted.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from rowbox.mailbox.settings.units import format_duration, format_size, parse_duration_ms, parse_size_bytes

_SWITCH: Mapping[str, bool] = {"on": True, "true": True, "off": False, "false": False}


class Kind(Enum):
    """The kind of a setting's value, by which it is read and written."""

    DURATION = "a duration"
    SIZE = "a size"
    INTEGER = "a whole number"
    NUMBER = "a number"
    SWITCH = "on or off"
    CHOICE = "one of"
    TEXT = "text"
    LIST = "a list of texts"


class Setting(Struct, frozen=True, kw_only=True):
    """A setting under its `key`, "table.field". `flag` is None where only a file and the environment can set it."""

    key: str
    kind: Kind
    type: Any
    meta: Meta
    default: object
    flag: str | None

    @property
    def environment(self) -> str:
        """The setting's environment variable."""
        return "ROWBOX_" + self.key.replace(".", "_").upper()

    @property
    def description(self) -> str:
        """What the setting is for, in one sentence."""
        return self.meta.description or ""

    def read(self, raw: object, *, is_text: bool) -> object:
        """The value that `raw` means. ValueError where it means none or is out of range; the error does not name the
        range.

        `is_text` says that the source knows only text (environment, command line), so that "8080" is a number. In a
        file the text "8080" is no number. "64MiB" and "7d" are a size and a duration in every source.
        """
        if isinstance(raw, str) and (is_text or self.kind in {Kind.DURATION, Kind.SIZE}):
            raw = _TEXT_READERS[self.kind](raw)
        return msgspec.convert(raw, Annotated[self.type, self.meta])

    def write(self, value: object) -> str:
        """`value` as a person would write it in the environment. It is the inverse of `read`."""
        return _TEXT_WRITERS.get(self.kind, str)(value)

    def expected(self) -> str:
        """What a value has to be, for the message of an error and for the reference."""
        if self.kind is Kind.CHOICE:
            return f"one of {', '.join(get_args(self.type))}"
        limits = ((word, limit) for word, limit in (("from", self.meta.ge), ("to", self.meta.le)) if limit is not None)
        return " ".join([self.kind.value, *(f"{word} {self.write(limit)}" for word, limit in limits)])


def settings_of(table: str, struct: type[Struct], flags: Mapping[str, str]) -> list[Setting]:
    """The settings of one table: a struct whose fields are all `Annotated[type, Meta]` and have defaults."""
    hints = get_type_hints(struct, include_extras=True)
    settings = []
    for field in msgspec.structs.fields(struct):
        key = f"{table}.{field.name}"
        value_type, meta = get_args(hints[field.name])
        kind = _kind(field.name, value_type)
        settings.append(
            Setting(key=key, kind=kind, type=value_type, meta=meta, default=field.default, flag=flags.get(key))
        )
    return settings


def _kind(name: str, value_type: Any) -> Kind:
    if name.endswith("_ms"):
        return Kind.DURATION
    if "bytes" in name.split("_"):
        return Kind.SIZE
    if get_origin(value_type) is Literal:
        return Kind.CHOICE
    return _KINDS[value_type]


def _read_switch(text: str) -> bool:
    value = _SWITCH.get(text.lower())
    if value is None:
        msg = f"{text!r} is neither on nor off"
        raise ValueError(msg)
    return value


def _read_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


_KINDS: Mapping[Any, Kind] = {
    bool: Kind.SWITCH,
    int: Kind.INTEGER,
    float: Kind.NUMBER,
    str: Kind.TEXT,
    tuple[str, ...]: Kind.LIST,
}
_TEXT_READERS: Mapping[Kind, Callable[[str], object]] = {
    Kind.DURATION: parse_duration_ms,
    Kind.SIZE: parse_size_bytes,
    Kind.INTEGER: int,
    Kind.NUMBER: float,
    Kind.SWITCH: _read_switch,
    Kind.CHOICE: str,
    Kind.TEXT: str,
    Kind.LIST: _read_list,
}
_TEXT_WRITERS: Mapping[Kind, Callable[[Any], str]] = {
    Kind.DURATION: format_duration,
    Kind.SIZE: format_size,
    Kind.NUMBER: lambda value: str(value).removesuffix(".0"),
    Kind.SWITCH: lambda value: "on" if value else "off",
    Kind.LIST: ",".join,
}

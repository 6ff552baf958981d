"""Errors of rowbox.mailbox.errors on the wire: names, a line and fields, and back to the same class. Pure.

An error travels under the names of its class and of that one's bases. So an older peer, which does not know the class
of a newer one, raises the nearest base that it knows, and its callers do with it what they do with that. A class that
asks for a field which did not come (the other side is older) is passed over for its base in the same way.

Whatever has no place in errors.py is a fault in the code. It travels as a RowboxError without its text, which the log
of the side where it was raised has.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from rowbox.mailbox import errors
from rowbox.mailbox.errors import BadRequest, RowboxError, UnknownCall

LONGEST_MESSAGE: Final = 2_000
_NO_CALL: Final = "this process has no call "
MOST_FIELDS: Final = 16
_PLAIN: Final = (int, float, str, bytes, bool, type(None))


class Failure(NamedTuple):
    """An error as it travels."""

    kinds: Sequence[str]
    message: str
    fields: Mapping[str, Any]


KNOWN: Final[Mapping[str, type[RowboxError]]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, RowboxError)
}
"""By the name under which it travels: the class's own, so a class is never renamed (tests/golden/frames.jsonl)."""


def _arguments(kind: type[RowboxError]) -> Mapping[str, bool]:
    """What `kind` is made with beside its line, by name, and whether it has to be given."""
    parameters = list(inspect.signature(kind).parameters.values())[1:]
    return {parameter.name: parameter.default is parameter.empty for parameter in parameters}


_ARGUMENTS: Final = {kind: _arguments(kind) for kind in KNOWN.values()}


def failure_of(error: BaseException) -> Failure:
    """An error as it travels."""
    if not isinstance(error, RowboxError):
        return Failure((RowboxError.__name__,), "an internal error of the other process", {})
    kinds = [kind.__name__ for kind in type(error).__mro__ if issubclass(kind, RowboxError)]
    plain = {name: value for name, value in vars(error).items() if isinstance(value, _PLAIN) and value is not None}
    fields = {name: _encodable(value) if isinstance(value, str) else value for name, value in plain.items()}
    return Failure(kinds, _encodable(str(error)[:LONGEST_MESSAGE]), fields)


def _encodable(text: str) -> str:
    """`text`, which may quote what somebody sent, with what is no text written out as Python writes it."""
    return text.encode("utf-8", "backslashreplace").decode()


def error_of(kinds: Sequence[str], message: str, fields: Mapping[str, Any]) -> RowboxError:
    """The error that has travelled: of the first of `kinds` that is known here and has all the fields it asks for.

    The first version that had links said of an unknown call that the request was a bad one, which would be the client's
    fault: it is told by its line.
    """
    if kinds and kinds[0] == BadRequest.__name__ and message.startswith(_NO_CALL):
        return UnknownCall(message)
    for name in kinds:
        kind = KNOWN.get(name)
        if kind is not None:
            arguments = _ARGUMENTS[kind]
            if all(argument in fields for argument, is_asked in arguments.items() if is_asked):
                given = {argument: fields[argument] for argument in arguments if argument in fields}
                return _with(kind(message, **given), fields)
    return RowboxError(message)


def _with(error: RowboxError, fields: Mapping[str, Any]) -> RowboxError:
    """`error`, with what else was known of it."""
    for name, value in list(fields.items())[:MOST_FIELDS]:
        if name.isidentifier() and not name.startswith("_") and not hasattr(BaseException, name):
            vars(error)[name] = value
    return error

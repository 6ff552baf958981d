"""What all calls have in common in how they are read: a body, who acts, the ids that clients choose."""

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from rowbox.api.auth.claims import Claims
from rowbox.api.v1.reading.query import as_bad_request
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.ids import CLIENT_MESSAGE_ID_PATTERN, USER_ID_IS, is_user_id
from rowbox.mailbox.subjects import user_id_of

_CLIENT_MESSAGE_ID = re.compile(CLIENT_MESSAGE_ID_PATTERN[1:-1])
_T = TypeVar("_T")
ReadUserId = Callable[[str, str], str]
"""A function of a text and the name of its field. It returns the userId that the text means, or raises BadRequest."""


def plain_user_id(text: str, name: str) -> str:
    """`text`, which has to be a userId. BadRequest, naming the field `name`, where it is none."""
    if not is_user_id(text):
        raise BadRequest(f"{name} is {USER_ID_IS}")
    return text


def escaped_user_id(text: str, name: str) -> str:
    """`text` where it is a userId; else the userId into which an issuer's subject is escaped (mailbox/subjects.py).

    BadRequest, naming the field `name`, where `text` cannot be escaped either.
    """
    try:
        return text if is_user_id(text) else user_id_of(text)
    except ValueError as error:
        raise BadRequest(f"{name} is no userId: {error}") from error


def user_id_reader(*, escapes: bool) -> ReadUserId:
    """How a server reads who is meant: `escapes` is its auth.escape_user_ids."""
    return escaped_user_id if escapes else plain_user_id


def decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    """The request in a body. BadRequest, UnknownParameter."""
    try:
        return decoder.decode(body)
    except (
        msgspec.DecodeError,
        UnicodeDecodeError,
        RecursionError,
    ) as error:  # malformed JSON; a wrong value; not UTF-8
        raise as_bad_request(error) from error


def given(value: _T | UnsetType) -> _T | None:
    """`value`; None where the request has none."""
    return None if value is UNSET else value


def acting_user(user_id: str | UnsetType, name: str, claims: Claims, read_user_id: ReadUserId) -> str:
    """For whom a request acts: the token's user where it names nobody. Forbidden; BadRequest, naming the field."""
    if user_id is UNSET or user_id == claims.user_id:
        return claims.user_id
    return claims.acting_for(read_user_id(user_id, name))


def check_client_id(client_id: str, name: str) -> None:
    """BadRequest, naming the field, where an id that a client has chosen is none."""
    if _CLIENT_MESSAGE_ID.fullmatch(client_id) is None:
        raise BadRequest(f"{name} is 1 to 64 characters of A-Z a-z 0-9 . _ : -")

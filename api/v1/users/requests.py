"""Turns requests about users into values of the port, as api/v1/requests.py does with all others."""

import re
import unicodedata
from typing import Final

import msgspec

from rowbox.api.auth.claims import Claims
from rowbox.api.v1.reading.query import QueryParser
from rowbox.api.v1.reading.request import ReadUserId, acting_user, decode, given, plain_user_id
from rowbox.api.v1.users.types import CreateUser, DeleteUser, FetchUserQuery, FetchUsersQuery, UpdateUser
from rowbox.cacheserver.port import MAX_USERS, ChangeAccount, FetchUsers
from rowbox.mailbox.account.deeds import CreateProfile, UpdateProfile
from rowbox.mailbox.account.deeds import DeleteUser as DeleteUserDeed
from rowbox.mailbox.errors import BadRequest, Forbidden
from rowbox.mailbox.people.profile import (
    MOST_ATTRIBUTE_NAME,
    MOST_ATTRIBUTES_BYTES,
    MOST_AVATAR_CHARACTERS,
    MOST_NAME_CHARACTERS,
    attributes_bytes,
)
from rowbox.mailbox.settings.config import UsersSettings

_create: Final = msgspec.json.Decoder(CreateUser)
_delete: Final = msgspec.json.Decoder(DeleteUser)
_update: Final = msgspec.json.Decoder(UpdateUser)
_fetch: Final = QueryParser(FetchUserQuery)
_fetch_some: Final = QueryParser(FetchUsersQuery)
_AVATAR: Final = re.compile(r"https://[!-~]+")
_NOT_IN_NAMES: Final = frozenset({"Cc", "Zl", "Zp"})
"""Categories of characters that end a line, or do something else than show."""


class UserRequests:
    """Parses requests about users. Every method raises BadRequest, UnknownParameter; the writing ones Forbidden."""

    def __init__(self, settings: UsersSettings, read_user_id: ReadUserId = plain_user_id) -> None:
        self._self_service = settings.self_service
        self._read_user_id = read_user_id

    def create(self, body: bytes, claims: Claims) -> ChangeAccount:
        """The new profile in a body."""
        request = decode(_create, body)
        user_id = acting_user(request.user_id, "userId", claims, self._read_user_id)
        if not (claims.is_admin or self._self_service):
            raise Forbidden("who is known here an administrator decides (users.self_service is off)")
        deed = CreateProfile(
            _name(request.name),
            _avatar(request.avatar),
            _attributes(request.attributes),
            request.last_seen,
            request.messages_from,
            request.group_adds,
        )
        return ChangeAccount(user_id, deed, claims.bearer)

    def update(self, body: bytes, claims: Claims) -> ChangeAccount:
        """What is to be changed of a profile, of a body."""
        request = decode(_update, body)
        user_id = acting_user(request.user_id, "userId", claims, self._read_user_id)
        name, avatar, attributes = given(request.name), given(request.avatar), given(request.attributes)
        deed = UpdateProfile(
            None if name is None else _name(name),
            None if avatar is None else _avatar(avatar),
            None if attributes is None else _attributes(attributes),
            given(request.last_seen),
            given(request.messages_from),
            given(request.group_adds),
        )
        return ChangeAccount(user_id, deed, claims.bearer)

    def delete(self, body: bytes, claims: Claims) -> ChangeAccount:
        """The user to be deleted, of a body."""
        user_id = acting_user(decode(_delete, body).user_id, "userId", claims, self._read_user_id)
        if not (claims.is_admin or self._self_service):
            raise Forbidden("who is deleted here an administrator decides (users.self_service is off)")
        return ChangeAccount(user_id, DeleteUserDeed(), claims.bearer)

    def fetch(self, query: str, claims: Claims) -> FetchUsers:
        """The one user whom a query names."""
        named = given(_fetch.parse(query).user_id)
        user_id = claims.user_id if named is None else self._read_user_id(named, "userId")
        return FetchUsers(claims.user_id, (user_id,), claims.bearer)

    def fetch_some(self, query: str, claims: Claims) -> FetchUsers:
        """The users whom a query names, each once."""
        texts = _fetch_some.parse(query).user_ids.split(",", MAX_USERS)
        if len(texts) > MAX_USERS:
            raise BadRequest(f"userIds are 1 to {MAX_USERS}")
        users = dict.fromkeys(self._read_user_id(text, "each of userIds") for text in texts)
        return FetchUsers(claims.user_id, tuple(users), claims.bearer)


def is_one_line(text: str) -> bool:
    """Whether a name has no control character and no line break."""
    return not any(unicodedata.category(character) in _NOT_IN_NAMES for character in text)


def _name(name: str) -> str:
    if len(name) > MOST_NAME_CHARACTERS or not name.strip():
        raise BadRequest(f"name is 1 to {MOST_NAME_CHARACTERS} characters, not white space alone")
    if not is_one_line(name):
        raise BadRequest("name has a control character or a line break")
    return name


def _avatar(avatar: str) -> str:
    if avatar and (len(avatar) > MOST_AVATAR_CHARACTERS or _AVATAR.fullmatch(avatar) is None):
        raise BadRequest(f"avatar is an https address of up to {MOST_AVATAR_CHARACTERS} characters, or empty")
    return avatar


def _attributes(attributes: dict[str, str]) -> dict[str, str]:
    if any(not 0 < len(name) <= MOST_ATTRIBUTE_NAME for name in attributes):
        raise BadRequest(f"a name in attributes is 1 to {MOST_ATTRIBUTE_NAME} characters")
    if attributes_bytes(attributes) > MOST_ATTRIBUTES_BYTES:
        raise BadRequest(f"attributes are more than {MOST_ATTRIBUTES_BYTES} bytes of UTF-8")
    return attributes

"""Turns requests about groups into values of the port, as api/v1/requests.py does with all others."""

from typing import Final

import msgspec
from msgspec import UnsetType

from rowbox.api.auth.claims import Claims
from rowbox.api.v1.groups.types import (
    MAX_NAME_CHARACTERS,
    MAX_USERS,
    AddMembers,
    CreateGroup,
    DeleteGroup,
    FetchGroupQuery,
    GroupSettings,
    LeaveGroup,
    RemoveMember,
    SetRole,
    UpdateGroup,
)
from rowbox.api.v1.reading.query import QueryParser
from rowbox.api.v1.reading.request import (
    ReadUserId,
    acting_user,
    check_client_id,
    decode,
    given,
    plain_user_id,
)
from rowbox.cacheserver.port import ChangeGroup, Create, FetchGroup
from rowbox.mailbox import group
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.group import History, WhoMay, group_conversation_id
from rowbox.mailbox.groups import requests as deeds
from rowbox.mailbox.groups.requests import Deed
from rowbox.mailbox.ids import from_text
from rowbox.mailbox.settings.config import GroupsSettings

_create: Final = msgspec.json.Decoder(CreateGroup)
_add: Final = msgspec.json.Decoder(AddMembers)
_remove: Final = msgspec.json.Decoder(RemoveMember)
_leave: Final = msgspec.json.Decoder(LeaveGroup)
_set_role: Final = msgspec.json.Decoder(SetRole)
_update: Final = msgspec.json.Decoder(UpdateGroup)
_delete: Final = msgspec.json.Decoder(DeleteGroup)
_fetch: Final = QueryParser(FetchGroupQuery)


class GroupRequests:
    """Parses requests about groups. Every method raises BadRequest, UnknownParameter, Forbidden."""

    def __init__(self, settings: GroupsSettings, read_user_id: ReadUserId = plain_user_id) -> None:
        self._most_members = settings.max_members
        self._read_user_id = read_user_id

    def create(self, body: bytes, claims: Claims) -> ChangeGroup:
        """The new group in a body."""
        request = decode(_create, body)
        check_client_id(request.client_group_id, "clientGroupId")
        user_id = acting_user(request.user_id, "userId", claims, self._read_user_id)
        members = self._users(request.members, "members")
        settings = _settings(request.settings) or group.GroupSettings()
        deed = Create(request.client_group_id, _name(request.name), members, settings)
        return ChangeGroup(user_id, group_conversation_id(user_id, request.client_group_id), deed, claims.bearer)

    def add(self, body: bytes, claims: Claims) -> ChangeGroup:
        """Who is to be added, of a body."""
        request = decode(_add, body)
        if not request.user_ids:
            raise BadRequest("userIds names nobody")
        deed = deeds.Add(self._users(request.user_ids, "userIds"), self._most_members)
        return self._change(request.acting_user_id, request.conversation_id, deed, claims)

    def remove(self, body: bytes, claims: Claims) -> ChangeGroup:
        """Who is to be removed, of a body."""
        request = decode(_remove, body)
        deed = deeds.Remove(self._read_user_id(request.user_id, "userId"))
        return self._change(request.acting_user_id, request.conversation_id, deed, claims)

    def leave(self, body: bytes, claims: Claims) -> ChangeGroup:
        """What the user leaves, of a body."""
        request = decode(_leave, body)
        return self._change(request.acting_user_id, request.conversation_id, deeds.Leave(), claims)

    def set_role(self, body: bytes, claims: Claims) -> ChangeGroup:
        """Who gets which role, of a body."""
        request = decode(_set_role, body)
        deed = deeds.SetRole(self._read_user_id(request.user_id, "userId"), request.role)
        return self._change(request.acting_user_id, request.conversation_id, deed, claims)

    def update(self, body: bytes, claims: Claims) -> ChangeGroup:
        """What is to be changed of a group, of a body."""
        request = decode(_update, body)
        name = given(request.name)
        deed = deeds.Update(None if name is None else _name(name), _settings(request.settings))
        return self._change(request.acting_user_id, request.conversation_id, deed, claims)

    def delete(self, body: bytes, claims: Claims) -> ChangeGroup:
        """What is to be deleted, of a body."""
        request = decode(_delete, body)
        return self._change(request.acting_user_id, request.conversation_id, deeds.Delete(), claims)

    def fetch(self, query: str, claims: Claims) -> FetchGroup:
        """The group that a query names."""
        request = _fetch.parse(query)
        user_id = acting_user(request.user_id, "userId", claims, self._read_user_id)
        return FetchGroup(user_id, from_text(request.conversation_id, "conversationId"), claims.bearer)

    def _change(self, user_id: str | UnsetType, conversation_id: str, deed: Deed, claims: Claims) -> ChangeGroup:
        acting = acting_user(user_id, "actingUserId", claims, self._read_user_id)
        return ChangeGroup(acting, from_text(conversation_id, "conversationId"), deed, claims.bearer)

    def _users(self, users: tuple[str, ...], name: str) -> tuple[str, ...]:
        if len(users) > MAX_USERS:
            raise BadRequest(f"{name} names more than {MAX_USERS} users")
        return tuple(self._read_user_id(user_id, name) for user_id in users)


def _name(name: str) -> str:
    if len(name) > MAX_NAME_CHARACTERS:
        raise BadRequest(f"name has more than {MAX_NAME_CHARACTERS} characters")
    return name


def _settings(settings: GroupSettings | UnsetType) -> group.GroupSettings | None:
    if not isinstance(settings, GroupSettings):
        return None
    return group.GroupSettings(
        WhoMay(settings.who_can_send),
        WhoMay(settings.who_can_add),
        WhoMay(settings.who_can_edit_info),
        History(settings.history),
    )

"""The types of the calls about groups: they validate requests, encode answers, and make a part of openapi.json."""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rowbox.api.v1.reading.fields import ActingUserId, Changed
from rowbox.cacheserver.port import GroupResult, GroupShown
from rowbox.mailbox.group import Role
from rowbox.mailbox.ids import CLIENT_MESSAGE_ID_PATTERN
from rowbox.mailbox.representation import ConversationId, Id, Timestamp, UserId

MAX_NAME_CHARACTERS: Final = 100
MAX_USERS: Final = 255
"""In one request."""

GroupId: TypeAlias = Annotated[Id, Meta(description="The group's conversationId.")]
Who: TypeAlias = Annotated[Literal["all", "admins"], Meta(description="Which members may.")]
Earlier: TypeAlias = Annotated[
    Literal["none", "recent"],
    Meta(
        description="What those who join see of before: nothing, or the newest 100 messages (256 KiB of text) written "
        "since this was set."
    ),
]
Name: TypeAlias = Annotated[
    str,
    Meta(
        description=f"What the group is called: up to {MAX_NAME_CHARACTERS} characters; it may be empty.",
        examples=["Book club"],
        extra_json_schema={"maxLength": MAX_NAME_CHARACTERS},
    ),
]


class GroupSettings(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What members may do who are no admins, and what those who join see."""

    who_can_send: Who = "all"
    who_can_add: Who = "admins"
    who_can_edit_info: Who = "admins"
    history: Earlier = "none"


WhoMay: TypeAlias = Annotated[
    GroupSettings,
    Meta(
        description="What members may do who are no admins, and what those who join see. What is left out has its "
        "default."
    ),
]


class CreateGroup(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A new group of the user, who is its owner, and of others."""

    client_group_id: Annotated[
        str,
        Meta(
            description="Chosen by the creator, once per group: the same id again is the same group.",
            examples=["book-club-2026"],
            extra_json_schema={"pattern": CLIENT_MESSAGE_ID_PATTERN},
        ),
    ]
    members: Annotated[
        tuple[UserId, ...],
        Meta(
            description=f"Who is in beside the creator: up to {MAX_USERS}, and as many as groups.max_members lets in.",
            examples=[["bob", "carol"]],
            extra_json_schema={"maxItems": MAX_USERS},
        ),
    ]
    name: Name = ""
    settings: WhoMay | UnsetType = UNSET
    user_id: ActingUserId | UnsetType = UNSET


class FetchGroupQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Which group."""

    conversation_id: GroupId
    user_id: ActingUserId | UnsetType = UNSET


class AddMembers(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Users who come into a group."""

    conversation_id: GroupId
    user_ids: Annotated[
        tuple[UserId, ...],
        Meta(
            description=f"1 to {MAX_USERS} users; who is in already stays.",
            examples=[["dave"]],
            extra_json_schema={"minItems": 1, "maxItems": MAX_USERS},
        ),
    ]
    acting_user_id: ActingUserId | UnsetType = UNSET


class RemoveMember(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A member who is to leave a group."""

    conversation_id: GroupId
    user_id: Annotated[UserId, Meta(description="Who is removed; oneself: one leaves.")]
    acting_user_id: ActingUserId | UnsetType = UNSET


class LeaveGroup(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A group that the user leaves."""

    conversation_id: GroupId
    acting_user_id: ActingUserId | UnsetType = UNSET


class SetRole(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Another role for a member."""

    conversation_id: GroupId
    user_id: Annotated[UserId, Meta(description="Whose role it is.")]
    role: Annotated[Role, Meta(description="With `owner` the user gives the group away, and is an admin then.")]
    acting_user_id: ActingUserId | UnsetType = UNSET


class UpdateGroup(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Another name for a group, other settings, or both: what is left out stays."""

    conversation_id: GroupId
    name: Name | UnsetType = UNSET
    settings: WhoMay | UnsetType = UNSET
    acting_user_id: ActingUserId | UnsetType = UNSET


class DeleteGroup(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A group that ends for all."""

    conversation_id: GroupId
    acting_user_id: ActingUserId | UnsetType = UNSET


class GroupSettingsShown(GroupSettings, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What members may do who are no admins, as it is now."""


class GroupResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A group after a change of it."""

    conversation_id: ConversationId
    version: Annotated[int, Meta(ge=0, description="Rises when the group's name, settings or members change.")]
    changed: Changed


class MemberShown(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One who is in a group."""

    user_id: UserId
    role: Annotated[Role, Meta(description="What he may do.")]
    joined_timestamp: Annotated[Timestamp, Meta(description="When he came in, in microseconds since the epoch.")]


class FetchGroupResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A group as its members see it."""

    conversation_id: ConversationId
    name: Name
    settings: Annotated[GroupSettingsShown, Meta(description="What members may do who are no admins.")]
    owner_id: Annotated[UserId, Meta(description="Its owner.")]
    members: Annotated[tuple[MemberShown, ...], Meta(description="All who are in, who is longest in first.")]
    version: Annotated[int, Meta(ge=0, description="Rises when the group's name, settings or members change.")]


_encode = msgspec.json.Encoder().encode


def encode_group(result: GroupResult) -> bytes:
    """The body of a GroupResponse."""
    return _encode(
        GroupResponse(conversation_id=result.conversation_id.hex(), version=result.version, changed=result.changed)
    )


def encode_group_shown(shown: GroupShown) -> bytes:
    """The body of a FetchGroupResponse."""
    view = shown.view
    settings = view.settings
    return _encode(
        FetchGroupResponse(
            conversation_id=shown.conversation_id.hex(),
            name=view.name,
            settings=GroupSettingsShown(
                who_can_send=settings.who_can_send.value,
                who_can_add=settings.who_can_add.value,
                who_can_edit_info=settings.who_can_edit_info.value,
                history=settings.history.value,
            ),
            owner_id=next(member.user_id for member in view.members if member.role == "owner"),
            members=tuple(
                MemberShown(user_id=member.user_id, role=member.role, joined_timestamp=member.joined)
                for member in view.members
            ),
            version=view.version,
        )
    )

"""The types of the calls about users: they validate requests, encode answers, and make a part of openapi.json."""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rowbox.api.v1.reading.fields import ActingUserId, Changed
from rowbox.cacheserver.port import MAX_USERS, AccountResult
from rowbox.mailbox.ids import USER_ID_PATTERN
from rowbox.mailbox.people.profile import (
    CONTACTS,
    EVERYONE,
    MOST_ATTRIBUTE_NAME,
    MOST_ATTRIBUTES_BYTES,
    MOST_AVATAR_CHARACTERS,
    MOST_NAME_CHARACTERS,
    ErasureStep,
    Profile,
)
from rowbox.mailbox.representation import Timestamp, UserId, Version

_USER_IDS: Final = USER_ID_PATTERN[1:-1]

Name: TypeAlias = Annotated[
    str,
    Meta(
        description=f"How the user is called: 1 to {MOST_NAME_CHARACTERS} characters, no control characters. Two users "
        "may have the same name.",
        examples=["Alice Liddell"],
        extra_json_schema={"minLength": 1, "maxLength": MOST_NAME_CHARACTERS},
    ),
]
Avatar: TypeAlias = Annotated[
    str,
    Meta(
        description=f"The address of a picture, up to {MOST_AVATAR_CHARACTERS} characters: https, or empty for none.",
        examples=["https://pictures.example/alice.webp"],
        extra_json_schema={"maxLength": MOST_AVATAR_CHARACTERS, "pattern": r"^$|^https://[!-~]+$"},
    ),
]
Attributes: TypeAlias = Annotated[
    dict[str, str],
    Meta(
        description=f"Whatever a program keeps of the user: texts by names of up to {MOST_ATTRIBUTE_NAME} characters, "
        f"{MOST_ATTRIBUTES_BYTES} bytes of UTF-8 in all. Nobody but the user himself and administrators is shown them.",
        examples=[{"locale": "en-GB"}],
    ),
]

LastSeen: TypeAlias = Annotated[
    Literal["everyone", "contacts", "nobody"],
    Meta(
        description="Who is shown whether the user is online, and since when he is not: `everyone` who is in a "
        "conversation of two with him, of these his `contacts` alone, or `nobody`. He is shown it of those who "
        "would be shown it of him.",
        examples=["everyone"],
    ),
]


MessagesFrom: TypeAlias = Annotated[
    Literal["everyone", "contacts"],
    Meta(
        description="Who begins a conversation with the user at once: `everyone`, or his `contacts`. What others begin "
        "waits until he accepts it (fetchRequests).",
        examples=["everyone"],
    ),
]
GroupAdds: TypeAlias = Annotated[
    Literal["everyone", "contacts"],
    Meta(
        description="Who brings the user into groups: `everyone`, or his `contacts`. Others are told that he could not "
        "be added.",
        examples=["everyone"],
    ),
]


class CreateUser(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A user who is to be known."""

    name: Name
    avatar: Avatar = ""
    attributes: Attributes = {}
    last_seen: LastSeen = "everyone"
    messages_from: MessagesFrom = "everyone"
    group_adds: GroupAdds = "everyone"
    user_id: ActingUserId | UnsetType = UNSET


class UpdateUser(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What is to be changed of a profile: what is left out stays. `attributes` replaces all that there were."""

    name: Name | UnsetType = UNSET
    avatar: Avatar | UnsetType = UNSET
    attributes: Attributes | UnsetType = UNSET
    last_seen: LastSeen | UnsetType = UNSET
    messages_from: MessagesFrom | UnsetType = UNSET
    group_adds: GroupAdds | UnsetType = UNSET
    user_id: ActingUserId | UnsetType = UNSET


class DeleteUser(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Which user is to be deleted."""

    user_id: ActingUserId | UnsetType = UNSET


class FetchUserQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Which user."""

    user_id: Annotated[UserId, Meta(description="Any user; by default the token's.")] | UnsetType = UNSET


class FetchUsersQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Which users."""

    user_ids: Annotated[
        str,
        Meta(
            description=f"1 to {MAX_USERS} users, with commas between them.",
            examples=["alice,bob"],
            extra_json_schema={"pattern": f"^{_USER_IDS}(,{_USER_IDS}){{0,{MAX_USERS - 1}}}$"},
        ),
    ]


class AccountResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A user's profile after a change of it."""

    user_id: UserId
    last_updated_timestamp: Version
    changed: Changed


class DeletedUser(AccountResponse, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A user who is deleted, and how far the erasure of his mailbox is."""

    state: Annotated[
        Literal["erasing", "sweeping", "erased"],
        Meta(
            description="`erasing`: there is still something of it, as that he leaves his groups. `sweeping`: all is "
            "removed; on a cluster's store it is done once more a day later, for what a server wrote late. `erased`."
        ),
    ]


class UserShown(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What everybody sees of a user."""

    user_id: UserId
    name: Name
    avatar: Avatar


class FetchUserResponse(UserShown, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A user; of oneself, and for administrators, all that is kept of him."""

    attributes: Attributes | UnsetType = UNSET
    last_seen: LastSeen | UnsetType = UNSET
    messages_from: MessagesFrom | UnsetType = UNSET
    group_adds: GroupAdds | UnsetType = UNSET
    created_timestamp: Annotated[Timestamp, Meta(description="When the user was made known.")] | UnsetType = UNSET
    last_updated_timestamp: Version | UnsetType = UNSET


class FetchUsersResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The users who are known."""

    users: Annotated[list[UserShown], Meta(description="Those who have a profile, in the order of the question.")]


_encode = msgspec.json.Encoder().encode
_STATES: Final[dict[int, Literal["erasing", "sweeping", "erased"]]] = {
    ErasureStep.SWEEPING: "sweeping",
    ErasureStep.DONE: "erased",
}


def encode_account(user_id: str, result: AccountResult) -> bytes:
    """The body of an AccountResponse."""
    return _encode(
        AccountResponse(user_id=user_id, last_updated_timestamp=result.version, changed=result.changed),
    )


def encode_deleted(user_id: str, result: AccountResult) -> bytes:
    """The body of a DeletedUser."""
    return _encode(
        DeletedUser(
            user_id=user_id,
            last_updated_timestamp=result.version,
            changed=result.changed,
            state=_STATES.get(result.step, "erasing"),
        )
    )


def encode_user(user_id: str, profile: Profile, *, is_whole: bool) -> bytes:
    """The body of a FetchUserResponse: all of it, or what everybody sees."""
    shown = FetchUserResponse(user_id=user_id, name=profile.name, avatar=profile.avatar)
    if is_whole:
        shown = msgspec.structs.replace(
            shown,
            attributes=profile.attributes,
            last_seen=_last_seen(profile),
            messages_from="everyone" if profile.messages_from == EVERYONE else "contacts",
            group_adds="everyone" if profile.group_adds == EVERYONE else "contacts",
            created_timestamp=profile.created_version,
            last_updated_timestamp=profile.version,
        )
    return _encode(shown)


def _last_seen(profile: Profile) -> LastSeen:
    if profile.hides:
        return "nobody"
    return "contacts" if profile.last_seen == CONTACTS else "everyone"


def encode_users(user_ids: tuple[str, ...], profiles: tuple[Profile | None, ...]) -> bytes:
    """The body of a FetchUsersResponse."""
    return _encode(
        FetchUsersResponse(
            users=[
                UserShown(user_id=user_id, name=profile.name, avatar=profile.avatar)
                for user_id, profile in zip(user_ids, profiles, strict=True)
                if profile is not None
            ]
        )
    )

"""The types of the calls about presence: they validate requests, encode answers, and make a part of openapi.json."""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rowbox.api.v1.reading.fields import ActingUserId
from rowbox.cacheserver.port import MOST_PRESENCES
from rowbox.mailbox.ids import USER_ID_PATTERN
from rowbox.mailbox.people.presence import KEPT_MS, ONLINE_MS, Seen
from rowbox.mailbox.representation import UserId

_USER_IDS: Final = USER_ID_PATTERN[1:-1]


class Heartbeat(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Who is active."""

    user_id: ActingUserId | UnsetType = UNSET


class HeartbeatResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """It is noted."""

    user_id: UserId


class FetchPresenceQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Of whom."""

    user_ids: Annotated[
        str,
        Meta(
            description=f"1 to {MOST_PRESENCES} users, with commas between them.",
            examples=["alice,bob"],
            extra_json_schema={"pattern": f"^{_USER_IDS}(,{_USER_IDS}){{0,{MOST_PRESENCES - 1}}}$"},
        ),
    ]


class PresenceShown(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """When a user was active last, as far as that is shown."""

    online: Annotated[bool, Meta(description=f"He was active within the last {ONLINE_MS // 1000} s.")]
    last_seen: Annotated[
        int | None,
        Meta(
            description="When he was active last, in microseconds since 1970; null while he is online. It is known for "
            f"{KEPT_MS // 86_400_000} days.",
            examples=[1_700_000_000_000_000],
        ),
    ] = None


class FetchPresenceResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The presence of the users."""

    users: Annotated[
        dict[str, PresenceShown | None],
        Meta(
            description="Each by what the request calls him. null: it is not known, or not shown, and nobody can tell "
            "which.",
            examples=[{"bob": {"online": True, "lastSeen": None}, "carol": None}],
        ),
    ]


_encode = msgspec.json.Encoder().encode


def shown(seen: Seen | None) -> PresenceShown | None:
    """What a client gets of a user's presence."""
    return None if seen is None else PresenceShown(online=seen.online, last_seen=seen.last_seen_us)


def encode_heartbeat(user_id: str) -> bytes:
    """The body of a HeartbeatResponse."""
    return _encode(HeartbeatResponse(user_id=user_id))


def encode_presence(names: Mapping[str, str], seen: Mapping[str, Seen | None]) -> bytes:
    """The body of a FetchPresenceResponse, of users by what the request calls them, with their userIds."""
    return _encode(FetchPresenceResponse(users={name: shown(seen[user_id]) for name, user_id in names.items()}))

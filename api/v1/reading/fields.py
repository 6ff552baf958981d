"""The types of fields that all kinds of calls have. Patterns stand in the schema only: who reads a field checks it."""

from typing import Annotated, TypeAlias

from msgspec import Meta

from rowbox.mailbox.ids import USER_ID_PATTERN

ActingUserId: TypeAlias = Annotated[
    str,
    Meta(
        description="Defaults to the token's user; another one needs the scope admin. Servers with "
        "auth.escape_user_ids take an issuer's name of a user as well (auth0|5f7c), here and for a recipient.",
        examples=["alice"],
        extra_json_schema={"pattern": USER_ID_PATTERN},
    ),
]

"""Types of fields that several kinds of calls have. Patterns stand in the schema only: who reads a field checks it."""

from typing import Annotated, TypeAlias

from msgspec import Meta

from rowbox.mailbox.ids import USER_ID_PATTERN
from rowbox.mailbox.representation import UserId

ActingUserId: TypeAlias = Annotated[
    str,
    Meta(
        description="Defaults to the token's user; another one needs the scope admin. Servers with "
        "auth.escape_user_ids take an issuer's name of a user as well (auth0|5f7c), here and for a recipient.",
        examples=["alice"],
        extra_json_schema={"pattern": USER_ID_PATTERN},
    ),
]

After: TypeAlias = Annotated[UserId, Meta(description="Those behind this user: the last one of the page before.")]
Changed: TypeAlias = Annotated[
    bool, Meta(description="False: it was so already, by this request's first try or by an earlier one.")
]

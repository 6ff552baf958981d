"""What the OpenAPI document says of the calls about users, beyond what their types say."""

from typing import Final

from rowbox.api.v1.reading.call_doc import CallDoc
from rowbox.api.v1.users.types import (
    AccountResponse,
    CreateUser,
    DeletedUser,
    DeleteUser,
    FetchUserQuery,
    FetchUserResponse,
    FetchUsersQuery,
    FetchUsersResponse,
    UpdateUser,
)
from rowbox.cacheserver.port import MAX_USERS, USERS_A_FETCH

_CREATE: Final = """\
A profile: a name, a picture's address, and what a program keeps of the user. Nobody needs one to send and to be sent
to. An administrator makes users known, as a rule the program that signs them in; where the server's setting
users.self_service is on, each user makes himself known as well.

A request that got no answer can be sent again: where the profile is so already, the answer is 200 and `changed` is
false. A user who is known with another profile is not changed (`user_exists`): that is updateUser."""

_UPDATE: Final = """\
A user changes his own profile, and an administrator any. What is left out stays. The user's other devices are told by
`account: true` in fetchChanges, and ask fetchUser; others see it when they ask the next time."""

_DELETE: Final = """\
For ever, and there is no way back. From the answer on every token of the user is refused, whenever it was issued; his
sockets and waiting requests end; what others send to him is acknowledged and dropped; he leaves his groups, of which
another member becomes the owner; and nobody is made known under this userId again (`user_deleted`). Then his mailbox
is erased: his messages, conversations, devices, blocks, settings and his profile. What is left is that he was deleted.

What is not his stays: those whom he wrote to keep their copies, with his userId and his texts, and the rows of groups
the messages that he sent there. Backups keep what they have, and a store the bytes until it compacts its files.

The work goes on by itself, also after a server's crash. Asked again the call says how far it is: 200 once it is done.
An administrator deletes any user; where the server's setting users.self_service is on, each user himself as well."""

_FETCH: Final = """\
Whoever has a token sees the name and the picture's address of any user who is known. All else is shown to the user
himself and to administrators alone. It says what is so now: keep it for a while, and ask again."""

_FETCH_SOME: Final = f"""\
The names and pictures of up to {MAX_USERS} users in one answer: of a list of conversations, of the members of a group.
Who is not known is left out. {USERS_A_FETCH} users count as a fetch."""

_BODY: Final = ("message_too_large", "unsupported_media_type", "peer_too_old")

USER_CALLS: Final = (
    CallDoc(
        "createUser",
        "post",
        "Makes a user known. Counts against the send limit.",
        _CREATE,
        CreateUser,
        {201: "Made known.", 200: "The user was known with the same profile."},
        AccountResponse,
        ("user_exists", "user_deleted", *_BODY),
    ),
    CallDoc(
        "updateUser",
        "post",
        "Changes a profile. Counts against the send limit.",
        _UPDATE,
        UpdateUser,
        {200: "It is so."},
        AccountResponse,
        ("unknown_user", *_BODY),
    ),
    CallDoc(
        "deleteUser",
        "post",
        "Deletes a user, for ever. Counts against the send limit.",
        _DELETE,
        DeleteUser,
        {202: "Deleted; his mailbox is being erased.", 200: "It is erased."},
        DeletedUser,
        ("feature_off", *_BODY),
    ),
    CallDoc(
        "fetchUser",
        "get",
        "Who a user is.",
        _FETCH,
        FetchUserQuery,
        {200: "The user."},
        FetchUserResponse,
        ("unknown_user", "peer_too_old"),
    ),
    CallDoc(
        "fetchUsers",
        "get",
        "Who several users are.",
        _FETCH_SOME,
        FetchUsersQuery,
        {200: "Those who are known."},
        FetchUsersResponse,
        ("peer_too_old",),
    ),
)

"""The calls about contacts: their types, how they are read, what is said of them."""

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rowbox.api.auth.claims import Claims
from rowbox.api.v1.reading.call_doc import CallDoc
from rowbox.api.v1.reading.fields import ActingUserId, After, Changed
from rowbox.api.v1.reading.query import QueryParser
from rowbox.api.v1.reading.request import ReadUserId, acting_user, decode, given, plain_user_id
from rowbox.api.v1.users.requests import is_one_line
from rowbox.cacheserver.port import AccountResult, ChangeAccount, ContactShown, ContactsShown, FetchContacts
from rowbox.mailbox.account import deeds
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.ids import USER_ID_PATTERN
from rowbox.mailbox.people.contact import MOST_ALIAS_CHARACTERS, MOST_CONTACTS
from rowbox.mailbox.representation import Timestamp, UserId, Version

DEFAULT_CONTACTS: Final = 100
MAX_CONTACTS: Final = 200

Other: TypeAlias = Annotated[
    str,
    Meta(description="Another user.", examples=["bob"], extra_json_schema={"pattern": USER_ID_PATTERN}),
]
Alias: TypeAlias = Annotated[
    str,
    Meta(
        description=f"What the user calls him, in a line of up to {MOST_ALIAS_CHARACTERS} characters; empty for none.",
        examples=["Bob from work"],
        extra_json_schema={"maxLength": MOST_ALIAS_CHARACTERS},
    ),
]


class SetContact(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Who is to be a contact of the token's user, and what is to be kept of him: what is left out stays."""

    user_id: Other
    alias: Alias | UnsetType = UNSET
    favourite: Annotated[bool, Meta(description="Whether he is one of those whom the user likes best.")] | UnsetType = (
        UNSET
    )
    remove: Annotated[
        bool, Meta(description="True: he is to be a contact no more. Nothing else is given then.", examples=[False])
    ] = False


class SetContactResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A contact after a change, or one who was removed."""

    user_id: UserId
    last_updated_timestamp: Annotated[Version, Meta(description="Since when it is so; 0: he never was a contact.")]
    changed: Changed


class FetchContactsQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Which of the contacts."""

    after: After | UnsetType = UNSET
    page_size: Annotated[int, Meta(ge=1, le=MAX_CONTACTS, description="How many at most.")] = DEFAULT_CONTACTS
    user_id: ActingUserId | UnsetType = UNSET


class Contact(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A contact of the user."""

    user_id: UserId
    since_timestamp: Annotated[Timestamp, Meta(description="When he became one.")]
    last_updated_timestamp: Version
    alias: Annotated[str, Meta(description="What the user calls him, where he calls him something.")] | UnsetType = (
        UNSET
    )
    favourite: Annotated[bool, Meta(description="True: the user likes him best.")] | UnsetType = UNSET


class FetchContactsResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The user's contacts, by their userIds."""

    contacts: Annotated[list[Contact], Meta(description="Those of this page, in the order of their userIds.")]
    has_more: Annotated[bool, Meta(description="Whether there are others behind the last one.")]


_set: Final = msgspec.json.Decoder(SetContact)
_fetch: Final = QueryParser(FetchContactsQuery)
_encode: Final = msgspec.json.Encoder().encode


class ContactRequests:
    """Parses requests about contacts. Both methods raise BadRequest, UnknownParameter; `fetch` Forbidden as well."""

    def __init__(self, read_user_id: ReadUserId = plain_user_id) -> None:
        self._read_user_id = read_user_id

    def set(self, body: bytes, claims: Claims) -> ChangeAccount:
        """Who is to be a contact, or is not to be one, in a body."""
        request = decode(_set, body)
        user_id = self._read_user_id(request.user_id, "userId")
        if user_id == claims.user_id:
            raise BadRequest("userId is the token's own user: nobody is his own contact")
        alias, is_favourite = given(request.alias), given(request.favourite)
        if request.remove and not (alias is None and is_favourite is None):
            raise BadRequest("remove is given alone: nothing is kept of who is no contact")
        if alias is not None and not (len(alias) <= MOST_ALIAS_CHARACTERS and is_one_line(alias)):
            raise BadRequest(f"alias is one line of up to {MOST_ALIAS_CHARACTERS} characters, or empty")
        deed = deeds.SetContact(user_id, alias.strip() if alias else alias, is_favourite, request.remove)
        return ChangeAccount(claims.user_id, deed, claims.bearer)

    def fetch(self, query: str, claims: Claims) -> FetchContacts:
        """Which contacts a query asks for."""
        request = _fetch.parse(query)
        user_id = acting_user(request.user_id, "userId", claims, self._read_user_id)
        after = given(request.after)
        after = "" if after is None else self._read_user_id(after, "after")
        return FetchContacts(user_id, after, request.page_size, claims.bearer)


def encode_contact(user_id: str, result: AccountResult) -> bytes:
    """The body of a SetContactResponse."""
    return _encode(SetContactResponse(user_id=user_id, last_updated_timestamp=result.version, changed=result.changed))


def encode_contacts(shown: ContactsShown) -> bytes:
    """The body of a FetchContactsResponse."""
    return _encode(FetchContactsResponse(contacts=[_contact(one) for one in shown.contacts], has_more=shown.has_more))


def _contact(shown: ContactShown) -> Contact:
    return Contact(
        user_id=shown.user_id,
        since_timestamp=shown.since_us,
        last_updated_timestamp=shown.version,
        alias=shown.alias or UNSET,
        favourite=shown.is_favourite or UNSET,
    )


_SET: Final = f"""\
A list of one's own, of which nobody else is told: the other one need not know the user. Who chooses that only contacts
see him online (`lastSeen` of updateUser) is shown to these. The user's other devices are told by `account: true` in
fetchChanges, and ask fetchContacts.

{MOST_CONTACTS} people can be contacts in all, those included whom the user has removed. Where the server's setting
users.policy is `known`, only users who are known become contacts (`unknown_user`)."""

_FETCH: Final = """\
The contacts of the user, by their userIds. fetchUsers has their names and pictures."""

CONTACT_CALLS: Final = (
    CallDoc(
        "setContact",
        "post",
        "Makes another user a contact, or removes one. Counts against the send limit.",
        _SET,
        SetContact,
        {200: "It is so."},
        SetContactResponse,
        ("unknown_user", "too_many_contacts", "message_too_large", "unsupported_media_type", "peer_too_old"),
    ),
    CallDoc(
        "fetchContacts",
        "get",
        "Who the user's contacts are.",
        _FETCH,
        FetchContactsQuery,
        {200: "A page of them."},
        FetchContactsResponse,
        ("peer_too_old",),
    ),
)

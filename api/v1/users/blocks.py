"""The calls about blocks: their types, how they are read, what is said of them."""

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rowbox.api.auth.claims import Claims
from rowbox.api.v1.reading.call_doc import CallDoc
from rowbox.api.v1.reading.fields import ActingUserId, After, Changed
from rowbox.api.v1.reading.query import QueryParser
from rowbox.api.v1.reading.request import ReadUserId, acting_user, decode, given, plain_user_id
from rowbox.cacheserver.port import AccountResult, BlocksShown, ChangeAccount, FetchBlocks
from rowbox.mailbox.account.deeds import AccountDeed, BlockUser, UnblockUser
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.ids import USER_ID_PATTERN
from rowbox.mailbox.people.block import MOST_BLOCKS
from rowbox.mailbox.representation import Timestamp, UserId, Version

DEFAULT_BLOCKS: Final = 100
MAX_BLOCKS: Final = 200

Blocked: TypeAlias = Annotated[
    str,
    Meta(description="Another user.", examples=["mallory"], extra_json_schema={"pattern": USER_ID_PATTERN}),
]


class Block(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Whom the token's user blocks."""

    user_id: Blocked


class Unblock(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Whom the token's user blocks no more."""

    user_id: Blocked


class BlockResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A block, or its end."""

    user_id: UserId
    last_updated_timestamp: Annotated[Version, Meta(description="Since when it is so; 0: it was never otherwise.")]
    changed: Changed


class FetchBlocksQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Which of the blocks."""

    after: After | UnsetType = UNSET
    page_size: Annotated[int, Meta(ge=1, le=MAX_BLOCKS, description="How many at most.")] = DEFAULT_BLOCKS
    user_id: ActingUserId | UnsetType = UNSET


class BlockedUser(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Somebody who is blocked."""

    user_id: UserId
    since_timestamp: Annotated[Timestamp, Meta(description="When the newest block of this user began.")]


class FetchBlocksResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Those whom the user blocks, by their userIds."""

    blocks: Annotated[list[BlockedUser], Meta(description="Those of this page, in the order of their userIds.")]
    has_more: Annotated[bool, Meta(description="Whether there are others behind the last one.")]


_block: Final = msgspec.json.Decoder(Block)
_unblock: Final = msgspec.json.Decoder(Unblock)
_fetch: Final = QueryParser(FetchBlocksQuery)
_encode: Final = msgspec.json.Encoder().encode


class BlockRequests:
    """Parses requests about blocks. Every method raises BadRequest, UnknownParameter; `fetch` Forbidden as well."""

    def __init__(self, read_user_id: ReadUserId = plain_user_id) -> None:
        self._read_user_id = read_user_id

    def block(self, body: bytes, claims: Claims) -> ChangeAccount:
        """Whom the token's user wants to block, in a body."""
        return self._change(BlockUser(self._other(decode(_block, body).user_id, claims)), claims)

    def unblock(self, body: bytes, claims: Claims) -> ChangeAccount:
        """Whom the token's user wants to block no more, in a body."""
        return self._change(UnblockUser(self._other(decode(_unblock, body).user_id, claims)), claims)

    def fetch(self, query: str, claims: Claims) -> FetchBlocks:
        """Which blocks a query asks for."""
        request = _fetch.parse(query)
        user_id = acting_user(request.user_id, "userId", claims, self._read_user_id)
        after = given(request.after)
        after = "" if after is None else self._read_user_id(after, "after")
        return FetchBlocks(user_id, after, request.page_size, claims.bearer)

    def _other(self, text: str, claims: Claims) -> str:
        user_id = self._read_user_id(text, "userId")
        if user_id == claims.user_id:
            raise BadRequest("userId is the token's own user: nobody blocks himself")
        return user_id

    def _change(self, deed: AccountDeed, claims: Claims) -> ChangeAccount:
        return ChangeAccount(claims.user_id, deed, claims.bearer)


def encode_block(user_id: str, result: AccountResult) -> bytes:
    """The body of a BlockResponse."""
    return _encode(BlockResponse(user_id=user_id, last_updated_timestamp=result.version, changed=result.changed))


def encode_blocks(shown: BlocksShown) -> bytes:
    """The body of a FetchBlocksResponse."""
    blocks = [BlockedUser(user_id=one.user_id, since_timestamp=one.since_us) for one in shown.blocks]
    return _encode(FetchBlocksResponse(blocks=blocks, has_more=shown.has_more))


_BLOCK: Final = f"""\
From the answer on nothing that comes of this user is shown in a conversation of the two: no message, no unread count,
no edit, unsend or reaction, no ttl, no receipt. What came before stays, as it was then. Whoever is blocked is not told:
his calls are answered as ever, and nothing comes of them; but no receipts come either, by which he can guess it. In
groups both stay members and see what the other writes there.

The token's user cannot write to whom he blocks (`blocked_by_you`), nor edit what that one has or react to it; he may
take it back. The user's other devices are told by `account: true`
in fetchChanges, and ask fetchBlocks. What was hidden is kept as long as messages are, for administrators, and is never
shown, after an unblock neither. {MOST_BLOCKS} people can be blocked in all, those included whom one has unblocked.

While a cluster's servers are upgraded to the first version with blocks, the answer is `503 feature_off`."""

_UNBLOCK: Final = """\
What comes of this user from the answer on is shown again. What was hidden until then stays hidden, and he is told of no
more that is delivered or read as long as it is kept: a mark says the same of everything before it."""

_FETCH: Final = """\
Those who are blocked now, by their userIds. Nobody else is told of them."""

_CODES: Final = ("feature_off", "message_too_large", "unsupported_media_type", "peer_too_old")

BLOCK_CALLS: Final = (
    CallDoc(
        "block",
        "post",
        "Hides what comes of another user. Counts against the send limit.",
        _BLOCK,
        Block,
        {200: "He is blocked."},
        BlockResponse,
        ("too_many_blocks", *_CODES),
    ),
    CallDoc(
        "unblock",
        "post",
        "Ends a block. Counts against the send limit.",
        _UNBLOCK,
        Unblock,
        {200: "He is not blocked."},
        BlockResponse,
        _CODES,
    ),
    CallDoc(
        "fetchBlocks",
        "get",
        "Whom the user blocks.",
        _FETCH,
        FetchBlocksQuery,
        {200: "A page of them."},
        FetchBlocksResponse,
        ("peer_too_old",),
    ),
)

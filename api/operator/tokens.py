"""The operator's calls that revoke tokens: all of a user, or a single one by its id (`rowbox token revoke`)."""

from typing import Final, TypeVar

import msgspec

from rowbox.api.operator.calls import OperatorCall
from rowbox.cacheserver.port import RevocationPort
from rowbox.mailbox.errors import BadRequest, HandoverInProgress
from rowbox.mailbox.ids import is_user_id
from rowbox.mailbox.revocation import LONGEST_TOKEN_ID

REVOKE_USER: Final = "revokeUser"
REVOKE_ID: Final = "revokeId"
_T = TypeVar("_T")


class RevokeUser(msgspec.Struct, frozen=True, rename="camel"):
    """The user all of whose tokens are revoked."""

    user_id: str


class UserRevoked(msgspec.Struct, frozen=True, rename="camel"):
    """Tokens that were issued before this time, seconds since the epoch, are refused."""

    before_s: int


class RevokeToken(msgspec.Struct, frozen=True, rename="camel"):
    """The `jti` of the token that is revoked."""

    token_id: str


def revocation_calls(port: RevocationPort) -> tuple[OperatorCall, OperatorCall]:
    """Both calls, over the owner of this process."""

    async def revoke_user(body: bytes) -> bytes:
        request = _decode(body, RevokeUser)
        if not is_user_id(request.user_id):
            raise BadRequest("userId is none")
        try:
            return msgspec.json.encode(UserRevoked(await port.revoke_user(request.user_id)))
        except HandoverInProgress as error:
            raise _ask_the_owner(error) from error

    async def revoke_token(body: bytes) -> bytes:
        request = _decode(body, RevokeToken)
        if not is_token_id(request.token_id):
            raise BadRequest(f"tokenId is 1 to {LONGEST_TOKEN_ID} characters")
        try:
            await port.revoke_id(request.token_id)
        except HandoverInProgress as error:
            raise _ask_the_owner(error) from error
        return b"{}"

    return OperatorCall(REVOKE_USER, revoke_user), OperatorCall(REVOKE_ID, revoke_token)


def is_token_id(token_id: str) -> bool:
    """Whether a token may be revoked by this id."""
    return 1 <= len(token_id) <= LONGEST_TOKEN_ID


def _decode(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is no {kind.__name__}: {error}") from error


def _ask_the_owner(error: HandoverInProgress) -> HandoverInProgress:
    return HandoverInProgress(f"{error}: revoke there, or again when this server owns the mailboxes")

"""Errors as HTTP answers: the one table of statuses, and the bodies of RFC 9457.

Promise P7 of docs/consistency.md, as clients see it: with a 4xx nothing was written; after a 5xx the outcome is
unknown, and the same request (same clientMessageId) may be sent again.
"""

from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rowbox.mailbox.errors import PageTooLarge, RowboxError

MEDIA_TYPE: Final = "application/problem+json"
_DEFAULT_RETRY_MS: Final = 1_000


class NotFound(RowboxError):
    """A path that is not part of the API."""

    code = "not_found"


class MethodNotAllowed(RowboxError):
    """A method that the path does not have; `allowed` are the ones it has."""

    code = "method_not_allowed"

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class UnsupportedMediaType(RowboxError):
    """A body that is not declared as plain JSON."""

    code = "unsupported_media_type"


class NotLocal(RowboxError):
    """A request that was not meant for this machine, to a server without authentication."""

    code = "not_local"


class Kind(msgspec.Struct, frozen=True):
    """What all problems of one code have in common. `advice` says what a client should do."""

    status: int
    title: str
    advice: str


KINDS: Final[dict[str, Kind]] = {
    "bad_request": Kind(400, "The request is malformed", "Mend the request: `detail` says what is wrong with it."),
    "unknown_parameter": Kind(
        400, "The call has no such parameter", "Leave out the field or the parameter that `detail` names."
    ),
    "not_an_emoji": Kind(
        400, "A reaction is one emoji", "Send one emoji of at most 64 bytes of UTF-8, or an empty text for none."
    ),
    "page_too_large": Kind(
        400,
        "The page, asked for by its number, is too large",
        "Ask for the `pageNumber` and `pageSize` that the problem names, or go on with its `cursor`.",
    ),
    "unauthenticated": Kind(
        401, "A valid token is needed", "Get another token: there was none, or it does not verify, or it has expired."
    ),
    "token_revoked": Kind(401, "The token was revoked", "Get another token: this one is refused for good."),
    "signed_out": Kind(
        401,
        "The user has signed out here",
        "Let the person sign in again, and take a new deviceId: get no other token without being asked.",
    ),
    "forbidden": Kind(
        403,
        "The token may not do this",
        "Leave the userId out or name the token's own user; for another one the token needs the scope admin.",
    ),
    "not_local": Kind(
        403,
        "A server without authentication answers its own machine only",
        "Call it on its own machine, as localhost or at a loopback address.",
    ),
    "not_the_author": Kind(
        403,
        "Only its author may change the message",
        "Leave it: only the user who sent a message edits or unsends it, and is told who has it; in a group owner and "
        "admins unsend any.",
    ),
    "not_a_member": Kind(
        403,
        "The user is not in the group any more",
        "Leave it: what came until then stays. An admin of the group can add the user again.",
    ),
    "not_allowed": Kind(
        403,
        "The user's role in the group does not allow it",
        "Leave it, or have an admin of the group do it: fetchGroup says who may what.",
    ),
    "group_deleted": Kind(
        403, "The group was deleted", "Leave it: what came until then stays. Make another group to go on."
    ),
    "blocked_by_you": Kind(
        403,
        "The user has blocked whom he writes to",
        "Leave it, or unblock the recipient first (unblock). Edits and reactions say something, too.",
    ),
    "unknown_member": Kind(
        404, "The user is not in the group", "Take a member whom fetchGroup names, or add the user first."
    ),
    "unknown_user": Kind(
        404,
        "Nobody has made this user known",
        "Look at the userId. An administrator makes users known (createUser), and where users.self_service is on each "
        "user himself.",
    ),
    "unknown_conversation": Kind(
        404,
        "The user is in no such conversation",
        "Look at the conversationId, and whose token it is: fetchConversation lists the user's own.",
    ),
    "unknown_device": Kind(404, "The user has no such device", "Take a deviceId that fetchDevices names."),
    "unknown_message": Kind(
        404,
        "The conversation holds no such message",
        "Take a messageId of this conversation from fetchMessages; retention may have ended the old one.",
    ),
    "unknown_client_message_id": Kind(
        404,
        "No send with this clientMessageId was applied so far",
        "Send it under this id, within X-Dedupe-Life of the first try: if that arrives after all, it is one message.",
    ),
    "search_off": Kind(
        404,
        "Nobody can search on this server",
        "Leave the search out: search.bytes is 0 there, or its Python's SQLite has no FTS5.",
    ),
    "push_off": Kind(
        404,
        "No device is told by a push of this kind on this server",
        "Go on without: Web Push needs push.vapid_key_file there. Polls and sockets tell of messages as ever.",
    ),
    "reports_off": Kind(
        404,
        "Nobody takes reports on this server",
        "Go on without: moderation.user is not set there.",
    ),
    "not_found": Kind(404, "There is nothing at this path", "Look at the path: all calls are below /v1/."),
    "method_not_allowed": Kind(
        405, "The path does not have this method", "Use one of the methods that the header Allow names."
    ),
    "user_exists": Kind(
        409,
        "The user is known already, with another profile",
        "Leave it, or change the profile: that is updateUser.",
    ),
    "user_deleted": Kind(
        409,
        "The user was deleted",
        "Leave it: that is for ever. A person who comes back takes another userId.",
    ),
    "message_unsent": Kind(
        409,
        "The message was taken back",
        "Leave it: a message that was unsent stays so, and nobody reacts to it. Send another one.",
    ),
    "too_late_to_change": Kind(
        409,
        "The message was sent too long ago to be changed",
        "Leave it: the server's settings messages.edit_window_ms, messages.unsend_window_ms and "
        "messages.reaction_window_ms say how long it may be.",
    ),
    "message_too_large": Kind(
        413,
        "The message is too large",
        "Send less: 65,535 bytes of UTF-8 in a message, and server.max_body_bytes in a body.",
    ),
    "unsupported_media_type": Kind(
        415, "The body must be JSON", "Send `Content-Type: application/json`, in UTF-8, and no Content-Encoding."
    ),
    "client_message_id_reused": Kind(
        422,
        "The clientMessageId names another message",
        "Choose a new id: under this one another message was sent, and stands.",
    ),
    "client_group_id_reused": Kind(
        422,
        "The clientGroupId names another group",
        "Choose a new id: under this one another group was made, and stands.",
    ),
    "too_many_reactions": Kind(
        422,
        "Members of the group react to the message in too many ways",
        "Use one of the emoji with which others react.",
    ),
    "too_many_devices": Kind(
        422,
        "The user has as many devices as there may be",
        "Sign out one that is not needed: fetchDevices names them with the time when each was last seen.",
    ),
    "too_many_pinned": Kind(
        422,
        "The user has pinned as many conversations as there may be",
        "Take one of them down: setConversation with pinned: false.",
    ),
    "too_many_blocks": Kind(
        422,
        "The user has blocked as many people as there may be",
        "Leave it: those count as well whom the user has unblocked.",
    ),
    "too_many_contacts": Kind(
        422,
        "The user has as many contacts as there may be",
        "Leave it: those count as well whom the user has removed.",
    ),
    "group_full": Kind(
        422,
        "The group would have too many members",
        "Add fewer, or make another group: the server's setting groups.max_members says how many there may be.",
    ),
    "rate_limited": Kind(429, "Too many requests of this user", "Send the same request again after Retry-After."),
    "internal": Kind(
        500,
        "Something went wrong here",
        "Send the same request again, a message under the same id; tell the operator the requestId.",
    ),
    "handover_in_progress": Kind(
        503,
        "The mailbox is moving to another server",
        "Send the same request again after Retry-After, a message under the same id.",
    ),
    "group_moved": Kind(
        503,
        "The group has changed meanwhile",
        "Send the same request again after Retry-After: nothing was done.",
    ),
    "keys_unavailable": Kind(
        503,
        "No token can be verified at the moment",
        "Send the same request again after Retry-After: nothing was done.",
    ),
    "store_unavailable": Kind(
        503, "The store does not answer", "Send the same request again after Retry-After, a message under the same id."
    ),
    "search_unavailable": Kind(
        503,
        "Nobody can search now",
        "Search again after Retry-After. Everything else goes on: the index is a cache.",
    ),
    "peer_too_old": Kind(
        503,
        "The mailbox is on an older server, which does not know the call yet",
        "Ask again after Retry-After or once the servers are upgraded; use fetchMessages and fetchConversation.",
    ),
    "feature_off": Kind(
        503,
        "Not all servers know this yet",
        "Ask again after Retry-After: it comes once all servers of the cluster are upgraded. Nothing was done.",
    ),
    "overloaded": Kind(
        503, "The server is at its limit", "Send the same request again after Retry-After: nothing was done."
    ),
}
"""Every code that a client can meet."""


class Problem(msgspec.Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """An error, as RFC 9457 has it, with what a program needs: `code`, whether to retry, and when.

    With page_too_large: the `pageNumber` and `pageSize` of a page that begins at the same message and fits, and the
    `cursor` with which to go on from there whatever the size.
    """

    type: Annotated[str, Meta(description="Where the code is explained: a path of this server.")]
    title: Annotated[str, Meta(description="What all problems of this code have in common, for people.")]
    status: Annotated[int, Meta(description="The HTTP status.")]
    detail: Annotated[str, Meta(description="What was wrong this time, for people. Programs go by `code`.")]
    code: Annotated[str, Meta(description="What went wrong, for programs. More codes may come.")]
    retryable: Annotated[bool, Meta(description="Whether the same request may succeed later.")]
    request_id: Annotated[str, Meta(description="Of the answer's X-Request-Id; the server's log has it as well.")]
    retry_after_ms: (
        Annotated[int, Meta(description="Milliseconds to wait before it; with 429 and 503.")] | UnsetType
    ) = UNSET
    page_number: Annotated[int, Meta(description="With page_too_large: of a page that fits.")] | UnsetType = UNSET
    page_size: Annotated[int, Meta(description="With page_too_large: of a page that fits.")] | UnsetType = UNSET
    cursor: Annotated[str, Meta(description="With page_too_large: goes on where that page begins.")] | UnsetType = UNSET


def internal() -> RowboxError:
    """The error that a client gets in place of an unexpected one. It says only that the log has more (`told`)."""
    return RowboxError("an error that nobody expected")


def is_of_ours(error: RowboxError) -> bool:
    """Whether the server and not the caller is at fault. The caller is then told less."""
    return error.code not in KINDS or KINDS[error.code].status >= HTTPStatus.INTERNAL_SERVER_ERROR


def problem_of(error: RowboxError, request_id: str) -> Problem:
    """The body for `error`. A code that is not in KINDS, such as a start-up error's, becomes `internal`."""
    if error.code not in KINDS:
        error = internal()
    kind = KINDS[error.code]
    retry_after_ms: int | UnsetType = UNSET
    if kind.status in {429, 503}:
        retry_after_ms = _DEFAULT_RETRY_MS if error.retry_after_ms is None else error.retry_after_ms
    problem = Problem(
        type=f"/docs#{error.code}",
        title=kind.title,
        status=kind.status,
        detail=error.told if is_of_ours(error) else text_of(error),
        code=error.code,
        retryable=error.retryable or kind.status >= 500,
        request_id=request_id,
        retry_after_ms=retry_after_ms,
    )
    if isinstance(error, PageTooLarge):
        fitting = {"page_number": error.page_number, "page_size": error.page_size, "cursor": error.cursor}
        return msgspec.structs.replace(problem, **fitting)
    return problem


def text_of(error: Exception) -> str:
    """The text of an error, made encodable: it may quote what a caller sent, lone surrogates included."""
    return str(error).encode(errors="backslashreplace").decode()


encode_problem = msgspec.json.Encoder().encode


def headers_of(problem: Problem, error: RowboxError, *, had_token: bool) -> dict[str, str]:
    """The headers that belong to a status. Retry-After is whole seconds, rounded up, so never too early and never 0."""
    headers = {}
    if problem.retry_after_ms is not UNSET:
        headers["Retry-After"] = str(whole_seconds(problem.retry_after_ms))
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="rowbox"' + (', error="invalid_token"' if had_token else "")
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    return headers


def whole_seconds(milliseconds: int) -> int:
    """Rounded up, and at least 1."""
    return max(1, -(-milliseconds // 1000))

"""The call by which users report messages of others: its types, how it is read, what is said of it."""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rowbox.api.auth.claims import Claims
from rowbox.api.v1.reading.call_doc import CallDoc
from rowbox.api.v1.reading.request import decode, given
from rowbox.cacheserver.port import Report, ReportResult
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.ids import from_text, to_text
from rowbox.mailbox.people.report import LONGEST_COMMENT, LONGEST_REASON, MOST_REPORTED
from rowbox.mailbox.representation import ConversationId, MessageId


class ReportMessages(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What the token's user reports, and why."""

    conversation_id: ConversationId
    reason: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=LONGEST_REASON,
            description="Why, as the client names it: those who take reports say which reasons there are.",
            examples=["harassment"],
        ),
    ]
    message_ids: (
        Annotated[
            list[MessageId],
            Meta(
                max_length=MOST_REPORTED,
                description="Messages of others in the conversation. None, or left out: the conversation as a whole, "
                "with its newest messages of others.",
                extra_json_schema={"uniqueItems": True},
            ),
        ]
        | UnsetType
    ) = UNSET
    comment: (
        Annotated[str, Meta(max_length=LONGEST_COMMENT, description="What the user says about it.")] | UnsetType
    ) = UNSET


class ReportResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What was reported is with those who take reports."""

    conversation_id: Annotated[ConversationId, Meta(description="The user's conversation with whoever takes reports.")]
    message_ids: Annotated[
        list[MessageId], Meta(description="The reports in it, one for each message that was reported, in that order.")
    ]
    duplicate: Annotated[
        bool, Meta(description="All of it was reported before, for the same reason: by a first try, perhaps.")
    ]


_decode: Final = msgspec.json.Decoder(ReportMessages)
_encode: Final = msgspec.json.Encoder().encode


def parse_report(body: bytes, claims: Claims) -> Report:
    """What a body reports. BadRequest, UnknownParameter."""
    request = decode(_decode, body)
    ids = tuple(from_text(one, "messageIds") for one in given(request.message_ids) or ())
    if len(set(ids)) < len(ids):
        raise BadRequest("messageIds names a message twice")
    comment = given(request.comment) or ""
    conversation_id = from_text(request.conversation_id, "conversationId")
    return Report(claims.user_id, conversation_id, ids, request.reason, comment, claims.bearer)


def encode_report(result: ReportResult) -> bytes:
    """The body of a ReportResponse."""
    ids = [to_text(one) for one in result.message_ids]
    place = to_text(result.conversation_id)
    return _encode(ReportResponse(conversation_id=place, message_ids=ids, duplicate=result.duplicate))


_REPORT: Final = f"""\
Of each message that is reported, {MOST_REPORTED} at most, the user that the server's setting moderation.user names gets
a message in his conversation with the token's user: of the kind `system`, with the event `reported`, which says what it
is of and why, and with the text as it was in the mailbox of whoever reports. The client sends no text, so it cannot be
made up. Both have that message, nobody changes it or reacts to it, and what is reported may be edited or taken back
behind it.

Who is reported is told nothing, and nothing of his changes. Messages that a block hides are not shown to the user, so
he cannot report them: administrators see them by fetchHidden. Blocks hide no report.

The same report again, with the same reason and comment, is the same one, for as long as a clientMessageId is known. It
has a limit of its own (rate_limits.report_burst)."""

REPORT_CALLS: Final = (
    CallDoc(
        "report",
        "post",
        "Reports messages of others to those who judge them.",
        _REPORT,
        ReportMessages,
        {201: "It is reported.", 200: "It was reported before."},
        ReportResponse,
        (
            "reports_off",
            "unknown_conversation",
            "unknown_message",
            "not_the_author",
            "feature_off",
            "message_too_large",
            "unsupported_media_type",
            "client_message_id_reused",
            "peer_too_old",
        ),
    ),
)

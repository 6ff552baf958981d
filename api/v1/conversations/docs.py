"""What the OpenAPI document says of these calls, beyond what their types say."""

from typing import Final

from rowbox.api.v1.conversations.types import (
    DeleteConversation,
    FetchRequestsQuery,
    FetchRequestsResponse,
    SetConversation,
    SetConversationResponse,
)
from rowbox.api.v1.reading.call_doc import CallDoc
from rowbox.mailbox.people.own_settings import MOST_PINNED, MOST_REQUESTS

_SET: Final = f"""\
Nobody else sees it: neither the other participants nor, in a group, its members. What is set is shown with the
conversation, and the user's other devices are told as of any change. It changes neither the order of the list nor any
message: a client shows what is pinned above all others and what is archived elsewhere.

A message that comes, or that the user sends, takes a conversation out of the archive; one that is muted at that time
stays there. Messages that tell of a group, and that nobody wrote, do not. A conversation that is muted counts what is
unread as any other. `markedUnread` ends with markRead, also where the mark does not move, and when the user writes.

At most {MOST_PINNED} conversations are pinned (`too_many_pinned`)."""

_DELETE: Final = """\
The user's own copy is gone from the answer on, for all his devices: no page, change, search or count has any of its
messages, and the conversation is in no list. The copies of the others stay. It cannot be taken back. Nobody leaves a
group by it.

The next message brings the conversation back, without what was before; a message that was sent before and comes later
is such a one. Clients hear of it as of any change: the conversation has `deleted: true` until then, and from then on
`deletedUpTo`, the time of the deletion in this mailbox: they drop all messages of it whose lastUpdatedTimestamp is not
greater. For how long it is muted stays as it was.

While a cluster's servers are upgraded to the first version with deletions, the answer is `503 feature_off`."""

_REQUESTS: Final = f"""\
Whoever lets only his contacts write to him at once (`messagesFrom` of updateUser) has the conversations here that
others began. Each is in no other list until he accepts it: by setConversation with `request: false`, by an answer, or
by making the other one a contact. Until then no device is told of it, its sender gets no receipts, and neither of the
two sees when the other is online; messages come and can be read as any others. Who wants none of it deletes the
conversation, where the next message is a request again, or blocks the sender.

What changed since a token has these conversations too, with `request: true`. There are {MOST_REQUESTS} at most: beyond
that the one in which nothing came for longest is deleted."""

CONVERSATION_CALLS: Final = (
    CallDoc(
        "fetchRequests",
        "get",
        "The conversations that wait to be accepted.",
        _REQUESTS,
        FetchRequestsQuery,
        {200: "A page of them."},
        FetchRequestsResponse,
        ("peer_too_old",),
    ),
    CallDoc(
        "setConversation",
        "post",
        "Mutes, archives, pins or marks as unread a conversation of one's own. Counts against the send limit.",
        _SET,
        SetConversation,
        {200: "It is so."},
        SetConversationResponse,
        (
            "unknown_conversation",
            "too_many_pinned",
            "message_too_large",
            "unsupported_media_type",
            "peer_too_old",
        ),
    ),
    CallDoc(
        "deleteConversation",
        "post",
        "Deletes the user's own copy of a conversation. Counts against the send limit.",
        _DELETE,
        DeleteConversation,
        {200: "It is deleted."},
        SetConversationResponse,
        ("unknown_conversation", "feature_off", "message_too_large", "unsupported_media_type", "peer_too_old"),
    ),
)

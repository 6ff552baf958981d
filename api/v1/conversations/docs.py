"""What the OpenAPI document says of these calls, beyond what their types say."""

from typing import Final

from rowbox.api.v1.conversations.types import SetConversation, SetConversationResponse
from rowbox.api.v1.reading.call_doc import CallDoc
from rowbox.mailbox.people.own_settings import MOST_PINNED

_SET: Final = f"""\
Nobody else sees it: neither the other participants nor, in a group, its members. What is set is shown with the
conversation, and the user's other devices are told as of any change. It changes neither the order of the list nor any
message: a client shows what is pinned above all others and what is archived elsewhere.

A message that comes, or that the user sends, takes a conversation out of the archive; one that is muted at that time
stays there. Messages that tell of a group, and that nobody wrote, do not. A conversation that is muted counts what is
unread as any other. `markedUnread` ends with markRead, also where the mark does not move, and when the user writes.

At most {MOST_PINNED} conversations are pinned (`too_many_pinned`)."""

CONVERSATION_CALLS: Final = (
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
)

"""What the OpenAPI document says of each call, beyond what its types say."""

from typing import Final

from rowbox.api.v1.conversations.docs import CONVERSATION_CALLS
from rowbox.api.v1.devices.docs import DEVICE_CALLS
from rowbox.api.v1.groups.docs import GROUP_CALLS
from rowbox.api.v1.presence.docs import PRESENCE_CALLS
from rowbox.api.v1.reading.call_doc import CallDoc
from rowbox.api.v1.request_types import (
    ConnectQuery,
    EditMessage,
    FetchChangesQuery,
    FetchConversationQuery,
    FetchMessagesQuery,
    FetchReceiptsQuery,
    MarkReadUpTo,
    ReactToMessage,
    SearchQuery,
    SendMessage,
    SendStatusQuery,
    SetConversationTtl,
    UnsendMessage,
)
from rowbox.api.v1.responses import (
    ChangeMessageResponse,
    ConnectResponse,
    FetchChangesResponse,
    FetchConversationResponse,
    FetchMessagesResponse,
    FetchReceiptsResponse,
    MarkReadResponse,
    SearchResponse,
    SendMessageResponse,
    SetTtlResponse,
)
from rowbox.api.v1.users.blocks import BLOCK_CALLS
from rowbox.api.v1.users.contacts import CONTACT_CALLS
from rowbox.api.v1.users.docs import USER_CALLS
from rowbox.api.v1.users.hidden import HIDDEN_CALLS
from rowbox.api.v1.users.reports import REPORT_CALLS
from rowbox.mailbox.pages.conversation_pages import MAX_DELTA
from rowbox.mailbox.pages.feed import FIRST_CONVERSATIONS, MOST_CONVERSATIONS
from rowbox.mailbox.reactions import MOST_KINDS
from rowbox.mailbox.settings.config import MessageSettings, PollSettings, StoreSettings
from rowbox.mailbox.settings.units import format_duration

MOST_WAITS: Final = PollSettings().max_per_user
TOKEN_LIFE: Final = format_duration(StoreSettings().token_life_ms)

EDIT_WINDOW: Final = format_duration(MessageSettings().edit_window_ms)
UNSEND_WINDOW: Final = format_duration(MessageSettings().unsend_window_ms)
REACTION_WINDOW: Final = format_duration(MessageSettings().reaction_window_ms)

_SEARCH: Final = """\
A message is found when it has every word of `q`, in any order and any case; the last one may be the beginning of a
word. Chinese, Japanese, Korean, Thai and other scripts without spaces, and emoji, are found wherever they stand. What
has no white space in it is found as a whole: `report.pdf`, a URL, `don't`. There is no syntax, and no word is left out
for being common.

What is found are the messages of the user's own mailbox as they are now: the text after an edit, nothing that was
unsent or that retention took, of a group what came while the user was in. System messages have no text.

The first search of a mailbox makes its index, the newest messages first. What is not in it after a fifth of a second is
missing from the answer: then `complete` is false, and a client asks again, once a second, say. An index has the 500,000
newest messages at most.

A page ends behind the messages that one request looks at, too: so it may have few messages, or none, and a `nextCursor`
all the same. A list is over where there is none."""

_SEND: Final = """\
To one recipient, or to a conversation: a group, or one of two. The recipient's mailbox comes into being with its first
message. Who sends to himself has one copy, in his own. A message to a group has a limit of its own
(groups.max_content_bytes), and is for those who are in when it is accepted.

For as long as X-Dedupe-Life says, the same `clientMessageId` with the same recipient and content is the same
message: a request that got no answer can be sent again. Another recipient or content under a used id is
refused. Two messages stand in the order in which they were accepted, so who cares for it sends the next one
after the answer to the last.

Where the server's setting users.policy is `known`, the first message of a conversation to somebody without a profile is
refused (`unknown_user`).

Who has blocked a user does not write to him (`blocked_by_you`).

When the answer comes, the message is stored for good, and the sender's mailbox shows it. Where
`pendingRecipients` is not 0, the recipient's will, by itself. Sending marks the conversation read."""

_EDIT: Final = f"""\
Only its author edits a message, and for a time after its sending (messages.edit_window_ms, {EDIT_WINDOW} by default).
It keeps its messageId and its place; its `lastUpdatedTimestamp` rises, so deltas bring it anew, and
`editedTimestamp` says when. Unread counts stay, and the snippet of a conversation follows.

When the answer comes, the change is stored for good, and the author's mailbox shows it. The recipient's follows by
itself. A request that got no answer can be sent again: where the text is so already, `changed` is false.

Who has blocked the other one edits nothing that he has (`blocked_by_you`), and may take it back.

In a group it reaches all who are in and have the message. Who may not write into the group edits nothing
(`not_allowed`)."""

_UNSEND: Final = f"""\
Only its author takes a message back, and for a time after its sending (messages.unsend_window_ms, {UNSEND_WINDOW} by
default). The message stays in its place, with `unsent: true` and without a text, so that whoever was away learns of it;
retention ends it as any other. No answer shows its text again, in the recipient's mailbox once the change came there.
Nothing changes a message that was taken back.

A request that got no answer can be sent again: where the message is taken back already, `changed` is false.

In a group its owner and admins take back any message that they have, their own and others', at any time."""

_REACT: Final = f"""\
Whoever has a message reacts to it with one emoji: with another one in place of that, or with none again. It may be
done for a time after the message's sending (messages.reaction_window_ms, {REACTION_WINDOW} by default). The message's
`reactions` tell, by emoji, how many users react and who; its `lastUpdatedTimestamp` rises, so deltas bring it anew.
Unread counts and snippets stay as they are. A message that was taken back has no reactions.

All forms of Unicode's emoji are taken, also those of a later Unicode than the server knows. Of one that may be spelled
with and without a variation selector, both are the same. When the answer comes, the reaction is stored for good, and
the mailbox of the user who asked shows it; the other's follows by itself. A request that got no answer can be sent
again: where the user reacts so already, `changed` is false.

Who has blocked the other one does not react in the conversation of the two (`blocked_by_you`), and may take a reaction
back.

In a group all who are in and have the message may react, in {MOST_KINDS} different ways to one message. Where several
react within a second, their answers come together, up to a second later."""

_STATUS: Final = """\
For a client that got no answer. 404 says that it was not applied so far: it may be under way. Sending it again
under the same id is as safe, and ends in the message. `duplicate` is false here. Counts against the fetch
limit."""

_MARK_READ: Final = """\
A message in front of the mark changes nothing: the answer says what stands. The user's other devices hear of it
as of any change of the conversation, and it stays at its place in the list."""

_SET_TTL: Final = """\
Messages that are sent from then on disappear after that time, counted from their sending, in every copy: they are in no
answer any more, and the store removes them later. Each has its `expiresTimestamp`, the same for all who have it. A
client drops it by itself then; nothing else tells of it. What was sent before keeps its end, or has none. An edited
message keeps its end, too.

In a conversation of two either side sets the ttl. The other one's mailbox hears of it behind what was sent before; of
two settings at one time the one with the later time stands in both. In a group it is a setting of the group, which its
owner and admins change, with a system message; it is for whatever the group's row takes after that. A conversation
shows its `ttlMs`. Where the server's retention is shorter, that ends messages earlier.

What somebody sets who is blocked by the other one is answered as ever; the other one's mailbox takes it when the block
ends. Who blocks the other one sets no ttl (`blocked_by_you`).

A request that got no answer can be sent again: where the ttl is so already, `changed` is false."""

_CONVERSATIONS: Final = f"""\
Without `lastUpdatedTimestamp`: a page of all conversations, the one with the newest message first. Go on with
`cursor` while `hasMore` is true. All pages of one list return the same token, and what changes between them is
in the delta from it.

With `lastUpdatedTimestamp`: every conversation that changed since, once and as it is now. Where that cannot be
said (more than {MAX_DELTA} changed, or the token is none of this list) the answer is a full first page, `isDeltaUpdate`
is false, and `resetReason` says why: it replaces what one has.

With `wait` as well: where nothing changed, the answer waits for the next change, and is an empty delta when the
time is over. A user has a number of waits at once (poll.max_per_user, {MOST_WAITS} by default); one more ends
the oldest with an empty delta. A server that stops ends all of them, and `retryAfterMs` says when to come
back."""

_MESSAGES: Final = f"""\
Without `lastUpdatedTimestamp`: a page of one conversation, newest first by `sentTimestamp` and `messageId`, or
of all conversations, newest change first by `lastUpdatedTimestamp` and as far back as tokens live
(store.token_life_ms, {TOKEN_LIFE} by default). Go on with `cursor` while `hasMore` is true. All pages of one list
return the same token, and what comes between them is in the delta from it. Numbered pages are for those who
jump: a page by its number is whole or refused.

With `lastUpdatedTimestamp`: every message that came since, the one that came first first; it may belong into
the middle of what one has, by its `sentTimestamp`. While `hasMore` is true, call again with the new token.
Where a token cannot be served, the answer is a full first page, `isDeltaUpdate` is false, and `resetReason`
says why: it replaces what one has.

`wait` is as of fetchConversation: the next message ends it, of the conversation where one is named."""

_CHANGES: Final = f"""\
The deltas of fetchMessages and fetchConversation in one answer, under one token. It is what a client that keeps a
copy of the mailbox asks for.

With `lastUpdatedTimestamp`: what changed since, the oldest change first: up to `pageSize` messages,
{MOST_CONVERSATIONS} conversations and about 256 KiB, each once and as it is now. What has changed again behind the
answer's token comes with a later answer. While `hasMore` is true, call again with the new token. Of a message and
of a conversation keep the one whose `lastUpdatedTimestamp` is greater: then nothing that comes twice does harm.

Without it, or with one that cannot be served (`resetReason`): a beginning. `isDeltaUpdate` is false, there are the
{FIRST_CONVERSATIONS} newest conversations and no messages, and the token is that of now. Drop what you have, go on
with fetchConversation from `nextCursor` and with fetchMessages, and with this call from the token.

`wait` is as of fetchConversation: any change ends it."""

_RECEIPTS: Final = """\
Whether the others' devices have these messages, and who has read them. It is told by marks: what is read up to a
message is read before it, too. Of a conversation of two fetchConversation and fetchChanges show the same marks as
`receipts` of the conversation, and bring it anew when they move. Of a group nothing comes by itself: it is asked for
here, at most 10 messages at once, and only by the author of a message, while he is in.

In a group `members` are those who were in when the message was sent and still are. Who has left is not counted; who
came back counts for what was sent since. What the system wrote has no receipts (403 `not_the_author`).

A device has a message when it comes back with a token that a delta has given it (fetchChanges, or fetchMessages
with its token): so a client need not do anything for it. What it got by a page counts once a delta came behind
that. A token with the scope admin says nothing, and neither does another user's.

It comes some two seconds late at most, in a group five, and after a crash with the reader's next request. What is told
depends on messages.receipts of the servers. Each message that the server has not in memory counts as another
fetch."""

_CONNECT: Final = """\
A hint, for a client that is about to open a socket. Where the servers of a cluster have addresses of their own
(server.public_url), it is that of the one that owns the mailbox: over a socket there no message takes the way through
another server. Elsewhere it is the address to which this request was sent. Any server serves anybody, so a
client that does not ask loses nothing, and where that address does not answer the client goes on with the one that it
has. Before it says its token there it makes sure that it is an address to which the token may go: the guide for client
authors says how."""

_IN_GROUPS: Final = ("not_a_member", "not_allowed", "group_deleted", "group_moved")
"""What a change of a message is refused for where the conversation is a group."""

CALLS: Final = (
    CallDoc(
        "sendMessage",
        "post",
        "Sends a message, once for each clientMessageId, whatever is retried.",
        _SEND,
        SendMessage,
        {201: "Sent.", 200: "An earlier request with this clientMessageId and the same payload had sent it."},
        SendMessageResponse,
        (
            "message_too_large",
            "unsupported_media_type",
            "client_message_id_reused",
            "blocked_by_you",
            "unknown_user",
            "unknown_conversation",
            "not_a_member",
            "not_allowed",
            "group_deleted",
            "group_moved",
            "peer_too_old",
        ),
        names_a_send=True,
    ),
    CallDoc(
        "sendStatus",
        "get",
        "What became of one's own send.",
        _STATUS,
        SendStatusQuery,
        {200: "It was applied."},
        SendMessageResponse,
        ("unknown_client_message_id",),
        names_a_send=True,
    ),
    CallDoc(
        "editMessage",
        "post",
        "Gives a message that one sent another text. Counts against the send limit.",
        _EDIT,
        EditMessage,
        {200: "The message has this text."},
        ChangeMessageResponse,
        (
            "unknown_conversation",
            "unknown_message",
            "not_the_author",
            "blocked_by_you",
            *_IN_GROUPS,
            "message_unsent",
            "too_late_to_change",
            "message_too_large",
            "unsupported_media_type",
            "peer_too_old",
        ),
    ),
    CallDoc(
        "unsendMessage",
        "post",
        "Takes a message that one sent back. Counts against the send limit.",
        _UNSEND,
        UnsendMessage,
        {200: "The message is taken back."},
        ChangeMessageResponse,
        (
            "unknown_conversation",
            "unknown_message",
            "not_the_author",
            *_IN_GROUPS,
            "too_late_to_change",
            "message_too_large",
            "unsupported_media_type",
            "peer_too_old",
        ),
    ),
    CallDoc(
        "react",
        "post",
        "Reacts to a message with an emoji, or takes that back. Counts against the send limit.",
        _REACT,
        ReactToMessage,
        {200: "The user reacts so."},
        ChangeMessageResponse,
        (
            "not_an_emoji",
            "unknown_conversation",
            "unknown_message",
            "blocked_by_you",
            *_IN_GROUPS,
            "message_unsent",
            "too_late_to_change",
            "too_many_reactions",
            "message_too_large",
            "unsupported_media_type",
            "peer_too_old",
        ),
    ),
    CallDoc(
        "markRead",
        "post",
        "Marks a conversation read up to and including a message; never moves back. Counts against the send limit.",
        _MARK_READ,
        MarkReadUpTo,
        {200: "The conversation afterwards."},
        MarkReadResponse,
        ("unknown_conversation", "unknown_message", "message_too_large", "unsupported_media_type"),
    ),
    CallDoc(
        "setTtl",
        "post",
        "Sets for how long a conversation's messages last. Counts against the send limit.",
        _SET_TTL,
        SetConversationTtl,
        {200: "What is sent from now on lasts so long."},
        SetTtlResponse,
        (
            *("unknown_conversation", "blocked_by_you", *_IN_GROUPS, "message_too_large", "unsupported_media_type"),
            *("peer_too_old", "feature_off"),
        ),
    ),
    CallDoc(
        "fetchConversation",
        "get",
        "A page of one's conversations, or those that changed since a token.",
        _CONVERSATIONS,
        FetchConversationQuery,
        {200: "A page, or what changed."},
        FetchConversationResponse,
        is_poll=True,
    ),
    CallDoc(
        "fetchMessages",
        "get",
        "A page of messages of one conversation or of all, or those that came since a token.",
        _MESSAGES,
        FetchMessagesQuery,
        {200: "A page, or what came."},
        FetchMessagesResponse,
        ("unknown_conversation", "page_too_large"),
        is_poll=True,
    ),
    CallDoc(
        "fetchChanges",
        "get",
        "What changed in the mailbox since a token: messages and conversations in one.",
        _CHANGES,
        FetchChangesQuery,
        {200: "What changed, or a beginning."},
        FetchChangesResponse,
        ("peer_too_old",),
        is_poll=True,
    ),
    CallDoc(
        "fetchReceipts",
        "get",
        "Who has got and read some of one's own messages.",
        _RECEIPTS,
        FetchReceiptsQuery,
        {200: "Who has them, as far as is known here."},
        FetchReceiptsResponse,
        ("unknown_conversation", "unknown_message", "not_the_author", "not_a_member", "group_deleted", "peer_too_old"),
    ),
    CallDoc(
        "connect",
        "get",
        "Where to open a socket: at the server that owns the mailbox.",
        _CONNECT,
        ConnectQuery,
        {200: "An address."},
        ConnectResponse,
    ),
    *CONVERSATION_CALLS,
    *DEVICE_CALLS,
    CallDoc(
        "search",
        "get",
        "Messages of one's own mailbox that have certain words.",
        _SEARCH,
        SearchQuery,
        {200: "What was found, the newest first."},
        SearchResponse,
        ("unknown_conversation", "search_off", "search_unavailable", "peer_too_old"),
    ),
    *GROUP_CALLS,
    *USER_CALLS,
    *PRESENCE_CALLS,
    *CONTACT_CALLS,
    *BLOCK_CALLS,
    *REPORT_CALLS,
    *HIDDEN_CALLS,
)

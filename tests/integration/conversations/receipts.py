"""What users are shown of the others' receipts, held against what these have read and have been given. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import UNSET
from msgspec.structs import replace

from rowbox.mailbox.representation import Conversation, Message, Receipts


def went_back(before: Conversation | None, after: Conversation) -> bool:
    """Whether a later state of a conversation shows less of what the other one has or has read."""
    if before is None or not isinstance(before.receipts, Receipts):
        return False
    if not isinstance(after.receipts, Receipts):
        return True
    was, now = before.receipts, after.receipts
    return was.delivered_up_to > now.delivered_up_to or (was.read_up_to or "") > (now.read_up_to or "")


def like_fresh(followed: Conversation, fresh: Conversation) -> Conversation:
    """The followed conversation with what receipts have moved since: they come at any time, and never go back."""
    if fresh.receipts is UNSET or went_back(followed, fresh):
        return followed
    return replace(followed, receipts=fresh.receipts, last_updated_timestamp=fresh.last_updated_timestamp)


def receipt_breaches(
    user_id: str,
    conversation: Conversation,
    messages: Sequence[Message],
    marked: Mapping[str, set[str]],
) -> Iterator[str]:
    """What a conversation of two shows that is not so. `messages`: all of it, in order; `marked`: by user, the messages
    up to which he marked a conversation as read.
    """
    receipts = conversation.receipts
    if not isinstance(receipts, Receipts):
        return
    where = f"{user_id}'s conversation {conversation.conversation_id}"
    (other,) = (one for one in conversation.participants if one != user_id)
    own = [message.message_id for message in messages if message.sender_id == user_id]
    read = {message.message_id for message in messages if message.sender_id == other} | marked[other]
    last_read = max((message.message_id for message in messages if message.message_id in read), default="")
    if not own or receipts.delivered_up_to > messages[-1].message_id:
        yield f"delivered: {where} shows {receipts}, and has {own[-1:]}"
    if (receipts.read_up_to or "") > receipts.delivered_up_to:
        yield f"read before delivered: {where} shows {receipts}"
    if (receipts.read_up_to or "") > last_read:
        yield f"read: {where} shows {receipts}, and {other} has read up to {last_read!r}"


def undelivered(user_id: str, conversation: Conversation, newest_own: str) -> Iterator[str]:
    """Whether it is not shown that the other one's devices have all that the user sent to him."""
    receipts = conversation.receipts
    if not isinstance(receipts, Receipts) or receipts.delivered_up_to < newest_own:
        yield f"undelivered: {user_id}'s message {newest_own} is not shown as such: {receipts}"

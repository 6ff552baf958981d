"""Changes of messages by their authors: edits, and taking a message back (unsend). Pure.

A message that is changed gets another cell with a new version; nothing is overwritten, so the late write of a replaced
owner hides nothing. The rules that keep all copies the same:

    the author's row decides      it holds what stood when the change was asked for, and orders all changes of a message
    the greater version wins      of the author's row; so what comes late, twice or in another order does no harm
    unsent is the end             whatever comes after it, the message stays taken back

docs/adr/0054-changed-messages.md says why, and tests/model/changes searches for a violation without each.
"""

from typing import NamedTuple

from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.errors import MessageUnsent, NotTheAuthor, TooLateToChange
from rowbox.mailbox.ids import sent_timestamp
from rowbox.mailbox.message import Message


class NewChange(NamedTuple):
    """A change that its author asks for: another text, or None to take the message back.

    `window_us`: since its sending less time has to have passed, in microseconds; 0: nobody changes anything. `entropy`:
    62 random bits for the id under which the change goes to the recipients. `holders`: whose rows take the change in
    the same commit, where no write can be late.
    """

    conversation_id: bytes
    message_id: bytes
    content: str | None
    window_us: int
    entropy: int
    holders: tuple[str, ...] = ()


class Changed(NamedTuple):
    """The result of a change: the message's version in this mailbox. `message`: as it is now; None: it was so before.

    `held`: what stood of it in the rows of the change's `holders`.
    """

    version: int
    message: Message | None
    held: tuple[MessageCell | None, ...] = ()


def is_due(new: NewChange, held: MessageCell, user_id: str, now_us: int) -> bool:
    """Whether `new`, asked for by `user_id`, makes another message of `held`; False: it is so already.

    NotTheAuthor, MessageUnsent, TooLateToChange. A change that was made is answered the same for ever after, also when
    it would be too late to make it.
    """
    if held.sender_id != user_id:
        raise NotTheAuthor("somebody else wrote this message")
    is_unsent = held.change is not None and held.change.is_unsent
    if is_unsent and new.content is not None:
        raise MessageUnsent("this message was taken back")
    if is_unsent or new.content == held.content:
        return False
    if not new.window_us or now_us - sent_timestamp(new.message_id) >= new.window_us:
        raise TooLateToChange("this message was sent too long ago to be changed")
    return True

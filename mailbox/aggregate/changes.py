"""Changes of messages: edits and taking a message back (unsend), by its author, and reactions. Pure.

A message that is changed gets another cell with a new version; nothing is overwritten, so the late write of a replaced
owner hides nothing. The rules that keep all copies the same:

    a row decides                 the author's about the text, each user's own about his reaction: it holds what stood
                                  when the change was asked for, and orders all of its kind
    the greater version wins      of that row; so what comes late, twice or in another order does no harm
    unsent is the end             whatever comes after it, the message stays taken back, without reactions

docs/adr/0054-changed-messages.md and 0059-reactions.md say why, and tests/model/changes searches for a violation
without each.
"""

from typing import NamedTuple, TypeAlias

from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.errors import MessageUnsent, NotTheAuthor, TooLateToChange
from rowbox.mailbox.ids import sent_timestamp
from rowbox.mailbox.message import Message
from rowbox.mailbox.reactions import reaction_of


class NewChange(NamedTuple):
    """A change that its author asks for: another text, or None to take the message back.

    `window_us`: since its sending less time has to have passed, in microseconds; 0: nobody changes anything. `entropy`:
    62 random bits for the id under which the change goes to the recipients. `holders`: whose rows take the change in
    the same commit, where no write can be late. `with_hidden`: one of them has blocked the author at some time, so what
    is kept there under the hidden id is asked for too.
    """

    conversation_id: bytes
    message_id: bytes
    content: str | None
    window_us: int
    entropy: int
    holders: tuple[str, ...] = ()
    with_hidden: bool = False


class NewReaction(NamedTuple):
    """A user's reaction to a message, his own or another's; "": he takes back what he had. Else as NewChange."""

    conversation_id: bytes
    message_id: bytes
    emoji: str
    window_us: int
    entropy: int
    holders: tuple[str, ...] = ()
    with_hidden: bool = False


New: TypeAlias = NewChange | NewReaction
"""What a user asks to be done to a message."""


class Changed(NamedTuple):
    """The result of a change: the message's version in this mailbox. `message`: what others are told of it; None: it
    was so before.

    `held`: what stood of it in the rows of the change's `holders`, and `hidden`: what was kept hidden of it there; ()
    where nobody asked for that.
    """

    version: int
    message: Message | None
    held: tuple[MessageCell | None, ...] = ()
    hidden: tuple[MessageCell | None, ...] = ()


def is_due(new: NewChange, held: MessageCell, user_id: str, now_us: int) -> bool:
    """Whether `new`, asked for by `user_id`, makes another message of `held`; False: it is so already.

    NotTheAuthor, MessageUnsent, TooLateToChange. A change that was made is answered the same for ever after, also when
    it would be too late to make it.
    """
    _check_is_text(held)
    if held.sender_id != user_id:
        raise NotTheAuthor("somebody else wrote this message")
    if held.is_unsent and new.content is not None:
        raise MessageUnsent("this message was taken back")
    if held.is_unsent or new.content == held.content:
        return False
    _check_window(new, now_us)
    return True


def is_reaction_due(new: NewReaction, held: MessageCell, user_id: str, now_us: int) -> bool:
    """Whether `new`, asked for by `user_id`, shows `held` in another way; False: it is so already.

    NotTheAuthor, MessageUnsent, TooLateToChange: as `is_due`. Of a message that was taken back every reaction is taken
    back.
    """
    _check_is_text(held)
    known = reaction_of(held.reactions, user_id)
    if new.emoji == (known.emoji if known is not None else ""):
        return False
    if held.is_unsent:
        raise MessageUnsent("this message was taken back")
    _check_window(new, now_us)
    return True


def _check_is_text(held: MessageCell) -> None:
    if held.told is not None:
        raise NotTheAuthor("this message is a report: it stays as it is")


def _check_window(new: New, now_us: int) -> None:
    if not new.window_us or now_us - sent_timestamp(new.message_id) >= new.window_us:
        raise TooLateToChange("this message was sent too long ago to be changed")

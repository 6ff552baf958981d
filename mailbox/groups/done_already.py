"""What is asked about a message by somebody who is out, and is so already: it may have been done while he was in.

A client that got no answer asks again. Its user may have been removed meanwhile; a refusal would then say that nothing
was written. So before somebody is refused because he is out, it is looked whether the message is as he wants it: in the
group's row, as it was when he left, and in his own row, which takes nothing after that.

Whoever takes a message back is not kept with it. So who is out is told that it was taken back, whoever did it.
"""

from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.groups.requests import MessageChange, MessageReaction
from rowbox.mailbox.reactions import reaction_of


def done_before(left: int, asked: MessageChange | MessageReaction, held: MessageCell) -> int | None:
    """With which version of the group's row `held` came to be as `asked`; 0: it always was. None: it is not so, or was
    not at `left`, when who asks left.
    """
    if isinstance(asked, MessageChange):
        is_so = has_text(asked.content, held, asked.by.user_id)
        version = held.change.version if held.change is not None else 0
    else:
        known = reaction_of(held.reactions, asked.by.user_id)
        is_so = asked.emoji == (known.emoji if known is not None else "")
        version = known.version if known is not None else 0
    return version if is_so and version < left else None


def has_text(content: str | None, held: MessageCell, user_id: str) -> bool:
    """Whether a message of `user_id` has this text; None: whether anybody's message was taken back."""
    if content is None:
        return held.is_unsent
    return not held.is_unsent and (held.sender_id, held.content) == (user_id, content)


def shows_reaction(emoji: str, held: MessageCell) -> bool:
    """Whether a member's copy of a message shows this as his own reaction; "": whether it shows none."""
    return emoji == next((one.emoji for one in held.tallies if one.is_mine), "")

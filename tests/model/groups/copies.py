"""A message of the model as the product's cell, and back: in the group's row, and the member's copy of it.

A text is the version with which it was written, and so is the emoji with which somebody reacts: what a copy shows says
by which event it came to be so.
"""

from collections.abc import Iterable
from typing import NamedTuple

from rowbox.mailbox.aggregate.needs import Fact, HeldMessages, MessageNeed
from rowbox.mailbox.cells import Cell, MessageCell
from rowbox.mailbox.groups.message_row import Windows
from rowbox.mailbox.ids import message_id
from rowbox.mailbox.message import Change
from rowbox.mailbox.reactions import Tally

A_YEAR_US = 365 * 24 * 3600 * 1_000_000
ALWAYS = Windows(A_YEAR_US, A_YEAR_US, A_YEAR_US)


class Copy(NamedTuple):
    """What a row shows of a message: the version with which it came, and those of what was done to it last."""

    version: int
    changed: int = 0
    """0: it is as it was sent."""
    unsent: bool = False
    reacted: int = 0
    """0: nobody reacts."""


def id_of(version: int) -> bytes:
    """The messageId of the message of a version of the product's."""
    return message_id(version, 0)


def cell_of(copy: Copy, conversation_id: bytes, sender_id: str, reacting: str, made: int) -> MessageCell:
    """A member's copy. `made`: how much greater the product's versions are than the model's."""
    version = copy.version + made
    change = Change(copy.changed + made, copy.unsent) if copy.changed else None
    content = "" if copy.unsent else str(copy.changed or copy.version)
    tallies = (Tally(str(copy.reacted), 1, (reacting,), False),) if copy.reacted else ()
    is_changed = change is not None or bool(tallies)
    stamp = 1, version
    first = version if is_changed else 0
    return MessageCell(
        conversation_id, id_of(version), *stamp, sender_id, content, None, change, first, (), None, tallies
    )


def copy_in(cell: MessageCell, versions: Iterable[int], made: int) -> Copy:
    """What a cell shows; `versions` are those of all messages that it may be of."""
    (version,) = (one for one in versions if id_of(one + made) == cell.message_id)
    changed = cell.change.version - made if cell.change is not None else 0
    text = cell.content or "0"
    wrong = changed and not cell.is_unsent and text != str(changed)
    assert not wrong, f"the change of {changed} shows the text of {text}"
    reacted = int(cell.tallies[0].emoji) if cell.tallies else 0
    return Copy(version, changed, cell.is_unsent, reacted)


def messages_in(cells: Iterable[Cell]) -> list[MessageCell]:
    return [cell for cell in cells if isinstance(cell, MessageCell)]


def fact_of(conversation_id: bytes, message: bytes, as_of: int, held: MessageCell | None) -> Fact:
    """What a read of a message says."""
    return Fact(MessageNeed(conversation_id, message), as_of, HeldMessages((held,)))

"""The invariants of what a row hides: each message under a hidden id is of somebody whom the user has blocked."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.check.findings import Code, Report
from rowbox.mailbox.group import person_key
from rowbox.mailbox.ids import direct_conversation_id, hidden_conversation_id
from rowbox.mailbox.people.block import Block


class HiddenCheck:
    """Checks what one row hides. `blocks` are the states that count, by key."""

    def __init__(self, user_id: str, blocks: Mapping[bytes, Block], report: Report) -> None:
        self._user_id = user_id
        self._report = report
        self._of: dict[bytes, Block] = {}
        """By the hidden id of the conversation with whom was blocked."""
        self._whole: dict[str, int] = {}
        """By who was blocked: how many messages there are to which nothing was done."""
        for key, block in blocks.items():
            self._of[hidden_conversation_id(direct_conversation_id(user_id, block.user_id))] = block
            _check_block(key, block, report)

    def is_hidden(self, conversation_id: bytes) -> bool:
        """Whether it is the hidden id of a conversation."""
        return conversation_id in self._of

    def message(self, cells: Sequence[MessageCell]) -> tuple[MessageCell, tuple[str, ...]]:
        """Takes in a hidden message, all its cells that count.

        Returns the newest one, as it would be if it were shown, and the participants of its conversation.
        """
        newest = max(cells, key=lambda cell: cell.version)
        block = self._of[newest.conversation_id]
        both = tuple(sorted((self._user_id, block.user_id)))
        name = f"the hidden message {newest.message_id.hex()}"
        if newest.sender_id not in both:
            self._report(Code.HIDDEN, f"{name} is of {newest.sender_id}, and kept with what is of {block.user_id}")
        if newest.version > block.version or newest.message_id > block.kept_up_to:
            self._report(
                Code.HIDDEN, f"{name} has version {newest.version}; the block of {block.version} knows no such"
            )
        if _is_as_sent(cells):
            self._whole[block.user_id] = self._whole.get(block.user_id, 0) + 1
        conversation_id = direct_conversation_id(*both)
        return msgspec.structs.replace(newest, conversation_id=conversation_id), both

    def end(self) -> None:
        """Reports blocks that count fewer messages than there are."""
        for block in self._of.values():
            whole = self._whole.get(block.user_id, 0)
            if whole > block.hidden:
                self._report(
                    Code.HIDDEN, f"of {block.user_id} {whole} messages are hidden, the block says {block.hidden}"
                )


def _is_as_sent(cells: Iterable[MessageCell]) -> bool:
    return all(cell.change is None and not cell.reactions for cell in cells)


def _check_block(key: bytes, block: Block, report: Report) -> None:
    is_in_order = 0 < block.created_version <= block.since <= block.version
    if block.ended:
        is_in_order &= block.since < block.ended <= block.version
    if person_key(block.user_id) != key or not is_in_order:
        report(Code.HIDDEN, f"the block of {block.user_id} is not under its key, or its versions are not in order")
    if bool(block.hidden) != bool(block.hidden_from) or not block.hidden_from <= block.hidden_up_to <= block.kept_up_to:
        report(Code.HIDDEN, f"the block of {block.user_id} counts {block.hidden} hidden messages, and names others")

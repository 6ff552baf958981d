"""The invariants of a message that its author changed: its cells against one another."""

from collections.abc import Sequence
from itertools import pairwise

from rowbox.mailbox.cells import ChangeKind, MessageCell
from rowbox.mailbox.check.findings import Code, Report


def kind_of(cell: MessageCell) -> int:
    """The kind of the log entry that goes with a cell, as a number."""
    if cell.change is None:
        return int(ChangeKind.MESSAGE)
    return int(ChangeKind.UNSEND if cell.change.is_unsent else ChangeKind.EDIT)


def check_changes(cells: Sequence[MessageCell], report: Report) -> None:
    """Looks at the cells of one message that count: the one that counts now, and those that are not removed yet."""
    ordered = sorted(cells, key=lambda cell: cell.version)
    for cell in ordered:
        _check_change(cell, report)
    for before, after in pairwise(ordered):
        if after.change is None:
            report(Code.MESSAGE_DOUBLED, f"{_name(after)} is there twice")
            continue
        if not after.change.supersedes(before.change):
            report(
                Code.CHANGED_MESSAGE, f"{_name(after)} has a change at {after.version} that is not to follow another"
            )
        if _lasting(before) != _lasting(after):
            report(Code.CHANGED_MESSAGE, f"{_name(after)} was changed in more than its text")


def _check_change(cell: MessageCell, report: Report) -> None:
    change = cell.change
    if change is None:
        return
    if change.is_unsent and cell.content:
        report(Code.CHANGED_MESSAGE, f"{_name(cell)} was taken back, and has a text")
    if cell.came > cell.version:
        report(Code.CHANGED_MESSAGE, f"{_name(cell)} came at {cell.came}, and was changed at {cell.version}")
    if cell.sender_id == report.user_id and change.version != cell.version:
        text = f"own {_name(cell)} has version {cell.version}, and its change is of {change.version}"
        report(Code.CHANGED_MESSAGE, text)


def _lasting(cell: MessageCell) -> tuple[object, ...]:
    """What no change changes."""
    return cell.sender_id, cell.client_message_id, cell.came


def _name(cell: MessageCell) -> str:
    return f"message {cell.message_id.hex()}"

"""The invariants of a message that was changed: its cells against one another."""

from collections.abc import Sequence
from itertools import pairwise

from rowbox.mailbox.cells import ChangeKind, MessageCell
from rowbox.mailbox.check.findings import Code, Report
from rowbox.mailbox.reactions import reaction_of

_EDIT_OR_REACTION = 0
"""Of a message that was edited and has reactions the cell does not say which of both came last."""


def kind_of(cell: MessageCell, *, in_group: bool) -> int:
    """The kind of the log entry that goes with a cell, as a number; a cell that may have two kinds has a number too.

    In a member's row of a group nothing stays of reactions that were taken back.
    """
    if cell.change is None:
        return int(ChangeKind.REACTION if cell.first_version else ChangeKind.MESSAGE)
    if cell.reactions or (in_group and not cell.is_unsent):
        return _EDIT_OR_REACTION
    return int(ChangeKind.UNSEND if cell.is_unsent else ChangeKind.EDIT)


def kinds_of_cells(kind: ChangeKind | int) -> tuple[int, ...]:
    """The `kind_of` of the cells that may go with a log entry of this kind."""
    is_either = kind is ChangeKind.EDIT or kind is ChangeKind.REACTION
    return (int(kind), _EDIT_OR_REACTION) if is_either else (int(kind),)


def check_changes(cells: Sequence[MessageCell], report: Report, *, in_group: bool) -> None:
    """Looks at the cells of one message that count: the one that counts now, and those that are not removed yet."""
    ordered = sorted(cells, key=lambda cell: cell.version)
    for cell in ordered:
        _check_change(cell, report, in_group=in_group)
    for before, after in pairwise(ordered):
        if not after.first_version:
            report(Code.MESSAGE_DOUBLED, f"{_name(after)} is there twice")
            continue
        if not _follows(before, after):
            report(
                Code.CHANGED_MESSAGE, f"{_name(after)} has a change at {after.version} that is not to follow another"
            )
        if _lasting(before) != _lasting(after):
            report(Code.CHANGED_MESSAGE, f"{_name(after)} was changed in more than its text and its reactions")


def _check_change(cell: MessageCell, report: Report, *, in_group: bool) -> None:
    change, own = cell.change, reaction_of(cell.reactions, report.user_id)
    if change is None and not (cell.reactions or cell.tallies):
        return
    if cell.is_unsent and (cell.content or cell.reactions or cell.tallies):
        report(Code.CHANGED_MESSAGE, f"{_name(cell)} was taken back, and has a text or reactions")
    if cell.came > cell.version:
        report(Code.CHANGED_MESSAGE, f"{_name(cell)} came at {cell.came}, and was changed at {cell.version}")
    if len({one.user_id for one in cell.reactions}) < len(cell.reactions):
        report(Code.CHANGED_MESSAGE, f"{_name(cell)} has two reactions of one user")
    if own is not None and own.version > cell.version:
        report(Code.CHANGED_MESSAGE, f"{_name(cell)} has version {cell.version}, and an own reaction of {own.version}")
    if cell.sender_id == report.user_id and change is not None and not in_group:  # there the group's row made it
        is_so = change.version <= cell.version if cell.reactions else change.version == cell.version
        if not is_so:
            text = f"own {_name(cell)} has version {cell.version}, and its change is of {change.version}"
            report(Code.CHANGED_MESSAGE, text)


def _follows(before: MessageCell, after: MessageCell) -> bool:
    """Whether `after` can have come of `before`, by one change or by several."""
    if after.change != before.change and (after.change is None or not after.change.supersedes(before.change)):
        return False
    if after.is_unsent:
        return not before.is_unsent
    known = {one.user_id: one for one in before.reactions}
    later = {one.user_id: one for one in after.reactions}
    is_kept = all(user in later and later[user].version >= one.version for user, one in known.items())
    return is_kept and (after.change, later, after.tallies) != (before.change, known, before.tallies)


def _lasting(cell: MessageCell) -> tuple[object, ...]:
    """What no change changes."""
    return cell.sender_id, cell.client_message_id, cell.came, cell.expires_us


def _name(cell: MessageCell) -> str:
    return f"message {cell.message_id.hex()}"

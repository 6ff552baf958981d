"""Cursors are in clients' hands: one that was given must be understood."""

import pytest

from rowbox.mailbox.cursor import CursorKind, from_text, to_text
from tests.golden.lines import Line, differences, lines

LINES = lines("cursors")


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["case"])
def test_a_cursor_that_was_ever_given_is_understood(line: Line) -> None:
    fields = line["fields"]
    cursor = from_text(line["text"], CursorKind(fields["kind"]), bytes.fromhex(fields["conversation_id"]))
    assert list(differences(fields, cursor)) == []
    assert to_text(cursor) == line["text"]

"""Tokens and cursors are in clients' hands: one that was given must be understood."""

import pytest

from rowbox.mailbox.pages.cursor import Bookmarks, ListKind, Place, ResetReason, decode_cursor
from tests.golden.lines import Line, differences, lines, of_today

CURSORS = lines("cursors")
TOKENS = lines("tokens")


def bookmarks_of(line: Line) -> Bookmarks:
    bound = line["bound_to"]
    conversation = bound["conversation_id"]
    return Bookmarks(
        bytes.fromhex(bound["history"]),
        bound["user"],
        ListKind(bound["kind"]),
        None if conversation is None else bytes.fromhex(conversation),
    )


@pytest.mark.parametrize("line", CURSORS, ids=lambda line: line["text"])
def test_a_cursor_that_was_ever_given_is_understood(line: Line) -> None:
    assert list(differences(line["fields"], decode_cursor(line["text"]))) == []


@pytest.mark.parametrize("line", of_today(CURSORS), ids=lambda line: line["case"])
def test_a_cursor_is_given_as_its_golden_line(line: Line) -> None:
    fields = line["fields"]
    place = Place(fields["token"], bytes.fromhex(fields["position"]))
    assert bookmarks_of(line).cursor(*place) == line["text"]
    assert bookmarks_of(line).read_cursor(line["text"]) == place


@pytest.mark.parametrize("line", [line for line in CURSORS if "bound_to" not in line], ids=lambda line: line["case"])
def test_a_cursor_of_the_first_rowbox_begins_anew_and_is_no_error(line: Line) -> None:
    conversation = bytes.fromhex(line["fields"]["conversation_id"]) or None
    bookmarks = Bookmarks(bytes(6), "ann", ListKind(line["fields"]["kind"]), conversation)
    assert bookmarks.read_cursor(line["text"]) is ResetReason.FOREIGN


@pytest.mark.parametrize("line", TOKENS, ids=lambda line: line["case"])
def test_a_token_is_given_and_read_as_its_golden_line(line: Line) -> None:
    assert bookmarks_of(line).token(line["version"]) == line["text"]
    assert bookmarks_of(line).read_token(line["text"]) == line["version"]

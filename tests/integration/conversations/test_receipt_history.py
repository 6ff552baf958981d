"""The judge of receipts is judged: each kind of breach is found, and sound ones have none."""

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from rowbox.mailbox.representation import Conversation, Message, Receipts
from tests.integration.conversations.receipts import like_fresh, receipt_breaches, undelivered, went_back

MESSAGES = [
    Message(f"message-{at}", "conversation", sender_id, ("ann", "ben"), "x", at, at)
    for at, sender_id in enumerate(("ann", "ben", "ann", "ann"))
]
MARKED: dict[str, set[str]] = {"ann": set(), "ben": {"message-2"}}


def shown(delivered: str, read: str | None) -> Conversation:
    """Ann's conversation with Ben, with what she is shown of him."""
    last = "x", 3, "message-3", "ann", 3, 0
    return Conversation("conversation", ("ann", "ben"), *last, receipts=Receipts(delivered, read))


def test_sound_receipts_have_no_breach() -> None:
    for receipts in (("message-3", "message-2"), ("message-0", None), ("message-2", "message-0")):
        assert list(receipt_breaches("ann", shown(*receipts), MESSAGES, MARKED)) == []
    assert list(receipt_breaches("ann", replace(shown("", None), receipts=UNSET), MESSAGES, MARKED)) == []
    assert list(undelivered("ann", shown("message-3", None), "message-3")) == []


@pytest.mark.parametrize(
    ("delivered", "read", "told_as"),
    [
        ("message-4", None, "delivered"),
        ("message-2", "message-3", "read before delivered"),
        ("message-3", "message-3", "read: "),
    ],
)
def test_a_receipt_of_what_is_not_so_is_found(delivered: str, read: str, told_as: str) -> None:
    found = list(receipt_breaches("ann", shown(delivered, read), MESSAGES, MARKED))
    assert any(finding.startswith(told_as) for finding in found)


def test_what_sending_reads_is_read_and_no_more() -> None:
    assert list(receipt_breaches("ann", shown("message-1", "message-1"), MESSAGES, {"ann": set(), "ben": set()})) == []
    assert list(receipt_breaches("ann", shown("message-3", "message-2"), MESSAGES, {"ann": set(), "ben": set()}))


def test_a_receipt_that_does_not_come_is_found() -> None:
    assert list(undelivered("ann", shown("message-2", None), "message-3"))
    assert list(undelivered("ann", replace(shown("", None), receipts=UNSET), "message-3"))


@pytest.mark.parametrize(
    "after",
    [
        shown("message-1", "message-1"),
        shown("message-2", "message-0"),
        shown("message-2", None),
        shown("message-1", None),
    ],
)
def test_a_receipt_that_goes_back_is_found(after: Conversation) -> None:
    before = shown("message-2", "message-1")
    assert went_back(before, after)
    assert went_back(before, replace(after, receipts=UNSET))
    assert not went_back(before, before)
    assert not went_back(after, before)
    assert not went_back(None, after)
    assert like_fresh(before, after) is before
    assert like_fresh(after, before) == before

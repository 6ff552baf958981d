"""The verdict over what users set for themselves finds each kind of breach, planted in a sound history."""

import pytest
from msgspec.structs import replace

from rowbox.mailbox.representation import Conversation
from tests.integration.people.choices import MUTED, Choice, Of, choice_breaches

LISTED = Conversation(
    conversation_id="c",
    participants=("ann", "bob"),
    snippet=None,
    last_updated_timestamp=9,
    last_message_id="m5",
    last_sender_id="ann",
    last_sent_timestamp=5,
    unread_count=0,
)
MUTE, PIN = ("ann", "c", "muted"), ("ann", "c", "pinned")


def breaches(listed: Conversation, choices: dict[Of, list[Choice]]) -> list[str]:
    return choice_breaches(choices, {"ann": [listed]})


@pytest.mark.parametrize(
    ("listed", "choices"),
    [
        (replace(LISTED, muted_until=MUTED), {MUTE: [Choice(0, is_done=True), Choice(MUTED, is_done=True)]}),
        (LISTED, {MUTE: [Choice(MUTED, is_done=True), Choice(0, is_done=True)]}),
        (replace(LISTED, pinned=True), {PIN: [Choice(1, is_done=True)], MUTE: []}),
        (replace(LISTED, pinned=True), {PIN: [Choice(1, unknown_outcomes=1), Choice(0, is_done=True)]}),
    ],
)
def test_what_was_answered_last_stands_or_what_may_have_come_later(
    listed: Conversation, choices: dict[Of, list[Choice]]
) -> None:
    assert breaches(listed, choices) == []


@pytest.mark.parametrize(
    ("listed", "choices"),
    [
        (LISTED, {MUTE: [Choice(MUTED, is_done=True)]}),
        (replace(LISTED, muted_until=1), {MUTE: [Choice(MUTED, is_done=True)]}),
        (replace(LISTED, pinned=True), {PIN: [Choice(1, is_done=True), Choice(0, is_done=True)]}),
        (replace(LISTED, conversation_id="d"), {PIN: [Choice(0, is_done=True)]}),
    ],
)
def test_each_breach_is_found(listed: Conversation, choices: dict[Of, list[Choice]]) -> None:
    assert len(breaches(listed, choices)) == 1

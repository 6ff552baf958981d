"""The judge of the kill tests is judged: each kind of breach is found, and a sound history has none."""

import pytest
from msgspec.structs import replace

from rowbox.mailbox.representation import Event, Message
from tests.integration.support.history import History, breaches, unread_count

USERS = ("ann", "ben")
MESSAGES = 4


def told() -> tuple[History, dict[str, list[Message]]]:
    """Two write in turn, each after the other's message was confirmed; the mailboxes are right."""
    history, messages = History(), []
    for at in range(MESSAGES):
        sender, recipient = USERS[at % 2], USERS[(at + 1) % 2]
        record = history.begin(sender, recipient, f"number {at}")
        history.confirm(record, f"message-{at}", "conversation")
        messages.append(
            Message(
                message_id=record.message_id,
                conversation_id=record.conversation_id,
                sender_id=sender,
                participants=USERS,
                message_content=record.content,
                sent_timestamp=at,
                last_updated_timestamp=at,
                client_message_id=record.client_message_id,
            )
        )
    return history, {user_id: list(messages) for user_id in USERS}


def test_a_sound_history_has_no_breach() -> None:
    assert breaches(*told()) == []


def test_an_unsettled_send_is_no_proof() -> None:
    history, mailboxes = told()
    history.begin("ann", "ben", "nobody knows")
    assert breaches(history, mailboxes) == ["send-000004: never confirmed"]


@pytest.mark.parametrize("user_id", USERS)
def test_a_lost_message_is_found(user_id: str) -> None:
    history, mailboxes = told()
    del mailboxes[user_id][1]
    assert f"lost: send-000001 is not in {user_id}'s mailbox" in breaches(history, mailboxes)


def test_a_doubled_message_is_found() -> None:
    history, mailboxes = told()
    mailboxes["ben"].append(mailboxes["ben"][0])
    assert any(finding.startswith("doubled: message-0") for finding in breaches(history, mailboxes))


def test_a_retry_that_made_a_second_message_is_found() -> None:
    history, mailboxes = told()
    history.confirm(history.sends[0], "message-9", "conversation")
    assert breaches(history, mailboxes) == ["send-000000 is message-0 and message-9"]


def test_a_message_that_nobody_sent_is_found() -> None:
    history, mailboxes = told()
    for held in mailboxes.values():
        held.append(replace(held[0], message_id="message-9", sent_timestamp=9))
    assert any(finding.startswith("nobody sent") for finding in breaches(history, mailboxes))


@pytest.mark.parametrize(
    "change",
    [{"message_content": "else"}, {"sender_id": "eve"}, {"participants": ("ann",)}, {"client_message_id": "x"}],
)
def test_a_changed_message_is_found(change: dict[str, object]) -> None:
    history, mailboxes = told()
    mailboxes["ann"][0] = replace(mailboxes["ann"][0], **change)
    assert any(finding.startswith("changed: send-000000") for finding in breaches(history, mailboxes))


def test_a_message_behind_one_that_began_after_its_answer_is_found() -> None:
    history, mailboxes = told()
    for held in mailboxes.values():
        held[0], held[1] = replace(held[0], sent_timestamp=1), replace(held[1], sent_timestamp=0)
    assert "misordered: send-000000 was confirmed before send-000001 began" in breaches(history, mailboxes)


def test_two_orders_of_one_conversation_are_found() -> None:
    history, mailboxes = told()
    mailboxes["ben"][2] = replace(mailboxes["ben"][2], sent_timestamp=0)
    assert any("another order" in finding for finding in breaches(history, mailboxes))


@pytest.mark.parametrize(("marked", "unread"), [((), 0), (("message-0",), 0)])
def test_sending_reads_what_came_before(marked: tuple[str, ...], unread: int) -> None:
    _, mailboxes = told()
    assert unread_count("ben", mailboxes["ben"], marked) == unread


def test_what_was_given_with_a_join_is_read_and_what_was_there_before_it() -> None:
    _, mailboxes = told()
    texts = mailboxes["ann"]

    def event(kind: str, at: int) -> Message:
        happened = Event(type=kind, actor="ann", users=("eve",))  # type: ignore[arg-type]
        return replace(texts[0], message_id=f"event-{at}", kind="system", event=happened, message_content="")

    joins, leaves, joins_again = event("added", 0), event("removed", 1), event("added", 2)
    assert unread_count("eve", [joins, *texts], ()) == MESSAGES
    assert unread_count("eve", [*texts[:3], joins, texts[3]], ()) == 1
    assert unread_count("eve", [joins, *texts[:2], leaves, texts[2], joins_again, texts[3]], ()) == 1
    assert unread_count("eve", [joins, *texts[:2], leaves, joins_again, *texts[2:]], ()) == MESSAGES


def test_a_mark_reads_up_to_its_message() -> None:
    _, mailboxes = told()
    assert unread_count("eve", mailboxes["ann"], ()) == MESSAGES
    assert unread_count("eve", mailboxes["ann"], ("message-1", "message-0")) == MESSAGES - 2

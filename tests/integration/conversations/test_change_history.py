"""The judge of changed messages is judged: each kind of breach is found, and sound copies have none."""

from collections.abc import Callable

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from rowbox.mailbox.representation import Conversation, Message, Reaction
from tests.integration.conversations.changes import Change, ChangeHistory, change_breaches
from tests.integration.support.verdict import Followed, unlike

SENT = {f"message-{at}": f"number {at}" for at in range(4)}
Mailboxes = dict[str, list[Message]]


def told() -> tuple[ChangeHistory, Mailboxes]:
    """Of four messages from ann to ben, one is as it was sent, one edited twice, one unsent, and ben reacts to one."""
    history = ChangeHistory()
    for text in ("better", "best"):
        history.message("message-1").begin_text(text).is_done = True
    history.message("message-2").begin_text(None).is_done = True
    for emoji in ("👍", "😂"):
        history.message("message-3").begin_reaction("ben", emoji).is_done = True
    mailboxes: Mailboxes = {}
    for user_id in ("ann", "ben"):
        held = [_copy(at) for at in range(4)]
        held[1] = replace(held[1], message_content="best", edited_timestamp=9)
        held[2] = replace(held[2], message_content="", unsent=True)
        held[3] = replace(held[3], reactions=(Reaction("😂", 1, ("ben",), user_id == "ben"),))
        mailboxes[user_id] = held
    return history, mailboxes


def _copy(at: int) -> Message:
    return Message(f"message-{at}", "conversation", "ann", ("ann", "ben"), f"number {at}", at, at)


def _in_both(at: int, **change: object) -> Callable[[Mailboxes], None]:
    def changed(mailboxes: Mailboxes) -> None:
        for held in mailboxes.values():
            held[at] = replace(held[at], **change)

    return changed


def _in_one(at: int, **change: object) -> Callable[[Mailboxes], None]:
    def changed(mailboxes: Mailboxes) -> None:
        mailboxes["ben"][at] = replace(mailboxes["ben"][at], **change)

    return changed


def test_sound_copies_have_no_breach() -> None:
    assert change_breaches(*told(), SENT) == []


@pytest.mark.parametrize(
    ("breach", "told_as"),
    [
        (_in_both(1, message_content="better"), "lost edit"),
        (_in_both(1, message_content="number 1"), "lost edit"),
        (_in_one(1, message_content="better"), "lost edit"),
        (_in_both(1, edited_timestamp=UNSET), "edited"),
        (_in_one(1, edited_timestamp=8), "unequal"),
        (_in_both(0, message_content="I never said that"), "lost edit"),
        (_in_both(0, edited_timestamp=9), "edited"),
        (_in_both(0, unsent=True, message_content=""), "nobody took back"),
        (_in_both(2, unsent=UNSET, message_content="number 2"), "came back"),
        (_in_one(2, message_content="number 2"), "came back"),
        (_in_both(2, reactions=(Reaction("😂", 1, ("ben",), False),)), "came back"),
        (_in_both(3, reactions=UNSET), "lost reaction"),
        (_in_both(3, reactions=(Reaction("👍", 1, ("ben",), False),)), "lost reaction"),
        (_in_one(3, reactions=(Reaction("😂", 2, ("ann", "ben"), True),)), "lost reaction"),
        (_in_one(3, reactions=(Reaction("😂", 1, ("ben",), False),)), "miscounted"),
        (_in_one(3, reactions=(Reaction("😂", 2, ("ben",), True),)), "miscounted"),
        (_in_both(0, reactions=(Reaction("😂", 1, ("ben",), False),)), "lost reaction"),
    ],
)
def test_a_copy_that_is_not_what_was_answered_is_found(breach: Callable[[Mailboxes], None], told_as: str) -> None:
    history, mailboxes = told()
    breach(mailboxes)
    assert any(finding.startswith(told_as) for finding in change_breaches(history, mailboxes, SENT))


def test_an_earlier_edit_may_stand_only_if_a_try_of_it_had_no_answer() -> None:
    history, mailboxes = told()
    _in_both(1, message_content="better")(mailboxes)
    history.of["message-1"].by_author[0].unknown_outcomes = 1
    assert change_breaches(history, mailboxes, SENT) == []


def test_a_refused_change_may_not_stand() -> None:
    history, mailboxes = told()
    history.of["message-1"].by_author.append(Change("refused"))
    _in_both(1, message_content="refused")(mailboxes)
    assert any(finding.startswith("lost edit") for finding in change_breaches(history, mailboxes, SENT))


def test_what_a_follower_lacks_has_too_much_or_was_not_told_by_deltas_is_found() -> None:
    messages = [_copy(at) for at in range(3)]
    conversation = Conversation("conversation", ("ann", "ben"), "number 2", 2, "message-2", "ann", 2, 0)
    by_id, listed = {one.message_id: one for one in messages}, {"conversation": conversation}
    assert unlike(Followed(by_id, listed), messages, [conversation]) == []
    assert unlike(Followed(by_id, listed), messages[1:], [conversation])
    assert unlike(Followed(by_id, listed), [*messages, _copy(3)], [conversation])
    assert unlike(Followed(by_id, listed), [replace(messages[0], unsent=True), *messages[1:]], [conversation])
    assert unlike(Followed(by_id, listed), messages, [replace(conversation, unread_count=1)])
    assert unlike(Followed(by_id, {}), messages, [conversation])
    assert unlike(Followed(by_id, listed, resets=["expired"]), messages, [conversation])
    assert unlike(Followed(by_id, listed, gaps=["a delta began elsewhere"]), messages, [conversation])

"""What clients were told of changes to messages between two: edits, unsends, reactions; and whether copies agree. Pure.
(Of groups: group_changes.py.)

A request that was given up may be done later than one behind it, as edits have no id of their own. So the last change
that was answered stands, or an earlier one that had a try without an answer. What was taken back stays so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import UNSET

from rowbox.mailbox.representation import Message

_MOST_SHOWN: Final = 20
NOTHING: Final = ""
"""The reaction of who has none."""


@dataclass
class Change:
    """One request: another text, or an emoji. `value` None: the message was to be taken back."""

    value: str | None
    is_done: bool = False
    """It was answered; a refusal is no answer here."""
    unknown_outcomes: int = 0


@dataclass
class OfMessage:
    """All changes of one message that were asked for; `by_author` one after the other, but for unsends."""

    message_id: str
    by_author: list[Change] = field(default_factory=list)
    by_reader: dict[str, list[Change]] = field(default_factory=dict)
    """Reactions, by who reacts; each user's one after the other."""

    def begin_text(self, text: str | None) -> Change:
        """A new edit; None: an unsend."""
        change = Change(text)
        self.by_author.append(change)
        return change

    def begin_reaction(self, user_id: str, emoji: str) -> Change:
        """A new reaction."""
        change = Change(emoji)
        self.by_reader.setdefault(user_id, []).append(change)
        return change


class ChangeHistory:
    """The changes of all messages of a test."""

    def __init__(self) -> None:
        self.of: dict[str, OfMessage] = {}
        """By messageId."""
        self.wrong_answers: list[str] = []

    def message(self, message_id: str) -> OfMessage:
        """The changes of a message."""
        return self.of.setdefault(message_id, OfMessage(message_id))

    @property
    def changes(self) -> list[Change]:
        """All that were asked for."""
        return [
            change
            for one in self.of.values()
            for changes in (one.by_author, *one.by_reader.values())
            for change in changes
        ]


def change_breaches(
    history: ChangeHistory, mailboxes: Mapping[str, Sequence[Message]], sent: Mapping[str, str]
) -> list[str]:
    """In what the copies of messages contradict what was answered, or one another: the first of it.

    `sent`: the text with which each message was sent, by messageId. Nobody asks for anything any more, and all that was
    sent has arrived.
    """
    found = [*history.wrong_answers]
    for message_id, copies in _copies(mailboxes).items():
        of = history.of.get(message_id)
        for user_id, copy in copies.items():
            found += _unlike_the_answers(user_id, copy, of, sent.get(message_id))
        if len({_shared(copy) for copy in copies.values()}) > 1:
            found.append(f"unequal: {message_id} is {list(copies.values())}")
    return found[:_MOST_SHOWN]


def _copies(mailboxes: Mapping[str, Sequence[Message]]) -> dict[str, dict[str, Message]]:
    found: dict[str, dict[str, Message]] = {}
    for user_id, held in mailboxes.items():
        for message in held:
            found.setdefault(message.message_id, {})[user_id] = message
    return found


def _unlike_the_answers(user_id: str, copy: Message, of: OfMessage | None, text: str | None) -> Iterator[str]:
    by_author = of.by_author if of is not None else []
    where = f"{copy.message_id} in {user_id}'s mailbox"
    if any(change.value is None and change.is_done for change in by_author):
        if copy.unsent is not True or copy.message_content or copy.reactions is not UNSET:
            yield f"came back: {where} was taken back, and is {copy}"
        return
    if copy.unsent is True:
        if not any(change.value is None for change in by_author):
            yield f"nobody took back {where}"
        return
    if text is not None and copy.message_content not in possible(by_author, text):
        yield f"lost edit: {where} is {copy.message_content!r}, of {by_author}"
    was_edited = any(change.value is not None and change.is_done for change in by_author)
    if was_edited != (copy.edited_timestamp is not UNSET) and not any(one.unknown_outcomes for one in by_author):
        yield f"edited: {where} is {copy}, of {by_author}"
    shown = {user: one.emoji for one in (copy.reactions or ()) for user in one.users}
    by_reader = of.by_reader if of is not None else {}
    for reader in shown.keys() | by_reader.keys():
        if shown.get(reader, NOTHING) not in possible(by_reader.get(reader, []), NOTHING):
            yield f"lost reaction: {reader}'s to {where} is {shown.get(reader)!r}, of {by_reader.get(reader)}"
    if any(one.mine != (user_id in one.users) or one.count != len(one.users) for one in copy.reactions or ()):
        yield f"miscounted: {where} has {copy.reactions}"


def possible(changes: Sequence[Change], first: str) -> set[str | None]:
    """What may stand after these: the last that was answered, or another one of which a try may have come later."""
    done = [change.value for change in changes if change.is_done]
    late = {change.value for change in changes if change.unknown_outcomes}
    return {done[-1] if done else first} | late


def _shared(copy: Message) -> object:
    """What is the same in every copy."""
    reactions = () if copy.reactions is UNSET else tuple((one.emoji, one.users) for one in copy.reactions)
    return copy.message_content, copy.sender_id, copy.sent_timestamp, copy.edited_timestamp, copy.unsent, reactions

"""What clients were told, and whether the mailboxes agree with it. Pure: the tests fill it in and ask at the end.

Times are ticks of one counter in the test's process: `started` when a send was first tried, `confirmed` when an answer
came. So "this was confirmed before that began" is a fact that no clock can bend.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from msgspec import UNSET

from rowbox.mailbox.representation import Message

_MOST_SHOWN: Final = 20


@dataclass
class SendRecord:
    """One message a client wants sent, under one clientMessageId, however often it had to ask."""

    sender_id: str
    recipient_id: str
    content: str
    client_message_id: str
    started: int
    confirmed: int | None = None
    message_id: str = ""
    conversation_id: str = ""
    unknown_outcomes: int = 0
    pending_recipients: int = 0
    """As of its latest answer."""


@dataclass
class History:
    """All sends of a test."""

    sends: list[SendRecord] = field(default_factory=list)
    wrong_answers: list[str] = field(default_factory=list)
    _ticks: Iterator[int] = field(default_factory=count)

    def begin(self, sender_id: str, recipient_id: str, content: str) -> SendRecord:
        """A new send; its id is its number."""
        number = len(self.sends)
        record = SendRecord(sender_id, recipient_id, content, f"send-{number:06}", next(self._ticks))
        self.sends.append(record)
        return record

    def confirm(self, record: SendRecord, message_id: str, conversation_id: str) -> None:
        """An answer came: the first one settles what every later one has to say."""
        if record.confirmed is None:
            record.confirmed = next(self._ticks)
            record.message_id, record.conversation_id = message_id, conversation_id
        elif message_id != record.message_id:
            self.wrong_answers.append(f"{record.client_message_id} is {record.message_id} and {message_id}")

    @property
    def confirmed(self) -> list[SendRecord]:
        return [record for record in self.sends if record.confirmed is not None]

    @property
    def unknown_outcomes(self) -> int:
        return sum(record.unknown_outcomes for record in self.sends)

    def __str__(self) -> str:
        """For the output of a test that fails, or that is timed."""
        return f"{len(self.sends)} sends, {self.unknown_outcomes} unknown outcomes"


def breaches(history: History, mailboxes: Mapping[str, Sequence[Message]]) -> list[str]:
    """In what `mailboxes` (all of each user's messages, any order) contradict what was confirmed: the first of it.

    Every send of the history must be confirmed by now: what nobody knows the outcome of could be there or not.
    """
    unsettled = [f"{record.client_message_id}: never confirmed" for record in history.sends if record.confirmed is None]
    found = [
        *unsettled,
        *history.wrong_answers,
        *_one_id_for_one_message(history.confirmed),
        *(finding for user_id, held in mailboxes.items() for finding in _held(user_id, held, history.confirmed)),
        *_unequal_orders(mailboxes),
        *(finding for held in mailboxes.values() for finding in _misordered(held, history.confirmed)),
    ]
    return found[:_MOST_SHOWN]


def in_order(messages: Iterable[Message]) -> list[Message]:
    """As a conversation sorts."""
    return sorted(messages, key=lambda message: (message.sent_timestamp, message.message_id))


def by_conversation(messages: Iterable[Message]) -> dict[str, list[Message]]:
    """Each conversation's messages, in order."""
    found: dict[str, list[Message]] = defaultdict(list)
    for message in in_order(messages):
        found[message.conversation_id].append(message)
    return found


def unread_count(user_id: str, conversation: Sequence[Message], marked: Iterable[str]) -> int:
    """What the API has to say: others' messages behind the newest that the user sent or marked as read. What a group
    says of itself is never unread, and who did that has read all before it; what is given with a join is read.
    """
    own = {message.message_id for message in conversation if message.sender_id == user_id}
    read = own | set(marked)
    last_read = max((at for at, message in enumerate(conversation) if message.message_id in read), default=-1)
    last_read = max(last_read, _last_given(user_id, conversation))
    behind = conversation[last_read + 1 :]
    return min(1000, sum(message.sender_id != user_id and message.kind is UNSET for message in behind))


def _last_given(user_id: str, conversation: Sequence[Message]) -> int:
    """Where the newest message is that the user was given with a join; -1: there is none.

    Right before a join stands what was given with it, and where nothing was, that he had left.
    """
    given = -1
    for at in range(1, len(conversation)):
        is_given = not _happened(user_id, conversation[at - 1], "removed", "left", "declined")
        if is_given and _happened(user_id, conversation[at], "added"):
            given = at - 1
    return given


def _happened(user_id: str, message: Message, *types: str) -> bool:
    event = message.event
    return event is not UNSET and event.type in types and user_id in event.users


def _one_id_for_one_message(sends: Sequence[SendRecord]) -> Iterator[str]:
    for message_id, times in Counter(record.message_id for record in sends).items():
        if times > 1:
            yield f"{message_id} was given to {times} sends"


def _held(user_id: str, held: Sequence[Message], sends: Sequence[SendRecord]) -> Iterator[str]:
    """Lost, doubled, invented or changed."""
    expected = {record.message_id: record for record in sends if user_id in {record.sender_id, record.recipient_id}}
    times = Counter(message.message_id for message in held)
    for message_id, record in expected.items():
        if not times[message_id]:
            yield f"lost: {record.client_message_id} is not in {user_id}'s mailbox"
    for message in held:
        if times[message.message_id] > 1:
            yield f"doubled: {message.message_id} is {times[message.message_id]} times in {user_id}'s mailbox"
        if message.message_id not in expected:
            yield f"nobody sent what {user_id} has as {message.message_id}"
        elif not _is_copy(message, sent := expected[message.message_id], user_id):
            yield f"changed: {sent.client_message_id} is {message} in {user_id}'s mailbox"


def _is_copy(message: Message, record: SendRecord, user_id: str) -> bool:
    is_own = record.sender_id == user_id
    return (
        message.sender_id == record.sender_id
        and set(message.participants) == {record.sender_id, record.recipient_id}
        and message.message_content == record.content
        and message.conversation_id == record.conversation_id
        and (not is_own or message.client_message_id == record.client_message_id)
    )


def _unequal_orders(mailboxes: Mapping[str, Sequence[Message]]) -> Iterator[str]:
    orders: dict[str, list[tuple[str, int]]] = {}
    for user_id, held in mailboxes.items():
        for conversation_id, messages in by_conversation(held).items():
            order = [(message.message_id, message.sent_timestamp) for message in messages]
            if orders.setdefault(conversation_id, order) != order:
                yield f"{conversation_id} has another order or other times in {user_id}'s mailbox"


def _misordered(held: Sequence[Message], sends: Sequence[SendRecord]) -> Iterator[str]:
    """Messages behind one that began only after they had been confirmed: a sender's next one, or a reply."""
    records = {record.message_id: record for record in sends}
    for messages in by_conversation(held).values():
        latest: SendRecord | None = None
        for record in (records[message.message_id] for message in messages if message.message_id in records):
            assert record.confirmed is not None
            if latest is not None and record.confirmed < latest.started:
                yield f"misordered: {record.client_message_id} was confirmed before {latest.client_message_id} began"
            if latest is None or record.started > latest.started:
                latest = record

"""What came of what some people sent to others, who block and unblock them, or delete what they have of it: what was
told, and what contradicts it.

Pure: the tests fill it in and ask at the end. Times are of one clock, time.monotonic() of the test's process. A message
arrives at some moment between the first try of its send and the answer by which it is with its recipient; a block is
made, or ended, at some moment between the question and its answer. So of some messages nobody can say whether they came
before or behind a block, or a deletion: these may be shown or not, but what was shown goes with a deletion alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from rowbox.mailbox.representation import Conversation, Message, Receipts

PUSH_S: Final = 12.0
"""A push that is under way while its message is read is not called back: a call takes 10 s at most, and right before it
the mailbox is looked at. Who uses his mailbox is pushed after 15 s, so without that look each push of what he has read
would be later.
"""
_MOST_SHOWN: Final = 20


@dataclass
class Sent:
    """One message, however often its sender had to ask."""

    sender_id: str
    recipient_id: str
    content: str
    client_message_id: str
    began_s: float
    arrived_s: float = float("inf")
    """When an answer said that its recipient has it."""
    message_id: str = ""
    conversation_id: str = ""
    unknown_outcomes: int = 0


@dataclass
class Block:
    """A block, and its end. A later one begins once nothing can be done any more of what was asked for it."""

    asked_s: float
    made_s: float = float("inf")
    end_asked_s: float = float("inf")
    ended_s: float = float("inf")
    unknown_outcomes: int = 0

    def hides(self, sent: Sent) -> bool | None:
        """Whether a message comes while it holds. None: it may, or not."""
        if self.made_s < sent.began_s and sent.arrived_s < self.end_asked_s:
            return True
        return False if sent.arrived_s < self.asked_s or self.ended_s < sent.began_s else None


@dataclass
class Deletion:
    """One of the user's own copy of a conversation. `over_s`: from then on no try of it can be done any more."""

    asked_s: float
    done_s: float = float("inf")
    over_s: float = float("inf")
    unknown_outcomes: int = 0

    def takes(self, sent: Sent) -> bool | None:
        """Whether a message comes before it, and is gone behind it. None: it may, or not."""
        if sent.arrived_s < self.asked_s:
            return True
        return False if self.over_s < sent.began_s else None


class Look(NamedTuple):
    """A page or a delta, and the messages in it."""

    asked_s: float
    messages: frozenset[str]


class Pushed(NamedTuple):
    """A push that a device was told by."""

    user_id: str
    message_id: str
    at_s: float


class Read(NamedTuple):
    """A mark, from its answer on: all of a conversation up to that message."""

    sender_id: str
    up_to: str
    answered_s: float


@dataclass
class Arrivals:
    """All that was told."""

    sent: list[Sent] = field(default_factory=list)
    blocks: dict[tuple[str, str], list[Block]] = field(default_factory=dict)
    """By who blocks, and whom, one after the other."""
    deletions: dict[tuple[str, str], list[Deletion]] = field(default_factory=dict)
    """By who deletes, and with whom the conversation is, one after the other."""
    reads: dict[str, list[Read]] = field(default_factory=dict)
    """By who reads."""
    looks: dict[str, list[Look]] = field(default_factory=dict)
    """By user, all that he was answered."""
    pushed: list[Pushed] = field(default_factory=list)
    wrong_answers: list[str] = field(default_factory=list)

    def hides(self, sent: Sent) -> bool | None:
        """Whether its recipient is never shown a message. None: either is right."""
        found = [block.hides(sent) for block in self.blocks.get((sent.recipient_id, sent.sender_id), [])]
        return True if True in found else None if None in found else False

    def taken(self, sent: Sent) -> list[Deletion]:
        """The deletions by which a message may be gone."""
        return [one for one in self._deletions(sent) if one.takes(sent) is not False]

    def gone_s(self, sent: Sent) -> float:
        """From when on its recipient is shown a message no more: the answer to a deletion that took it for certain."""
        return min((one.done_s for one in self._deletions(sent) if one.takes(sent)), default=float("inf"))

    def _deletions(self, sent: Sent) -> list[Deletion]:
        return self.deletions.get((sent.recipient_id, sent.sender_id), [])


def arrival_breaches(
    told: Arrivals,
    mailboxes: Mapping[str, Sequence[Message]],
    lists: Mapping[str, Sequence[Conversation]],
) -> list[str]:
    """In what `mailboxes` (all that each user is shown), `lists` and what was told contradict it: the first of it.

    Nobody asks for anything any more, and all that was sent has arrived.
    """
    found = [*told.wrong_answers]
    shown = {user_id: {one.message_id: one for one in held} for user_id, held in mailboxes.items()}
    for sent in told.sent:
        found += _of_sent(told, sent, shown)
    for user_id, held in shown.items():
        theirs = {one.message_id: one for one in told.sent if user_id in {one.sender_id, one.recipient_id}}
        found += [f"nobody sent what {user_id} has as {name}" for name in held.keys() - theirs.keys()]
        found += _looked_at(told, user_id, held, theirs)
        if len(held) != len(mailboxes[user_id]):
            found.append(f"doubled: {user_id} has {len(mailboxes[user_id])} messages of {len(held)} ids")
        found += _listed_for_nothing(user_id, held.values(), lists[user_id])
    found += _told_by_receipts(told, lists)
    found += _wrongly_pushed(told)
    return found[:_MOST_SHOWN]


def _of_sent(told: Arrivals, sent: Sent, shown: Mapping[str, Mapping[str, Message]]) -> Iterator[str]:
    name = f"{sent.client_message_id} ({sent.message_id}) of {sent.sender_id} to {sent.recipient_id}"
    if sent.arrived_s == float("inf"):
        yield f"never arrived: {name}"
        return
    own = shown[sent.sender_id].get(sent.message_id)
    if own is None or own.message_content != sent.content:
        yield f"lost: {name} is {own} in its sender's mailbox"
    theirs, hides = shown[sent.recipient_id].get(sent.message_id), told.hides(sent)
    if hides is True and theirs is not None:
        yield f"shown behind a block: {name}"
    if theirs is not None and told.gone_s(sent) < float("inf"):
        yield f"shown though it was deleted: {name}"
    if hides is False and (not told.taken(sent) if theirs is None else theirs.message_content != sent.content):
        yield f"kept back: {name} is {theirs}; its sender was not blocked, and nobody deleted it"


def _looked_at(told: Arrivals, user_id: str, held: Mapping[str, Message], theirs: Mapping[str, Sent]) -> Iterator[str]:
    """In what was shown on the way."""
    for look in told.looks.get(user_id, []):
        for sent in (theirs[name] for name in look.messages if name in theirs):
            name = f"{sent.message_id} to {user_id}"
            if sent.recipient_id == user_id and told.hides(sent) is True:
                yield f"shown once behind a block: {name}"
            if look.asked_s > told.gone_s(sent):
                yield f"shown once though it was deleted: {name}"
            if sent.message_id not in held and not told.taken(sent):
                yield f"taken away: {name}"


def _listed_for_nothing(user_id: str, held: Iterable[Message], listed: Sequence[Conversation]) -> Iterator[str]:
    has = {one.conversation_id for one in held}
    yield from (f"listed: {one} for {user_id}, and empty" for one in listed if one.conversation_id not in has)


def _told_by_receipts(told: Arrivals, lists: Mapping[str, Sequence[Conversation]]) -> Iterator[str]:
    """Marks over what is hidden: who sees one knows that he was blocked then, or is told of what nobody has."""
    hidden: dict[tuple[str, str], str] = {}
    for sent in told.sent:
        if told.hides(sent) is True:
            pair = sent.sender_id, sent.recipient_id
            hidden[pair] = min(hidden.get(pair, sent.message_id), sent.message_id)
    for (sender_id, recipient_id), first in hidden.items():
        for conversation in lists[sender_id]:
            receipts = conversation.receipts
            if set(conversation.participants) != {sender_id, recipient_id} or not isinstance(receipts, Receipts):
                continue
            if max(receipts.delivered_up_to, receipts.read_up_to or "") >= first:
                yield f"told by a receipt: {sender_id} is shown {receipts} of {recipient_id}, who has not {first}"


def _wrongly_pushed(told: Arrivals) -> Iterator[str]:
    by_id = {one.message_id: one for one in told.sent}
    for pushed in told.pushed:
        sent = by_id.get(pushed.message_id)
        if sent is None or sent.recipient_id != pushed.user_id:
            yield f"pushed to somebody else: {pushed}"
        elif told.hides(sent) is True:
            yield f"pushed behind a block: {pushed}"
        elif told.gone_s(sent) + PUSH_S < pushed.at_s:
            yield f"pushed though it was deleted: {pushed}"
        elif any(
            read.sender_id == sent.sender_id
            and read.up_to >= sent.message_id
            and read.answered_s + PUSH_S < pushed.at_s
            for read in told.reads.get(pushed.user_id, [])
        ):
            yield f"pushed though it was read: {pushed}"

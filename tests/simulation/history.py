"""What the clients of a simulation were told, and the promises that it must keep (docs/consistency.md: P1 to P6).

Every check is about what had been answered before a request began: requests that overlap may be in any order.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rowbox.cacheserver.port import SendResult
from rowbox.mailbox.clocks.clock import MAX_AHEAD_US
from rowbox.mailbox.ids import sent_timestamp
from tests.support.cluster import Json, ids


class Violation(AssertionError):
    """A promise was broken."""


@dataclass
class Sending:
    """One send, however often it was tried."""

    sender: str
    recipient: str
    content: str
    client_id: str
    shown: frozenset[str] = frozenset()
    """The messages that the sender had been shown when it was first asked for: it sorts behind them."""
    asked_us: int = 0
    """The earliest time that a server's clock has said since then."""
    result: SendResult | None = None
    is_everywhere: bool = False
    """Whether an answer said that no recipient is pending."""

    @property
    def id(self) -> str:
        assert self.result is not None
        return self.result.message_id.hex()


@dataclass
class History:
    """What was told, request by request."""

    users: list[str]
    sendings: dict[str, Sending] = field(default_factory=dict)
    shown: dict[str, set[str]] = field(default_factory=dict)
    """By user: the messages that some answer has shown in the user's mailbox."""
    marks: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """(user, conversation): marks that may have been made."""
    confirmed_marks: dict[tuple[str, str], str] = field(default_factory=dict)
    conversations: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Of each confirmed message: its conversation and its sender."""
    is_far_set: bool = False
    """Whether a clock was set by more than what the hybrid logical clock follows."""
    events: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shown = {user: set() for user in self.users}

    def note(self, event: str) -> None:
        self.events.append(event)

    def violated(self, promise: str, text: str) -> Violation:
        return Violation(f"{promise}: {text}\n" + "\n".join(self.events[-40:]))

    # ------------------------------------------------------------------ answers

    def begin(self, sending: Sending, now_us: int) -> None:
        sending.shown, sending.asked_us = frozenset(self.shown[sending.sender]), now_us
        self.sendings[sending.client_id] = sending

    def set_clock(self, now_us: int, *, is_far: bool) -> None:
        """The servers' clock was set."""
        self.is_far_set |= is_far
        for sending in self.sendings.values():
            if sending.result is None:
                sending.asked_us = min(sending.asked_us, now_us)

    def confirm(self, sending: Sending, result: SendResult) -> None:
        """A send was answered."""
        if sending.result is not None and sending.result.message_id != result.message_id:
            raise self.violated("P2", f"{sending.client_id} is two messages")
        sending.result = result
        sending.is_everywhere |= result.pending_recipients == 0
        self.note(f"confirmed {sending.client_id} {sending.id[:16]} pending {result.pending_recipients}")
        self.conversations[sending.id] = (result.conversation_id.hex(), sending.sender)
        if any(sending.id <= message for message in self._before(sending)):
            raise self.violated("P3", f"{sending.client_id} sorts before what its sender had seen")
        self.shown[sending.sender].add(sending.id)
        if sending.is_everywhere:
            self.shown[sending.recipient].add(sending.id)

    def _before(self, sending: Sending) -> Iterable[str]:
        """What a send has to sort behind: all that its sender had seen, unless clocks were set far.

        Then: in its conversation what he has sent, and what is not dated far ahead (docs/consistency.md).
        """
        if not self.is_far_set:
            return sending.shown
        conversation = self.conversations[sending.id][0]
        latest_us = sending.asked_us + MAX_AHEAD_US // 2
        return [
            message
            for message in sending.shown & self.conversations.keys()
            if self.conversations[message][0] == conversation
            and (self.conversations[message][1] == sending.sender or _dated(message) <= latest_us)
        ]

    def expected(self, user: str) -> frozenset[str]:
        """What a read of the user's mailbox that begins now has to show."""
        return frozenset(self.shown[user])

    def missing(self, user: str, expected: frozenset[str], found: Iterable[str]) -> set[str]:
        """What an answer to `user` had to show and does not; `expected` is as of when it was asked for."""
        return set(expected).difference(found)

    def see(self, user: str, expected: frozenset[str], items: Iterable[Json]) -> None:
        """An answer that was asked for with `expected` has shown these messages to `user`."""
        self.shown[user].update(item["messageId"] for item in items)

    def read(self, user: str, expected: frozenset[str], items: list[Json]) -> None:
        """A full list of the user's messages was answered; `expected` is as of when it was asked for."""
        found = ids(items)
        if len(set(found)) != len(found):
            raise self.violated("P1", f"{user} has a message twice")
        contents = [item["messageContent"] for item in items]
        if len(set(contents)) != len(contents):
            raise self.violated("P2", f"{user} has one send as two messages")
        if missing := self.missing(user, expected, found):
            raise self.violated("P5", f"{user} is not shown {sorted(missing)}")
        self.see(user, expected, items)
        self.note(f"read by {user}: {len(found)}")

    # ------------------------------------------------------------------ the end

    def final(self, boxes: dict[str, list[Json]]) -> None:
        """All mailboxes after everything has come to rest."""
        for user, items in boxes.items():
            self.read(user, self.expected(user), items)
        for sending in self.sendings.values():
            self._final_send(sending, boxes)
        for conversation in {item["conversationId"] for items in boxes.values() for item in items}:
            lists = [
                sorted(item["messageId"] for item in items if item["conversationId"] == conversation)
                for items in boxes.values()
                if any(item["conversationId"] == conversation for item in items)
            ]
            if any(one != lists[0] for one in lists):
                raise self.violated("P3", f"the mailboxes disagree about conversation {conversation}")

    def _final_send(self, sending: Sending, boxes: dict[str, list[Json]]) -> None:
        owners = {sending.sender, sending.recipient}
        found = {
            user: [item["messageId"] for item in boxes[user] if item["messageContent"] == sending.content]
            for user in owners
        }
        if sending.result is not None and any(found[user] != [sending.id] for user in owners):
            raise self.violated("P1", f"{sending.client_id} was confirmed and is {found}")
        if len({tuple(ids) for ids in found.values()}) != 1:
            raise self.violated("P1", f"{sending.client_id} is not in all mailboxes alike: {found}")

    def check_unread(self, user: str, conversation: Json, items: list[Json]) -> None:
        """The unread count is what one of the marks that may stand makes it."""
        conversation_id = conversation["conversationId"]
        inside = [item for item in items if item["conversationId"] == conversation_id]
        own = max((item["messageId"] for item in inside if item["senderId"] == user), default="")
        least = max(own, self.confirmed_marks.get((user, conversation_id), ""))
        possible = {least} | {mark for mark in self.marks.get((user, conversation_id), ()) if mark > least}
        if self.is_far_set:  # sending reads what is dated behind the message sent, too
            possible |= {item["messageId"] for item in inside if item["messageId"] > least}
        counts = {sum(item["messageId"] > mark and item["senderId"] != user for item in inside) for mark in possible}
        if conversation["unreadCount"] not in counts:
            raise self.violated("P4", f"unread of {user} is {conversation['unreadCount']}, not one of {counts}")


def _dated(message: str) -> int:
    return sent_timestamp(bytes.fromhex(message))

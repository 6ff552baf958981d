"""What a mailbox is, in the plainest words: a list of messages and a read mark for each conversation."""

from dataclasses import dataclass, field, replace

from rowbox.mailbox.clocks.clock import MAX_AHEAD_US
from rowbox.mailbox.ids import ZERO_ID, sent_timestamp, to_text
from rowbox.mailbox.people.profile import CONTACTS
from tests.support.cluster import Json

UNREAD_CAP = 1000


@dataclass(frozen=True)
class Said:
    """One message."""

    id: bytes
    conversation: bytes
    sender: str
    participants: frozenset[str]
    content: str
    client_id: str | None
    edited_us: int | None = None
    is_unsent: bool = False
    reactions: tuple[tuple[int, str, str], ...] = ()
    """The last one of each user, also one that was taken back: its version, the user, the emoji."""

    @property
    def is_changed(self) -> bool:
        """Whether anything was ever done to it."""
        return self.is_unsent or self.edited_us is not None or bool(self.reactions)

    def emoji_of(self, user: str) -> str:
        return next((emoji for _, one, emoji in self.reactions if one == user), "")

    def with_reaction(self, user: str, emoji: str, version: int) -> "Said":
        others = [one for one in self.reactions if one[1] != user]
        return replace(self, reactions=tuple(sorted([*others, (version, user, emoji)])))

    def seen_by(self, user: str) -> Json:
        """What fetchMessages shows of it, but for the version."""
        view: Json = {
            "messageId": to_text(self.id),
            "conversationId": to_text(self.conversation),
            "senderId": self.sender,
            "participants": sorted(self.participants),
            "messageContent": self.content,
            "sentTimestamp": sent_timestamp(self.id),
        }
        if user == self.sender:
            view["clientMessageId"] = self.client_id
        if self.is_unsent:
            view["unsent"] = True
        elif self.edited_us is not None:
            view["editedTimestamp"] = self.edited_us
        by_emoji: dict[str, list[str]] = {}
        for _, one, emoji in self.reactions:
            by_emoji.setdefault(emoji, []).append(one)
        shown = [
            {"emoji": emoji, "count": len(who), "users": who, "mine": user in who}
            for emoji, who in by_emoji.items()
            if emoji
        ]
        return {**view, "reactions": shown} if shown else view


@dataclass
class PlainMailbox:
    """One user's. A message is here until the retention has passed since its version."""

    user: str
    messages: dict[bytes, Said] = field(default_factory=dict)
    ever: dict[bytes, Said] = field(default_factory=dict)
    """All that there ever was."""
    versions: dict[bytes, int] = field(default_factory=dict)
    newest: dict[bytes, Said] = field(default_factory=dict)
    """Of each conversation, also where it is gone."""
    marks: dict[bytes, bytes] = field(default_factory=dict)
    deleted: set[bytes] = field(default_factory=set)
    """Conversations that were deleted, and to which nothing has come since."""
    floors: dict[bytes, int] = field(default_factory=dict)
    """Of conversations that were ever deleted: at which version last."""
    gone: set[bytes] = field(default_factory=set)
    """The messages that were there then."""
    admits: str | None = None
    """Who writes to him at once (`messagesFrom`); None: he has no profile, and anybody does."""
    contacts: dict[str, bool] = field(default_factory=dict)
    """Who ever was one, and whether he is."""
    waiting: set[bytes] = field(default_factory=set)
    """Conversations that a stranger began, and that are not accepted: the deleted ones too."""

    def delete(self, conversation: bytes, version: int) -> None:
        """Nothing that is there now is shown any more. What was read stays read, and no more than that."""
        self.gone |= {one for one, said in self.ever.items() if said.conversation == conversation}
        self.messages = {one: said for one, said in self.messages.items() if said.conversation != conversation}
        self.deleted.add(conversation)
        self.floors[conversation] = version

    def take(self, said: Said) -> None:
        is_of_a_stranger = self.admits == CONTACTS and not self.contacts.get(said.sender, False)
        if said.sender == self.user:
            self.waiting.discard(said.conversation)
        elif said.conversation not in self.newest and is_of_a_stranger:
            self.waiting.add(said.conversation)
        self.deleted.discard(said.conversation)
        self.messages[said.id] = self.ever[said.id] = said
        self.newest[said.conversation] = max(said, self.newest.get(said.conversation, said), key=lambda one: one.id)
        if said.sender == self.user:
            self.mark(said.conversation, said.id)
            newest = self.newest[said.conversation].id
            if sent_timestamp(newest) > sent_timestamp(said.id) + MAX_AHEAD_US // 2:  # it is read, too
                self.mark(said.conversation, newest)

    def change(self, said: Said) -> None:
        """It is there as it was before, and says `said` now."""
        if said.id in self.messages:
            self.messages[said.id] = self.ever[said.id] = said
            if self.newest[said.conversation].id == said.id:
                self.newest[said.conversation] = said

    def mark(self, conversation: bytes, message: bytes) -> None:
        self.marks[conversation] = max(self.marks.get(conversation, ZERO_ID), message)

    def expire(self, horizon: int) -> None:
        self.messages = {one: said for one, said in self.messages.items() if self.versions[one] > horizon}

    def of(self, conversation: bytes) -> list[Said]:
        """Newest first."""
        found = [said for said in self.messages.values() if said.conversation == conversation]
        return sorted(found, key=lambda said: said.id, reverse=True)

    def unread(self, conversation: bytes) -> int:
        mark = self.marks.get(conversation, ZERO_ID)
        count = sum(said.sender != self.user and said.id > mark for said in self.of(conversation))
        return min(UNREAD_CAP, count)

    @property
    def conversations(self) -> list[bytes]:
        """By newest message, newest first."""
        return self._in_order(self.newest.keys() - self.deleted - self.waiting)

    @property
    def requests(self) -> list[bytes]:
        """Those that wait to be accepted, in the same order."""
        return self._in_order(self.waiting - self.deleted)

    def _in_order(self, conversations: set[bytes]) -> list[bytes]:
        return sorted(conversations, key=lambda one: (self.newest[one].id, one), reverse=True)

    def conversation_view(self, conversation: bytes) -> Json:
        """What fetchConversation shows, but for the version."""
        newest = self.newest[conversation]
        is_told = newest.id in self.messages and not newest.is_unsent
        view = {
            "conversationId": to_text(conversation),
            "participants": sorted(newest.participants),
            "snippet": newest.content[:100] if is_told else None,
            "lastMessageId": to_text(newest.id),
            "lastSenderId": newest.sender,
            "lastSentTimestamp": sent_timestamp(newest.id),
            "unreadCount": self.unread(conversation),
        }
        if conversation in self.waiting:
            view["request"] = True
        if conversation in self.floors:
            view["deletedUpTo"] = self.floors[conversation]
            if newest.id in self.gone:
                return view  # of what was deleted nothing is told
        return {**view, "lastMessageUnsent": True} if newest.is_unsent else view


def without_version(item: Json) -> Json:
    """An item as the model knows it: without its receipts, too, which come when they come."""
    view = {**item, "participants": sorted(item["participants"])}
    del view["lastUpdatedTimestamp"]
    view.pop("receipts", None)
    return view

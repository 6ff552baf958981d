"""What the API sees of presence and of who types. It may be away, which is never an error: then nobody knows it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from rowbox.cacheserver.port import AskPresence, Quota
from rowbox.mailbox.people.presence import Seen
from rowbox.mailbox.revocation import Bearer


class PresencesShown(msgspec.Struct, frozen=True):
    """What is shown of users, in the order of a question; None: nothing is known, or nothing may be."""

    seen: Sequence[Seen | None]
    quota: Quota | None = None


class Watcher(Protocol):
    """A connection that is told who of some users comes and goes."""

    def told(self, seen: Mapping[str, Seen | None]) -> bool:
        """What is so of these users now. False: the connection can take nothing now, and is told again later."""
        ...

    def look_again(self, users: tuple[str, ...]) -> None:
        """It is time to ask again whom of the users that it watches it may see: `PresencePort.watch`."""
        ...


class AskView(msgspec.Struct, frozen=True):
    """A connection of `user_id` shows a conversation: of two, with `peer_id`, or that of a group."""

    user_id: str
    conversation_id: bytes
    peer_id: str | None = None
    bearer: Bearer | None = None


class Viewer(Protocol):
    """A connection that shows a conversation, and is told who types there."""

    def typed(self, conversation_id: str, user_id: str) -> bool:
        """Somebody types there. False: the connection can take nothing now, and this is gone."""
        ...

    def view_again(self) -> None:
        """It is time to ask again whether it may: `PresencePort.view`."""
        ...


class PresencePort(Protocol):
    """Who is online, and who wants to know; who types, and who sees it.

    What does not await is done at once and never fails.
    """

    async def start(self) -> None:
        """To be called before anything else."""
        ...

    async def close(self) -> None:
        """To be called last. A second call does nothing."""
        ...

    def active(self, user_id: str) -> None:
        """The user is active now."""
        ...

    def silence(self, user_id: str) -> None:
        """The user may have left everywhere: what was noted of him here, and not written yet, is not written."""
        ...

    def begin(self, user_id: str) -> None:
        """Something of the user's is open, and makes him active until `end` is called as often."""
        ...

    def end(self, user_id: str) -> None:
        """See `begin`."""
        ...

    async def heartbeat(self, user_id: str, bearer: Bearer | None) -> Quota | None:
        """Does `active`, for a token that the owner has judged now. Raises as MailboxPort.presence_terms."""
        ...

    async def fetch(self, request: AskPresence) -> PresencesShown:
        """What is so of the users now. Raises as MailboxPort.presence_terms."""
        ...

    async def watch(self, watcher: Watcher, request: AskPresence) -> None:
        """Has `watcher` told of these users and of no others: what is so now, and then what changes.

        Never fails: where nobody can say now whom he may see, that is asked again later (Watcher.look_again).
        """
        ...

    def unwatch(self, watcher: Watcher) -> None:
        """Has `watcher` told of nobody. Does nothing where it is so."""
        ...

    def choose(self, user_id: str, *, hides: bool) -> None:
        """The user has chosen whether he is shown. It counts at once."""
        ...

    def part(self, one: str, other: str) -> None:
        """One of two users has blocked the other: who watches here is told no more of either by the other's right.

        Watchers elsewhere are with the next question whom they may see.
        """
        ...

    def leave(self, user_id: str) -> None:
        """The user has signed out everywhere: it is forgotten when he was active."""
        ...

    async def view(self, viewer: Viewer, request: AskView) -> None:
        """Has `viewer` told who else types in this conversation, and in no other, as long as its user may see it.

        Never fails: where nobody can say now whether he may, that is asked again later (Viewer.view_again).
        """
        ...

    def unview(self, viewer: Viewer) -> None:
        """Has `viewer` told of nobody. Does nothing where it is so."""
        ...

    def type(self, viewer: Viewer) -> None:
        """The user types in the conversation that `viewer` shows: who else shows it is told, if he may be seen."""
        ...

    def doubt(self, viewer: Viewer) -> None:
        """The user of `viewer` may have to leave the conversation: he is told nothing more before that is asked."""
        ...

"""Whether a user may begin a conversation with another one, where the two have different owners, and whom he may make
a contact of his (users.policy).

The conversation in the sender's index is the memory of a yes, so the other one's owner is asked once, before the first
message is decided. What the same user sends to the same conversation meanwhile waits, and comes in its order.

Where one commit has both rows there is nothing to ask: the command that sends looks into the other one's
(cache/commands.py).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.lines import Lines
from rowbox.cacheserver.people.profiles import Profiles
from rowbox.cacheserver.port import Routed
from rowbox.mailbox.account.contacts import contact_of
from rowbox.mailbox.account.deeds import SetContact
from rowbox.mailbox.errors import UnknownUser
from rowbox.mailbox.group import person_key


class FirstMessages:
    """The first messages of one owner's users to those whom nobody here has in a commit with them."""

    def __init__(self, table: Table, profiles: Profiles, *, only_known: bool) -> None:
        """`only_known`: nobody else is written to first, or made a contact."""
        self.only_known = only_known
        self._table = table
        self._profiles = profiles
        self._lines = Lines()

    def may_be_first(self, sender_id: str, conversation_id: bytes) -> bool:
        """Whether `turn` has to be awaited before a send is submitted: memory does not show the conversation, or an
        earlier message of it is still waiting there.
        """
        if (sender_id, conversation_id) in self._lines:
            return True
        row = self._table.peek(sender_id)
        return row is None or row.mailbox is None or conversation_id not in row.mailbox.index

    @asynccontextmanager
    async def turn(
        self, sender_id: str, conversation_id: bytes, recipient_id: str, routed: Routed | None
    ) -> AsyncIterator[None]:
        """The turn of a send, which is to be submitted in it. UnknownUser, OwnerAway, Overloaded, PeerTooOld; raises
        what a load raises.
        """
        async with self._lines.turn(sender_id, conversation_id, routed):
            self._table.admitted(sender_id)
            _, mailbox = await self._table.loaded(sender_id)
            if conversation_id not in mailbox.index and await self._profiles.anywhere(recipient_id) is None:
                raise UnknownUser("nobody has made the recipient known")
            yield

    @asynccontextmanager
    async def contact_turn(self, user_id: str, deed: SetContact, routed: Routed | None) -> AsyncIterator[None]:
        """The turn of a deed where only users who are known become contacts: it is to be submitted in it, behind what
        the same user asked of the same contact before. Raises what `turn` does.
        """
        async with self._lines.turn(user_id, person_key(deed.user_id), routed):
            self._table.admitted(user_id)
            _, mailbox = await self._table.loaded(user_id)
            is_new = not deed.is_removed and contact_of(mailbox, deed.user_id) is None
            if is_new and await self._profiles.anywhere(deed.user_id) is None:
                raise UnknownUser("nobody has made this user known")
            yield

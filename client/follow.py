"""Every new message once and in order, over a server that may go away at any time.

After its own restart a program goes on from the token it saved. It saves `change.token` when it has dealt with the
change: dying in between, it is given that change again, never none. What it then does twice must be the same twice; for
a reply that is a clientMessageId made from the message's id (examples/echo_bot.py).

Tokens are text that nobody reads but who made it. The server's stand for whole answers; that of a message in the middle
of one is made here: the answer's token before it, and up to which version its messages are dealt with.
"""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final, Self, TypeAlias

from msgspec import Struct
from msgspec.structs import asdict

from rowbox.client.answers import Message, MessagePage
from rowbox.client.polls import Polls

_WITHIN: Final = "~"
"""Not in any token of the server's."""


class NewMessage(Message, kw_only=True, frozen=True):
    """A message that came, one's own too."""

    token: str
    """Where to follow on from, once this message and all before it are dealt with."""


class Reset(Struct, kw_only=True, frozen=True):
    """A place to start from, in place of what changed: the first change without a token, or for one that is not served.

    Messages older than these and newer than the program's last one are not given: where they matter, read on with
    `client.messages(conversation_id, cursor=reset.next_cursor)` as far as what is known. What is newer follows.
    """

    messages: Sequence[Message]
    """The newest, the newest first: of the conversation that is followed, or of all."""
    token: str
    next_cursor: str | None
    """Where older ones continue; None: there are none."""
    reason: str | None
    """Why the token was not served: "expired", "future", "restored", "foreign"; None where none was given."""


Change: TypeAlias = NewMessage | Reset


class Follow(AsyncIterator[Change]):
    """The changes of one mailbox; see the module's text. One reader at a time.

    It never ends and never gives up: leave the loop, or cancel the task (what was not given yet is not lost). It
    raises what no patience cures: AccessDenied, Refused for a conversation that is not there, and faults (faults.py).
    """

    def __init__(self, polls: Polls[MessagePage], token: str | None) -> None:
        """`token` is a change's; `polls` begins with the server's in it, `place_of(token)`."""
        self._polls = polls
        _, self._seen = place_of(token)
        """The version up to which what follows the server's last token was given."""
        self._pending: deque[Change] = deque()
        self._given = token

    @property
    def token(self) -> str | None:
        """Up to where changes were given; moves on as well where only read marks moved."""
        return self._given

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        while not self._pending:
            before = self._polls.reached
            page = await self._polls.next()
            self._pending.extend(changes_of(page, before, self._seen))
            self._seen = 0
            if not self._pending:
                self._given = page.last_updated_timestamp
        change = self._pending.popleft()
        self._given = change.token
        return change


def changes_of(page: MessagePage, before: str | None, seen: int) -> list[Change]:
    """What a page means to a follower, in the order to give it: that asked for what came after the token `before`, and
    was given what follows it up to the version `seen`.
    """
    token = page.last_updated_timestamp
    if not page.is_delta_update or before is None:
        return [Reset(messages=page.items, token=token, next_cursor=page.next_cursor, reason=page.reset_reason)]
    fresh = sorted(
        (message for message in page.items if message.last_updated_timestamp > seen),
        key=lambda message: message.last_updated_timestamp,
    )
    tokens = [f"{before}{_WITHIN}{message.last_updated_timestamp}" for message in fresh[:-1]] + [token]
    return [NewMessage(**asdict(message), token=at) for message, at in zip(fresh, tokens, strict=False)]


def place_of(token: str | None) -> tuple[str | None, int]:
    """The server's token in that of a change, and the version up to which what follows it is known. ValueError."""
    if token is None:
        return None, 0
    before, within, seen = token.partition(_WITHIN)
    if within and not seen.isdecimal():
        raise ValueError(f"no token of a change: {token!r}")
    return before, int(seen or 0)

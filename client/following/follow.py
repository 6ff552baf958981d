"""Gives every new message once and in order, over a server that may go away at any time.

After its own restart a program goes on from the token that it saved. It saves `change.token` when it has dealt with the
change. If it dies in between, it is given that change again, so no change is lost. What it does with a change must
therefore be safe to do twice; a bot replies under a clientMessageId made from the message's id (examples/echo_bot.py).

Tokens are opaque to a program. The server's tokens stand for whole answers. The token of a message in the middle of an
answer is made here, of the server's token before that answer and the version of the message.
"""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final, Self, TypeAlias

from msgspec import Struct
from msgspec.structs import asdict

from rowbox.client.calls.answers import Message, MessagePage
from rowbox.client.following.polls import Polls

_WITHIN: Final = "~"
"""Divides the two parts of a token that is made here. No token of the server's has it."""


class NewMessage(Message, kw_only=True, frozen=True):
    """A message that came into the mailbox, sent by another user or by this one."""

    token: str
    """The token from which to follow on when this message and all before it are dealt with."""


class Reset(Struct, kw_only=True, frozen=True):
    """A new start, with the newest page of messages. It is the first change of a follower without a token, and of one
    whose token the server cannot serve.

    Messages older than these and newer than the program's last one are not given. Where they matter, read
    `client.messages(conversation_id, cursor=reset.next_cursor)` up to a message that the program knows. Newer messages
    follow as further changes.
    """

    messages: Sequence[Message]
    """The newest messages of the conversation that is followed, or of all; the newest first."""
    token: str
    next_cursor: str | None
    """The cursor with which older messages continue; None where there are none."""
    reason: str | None
    """Why the token was not served: "expired", "future", "restored" or "foreign"; None where no token was given."""


Change: TypeAlias = NewMessage | Reset


class Follow(AsyncIterator[Change]):
    """The changes of one mailbox, for one reader at a time.

    It never ends and never gives up. To stop, leave the loop or cancel the task; changes that were not given yet are
    not lost. It raises AccessDenied, Refused for a conversation that does not exist, and faults (faults.py).
    """

    def __init__(self, polls: Polls[MessagePage], token: str | None) -> None:
        """`token` is the token of a change. `polls` begins with the server's token in it, `place_of(token)[0]`."""
        self._polls = polls
        _, self._seen = place_of(token)
        """The version up to which messages of the answer behind the server's last token were given."""
        self._pending: deque[Change] = deque()
        self._given = token

    @property
    def token(self) -> str | None:
        """The token of the last change that was given. It moves on without a change where only read marks moved."""
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
    """The changes in a page, in the order in which a follower gives them.

    The follower had asked for what came after the token `before`, and has given messages behind that token up to the
    version `seen`.
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
    """The server's token inside a change's token, and the version up to which messages behind it were given; (None, 0)
    without a token. ValueError where `token` is none of a change.
    """
    if token is None:
        return None, 0
    before, within, seen = token.partition(_WITHIN)
    if within and not seen.isdecimal():
        raise ValueError(f"no token of a change: {token!r}")
    return before, int(seen or 0)

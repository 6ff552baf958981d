"""Every new message once and in order: from token to token by long poll, over a server that may go away at any time.

A token is a place in the mailbox's history. Each request asks for what came after the last token, and only an answer
moves it, so a request that failed is made again without missing or doubling anything.

After its own restart a program goes on from the token it saved. It saves `change.token` when it has dealt with the
change: dying in between, it is given that change again, never none. What it then does twice must be the same twice; for
a reply that is a clientMessageId made from the message's id (examples/echo_bot.py).

Tokens are text that nobody reads but who made it. The server's stand for whole answers; that of a message in the middle
of one is made here: the answer's token before it, and up to which version its messages are dealt with.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from random import Random
from typing import Final, Self, TypeAlias

from msgspec import Struct
from msgspec.structs import asdict

from rowbox.client.answers import Message, MessagePage
from rowbox.client.errors import CallFailed
from rowbox.client.retry import RetryPolicy, Sleep

log = logging.getLogger(__name__)

_WITHIN: Final = "~"
"""Not in any token of the server's."""
EARLY_S: Final = 1.0
"""A poll that ends sooner than this with nothing was ended by somebody: more than eight of the same user, for example.
Without a pause such clients would end one another's polls as fast as the network goes."""


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
Poll: TypeAlias = Callable[[str | None], Awaitable[MessagePage]]
"""One request for what came after a token; held by the server until there is something."""


class Follow(AsyncIterator[Change]):
    """The changes of one mailbox; see the module's text. One reader at a time.

    It never ends and never gives up: leave the loop, or cancel the task (what was not given yet is not lost). It
    raises what no patience cures: AccessDenied, and Refused for a conversation that is not there.
    """

    def __init__(
        self,
        poll: Poll,
        token: str | None,
        policy: RetryPolicy,
        random: Random,
        sleep: Sleep,
        clock: Callable[[], float],
    ) -> None:
        self._poll = poll
        self._policy = policy
        self._random = random
        self._sleep = sleep
        self._clock = clock
        self._reached, self._seen = _place_of(token)
        """The server's last token, and the version up to which what follows it was given."""
        self._pending: deque[Change] = deque()
        self._given = token
        self._failures = 0
        self._pause_s = 0.0

    @property
    def token(self) -> str | None:
        """Up to where changes were given; moves on as well where only read marks moved."""
        return self._given if self._pending else self._reached

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        while not self._pending:
            await self._ask()
        change = self._pending.popleft()
        self._given = change.token
        return change

    async def _ask(self) -> None:
        """One poll, after the pause that the one before made necessary."""
        pause_s, self._pause_s = self._pause_s, 0.0
        if pause_s:
            await self._sleep(pause_s)
        began_s = self._clock()
        try:
            page = await self._poll(self._reached)
        except CallFailed as error:
            if not error.retryable:
                raise
            self._back_off(error.retry_after_ms)
            log.warning("%s; again in %.1f s", error, self._pause_s)
            return
        changes = changes_of(page, self._reached, self._seen)
        self._pending.extend(changes)
        self._reached, self._seen = page.last_updated_timestamp, 0
        if not changes and not page.has_more and page.retry_after_ms is None and self._clock() - began_s < EARLY_S:
            self._back_off(None)
            return
        self._failures = 0
        self._pause_s = (page.retry_after_ms or 0) / 1000

    def _back_off(self, asked_ms: int | None) -> None:
        self._failures += 1
        self._pause_s = self._policy.pause_s(self._failures, asked_ms, self._random)


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


def _place_of(token: str | None) -> tuple[str | None, int]:
    """The server's token in that of a change, and the version up to which what follows it is known. ValueError."""
    if token is None:
        return None, 0
    before, within, seen = token.partition(_WITHIN)
    if within and not seen.isdecimal():
        raise ValueError(f"no token of a change: {token!r}")
    return before, int(seen or 0)

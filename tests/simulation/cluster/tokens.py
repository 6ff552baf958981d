"""The tokens of a simulation's users, and what is promised of them: a revoked one is answered nothing any more.

A user's requests come with tokens of his own, and now and then with one of another user, who acts for him: that one's
owner has to be asked, and he may be on another server (routing/judges.py).
"""

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import TypeVar

from rowbox.mailbox.errors import TokenRevoked
from rowbox.mailbox.revocation import Bearer

_T = TypeVar("_T")
US_PER_S = 1_000_000
AHEAD_S = 6
"""A revocation goes by the clock of an owner, which may be ahead: tokens that are issued after it are dated later."""


class TokenMisjudged(AssertionError):
    """A revoked token was good for something, or one that nobody has revoked was not."""


class Tokens:
    """All tokens that were ever issued."""

    def __init__(self, now_us: Callable[[], int], dice: Random, users: Sequence[str]) -> None:
        self._now_us = now_us
        self._dice = dice
        self._users = users
        self._revoked: dict[str, int] = {}
        """By user: what was issued before this second is refused, as his owner has said."""
        self._least_s = dict.fromkeys(users, 0)
        """The second of the tokens that are issued after the last revocation was asked for."""
        self._held: dict[str, Bearer] = {}
        self.refused = 0
        """Requests that came with a revoked token."""

    async def use(self, user: str, ask: Callable[[Bearer], Awaitable[_T]]) -> _T:
        """Asks with a token, and with another one where that was revoked. TokenMisjudged."""
        while True:
            bearer = self._bearer_of(self._whose(user))
            is_revoked = bearer.issued_at_s < self._revoked.get(bearer.user_id, 0)
            try:
                answer = await ask(bearer)
            except TokenRevoked:
                self.refused += 1
                if bearer.issued_at_s >= self._least_s[bearer.user_id]:
                    raise TokenMisjudged(f"a token of {bearer.user_id} is refused, and was not revoked") from None
                self._held.pop(bearer.user_id, None)
                continue
            if is_revoked:
                raise TokenMisjudged(f"a revoked token of {bearer.user_id} was answered about {user}")
            return answer

    def _whose(self, user: str) -> str:
        """Who asks for the user. What is asked in one moment may come with tokens of several: it keeps its order."""
        return self._dice.choice(self._users) if self._dice.random() < 0.25 else user

    def _bearer_of(self, user: str) -> Bearer:
        """Whoever holds a token that was revoked may not know it: he tries it until he is refused."""
        if user not in self._held:
            issued_s = max(self._least_s[user], self._now_us() // US_PER_S)
            self._held[user] = Bearer(user, issued_s, b"%016x" % self._dice.getrandbits(64))
        return self._held[user]

    async def revoke(self, user: str, ask: Callable[[str], Awaitable[int]]) -> None:
        """Has all tokens of a user revoked. Whoever is told so can rely on it."""
        self._least_s[user] = self._now_us() // US_PER_S + AHEAD_S
        before_s = await ask(user)
        self._revoked[user] = max(before_s, self._revoked.get(user, 0))

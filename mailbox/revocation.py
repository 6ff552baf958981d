"""Revoked tokens: what is known of a caller's token, and which of a user's tokens are refused.

All tokens of a user are revoked at once by a moment: what was issued before it is refused. Times are whole seconds,
because most issuers write `iat` so: the moment is the end of the second in which the revocation is made, and whoever
asked for it is answered when that has come (revocations.py). So every token that was issued before the
answer is refused, and every one that is issued after it counts, in that very second too.

A token that does not say when it was issued may have been issued at any time: it is refused like the oldest. So is one
that is dated after the time by more than the leeway: it would outlive every revocation until that date.

A user who signs out of all devices revokes in the same way. He may spare the tokens of one device: those that name it
themselves (the claim `did`), because what a request says of its device anybody may say.
"""

from hashlib import blake2b
from typing import Final

import msgspec
from msgspec.structs import replace

from rowbox.mailbox.clocks.clock import US_PER_S

TOKEN_HASH_BYTES: Final = 16
ALL_TOKENS_S: Final = 253_402_300_800
"""A second before which every token is issued, the first one of the year 10000: who is deleted has none that counts."""
LONGEST_TOKEN_ID: Final = 256
"""Characters of a `jti` that can be named to be revoked."""


class Bearer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an owner has to know of the token that a request came with.

    `issued_at_s`: seconds since the epoch; 0 where the token says nothing that can be believed. `token_hash`: of its
    `jti`; b"" for none. `device_id`: the device that the request came from, "" for none; `is_of_device`: the token
    itself names it.
    """

    user_id: str
    issued_at_s: float = 0.0
    token_hash: bytes = b""
    device_id: str = ""
    is_of_device: bool = False


class Revocation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Of a user's tokens those are refused that were issued before `before_s`; 0: none are.

    `until_s`: by then the last of them has expired, and the record says nothing any more; 0: nobody knows when.

    Of tokens that name the device `spared` those are refused that were issued before `spared_before_s`. What was issued
    before `signed_out_s` was signed out by the user himself: whoever holds it has to sign in again.
    """

    version: int
    epoch: int
    before_s: int = 0
    until_s: int = 0
    spared: str = ""
    spared_before_s: int = 0
    signed_out_s: int = 0

    def has_ended(self, now_us: int) -> bool:
        """Whether there is nothing left that it could refuse."""
        return self.before_s == 0 or 0 < self.until_s * US_PER_S <= now_us

    def refuses(self, bearer: Bearer, now_us: int) -> bool:
        """Whether a token of its user is revoked."""
        if bearer.issued_at_s >= self.before_s or self.has_ended(now_us):
            return False
        return bearer.issued_at_s < self._before_s(bearer)

    def is_sign_out(self, bearer: Bearer) -> bool:
        """Whether a token that it refuses was signed out, and not revoked by an operator."""
        return bearer.issued_at_s < self.signed_out_s

    def _before_s(self, bearer: Bearer) -> int:
        is_spared = bearer.is_of_device and bearer.device_id == self.spared
        return self.spared_before_s if is_spared else self.before_s

    def extended(self, before_s: int, until_s: int, spared: str, *, is_sign_out: bool) -> "Revocation":
        """The record after one more revocation, of a later second, which spares the tokens of a device ("": none).

        What was refused before stays refused: of the device that is spared now, too.
        """
        refused_s = self.spared_before_s if spared == self.spared else self.before_s
        return replace(
            self,
            before_s=before_s,
            until_s=until_s,
            spared=spared,
            spared_before_s=refused_s if spared else 0,
            signed_out_s=before_s if is_sign_out else self.signed_out_s,
        )


def token_hash(token_id: str) -> bytes:
    """The hash under which a `jti` is known here: TOKEN_HASH_BYTES, however long the `jti` is."""
    return blake2b(token_id.encode("utf-8", "surrogatepass"), digest_size=TOKEN_HASH_BYTES).digest()


def end_of_second(now_us: int) -> int:
    """The moment before which tokens are revoked by a revocation at `now_us`, in whole seconds."""
    return now_us // US_PER_S + 1

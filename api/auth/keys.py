"""The keys that verify tokens, as an authenticator sees them. auth/jwk.py and auth/shared_secrets.py make them, and
auth/kept_keys.py reads them again and again.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from rowbox.mailbox.errors import RowboxError

MAX_TRIED: Final = 8
"""The most keys that are tried for one token. Anybody can send a token, and each key that fails costs 30 to 400
microseconds. Only a set with more keys of one type that `kid` does not tell apart comes near this number."""


class KeysUnavailable(RowboxError):
    """The keys cannot be read, or none of them is usable.

    At a start it ends the server, and its message names the place of the keys. While a server runs it means that the
    keys could not be read for so long that they no longer count; the same request may be sent again.
    """

    code = "keys_unavailable"
    retryable = True
    told = "no token can be verified now; nothing was done"


class VerifyKey(NamedTuple):
    """A key and the names of the algorithms that it may be used with.

    `kid` is its name, None where it has none. `key` is what PyJWT takes. Two are the same key where `kid`,
    `algorithms` and `material` are: library objects of equal keys need not be equal.
    """

    kid: str | None
    algorithms: tuple[str, ...]
    material: tuple[str | bytes, ...]
    key: Any

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal where two are the same key."""
        return self.kid, self.algorithms, self.material


class DroppedKey(NamedTuple):
    """A key of a set that verifies nothing, and why: a line for the log, without anything of the key itself."""

    place: str
    kid: str
    """The key's `kid`, made safe to print; "" where it has none."""
    reason: str
    is_fault: bool
    """False where the entry is in order but not for signatures, such as an issuer's key for encryption."""

    @property
    def name(self) -> str:
        return f"{self.place}, kid {self.kid}" if self.kid else self.place

    @property
    def identity(self) -> tuple[str, str]:
        """Equal where two readings left out the same key for the same reason. Its place is no part of it, because
        issuers list their keys in any order.
        """
        return self.kid, self.reason


class KeySet(NamedTuple):
    """All keys that count at one moment, in the order in which they are tried."""

    keys: Sequence[VerifyKey]
    dropped: Sequence[DroppedKey] = ()
    has_names: bool = True
    """Whether these keys have names: then a token with a `kid` is tried with keys of that name only. Secrets have
    none."""

    def candidates(self, kid: object, algorithm: object) -> list[VerifyKey]:
        """The keys that a token with this header may be signed with, MAX_TRIED at most.

        RFC 7515 leaves `kid` out at will, and RFC 7517 lets keys share one: so the algorithm decides among them. A
        token that names a key is never tried with one of another name, and not with one that has none.
        """
        found = (
            key
            for key in self.keys
            if algorithm in key.algorithms and (kid is None or not self.has_names or kid == key.kid)
        )
        return [key for key, _ in zip(found, range(MAX_TRIED), strict=False)]

    def lacks_any_of(self, other: "KeySet") -> bool:
        """Whether this set is without a key of `other`. Then tokens that `other` verified may no longer count."""
        return not {key.identity for key in other.keys} <= {key.identity for key in self.keys}

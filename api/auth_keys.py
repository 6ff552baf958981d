"""The keys that verify tokens, as an authenticator sees them, and the simplest kind: one secret. auth_jwks.py: sets."""

from typing import Any, NamedTuple, Protocol

from rowbox.mailbox.errors import RowboxError


class KeysUnavailable(RowboxError):
    """A key set that cannot be read, or that holds no usable key: a start ends with it. The message names its place."""

    code = "keys_unavailable"


class VerifyKey(NamedTuple):
    """A key, as PyJWT takes it, and the algorithms that it may be used with."""

    key: Any
    algorithms: tuple[str, ...]


class Keys(Protocol):
    """Where an authenticator finds keys. `generation` rises when the keys have changed."""

    generation: int

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def keep_fresh(self) -> None:
        """Called with every request: starts a refresh in the background when one is due. Cheap."""
        ...

    async def find(self, kid: object) -> VerifyKey:
        """The key that a token's header names. Unauthenticated when there is none."""
        ...


class SecretKey:
    """HS256 with one secret."""

    generation = 0

    def __init__(self, secret: bytes) -> None:
        self._key = VerifyKey(secret, ("HS256",))

    async def start(self) -> None:
        """Nothing to read."""

    async def close(self) -> None:
        """Nothing to end."""

    def keep_fresh(self) -> None:
        """A secret does not age."""

    async def find(self, kid: object) -> VerifyKey:
        """There is one key, whatever a token calls it."""
        return self._key

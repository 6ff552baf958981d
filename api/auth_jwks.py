"""A set of public keys (JWKS) that is kept fresh.

Rules:
- Only asymmetric algorithms, and for each key only those of its own type. So neither `none` nor HS256 with a public key
  as its secret can verify, whatever a token's header says.
- It is read again when it is older than MAX_AGE_S, and when a token names a key that it does not hold, at most every
  RETRY_S: a stream of made-up key ids costs the issuer nothing.
- When reading fails, the keys at hand stay.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Final

import jwt

from rowbox.api.auth_jwks_source import Fetch
from rowbox.api.auth_keys import KeysUnavailable, VerifyKey
from rowbox.mailbox.errors import Unauthenticated

MAX_AGE_S: Final = 600.0
RETRY_S: Final = 30.0
MAX_KEYS: Final = 100
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_BY_CURVE: Final[Mapping[str, tuple[str, ...]]] = {
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA",),
    "Ed448": ("EdDSA",),
}
_log = logging.getLogger(__name__)


class JwksKeys:
    """A JSON Web Key Set."""

    def __init__(self, fetch: Fetch, monotonic: Callable[[], float]) -> None:
        self.generation = 0
        self._fetch = fetch
        self._monotonic = monotonic
        self._keys: dict[str, VerifyKey] = {}
        self._body = b""
        self._read_s = -MAX_AGE_S
        self._tried_s = -MAX_AGE_S
        self._refreshing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._read()

    async def close(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])

    def keep_fresh(self) -> None:
        if self._monotonic() - self._read_s >= MAX_AGE_S:
            self._refresh_if_due()

    async def find(self, kid: object) -> VerifyKey:
        key = self._lookup(kid)
        if key is None:
            self._refresh_if_due()
            if self._refreshing is not None:
                await asyncio.wait([self._refreshing])  # a caller that leaves does not cancel it for the others
            key = self._lookup(kid)
        if key is None:
            raise Unauthenticated("the token is not signed by a known key")
        return key

    def _lookup(self, kid: object) -> VerifyKey | None:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(str(kid))

    def _refresh_if_due(self) -> None:
        is_running = self._refreshing is not None and not self._refreshing.done()
        if not is_running and self._monotonic() - self._tried_s >= RETRY_S:
            self._tried_s = self._monotonic()
            self._refreshing = asyncio.create_task(self._refresh(), name="jwks refresh")

    async def _refresh(self) -> None:
        try:
            await self._read()
        except KeysUnavailable as error:
            _log.warning("the key set was not refreshed, the old keys stay: %s", error)

    async def _read(self) -> None:
        self._tried_s = self._monotonic()
        body = await self._fetch()
        if body != self._body:
            self._keys = parse_jwks(body)
            self._body = body
            self.generation += 1
        self._read_s = self._monotonic()


def parse_jwks(body: bytes) -> dict[str, VerifyKey]:
    """The usable keys of a set by their kid ("" for a key without one). KeysUnavailable when there is none."""
    try:
        listed = json.loads(body)["keys"][:MAX_KEYS]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise KeysUnavailable(f"not a JSON Web Key Set: {error}") from error
    keys = {}
    for jwk in listed:
        algorithms = _algorithms(jwk)
        if algorithms:
            try:
                keys[str(jwk.get("kid", ""))] = VerifyKey(jwt.PyJWK(jwk, algorithm=algorithms[0]).key, algorithms)
            except (jwt.PyJWTError, ValueError) as error:
                _log.warning("a key of the key set is not usable: %s", error)
    if not keys:
        raise KeysUnavailable("the key set holds no public key for signatures")
    return keys


def _algorithms(jwk: object) -> tuple[str, ...]:
    """What a key may verify: nothing for a symmetric or private-use one."""
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig":
        return ()
    possible = _RSA if jwk.get("kty") == "RSA" else _BY_CURVE.get(str(jwk.get("crv")), ())
    return tuple(name for name in possible if name == jwk.get("alg", name))

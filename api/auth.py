"""Who is calling: `Authorization: Bearer <token>` to Claims.

A verified token is remembered until it expires, under its hash: no token stays readable in memory, and an entry's size
is bounded whatever the token's. The memory is emptied when the keys change: a key that is withdrawn takes its tokens
with it. Nothing is remembered of a token that failed. Time is an argument.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final, Protocol

import jwt
from jwt.types import Options

from rowbox.api.auth_jwks import JwksKeys
from rowbox.api.auth_jwks_source import jwks_fetcher
from rowbox.api.auth_keys import Keys, SecretKey
from rowbox.api.claims import Claims
from rowbox.mailbox.config import AuthSettings
from rowbox.mailbox.errors import Unauthenticated
from rowbox.mailbox.ids import is_user_id

ADMIN_SCOPE = "admin"
_OPTIONS: Final[Options] = {
    "require": ["exp", "sub"],
    "enforce_minimum_key_length": True,
    # Judged below against the injected clock; PyJWT would read its own.
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}


class Authenticator(Protocol):
    """Tells callers apart."""

    async def start(self) -> None:
        """Makes it ready. KeysUnavailable where keys cannot be had: a server that knows none could only say no."""
        ...

    async def close(self) -> None:
        """Ends what it runs in the background."""
        ...

    def remembered(self, authorization: str | None) -> Claims | None:
        """The claims in a header that was verified before and still holds; None: ask `authenticate`."""
        ...

    async def authenticate(self, authorization: str | None) -> Claims:
        """The claims in an Authorization header. Unauthenticated for none, a wrong one, or an expired one."""
        ...


class TokenAuthenticator:
    """Verifies JSON Web Tokens: signature, exp, nbf, sub, and aud and iss where they are configured."""

    def __init__(self, keys: Keys, settings: AuthSettings, now: Callable[[], float]) -> None:
        self._keys = keys
        self._audience = settings.audience or None
        self._issuer = settings.issuer or None
        self._leeway_s = settings.leeway_ms / 1000
        self._now = now
        self._verified = _ClaimsCache(settings.token_cache_entries)
        self._generation = keys.generation

    async def start(self) -> None:
        await self._keys.start()

    async def close(self) -> None:
        await self._keys.close()

    def remembered(self, authorization: str | None) -> Claims | None:
        if authorization is None:
            return None
        self._keys.keep_fresh()
        if self._generation != self._keys.generation:
            self._verified.clear()
            self._generation = self._keys.generation
        claims = self._verified.get(_digest(authorization))
        return None if claims is None or claims.valid_until_s <= self._now() else claims

    async def authenticate(self, authorization: str | None) -> Claims:
        if authorization is None:
            raise Unauthenticated("the Authorization header is missing")
        claims = await self._verify(bearer_token(authorization))
        self._verified.put(_digest(authorization), claims)
        return claims

    async def _verify(self, token: str) -> Claims:
        try:
            key = await self._keys.find(jwt.get_unverified_header(token).get("kid"))
            payload = jwt.decode(
                token,
                key.key,
                algorithms=list(key.algorithms),
                audience=self._audience,
                issuer=self._issuer,
                options={**_OPTIONS, "verify_aud": self._audience is not None},
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise Unauthenticated(f"the token does not verify: {error}"[:200]) from error
        return self._claims(payload)

    def _claims(self, payload: dict[str, Any]) -> Claims:
        expires_s = _time(payload, "exp") + self._leeway_s
        now = self._now()
        if expires_s <= now:
            raise Unauthenticated("the token has expired")
        if "nbf" in payload and _time(payload, "nbf") - self._leeway_s > now:
            raise Unauthenticated("the token is not valid yet")
        user_id, scope = payload["sub"], payload.get("scope")
        if not is_user_id(user_id):
            raise Unauthenticated("the token's sub is not a userId")
        return Claims(user_id, isinstance(scope, str) and ADMIN_SCOPE in scope.split(), expires_s)


class _ClaimsCache:
    """The claims of verified tokens by their hash, the least recently used out first. `entries` 0 keeps none."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._claims: OrderedDict[bytes, Claims] = OrderedDict()

    def get(self, digest: bytes) -> Claims | None:
        claims = self._claims.get(digest)
        if claims is not None:
            self._claims.move_to_end(digest)
        return claims

    def put(self, digest: bytes, claims: Claims) -> None:
        self._claims[digest] = claims
        if len(self._claims) > self._entries:
            self._claims.popitem(last=False)

    def clear(self) -> None:
        self._claims.clear()


def make_authenticator(
    settings: AuthSettings, secret: bytes, now: Callable[[], float], monotonic: Callable[[], float]
) -> TokenAuthenticator:
    """For tokens of the configured key set; where none is configured, of `secret` (HS256, 32 bytes or more)."""
    keys: Keys = JwksKeys(jwks_fetcher(settings.jwks), monotonic) if settings.jwks else SecretKey(secret)
    return TokenAuthenticator(keys, settings, now)


def issue_token(secret: bytes, user_id: str, ttl_s: float, *, admin: bool, now: float) -> str:
    """A token for `user_id`, valid for `ttl_s` seconds from `now`, that SecretKey(secret) verifies."""
    payload: dict[str, object] = {"sub": user_id, "iat": int(now), "exp": math.ceil(now + ttl_s)}
    if admin:
        payload["scope"] = ADMIN_SCOPE
    return jwt.encode(payload, secret, algorithm="HS256")


def _digest(authorization: str) -> bytes:
    return blake2b(authorization.encode("utf-8", "surrogateescape"), digest_size=32).digest()


def bearer_token(authorization: str) -> str:
    """The token in an Authorization header. Unauthenticated where the header is of another scheme."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("the Authorization header is not of the form: Bearer <token>")
    return token.strip()


def _time(payload: dict[str, Any], name: str) -> float:
    """A NumericDate. JSON as Python reads it also has Infinity, which would never expire, and true, which is 1."""
    value = payload[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e12 < value < 1e12:
        raise Unauthenticated(f"the token's {name} is not a time in seconds")
    return value

"""Who is calling: turns `Authorization: Bearer <token>` into Claims.

A verified token is remembered until it expires, under its hash, so no token stays readable in memory and every entry
has a bounded size. When a key stops counting, all remembered tokens are forgotten, so a withdrawn key takes its tokens
with it. A token that failed is not remembered. Time is an argument.
"""

import math
import secrets
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final, Protocol

import jwt

from rowbox.api.auth.claims import Claims
from rowbox.api.auth.jwks import jwks_keys
from rowbox.api.auth.jwks_source import jwks_fetcher
from rowbox.api.auth.kept_keys import KeptKeys
from rowbox.api.auth.shared_secrets import ALGORITHM, ReadSecrets, secret_keys
from rowbox.api.auth.signature import header_of, verified_payload
from rowbox.api.auth.validation import ADMIN_SCOPE, ClaimRules
from rowbox.mailbox.errors import Unauthenticated
from rowbox.mailbox.settings.config import AuthSettings
from rowbox.mailbox.subjects import subject_of

TOKEN_ID_BYTES: Final = 12
"""Random bytes in the `jti` of an issued token, by which that one token can be revoked."""
_MAX_DETAIL: Final = 200
"""The most characters that a refusal takes from an error text of PyJWT, which may quote the token."""


class Authenticator(Protocol):
    """Tells callers apart."""

    @property
    def keys(self) -> KeptKeys | None:
        """The keys it verifies with, for the background reading and for health and metrics. None: it needs none."""
        ...

    async def start(self) -> None:
        """Makes it ready. RowboxError where no keys can be read: a server without keys would refuse everybody."""
        ...

    async def close(self) -> None:
        """Ends what it runs in the background."""
        ...

    def remembered(self, authorization: str | None) -> Claims | None:
        """The claims in a header that was verified before and still counts. None: `authenticate` has to be asked."""
        ...

    async def authenticate(self, authorization: str | None) -> Claims:
        """The claims in an Authorization header.

        Unauthenticated where the header or its token is missing, wrong or expired. KeysUnavailable where no key counts
        now, so that nobody can tell.
        """
        ...


class TokenAuthenticator:
    """Verifies JSON Web Tokens: signature, aud and iss where they are configured, and what ClaimRules judges."""

    def __init__(self, keys: KeptKeys, settings: AuthSettings, now: Callable[[], float]) -> None:
        self.keys = keys
        self._audience = settings.audience or None
        self._issuer = settings.issuer or None
        self._rules = ClaimRules(settings)
        self._now = now
        self._verified = _ClaimsCache(settings.token_cache_entries)
        self._generation = keys.generation

    async def start(self) -> None:
        await self.keys.start()

    async def close(self) -> None:
        await self.keys.close()

    def remembered(self, authorization: str | None) -> Claims | None:
        keys = self.keys
        if authorization is None or not keys.are_valid():
            return None
        if self._generation != keys.generation:
            self._verified.clear()
            self._generation = keys.generation
        claims = self._verified.get(_digest(authorization))
        return None if claims is None or claims.valid_until_s <= self._now() else claims

    async def authenticate(self, authorization: str | None) -> Claims:
        if authorization is None:
            raise Unauthenticated("the Authorization header is missing")
        payload = await self._verify(bearer_token(authorization))
        claims = self._rules.claims(payload, self._now())
        self._verified.put(_digest(authorization), claims)
        return claims

    async def _verify(self, token: str) -> dict[str, Any]:
        try:
            kid, algorithm = header_of(token)
            payload = await self._payload(token, kid, algorithm)
            if payload is None and await self.keys.refresh():
                payload = await self._payload(token, kid, algorithm)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise Unauthenticated(f"the token does not verify: {error}"[:_MAX_DETAIL]) from error
        if payload is None:
            raise Unauthenticated("the token is not signed by a known key")
        return payload

    async def _payload(self, token: str, kid: object, algorithm: object) -> dict[str, Any] | None:
        keys = await self.keys.candidates(kid, algorithm)
        return verified_payload(token, keys, audience=self._audience, issuer=self._issuer)


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
    settings: AuthSettings, read_secrets: ReadSecrets, now: Callable[[], float], monotonic: Callable[[], float]
) -> TokenAuthenticator:
    """An authenticator for tokens of the key set that `settings` name.

    Where they name none, it is for tokens signed with the secrets that `read_secrets` gives.
    """
    if settings.jwks:
        keys = jwks_keys(jwks_fetcher(settings.jwks), settings, monotonic)
    else:
        keys = secret_keys(read_secrets, monotonic)
    return TokenAuthenticator(keys, settings, now)


def issue_token(
    secret: bytes,
    user_id: str,
    ttl_s: float,
    *,
    admin: bool,
    now: float,
    device_id: str = "",
    settings: AuthSettings = AuthSettings(),  # noqa: B008 - frozen
) -> str:
    """A token for `user_id`, valid for `ttl_s` seconds from `now`, that a server of this secret and `settings` accepts.
    `device_id`: of which device it is; "": of none.

    ValueError where such a server accepts no token for this user, because no subject escapes to this userId.
    """
    subject = subject_of(user_id) if settings.escape_user_ids else user_id
    payload: dict[str, object] = {
        "sub": user_id,
        settings.user_id_claim: subject,
        "iat": int(now),
        "exp": math.ceil(now + ttl_s),
        "jti": secrets.token_hex(TOKEN_ID_BYTES),
    }
    if device_id:
        payload[settings.device_claim] = device_id
    if admin:
        payload[settings.scope_claim] = ADMIN_SCOPE
    if settings.audience:
        payload["aud"] = settings.audience
    if settings.issuer:
        payload["iss"] = settings.issuer
    return jwt.encode(payload, secret, algorithm=ALGORITHM)


def _digest(authorization: str) -> bytes:
    return blake2b(authorization.encode("utf-8", "surrogateescape"), digest_size=32).digest()


def bearer_token(authorization: str) -> str:
    """The token in an Authorization header. Unauthenticated where the header is of another scheme."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("the Authorization header is not of the form: Bearer <token>")
    return token.strip()

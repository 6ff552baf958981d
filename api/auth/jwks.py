"""A set of public keys (JWKS), kept fresh from a file or a URL."""

from collections.abc import Callable
from typing import Final

from rowbox.api.auth.jwk import parse_jwks
from rowbox.api.auth.jwks_source import Fetch
from rowbox.api.auth.kept_keys import Ages, KeptKeys
from rowbox.api.auth.keys import KeySet
from rowbox.mailbox.settings.config import AuthSettings

RETRY_S: Final = 30.0
"""Seconds between two readings that unknown key ids cause: made-up ids cost the issuer one request in this time."""


def jwks_keys(fetch: Fetch, settings: AuthSettings, monotonic: Callable[[], float]) -> KeptKeys:
    """The keys of the set that `fetch` reads."""

    async def read() -> KeySet:
        return parse_jwks(await fetch())

    ages = Ages(settings.jwks_max_age_ms / 1000, settings.jwks_keep_ms / 1000, RETRY_S)
    return KeptKeys("issuer_keys", read, ages, monotonic)

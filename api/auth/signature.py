"""Whether a token is signed by one of some keys: the only use of PyJWT's verification."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import jwt
from jwt.algorithms import OKPAlgorithm
from jwt.types import Options

from rowbox.api.auth.jwk import EDWARDS_NAMES
from rowbox.api.auth.keys import VerifyKey

_OPTIONS: Final[Options] = {
    "enforce_minimum_key_length": True,
    # Judged by auth/validation.py, against the injected clock and by the settings; PyJWT would read its own clock.
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_sub": False,
    "verify_jti": False,
}

for _name in EDWARDS_NAMES:
    with suppress(ValueError):  # a PyJWT to come may know it by itself
        jwt.register_algorithm(_name, OKPAlgorithm())


def header_of(token: str) -> tuple[object, object]:
    """The `kid` and the `alg` that a token claims, unverified. PyJWTError, ValueError, RecursionError for no token."""
    header = jwt.get_unverified_header(token)
    return header.get("kid"), header.get("alg")


def verified_payload(
    token: str, keys: Iterable[VerifyKey], *, audience: str | None, issuer: str | None
) -> dict[str, Any] | None:
    """The claims of a token that one of `keys` signed; None where none did.

    `audience` and `issuer` have to be the token's where they are not None. jwt.PyJWTError, ValueError, RecursionError
    for a token that is wrong whoever signed it.
    """
    options: Options = {**_OPTIONS, "verify_aud": audience is not None}
    for key in keys:
        try:
            return jwt.decode(
                token, key.key, algorithms=list(key.algorithms), audience=audience, issuer=issuer, options=options
            )
        except jwt.InvalidSignatureError:
            continue
    return None

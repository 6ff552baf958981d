"""Who may ask a running server for what only an operator may have done: whoever can read its data folder.

The proof is a token like a user's, signed with the folder's secret: for another audience, for half a minute, and
without a `sub`, so neither kind stands in for the other.
"""

from collections.abc import Callable, Iterable
from typing import Final

import jwt

from rowbox.api.auth.authenticator import bearer_token
from rowbox.mailbox.errors import Unauthenticated

AUDIENCE: Final = "rowbox-operator"
LIFE_S: Final = 30.0
"""A token is made for one call, on the machine of the server or on one that shares its folder."""
LEEWAY_S: Final = 30.0
Secrets = Callable[[], Iterable[bytes]]
"""The secrets that count now."""


def operator_token(secret: bytes, now: float) -> str:
    """A token for one call that `require_operator` accepts."""
    return jwt.encode({"aud": AUDIENCE, "exp": now + LIFE_S}, secret, algorithm="HS256")


def require_operator(authorization: str | None, secrets: Secrets, now: float) -> None:
    """Unauthenticated unless an Authorization header holds a token of `operator_token` that has not expired."""
    token = bearer_token(authorization or "")
    for secret in secrets():
        try:
            payload = jwt.decode(
                token,
                secret,
                algorithms=["HS256"],
                audience=AUDIENCE,
                # Judged below against the injected clock; PyJWT would read its own.
                options={"require": ["aud", "exp"], "verify_exp": False, "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            continue
        if "sub" in payload:
            continue  # a user's, of a server whose auth.audience is this one
        expires_s = payload["exp"]
        if isinstance(expires_s, int | float) and now - LEEWAY_S < expires_s <= now + LIFE_S + LEEWAY_S:
            return
    raise Unauthenticated("no valid operator's token: it is signed with the secret of the server's data folder")

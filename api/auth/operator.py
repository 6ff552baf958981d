"""The operator's token: it proves that a caller of the admin port can read the server's data folder.

It is signed with the folder's secret like a user's token, but has another audience, lives half a minute, and has no
`sub`, so neither kind of token is accepted as the other.
"""

from collections.abc import Callable, Iterable
from typing import Final

import jwt

from rowbox.api.auth.authenticator import bearer_token
from rowbox.mailbox.errors import Unauthenticated

AUDIENCE: Final = "rowbox-operator"
LIFE_S: Final = 30.0
"""The life of an operator's token. A verb makes one for each call, on a machine that reads the server's folder."""
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

"""The operator's tokens: they prove that a caller of the admin port can read the server's data folder, or was given the
token by somebody who can.

They are signed with the folder's secret like a user's token, but have another audience and no `sub`, so neither kind of
token is accepted as the other. A verb makes one for each call, which lives half a minute. The one for the page of a
cluster lives for hours, because a person looks at that, and opens the calls of that page alone.
"""

from collections.abc import Callable, Iterable
from typing import Final

import jwt

from rowbox.api.auth.authenticator import bearer_token
from rowbox.mailbox.errors import Unauthenticated

AUDIENCE: Final = "rowbox-operator"
PAGE_AUDIENCE: Final = "rowbox-operator-page"
LIFE_S: Final = 30.0
"""The life of an operator's token. A verb makes one for each call, on a machine that reads the server's folder."""
PAGE_LIFE_S: Final = 12 * 3600.0
LEEWAY_S: Final = 30.0
Secrets = Callable[[], Iterable[bytes]]
"""The secrets that count now."""


def operator_token(secret: bytes, now: float) -> str:
    """A token for one call that `require_operator` accepts."""
    return jwt.encode({"aud": AUDIENCE, "exp": now + LIFE_S}, secret, algorithm="HS256")


def page_token(secret: bytes, now: float) -> str:
    """A token for the calls of the page of a cluster, which `require_operator` accepts for these."""
    return jwt.encode({"aud": PAGE_AUDIENCE, "exp": now + PAGE_LIFE_S}, secret, algorithm="HS256")


def require_operator(authorization: str | None, secrets: Secrets, now: float, *, is_for_page: bool = False) -> None:
    """Unauthenticated unless an Authorization header holds a token of `operator_token` that has not expired, or where
    the call is the page's one of `page_token`.
    """
    token = bearer_token(authorization or "")
    lives_s = {AUDIENCE: LIFE_S, **({PAGE_AUDIENCE: PAGE_LIFE_S} if is_for_page else {})}
    for secret in secrets():
        try:
            payload = jwt.decode(
                token,
                secret,
                algorithms=["HS256"],
                audience=list(lives_s),
                # Judged below against the injected clock; PyJWT would read its own.
                options={"require": ["aud", "exp"], "verify_exp": False, "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            continue
        if "sub" in payload:
            continue  # a user's, of a server whose auth.audience is this one
        expires_s, life_s = payload["exp"], lives_s.get(payload["aud"] if isinstance(payload["aud"], str) else "", 0.0)
        if isinstance(expires_s, int | float) and now - LEEWAY_S < expires_s <= now + life_s + LEEWAY_S:
            return
    raise Unauthenticated("no valid operator's token: it is signed with the secret of the server's data folder")

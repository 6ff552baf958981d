"""No authentication, for a developer's own machine. It has to be asked for, and works on loopback addresses only."""

import math
from typing import Final

from rowbox.api.auth.authenticator import bearer_token
from rowbox.api.auth.claims import Claims
from rowbox.mailbox.errors import Unauthenticated
from rowbox.mailbox.ids import is_user_id
from rowbox.mailbox.settings.config import hosts_of, is_loopback

INSECURE: Final = "insecure:"


class InsecureAuthenticator:
    """`Authorization: Bearer insecure:<userId>`: every caller is whom he says he is. Only for a loopback host."""

    keys: Final = None

    def __init__(self, host: str) -> None:
        require_loopback(host)

    async def start(self) -> None:
        """Nothing to make ready."""

    async def close(self) -> None:
        """Nothing to end."""

    def remembered(self, authorization: str | None) -> Claims | None:
        """Always None: nothing is remembered."""
        return None

    async def authenticate(self, authorization: str | None) -> Claims:
        token = bearer_token(authorization or "")
        user_id = token.removeprefix(INSECURE)
        if user_id == token or not is_user_id(user_id):
            raise Unauthenticated(f"this server runs without authentication: say Bearer {INSECURE}<userId>")
        return Claims(user_id, is_admin=False, valid_until_s=math.inf)


def require_loopback(host: str) -> None:
    """ValueError unless `host`, one address or several, can be reached from this machine only."""
    if not all(map(is_loopback, hosts_of(host))):
        raise ValueError(f"without authentication the server listens on a loopback address only, not on {host}")

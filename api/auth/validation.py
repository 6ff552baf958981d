"""What a verified token says, judged by the settings: whose it is, what it may do, and from when to when it counts.

Time is an argument. Every refusal is an Unauthenticated that names the claim and never quotes its value.
"""

from collections.abc import Mapping
from typing import Any, Final

from rowbox.api.auth.claims import Claims, bearer_of
from rowbox.mailbox.errors import Unauthenticated
from rowbox.mailbox.ids import USER_ID_IS, is_user_id
from rowbox.mailbox.settings.config import AuthSettings
from rowbox.mailbox.subjects import SubjectTooLong, user_id_of

ADMIN_SCOPE: Final = "admin"
_ROUNDING_S: Final = 1.0
"""Issuers write whole seconds: between `iat` and `exp` there may be one more than they meant."""


class ClaimRules:
    """How the claims of a token are read."""

    def __init__(self, settings: AuthSettings) -> None:
        self._user_id_claim = settings.user_id_claim
        self._escapes_user_ids = settings.escape_user_ids
        self._scope_claim = settings.scope_claim
        self._leeway_s = settings.leeway_ms / 1000
        self._max_life_s = settings.max_token_life_ms / 1000

    def claims(self, payload: Mapping[str, Any], now: float) -> Claims:
        """What `payload` says at `now`. Unauthenticated where it does not count, or not for anybody."""
        expires_s = _time(payload, "exp")
        if expires_s + self._leeway_s <= now:
            raise Unauthenticated("the token has expired")
        if "nbf" in payload and _time(payload, "nbf") - self._leeway_s > now:
            raise Unauthenticated("the token is not valid yet")
        self._check_life(payload, expires_s, now)
        is_admin = ADMIN_SCOPE in _scopes(payload.get(self._scope_claim))
        user_id = self._user_id(payload)
        bearer = bearer_of(user_id, payload, latest_s=now + self._leeway_s)
        return Claims(user_id, is_admin, expires_s + self._leeway_s, bearer)

    def _check_life(self, payload: Mapping[str, Any], expires_s: float, now: float) -> None:
        """A token that says it comes from the future was made now at the latest. One that does not say when it was made
        may have any life: taken as made now, it would be accepted at the end of a long one, when its user's revocation
        is over.
        """
        if not self._max_life_s:
            return
        issued_s = min(now, _time(payload, "iat"))
        if expires_s - issued_s > self._max_life_s + self._leeway_s + _ROUNDING_S:
            raise Unauthenticated("the token lives longer than this server accepts (auth.max_token_life_ms)")

    def _user_id(self, payload: Mapping[str, Any]) -> str:
        name = self._user_id_claim
        subject = payload.get(name)
        if not isinstance(subject, str):
            raise Unauthenticated(f"the token's {name} is {'missing' if subject is None else 'no text'}")
        if self._escapes_user_ids:
            return _escaped(name, subject)
        if not is_user_id(subject):
            raise Unauthenticated(
                f"the token's {name} is not a userId, which is {USER_ID_IS} "
                "(auth.escape_user_ids lets the server take other ones)"
            )
        return subject


def _escaped(name: str, subject: str) -> str:
    try:
        return user_id_of(subject)
    except SubjectTooLong as error:
        raise Unauthenticated(f"the token's {name} is too long: {error}") from error
    except ValueError as error:
        raise Unauthenticated(f"the token's {name} is empty, or no Unicode text") from error


def _scopes(value: object) -> list[str]:
    """The scopes of a claim: a text in which single spaces divide them (RFC 6749, 3.3), or a list of texts.

    RFC 9068 knows only the text; issuers that send a list are many, and it says the same. No other white space divides:
    what an issuer lets into a scope's name must not become a scope of its own.
    """
    if isinstance(value, str):
        return value.split(" ")
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _time(payload: Mapping[str, Any], name: str) -> float:
    """A NumericDate. JSON as Python reads it also has Infinity, which would never expire, and true, which is 1."""
    value = payload.get(name)
    if value is None:
        raise Unauthenticated(f"the token's {name} is missing")
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e12 < value < 1e12:
        raise Unauthenticated(f"the token's {name} is not a time in seconds")
    return value

"""Judges a verified token's claims by the settings: whose token it is, what it may do, and from when to when it counts.

Time is an argument. Every refusal is an Unauthenticated that names the claim and never quotes its value.
"""

from collections.abc import Mapping
from typing import Any, Final

from rowbox.api.auth.claims import Claims, bearer_of
from rowbox.mailbox.devices import DEVICE_ID_IS, is_device_id
from rowbox.mailbox.errors import Unauthenticated
from rowbox.mailbox.ids import USER_ID_IS, is_user_id
from rowbox.mailbox.settings.config import AuthSettings
from rowbox.mailbox.subjects import SubjectTooLong, user_id_of

ADMIN_SCOPE: Final = "admin"
_ROUNDING_S: Final = 1.0
"""Seconds that a token may live beyond the longest life, because issuers round `iat` and `exp` to whole seconds."""


class ClaimRules:
    """How the claims of a token are read."""

    def __init__(self, settings: AuthSettings) -> None:
        self._user_id_claim = settings.user_id_claim
        self._escapes_user_ids = settings.escape_user_ids
        self._scope_claim = settings.scope_claim
        self._device_claim = settings.device_claim
        self._leeway_s = settings.leeway_ms / 1000
        self._max_life_s = settings.max_token_life_ms / 1000

    def claims(self, payload: Mapping[str, Any], now: float) -> Claims:
        """What `payload` says at `now`, in seconds since the epoch.

        Unauthenticated where the token does not count at that time, or names no user.
        """
        expires_s = _time(payload, "exp")
        if expires_s + self._leeway_s <= now:
            raise Unauthenticated("the token has expired")
        if "nbf" in payload and _time(payload, "nbf") - self._leeway_s > now:
            raise Unauthenticated("the token is not valid yet")
        self._check_life(payload, expires_s, now)
        is_admin = ADMIN_SCOPE in _scopes(payload.get(self._scope_claim))
        user_id = self._user_id(payload)
        bearer = bearer_of(user_id, payload, now + self._leeway_s, self._device_id(payload))
        return Claims(user_id, is_admin, expires_s + self._leeway_s, bearer)

    def _check_life(self, payload: Mapping[str, Any], expires_s: float, now: float) -> None:
        """Unauthenticated for a token that lives longer than the settings allow, and for one without `iat`.

        An `iat` in the future counts as now. A missing one must not count as now: at the end of a long life the token
        would be accepted again, when its user's revocation has been forgotten.
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

    def _device_id(self, payload: Mapping[str, Any]) -> str:
        """The device that a token names, "" for none. A name that could not be signed out is refused."""
        device_id = payload.get(self._device_claim) if self._device_claim else None
        if device_id is None:
            return ""
        if not isinstance(device_id, str) or not is_device_id(device_id):
            raise Unauthenticated(f"the token's {self._device_claim} is no deviceId, which is {DEVICE_ID_IS}")
        return device_id


def _escaped(name: str, subject: str) -> str:
    try:
        return user_id_of(subject)
    except SubjectTooLong as error:
        raise Unauthenticated(f"the token's {name} is too long: {error}") from error
    except ValueError as error:
        raise Unauthenticated(f"the token's {name} is empty, or no Unicode text") from error


def _scopes(value: object) -> list[str]:
    """The scopes of a claim: a text in which single spaces divide them (RFC 6749, 3.3), or a list of texts.

    RFC 9068 knows only the text, but many issuers send a list. No other white space divides scopes: a line break that
    an issuer lets into a scope's name must not make a second scope of it.
    """
    if isinstance(value, str):
        return value.split(" ")
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _time(payload: Mapping[str, Any], name: str) -> float:
    """A NumericDate, in seconds since the epoch. Unauthenticated where it is missing or no finite number.

    Python's JSON also reads Infinity, which would never expire, and true, which would count as 1.
    """
    value = payload.get(name)
    if value is None:
        raise Unauthenticated(f"the token's {name} is missing")
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e12 < value < 1e12:
        raise Unauthenticated(f"the token's {name} is not a time in seconds")
    return value

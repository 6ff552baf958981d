"""What a verified token says of its bearer."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from rowbox.mailbox.devices import DEVICE_ID_IS, is_device_id
from rowbox.mailbox.errors import BadRequest, Forbidden
from rowbox.mailbox.revocation import Bearer, token_hash


class Claims(msgspec.Struct, frozen=True):
    """What a verified token says. Times are seconds since the epoch, leeway included.

    `bearer` is what an owner compares with the revocations. None where the caller showed no token that could be
    revoked.
    """

    user_id: str
    is_admin: bool
    valid_until_s: float
    bearer: Bearer | None = None

    def acting_for(self, user_id: str | None) -> str:
        """The user to act for: `user_id`, by default the token's own. Forbidden for another user's, unless an admin."""
        if user_id is None or user_id == self.user_id:
            return self.user_id
        if not self.is_admin:
            raise Forbidden("the token is another user's, and without the scope admin")
        return user_id

    def on_device(self, device_id: str) -> "Claims":
        """The claims of a request that says it comes from this device. BadRequest where the text is no deviceId,
        Forbidden where the token names another device.
        """
        bearer = self.bearer
        if bearer is not None and bearer.is_of_device:
            if bearer.device_id != device_id:
                raise Forbidden("the token is of another device")
            return self
        if not is_device_id(device_id):
            raise BadRequest(f"a deviceId is {DEVICE_ID_IS}")
        if bearer is None:  # without authentication nothing is issued, so nothing is older than a sign-out
            bearer = Bearer(self.user_id, math.inf)
        of_device = Bearer(bearer.user_id, bearer.issued_at_s, bearer.token_hash, device_id)
        return Claims(self.user_id, self.is_admin, self.valid_until_s, of_device)


def bearer_of(user_id: str, payload: Mapping[str, Any], latest_s: float, device_id: str = "") -> Bearer:
    """What a token says that it can be revoked by; `device_id`: the device that it names, "" for none.

    An `iat` that is no time, or is after `latest_s`, is not believed, because a token that is dated ahead would outlive
    the revocation of all its user's tokens.
    """
    issued_at, token_id = payload.get("iat"), payload.get("jti")
    is_time = isinstance(issued_at, int | float) and not isinstance(issued_at, bool) and 0 < issued_at <= latest_s
    hashed = token_hash(token_id) if isinstance(token_id, str) and token_id else b""
    issued_s = float(issued_at) if is_time and issued_at is not None else 0.0
    return Bearer(user_id, issued_s, hashed, device_id, is_of_device=bool(device_id))

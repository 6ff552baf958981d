"""What a verified token says of its bearer."""

import msgspec

from rowbox.mailbox.errors import Forbidden


class Claims(msgspec.Struct, frozen=True):
    """What a verified token says. Times are seconds since the epoch, leeway included."""

    user_id: str
    is_admin: bool
    valid_until_s: float

    def acting_for(self, user_id: str | None) -> str:
        """The user to act for: the token's own, or another one that is named. Forbidden for that unless an admin."""
        if user_id is None or user_id == self.user_id:
            return self.user_id
        if not self.is_admin:
            raise Forbidden("the token is another user's, and without the scope admin")
        return user_id

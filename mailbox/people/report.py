"""What a report says of the message that a user reports, beside its text. A value only."""

from typing import Final

import msgspec

MOST_REPORTED: Final = 20
"""Messages of one report."""
LONGEST_COMMENT: Final = 1_000
"""Characters of what a user says about what he reports."""
LONGEST_REASON: Final = 64


class Reported(msgspec.Struct, frozen=True, array_like=True):
    """A message of which a user reports, as his own mailbox had it, and why he does.

    `changed_us`: when it was edited or taken back, by its author's clock; 0: it is as it was sent. The order of the
    fields is the format on disk and on links: a new one comes last, with a default (docs/formats.md).
    """

    conversation_id: bytes
    message_id: bytes
    reason: str
    comment: str = ""
    changed_us: int = 0
    is_unsent: bool = False

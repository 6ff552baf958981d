"""Whom a user has blocked, as his own row tells it, and what came of that person since.

What comes of somebody who is blocked is stored and shown to nobody: under another conversation id, in one mutation with
the state here. The state stays when the block has ended: only by it is it known that such messages may be there.
"""

from typing import Final

import msgspec

MOST_BLOCKS: Final = 10_000
"""People whom one user has ever blocked: of each a state stays in memory with his mailbox."""


class Block(msgspec.Struct, frozen=True, array_like=True):
    """What a user's row says of somebody whom he has blocked at least once.

    `since` is the version of the newest block, `ended` that of the unblock behind it; 0: he is blocked.
    `created_version` is the version of the first block.
    `hidden` counts the messages that were hidden, those included that retention has taken by now. `hidden_from` and
    `hidden_up_to` are the least and the greatest messageId among them; b"": none were. `kept_up_to` is the greatest
    messageId under which anything is kept, a change of a message that is shown too. `delivered`, `read` and `read_us`
    are what came of the person's receipts while he was blocked: as in a Receipt; b"": nothing came.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    version: int
    epoch: int
    user_id: str
    since: int
    ended: int
    created_version: int
    hidden: int = 0
    hidden_from: bytes = b""
    hidden_up_to: bytes = b""
    kept_up_to: bytes = b""
    delivered: bytes = b""
    read: bytes = b""
    read_us: int = 0

    @property
    def is_on(self) -> bool:
        """Whether the person is blocked now."""
        return not self.ended

    def may_keep(self, message_id: bytes) -> bool:
        """Whether anything may be kept under a messageId: False is certain."""
        return bool(self.kept_up_to) and message_id <= self.kept_up_to

    def with_hidden(self, message_id: bytes, version: int, epoch: int) -> "Block":
        """The state after a message was hidden."""
        return msgspec.structs.replace(
            self,
            version=version,
            epoch=epoch,
            hidden=self.hidden + 1,
            hidden_from=min(self.hidden_from or message_id, message_id),
            hidden_up_to=max(self.hidden_up_to, message_id),
            kept_up_to=max(self.kept_up_to, message_id),
        )

    def with_kept(self, message_id: bytes, version: int, epoch: int) -> "Block":
        """The state after something else was kept: what was done to a message."""
        kept = max(self.kept_up_to, message_id)
        return msgspec.structs.replace(self, version=version, epoch=epoch, kept_up_to=kept)

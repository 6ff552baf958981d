"""How a user has set a conversation for himself: nothing of it is seen by others, and no message waits for it.

It is in his own row, in a cell beside the conversation's, so that whoever sets nothing pays nothing: a conversation's
own cell is written with each message, this one when somebody sets something. What clients see of it is shown with the
conversation, so each change is one of the conversation's state as well (Plan.put_own).
"""

from typing import Final

import msgspec
from msgspec.structs import replace

MOST_PINNED: Final = 20
"""Conversations of one user: clients show these above all others."""
MOST_REQUESTS: Final = 1_000
"""Conversations of one user that wait to be accepted. What comes then takes the place of the oldest."""
LATEST_US: Final = (1 << 53) - 1
"""The greatest time that a client may name: in the year 2255. Numbers of JSON are exact up to there everywhere."""


class OwnSettings(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The settings of one conversation, by its id. A conversation without them is as NOTHING_SET.

    `muted_until` is a time in microseconds: before it nobody is called by a message; 0: not muted. `is_marked_unread`
    is a note of the user to himself, beside the unread count.
    `is_deleted`: the user has deleted the conversation, and no message has come since. `floor` is the version at which
    he did so last: what came up to it is gone for him; 0: he never did. `floor_id`: no message that came later has an
    id up to this one. `sweep_from`: of what is gone, the cells from this messageId on, downwards, are still to be
    emptied; b"": none.
    `is_request`: a stranger began it, and the user has not accepted it yet; also where he deleted it.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    version: int
    epoch: int
    muted_until: int = 0
    is_archived: bool = False
    is_pinned: bool = False
    is_marked_unread: bool = False
    is_deleted: bool = False
    floor: int = 0
    floor_id: bytes = b""
    sweep_from: bytes = b""
    is_request: bool = False

    @property
    def is_open_request(self) -> bool:
        """Whether the conversation is listed with those that wait to be accepted."""
        return self.is_request and not self.is_deleted

    def is_muted(self, at_us: int) -> bool:
        """Whether the user is not to be called by a message that comes at that time."""
        return at_us < self.muted_until

    def after_message(self, at_us: int, *, is_own: bool, is_quiet: bool) -> "OwnSettings":
        """The settings after a message came, or with `is_own` was sent, at that time: the same ones where they stay.

        A message takes its conversation out of the archive unless that is muted, and unless it is quiet: one that tells
        of a group and nobody wrote. Who sends has read, and has accepted.
        """
        is_archived = self.is_archived and (is_quiet or self.is_muted(at_us))
        is_marked_unread = self.is_marked_unread and not is_own
        is_request = self.is_request and not is_own
        after = is_archived, is_marked_unread, is_request
        if after == (self.is_archived, self.is_marked_unread, self.is_request):
            return self
        return replace(self, is_archived=is_archived, is_marked_unread=is_marked_unread, is_request=is_request)

    def back_with(self, message_id: bytes) -> "OwnSettings":
        """The settings after a message has come: a conversation that was deleted is back. The same ones where it is.

        The message may have been sent before the conversation was deleted.
        """
        floor_id = min(self.floor_id, just_below(message_id)) if self.floor_id else b""
        if not self.is_deleted and floor_id == self.floor_id:
            return self
        return replace(self, is_deleted=False, floor_id=floor_id)

    def deleted(self, version: int, newest: bytes) -> "OwnSettings":
        """The settings after the user has deleted the conversation, whose newest message was `newest`, at a version.

        For how long it is muted stays, and that it waits to be accepted: a message that brings it back is no other than
        those before.
        """
        return OwnSettings(
            self.version,
            self.epoch,
            self.muted_until,
            is_deleted=True,
            floor=version,
            floor_id=newest,
            sweep_from=newest,
            is_request=self.is_request,
        )


def just_below(message_id: bytes) -> bytes:
    """The greatest id that sorts before a message's."""
    return (int.from_bytes(message_id, "big") - 1).to_bytes(len(message_id), "big")


NOTHING_SET: Final = OwnSettings(0, 0)

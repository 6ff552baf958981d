"""Reactions to a message: at most one of each user, and what clients are shown of them. Pure.

Which reaction a user has is decided in his own mailbox. It has a version there, the same in every copy, and of a user's
reactions the one with the greatest version counts, whichever comes first. One that was taken back stays, without an
emoji: without it, a reaction of before that comes late would be shown again.

In a group the group's row decides, and has each user's reaction. The members' rows have only what their users are
shown, the tallies: they stay small, however many react.
"""

from itertools import groupby

import msgspec

MOST_NAMED = 5
"""Of those who react with one emoji so many are named to clients; the others are counted."""
MOST_KINDS = 20
"""Emoji with which the members of a group react to one message."""
MOST_REACTING = 512
"""Users whose reactions to one message a group's row keeps: also of those who took theirs back, or have left since."""


class Reaction(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One user's reaction to a message. The order of the fields is the format on disk, as Message's.

    `version` is that of the reaction in the mailbox of the user himself.
    """

    user_id: str
    emoji: str
    """"": it was taken back."""
    version: int


def reaction_of(reactions: tuple[Reaction, ...], user_id: str) -> Reaction | None:
    """The last that a user did; None: nothing so far."""
    return next((one for one in reactions if one.user_id == user_id), None)


def with_reaction(reactions: tuple[Reaction, ...], new: Reaction) -> tuple[Reaction, ...] | None:
    """The reactions with `new` among them; None where its user's reaction is that one or a later one.

    They are sorted by their versions, so mailboxes that know the same have the same.
    """
    known = reaction_of(reactions, new.user_id)
    if known is not None and known.version >= new.version:
        return None
    others = [one for one in reactions if one is not known]
    return tuple(sorted([*others, new], key=lambda one: (one.version, one.user_id)))


def has_room(reactions: tuple[Reaction, ...], new: Reaction) -> bool:
    """Whether a message of a group can have `new` among its reactions; one can always be taken back."""
    if not new.emoji:
        return True
    others = [one for one in reactions if one.user_id != new.user_id]
    kinds = {one.emoji for one in others if one.emoji} | {new.emoji}
    return len(kinds) <= MOST_KINDS and len(others) < MOST_REACTING


class Tally(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one user is shown of those who react to a message with one emoji. The order of the fields is the format."""

    emoji: str
    count: int
    users: tuple[str, ...]
    """The first MOST_NAMED of them."""
    is_mine: bool


def tallies_of(reactions: tuple[Reaction, ...], user_id: str) -> tuple[Tally, ...]:
    """What `user_id` is shown: by emoji, the one that was first used first."""
    first = {one.emoji: one.version for one in reversed(reactions) if one.emoji}
    by_emoji = sorted([one for one in reactions if one.emoji], key=lambda one: (first[one.emoji], one.emoji))
    return tuple(
        _tally(emoji, [one.user_id for one in of_emoji], user_id)
        for emoji, of_emoji in groupby(by_emoji, key=lambda one: one.emoji)
    )


def _tally(emoji: str, users: list[str], user_id: str) -> Tally:
    return Tally(emoji, len(users), tuple(users[:MOST_NAMED]), user_id in users)

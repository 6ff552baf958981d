"""What members were told of changes to messages of a group, and whether their copies agree with it. Pure.

The steward is always in, so his copies are what the group's row has. Everybody who has been in since a message was sent
has to have the same. Who left, or came back, has what was done while he was in: an edit tells when it was; of what else
was done it is known when it was asked for and answered, and so whether that was before he left or behind it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, NamedTuple

from msgspec import UNSET

from rowbox.mailbox.reactions import MOST_NAMED
from rowbox.mailbox.representation import Message
from tests.integration.conversations.changes import NOTHING, Change, possible


@dataclass(kw_only=True)
class GroupMessageChange(Change):
    """A change of a message of a group that a member asks for. Times are ticks of the group."""

    user_id: str
    started: int
    settled: float = inf


@dataclass
class OfGroupMessage:
    """All changes of one message that were asked for."""

    author_id: str
    text: str
    """With which it was sent."""
    by_author: list[GroupMessageChange] = field(default_factory=list)
    """Edits, one after the other; and unsends, which admins ask for, too."""
    by_reader: dict[str, list[GroupMessageChange]] = field(default_factory=dict)
    """Reactions, by who reacts; each user's one after the other."""

    @property
    def all(self) -> list[GroupMessageChange]:
        """Whatever was asked for."""
        return [*self.by_author, *(change for changes in self.by_reader.values() for change in changes)]


class Leaving(NamedTuple):
    """A user's leaving of a group: its version, and between which ticks it was asked for."""

    version: float
    started: float
    settled: float


NEVER: Final = Leaving(inf, inf, inf)


class Stay(NamedTuple):
    """One time that a user was in, by the log."""

    joined: int
    leaving: Leaving

    def holds(self, version: int) -> bool:
        """Whether he was in when the event of this version was made. His leaving is the last that he is told of."""
        return self.joined <= version <= self.leaving.version


def message_breaches(
    of: Mapping[str, OfGroupMessage],
    parts: Mapping[str, Sequence[Message]],
    steward: str,
    stays: Mapping[str, Sequence[Stay]],
    ended: float,
    *,
    gives_earlier: bool = False,
) -> Iterator[str]:
    """In what copies of a group's messages contradict what was answered, or one another.

    `of`: what was asked for, by messageId; `stays`: when each user was in; `ended`: the version at which the group
    ended for all, if it did; `gives_earlier`: whether who joins is given what was written before, as it is then: he has
    of that what he would have if he had been in. Nobody asks for anything any more, and all that was done has arrived.
    """
    theirs = {user_id: {one.message_id: one for one in part} for user_id, part in parts.items()}
    for message in parts[steward]:
        if message.event is not UNSET:
            continue
        asked = of.get(message.message_id)
        yield from _unlike(steward, message, asked, NEVER)
        for user_id, held in theirs.items():
            copy = held.get(message.message_id)
            if copy is None or user_id == steward:
                continue
            of_user = [stay for stay in stays.get(user_id, ()) if stay.leaving.version >= message.sent_timestamp]
            if gives_earlier and of_user:
                of_user[0] = of_user[0]._replace(joined=min(of_user[0].joined, message.sent_timestamp))
            if of_user and of_user[0].leaving.version in (inf, ended):
                if _shared(copy) != _shared(message) or not _is_own_view(user_id, copy):
                    yield f"unequal: {user_id} has {copy}, and the group {message}"
            elif of_user:
                yield from _unlike_his_stays(user_id, copy, message, asked, of_user)


def _unlike_his_stays(
    user_id: str, copy: Message, message: Message, of: OfGroupMessage | None, stays: Sequence[Stay]
) -> Iterator[str]:
    """What is wrong with the copy of somebody who left behind the message. `message`: as the group has it."""
    where = f"{copy.message_id} in {user_id}'s mailbox"
    edited, newest = copy.edited_timestamp, message.edited_timestamp
    if isinstance(edited, int) and not any(stay.holds(edited) for stay in stays):
        yield f"not his to see: {where} was edited at {edited}, when he was out: {copy}"
    if isinstance(newest, int) and any(stay.holds(newest) for stay in stays) and not copy.unsent and edited != newest:
        yield f"lost edit: {where} is without the one of {newest}, when he was in: {copy}"
    # Who has come back has something of each time that he was in: of that only what can be at all is asked.
    yield from _unlike(user_id, copy, of, stays[0].leaving if len(stays) == 1 else None)


def _unlike(user_id: str, copy: Message, of: OfGroupMessage | None, leaving: Leaving | None) -> Iterator[str]:
    """What is wrong with a copy of whoever was in until `leaving`; None: he was out for some time, and is back."""
    where = f"{copy.message_id} in {user_id}'s mailbox"
    told = _told(of, leaving)
    if copy.unsent is True:
        if not told.may_be_unsent:
            yield f"nobody took back {where}, while he was in"
        if copy.message_content or copy.reactions is not UNSET:
            yield f"came back: {where} was taken back, and is {copy}"
        return
    if told.is_unsent:
        yield f"came back: {where} was taken back, and is {copy}"
        return
    if told.texts is not None and copy.message_content not in told.texts:
        yield f"lost edit: {where} is {copy.message_content!r}, of {told.texts}"
    if told.is_edited is not None and told.is_edited != (copy.edited_timestamp is not UNSET):
        yield f"edited: {where} is {copy}, of {of}"
    yield from _unlike_reactions(user_id, copy, told.reactions)


class _Told(NamedTuple):
    """What a copy may be, by what was answered."""

    is_unsent: bool
    may_be_unsent: bool
    texts: set[str | None] | None
    """None: nobody here knows with which text it was sent."""
    is_edited: bool | None
    """None: either may be."""
    reactions: Mapping[str, set[str | None]]
    """By user."""


def _told(of: OfGroupMessage | None, leaving: Leaving | None) -> _Told:
    if of is None:
        return _Told(False, False, None, None, {})
    seen = [change for change in of.by_author if leaving is None or change.started <= leaving.settled]
    sure = [change for change in seen if leaving is not None and change.settled < leaving.started]
    edits = [change for change in seen if change.value is not None]
    is_certain = leaving is not None and all(one in sure and not one.unknown_outcomes for one in edits)
    return _Told(
        is_unsent=any(change.value is None and change.is_done for change in sure),
        may_be_unsent=any(change.value is None and _may_be_done(change) for change in seen),
        texts=_may_stand(edits, of.text, leaving),
        is_edited=any(change.is_done for change in edits) if is_certain else None,
        reactions={user_id: _may_stand(changes, NOTHING, leaving) for user_id, changes in of.by_reader.items()},
    )


def _may_stand(changes: Sequence[GroupMessageChange], first: str, leaving: Leaving | None) -> set[str | None]:
    """What may stand of these in a copy of whoever was in until `leaving`."""
    if leaving is None:
        return {first, *(change.value for change in changes if _may_be_done(change))}
    before = [change for change in changes if change.settled < leaving.started]
    meanwhile = [change for change in changes if change not in before and change.started <= leaving.settled]
    return possible(before, first) | {change.value for change in meanwhile if _may_be_done(change)}


def _may_be_done(change: GroupMessageChange) -> bool:
    return change.is_done or bool(change.unknown_outcomes)


def _unlike_reactions(user_id: str, copy: Message, possible_of: Mapping[str, set[str | None]]) -> Iterator[str]:
    """What is wrong with the reactions that a copy shows. Of those who react with one emoji five are named at most."""
    where = f"{copy.message_id} in {user_id}'s mailbox"
    shown = {one.emoji: one for one in copy.reactions or ()}
    for one in shown.values():
        for reader in one.users:
            if one.emoji not in possible_of.get(reader, {NOTHING}):
                yield f"lost reaction: {reader}'s to {where} is {one.emoji!r}, of {possible_of.get(reader)}"
    for emoji in {value for values in possible_of.values() for value in values if value} | shown.keys():
        count = shown[emoji].count if emoji in shown else 0
        least = sum(values == {emoji} for values in possible_of.values())
        most = sum(emoji in values for values in possible_of.values())
        if not least <= count <= most:
            yield f"lost reaction: {count} have {emoji!r} at {where}, and {least} to {most} should, of {possible_of}"
    if not _is_own_view(user_id, copy):
        yield f"miscounted: {where} has {copy.reactions}"


def _is_own_view(user_id: str, copy: Message) -> bool:
    """Whether counts, names and `mine` go together. Who is not named among more than five may be one of them."""
    return all(
        len(one.users) == min(one.count, MOST_NAMED)
        and (one.mine if user_id in one.users else not one.mine or one.count > MOST_NAMED)
        for one in copy.reactions or ()
    )


def _shared(copy: Message) -> object:
    """What is the same in every copy."""
    reactions = () if copy.reactions is UNSET else tuple((one.emoji, one.count, one.users) for one in copy.reactions)
    return copy.message_content, copy.sender_id, copy.edited_timestamp, copy.unsent, reactions

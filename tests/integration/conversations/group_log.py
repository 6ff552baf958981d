"""Who was in a group at each moment of its log, by what its system messages say. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import UNSET

from rowbox.mailbox.group import Role
from rowbox.mailbox.representation import Event, Message
from tests.integration.conversations.group_changes import NEVER, Leaving, Stay

UNTOLD: Final = "untold"
"""The role of one who was given a role by a request whose outcome nobody knows."""


@dataclass
class Standing:
    """One who is in, by the log."""

    role: str
    joined: int


@dataclass
class Membership:
    """Who is in a group at a moment of its log, the earliest join first, and what it is called."""

    members: dict[str, Standing] = field(default_factory=dict)
    name: str = ""
    version: int = 0
    """Of the newest change."""

    def after(self, message: Message, roles: Mapping[int, Role]) -> "Membership":
        """What it is behind one message of the log. `roles`: those that were given, by version of the event."""
        event = message.event
        if not isinstance(event, Event):
            return self
        version = message.sent_timestamp
        members = {user_id: Standing(one.role, one.joined) for user_id, one in self.members.items()}
        for user_id in _joining(event):
            members[user_id] = Standing("owner" if event.type == "created" and user_id == event.actor else "member", 0)
            members[user_id].joined = version
        if event.type == "role":
            (user_id,) = event.users
            members[user_id].role = roles.get(version, UNTOLD)
        for user_id in _leaving(event, members):
            members.pop(user_id, None)
        return Membership(members, self.name if event.name is UNSET else event.name, version)


def stays_of(log: Sequence[Message], leaving_at: Callable[[int], Leaving]) -> dict[str, list[Stay]]:
    """The times that each user was in, in order. `leaving_at`: what is known of the leaving of a version."""
    stays: dict[str, list[Stay]] = {}
    membership = Membership()
    for message in log:
        after = membership.after(message, {})
        for user_id, standing in membership.members.items():
            if user_id not in after.members:
                stays.setdefault(user_id, []).append(Stay(standing.joined, leaving_at(message.sent_timestamp)))
        membership = after
    for user_id, standing in membership.members.items():
        stays.setdefault(user_id, []).append(Stay(standing.joined, NEVER))
    return stays


def _joining(event: Event) -> tuple[str, ...]:
    if event.type == "created":
        return (event.actor, *event.users)
    return event.users if event.type == "added" else ()


def _leaving(event: Event, members: Mapping[str, Standing]) -> tuple[str, ...]:
    if event.type == "deleted":
        return tuple(members)
    return event.users if event.type in {"removed", "left", "declined"} else ()

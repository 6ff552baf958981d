"""What a deed makes of a group: who may do it, who is in after it, and what its members are told.

    role      send      add       remove    info      roles                delete
    owner     yes       yes       all       yes       gives ownership on   yes
    admin     yes       yes       members   yes       no                   no
    member    setting   setting   nobody    setting   no                   no

Everybody leaves when he wants to. Where the owner leaves, the admin who is longest in succeeds him, else the member who
is; where the last one leaves, the group is deleted.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from msgspec.structs import replace

from rowbox.mailbox.errors import GroupFull, NotAllowed, UnknownMember
from rowbox.mailbox.group import Group, Join, Member, Role, Standing, Told, WhoMay
from rowbox.mailbox.groups.joining import given_since
from rowbox.mailbox.groups.requests import Add, Deed, Delete, Leave, Remove, SetRole, Update

MOST_TOLD: Final = 5
"""Users whom a system message names."""


class Outcome(NamedTuple):
    """What a deed makes of a group. The Group still has the version that it had; who joins has `joined` 0."""

    group: Group
    told: Told
    joins: tuple[str, ...] = ()
    leaves: Mapping[str, Standing] = {}
    roles: Mapping[str, Role] = {}


def outcome_of(group: Group, actor: Member, deed: Deed) -> Outcome | None:
    """What `deed` makes of `group`, in which `actor` is; None: it is so already.

    NotAllowed, UnknownMember, GroupFull.
    """
    return _OUTCOMES[type(deed)](group, actor, deed)


def may_send(group: Group, actor: Member) -> None:
    """NotAllowed where a member may not write into the group."""
    _need(actor, group.settings.who_can_send, "write into this group")


def declined(group: Group, member: Member) -> Outcome:
    """What it makes of a group that the row of a member has declined his join."""
    left, roles = _without(group, member)
    told = Told("declined", (member.user_id,), owner=_heir(roles))
    return Outcome(left, told, leaves={member.user_id: Standing.LEFT}, roles=roles)


def without(group: Group, member: Member) -> Outcome:
    """What it makes of a group that a member leaves."""
    left, roles = _without(group, member)
    told = Told("left", (member.user_id,), owner=_heir(roles))
    return Outcome(left, told, leaves={member.user_id: Standing.LEFT}, roles=roles)


def _add(group: Group, actor: Member, deed: Add) -> Outcome | None:
    new = tuple(dict.fromkeys(user_id for user_id in deed.users if group.member(user_id) is None))
    if not new:
        return None
    _need(actor, group.settings.who_can_add, "add members to this group")
    if len(group.members) + len(new) > deed.most_members:
        raise GroupFull(f"a group has {deed.most_members} members at most")
    members = (*group.members, *(Member(user_id, "member", 0) for user_id in new))
    return Outcome(replace(group, members=members), Told("added", new[:MOST_TOLD]), new)


def _remove(group: Group, actor: Member, deed: Remove) -> Outcome | None:
    if deed.user_id == actor.user_id:
        return _leave(group, actor, Leave())
    member = group.member(deed.user_id)
    if member is None:
        return None
    if not (actor.role == "owner" or (actor.role == "admin" and member.role == "member")):
        raise NotAllowed("your role in this group does not let you remove this member")
    left, _ = _without(group, member)
    return Outcome(left, Told("removed", (member.user_id,)), leaves={member.user_id: Standing.REMOVED})


def _leave(group: Group, actor: Member, _: Leave) -> Outcome:
    return without(group, actor)


def _set_role(group: Group, actor: Member, deed: SetRole) -> Outcome | None:
    if actor.role != "owner":
        raise NotAllowed("only the owner of this group gives roles")
    member = group.member(deed.user_id)
    if member is None:
        raise UnknownMember("this user is not in the group")
    if member.role == deed.role:
        return None
    if member.user_id == actor.user_id:
        raise NotAllowed("an owner makes another member the owner, and is an admin then")
    roles: dict[str, Role] = {member.user_id: deed.role}
    if deed.role == "owner":
        roles[actor.user_id] = "admin"
    return Outcome(_with_roles(group, roles), Told("role", (member.user_id,), role=deed.role), roles=roles)


def _update(group: Group, actor: Member, deed: Update) -> Outcome | None:
    name = group.name if deed.name is None else deed.name
    settings = group.settings if deed.settings is None else deed.settings
    settings = replace(settings, ttl_ms=group.settings.ttl_ms if deed.ttl_ms is None else deed.ttl_ms)
    if (name, settings) == (group.name, group.settings):
        return None
    _need(actor, WhoMay.ADMINS if settings != group.settings else group.settings.who_can_edit_info, "change this group")
    told = Told("renamed", name=name) if name != group.name else Told("settings")
    return Outcome(replace(group, name=name, settings=settings), told)


def _delete(group: Group, actor: Member, _: Delete) -> Outcome:
    if actor.role != "owner":
        raise NotAllowed("only the owner of this group deletes it")
    leaves = {member.user_id: Standing.DELETED for member in group.members}
    return Outcome(replace(group, members=(), is_deleted=True), Told("deleted"), leaves=leaves)


_OUTCOMES: Final[Mapping[type, Callable[[Group, Member, Deed], Outcome | None]]] = {
    Add: _add,  # type: ignore[dict-item]
    Remove: _remove,  # type: ignore[dict-item]
    Leave: _leave,  # type: ignore[dict-item]
    SetRole: _set_role,  # type: ignore[dict-item]
    Update: _update,  # type: ignore[dict-item]
    Delete: _delete,  # type: ignore[dict-item]
}


def _need(actor: Member, who: WhoMay, what: str) -> None:
    if who is WhoMay.ADMINS and actor.role == "member":
        raise NotAllowed(f"only admins may {what}")


def _without(group: Group, gone: Member) -> tuple[Group, Mapping[str, Role]]:
    """The group without one member, and who has another role because of that."""
    members = tuple(member for member in group.members if member != gone)
    left = replace(group, members=members, is_deleted=not members)
    if gone.role != "owner" or not members:
        return left, {}
    heir = next((member for member in members if member.role == "admin"), members[0])  # the earliest join comes first
    roles: dict[str, Role] = {heir.user_id: "owner"}
    return _with_roles(left, roles), roles


def _heir(roles: Mapping[str, Role]) -> str | None:
    """Who is the owner by these roles; None: nobody becomes that."""
    return next((user_id for user_id, role in roles.items() if role == "owner"), None)


def _with_roles(group: Group, roles: Mapping[str, Role]) -> Group:
    members = tuple(
        replace(member, role=roles[member.user_id]) if member.user_id in roles else member for member in group.members
    )
    return replace(group, members=members)


def joined_at(group: Group, joins: Mapping[str, Join], version: int) -> Group:
    """The group, into which these users have come with `version`."""
    members = tuple(
        replace(one, joined=version, given_since=joins[one.user_id].given_since) if one.user_id in joins else one
        for one in group.members
    )
    return replace(group, members=members)


def joins_of(outcome: Outcome, left: Callable[[str], int], prev: int) -> dict[str, Join]:
    """How those come in who join by an outcome; `left` tells with which version a user left last, 0 for never, and
    `prev` is the version of the event before.
    """
    joins: dict[str, Join] = {}
    for member in outcome.group.members:
        if member.user_id in outcome.joins:
            after = left(member.user_id)
            joins[member.user_id] = Join(member.role, after, given_since(outcome.group, after, prev))
    return joins

"""What the OpenAPI document says of the calls about groups, beyond what their types say."""

from typing import Final

from rowbox.api.v1.groups.types import (
    AddMembers,
    CreateGroup,
    DeleteGroup,
    FetchGroupQuery,
    FetchGroupResponse,
    GroupResponse,
    LeaveGroup,
    RemoveMember,
    SetRole,
    UpdateGroup,
)
from rowbox.api.v1.reading.call_doc import CallDoc

_CREATE: Final = """\
The group is a conversation of all its members; its `conversationId` is in the answer, and sendMessage takes it. Whoever
is named is in: nobody is asked, and nobody needs to have heard of him, unless the server's setting users.policy is
`known`. The creator is the group's owner.

The same `clientGroupId` with the same content is the same group: a request that got no answer can be sent again. Each
member's mailbox has the group once it has been told, the creator's when the answer comes. Counts against the send
limit, and against rate_limits.create_burst."""

_FETCH: Final = """\
For its members. Whoever was never in is told that there is no such conversation."""

_ADD: Final = """\
Admins add members, and others where the group's settings let them. Who comes in gets what is sent from then on, and no
more: also where he was in before. A user who cannot be in one more group is removed by himself, and a system message of
the type `declined` says so. Counts against the send limit; a group has a limit of its own for changes
(groups.change_burst)."""

_REMOVE: Final = """\
The owner removes anybody, an admin those who are none. Who is removed keeps what he has; his last message of the group
is the one that tells of it. What was accepted before the removal he gets, and nothing after it."""

_LEAVE: Final = """\
Where the owner leaves, the admin who is longest in is the owner, else the member who is longest in. Where the last one
leaves, the group is deleted. Who has left already is answered that nothing changed."""

_SET_ROLE: Final = """\
The owner makes members admins and admins members, or gives the group to another member."""

_UPDATE: Final = """\
Admins change the name, and others where the group's settings let them. Settings are changed by admins alone, as a
whole."""

_DELETE: Final = """\
Everybody is out, and keeps what he has. There will be no group under this conversationId any more. Whoever was in until
it was deleted is answered that nothing changed."""

_CHANGE: Final = (
    "unknown_conversation",
    "not_a_member",
    "not_allowed",
    "group_deleted",
    "group_moved",
    "message_too_large",
    "unsupported_media_type",
    "peer_too_old",
)


def _changing(name: str, summary: str, description: str, request: type, *problems: str) -> CallDoc:
    answers = {200: "It is so."}
    return CallDoc(name, "post", summary, description, request, answers, GroupResponse, (*problems, *_CHANGE))


GROUP_CALLS: Final = (
    CallDoc(
        "createGroup",
        "post",
        "Makes a group, once for each clientGroupId, whatever is retried.",
        _CREATE,
        CreateGroup,
        {201: "Made.", 200: "An earlier request with this clientGroupId and the same content had made it."},
        GroupResponse,
        (
            "client_group_id_reused",
            "unknown_user",
            "group_full",
            "group_moved",
            "message_too_large",
            "unsupported_media_type",
            "peer_too_old",
        ),
    ),
    CallDoc(
        "fetchGroup",
        "get",
        "What a group is called, who is in, and who may do what.",
        _FETCH,
        FetchGroupQuery,
        {200: "The group."},
        FetchGroupResponse,
        ("unknown_conversation", "not_a_member", "group_deleted", "peer_too_old"),
    ),
    _changing("addMembers", "Adds users to a group.", _ADD, AddMembers, "group_full", "unknown_user"),
    _changing("removeMember", "Removes a member of a group.", _REMOVE, RemoveMember),
    _changing("leaveGroup", "Leaves a group.", _LEAVE, LeaveGroup),
    _changing("setRole", "Gives a member of a group another role.", _SET_ROLE, SetRole, "unknown_member"),
    _changing("updateGroup", "Gives a group another name or other settings.", _UPDATE, UpdateGroup),
    _changing("deleteGroup", "Deletes a group, for all its members.", _DELETE, DeleteGroup),
)

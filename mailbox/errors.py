"""Every error Rowbox raises on purpose, grouped by who can do something about it.

Each has a stable `code` (part of the HTTP contract: openapi.json) and says whether the same request may be sent again
(`retryable`). HTTP statuses stand in one table in `api/http/problems.py`, not here. Adapters translate: no exception of
RocksDB, Thrift or Redis leaves its module.
"""


class RowboxError(Exception):
    """The base of all errors of Rowbox. `str(error)` is one line for a person; it never holds a message's text.

    Where the caller did something wrong, the caller is told that line. Where something is wrong here, the operator
    reads it, and the caller is told `told`, because the line may name files, hosts, sizes and the system's errors.
    """

    code = "internal"
    retryable = False
    told = "the server's log has more under this request id"
    user_id: str | None = None
    """Whose request it ended, where the edge knows; for the log."""

    def __init__(self, message: str, *, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


# The caller's request is wrong: nothing was written, and the same request fails again.


class BadRequest(RowboxError):
    """A value is missing, malformed or out of its range."""

    code = "bad_request"


class UnknownParameter(BadRequest):
    """A field or query parameter that the call does not have."""

    code = "unknown_parameter"


class NotAnEmoji(BadRequest):
    """A reaction is one emoji of 64 bytes of UTF-8 at most, or none."""

    code = "not_an_emoji"


class UnknownCall(BadRequest):
    """One process of Rowbox asked another for a call that this one does not serve. No client is told so."""


class PageTooLarge(RowboxError):
    """A page that was asked for by its number holds more than 1 MiB, and ending it early would skip messages.

    `page_number` and `page_size` name a page that begins at the same message and fits; `cursor` goes on from there.
    """

    code = "page_too_large"

    def __init__(self, message: str, *, page_number: int, page_size: int, cursor: str) -> None:
        super().__init__(message)
        self.page_number = page_number
        self.page_size = page_size
        self.cursor = cursor


class Unauthenticated(RowboxError):
    """No token, or one that does not verify."""

    code = "unauthenticated"


class TokenRevoked(RowboxError):
    """A token that verifies and was revoked. Nothing was done; no retry helps, only another token."""

    code = "token_revoked"


class SignedOut(TokenRevoked):
    """A token that the user has signed out: of its device, or with all others. Somebody has to sign in again."""

    code = "signed_out"


class Forbidden(RowboxError):
    """A valid token that may not act for this user."""

    code = "forbidden"


class UnknownUser(RowboxError):
    """Nobody has made this user known: he has no profile."""

    code = "unknown_user"


class UserExists(RowboxError):
    """The user was made known already, with another profile."""

    code = "user_exists"


class UserDeleted(RowboxError):
    """The user was deleted, which is for ever: nobody is made known, reads or writes under this userId again."""

    code = "user_deleted"


class UnknownConversation(RowboxError):
    """The user is in no such conversation."""

    code = "unknown_conversation"


class UnknownMessage(RowboxError):
    """The conversation holds no such message."""

    code = "unknown_message"


class NotTheAuthor(RowboxError):
    """Somebody else wrote the message: only its author changes it."""

    code = "not_the_author"


class MessageUnsent(RowboxError):
    """The message was taken back by its author: nothing changes it any more."""

    code = "message_unsent"


class TooLateToChange(RowboxError):
    """The message was sent too long ago to be changed, or this server lets nobody change one."""

    code = "too_late_to_change"


class NotAMember(RowboxError):
    """The user was in the group and is not any more."""

    code = "not_a_member"


class GroupDeleted(RowboxError):
    """The group was deleted: its members keep their copies, and nothing is added."""

    code = "group_deleted"


class NotAllowed(RowboxError):
    """The user's role in the group does not allow it."""

    code = "not_allowed"


class NotInGroups(RowboxError):
    """A command of a user's row is for conversations of two, and this one is a group: the group's row has to be asked.

    No client is told so.
    """


class UnknownDevice(RowboxError):
    """The user has no such device."""

    code = "unknown_device"


class TooManyDevices(RowboxError):
    """The user has as many devices as there may be, and all of them are in use."""

    code = "too_many_devices"


class TooManyPinned(RowboxError):
    """The user has pinned as many conversations as there may be."""

    code = "too_many_pinned"


class BlockedByYou(RowboxError):
    """The user has blocked whom he writes to."""

    code = "blocked_by_you"


class TooManyBlocks(RowboxError):
    """The user has blocked as many people as he may, those included whom he does not block any more."""

    code = "too_many_blocks"


class TooManyContacts(RowboxError):
    """The user has as many contacts as he may, those included whom he has removed."""

    code = "too_many_contacts"


class TooManyReactions(RowboxError):
    """The members of the group react to the message with as many different emoji as there may be."""

    code = "too_many_reactions"


class GroupFull(RowboxError):
    """The group would have more members than `groups.max_members`."""

    code = "group_full"


class ClientGroupIdReused(RowboxError):
    """The clientGroupId names another request already."""

    code = "client_group_id_reused"


class UnknownMember(RowboxError):
    """The user whom the request is about is not in the group."""

    code = "unknown_member"


class UnknownClientMessageId(RowboxError):
    """No send with this clientMessageId was applied so far."""

    code = "unknown_client_message_id"


class SearchOff(RowboxError):
    """Nobody can search on this server: it is switched off, or its Python cannot keep an index."""

    code = "search_off"


class PushOff(RowboxError):
    """No device is told by a push of this kind on this server."""

    code = "push_off"


class ReportsOff(RowboxError):
    """Nobody takes reports on this server: it names no user who does."""

    code = "reports_off"


class MessageTooLarge(RowboxError):
    """More than 65,535 bytes of UTF-8 in a message, or a body over the limit."""

    code = "message_too_large"


class ClientMessageIdReused(RowboxError):
    """The clientMessageId names another payload already."""

    code = "client_message_id_reused"


# An operator's request cannot be fulfilled as it stands.


class RevocationsFull(RowboxError):
    """No more tokens can be revoked one by one. Nothing was changed."""

    code = "revocations_full"


# The request is fine, the moment is not: try again.


class GroupMoved(RowboxError):
    """The group has changed since the one who asks was told of it last. Nothing was done."""

    code = "group_moved"
    retryable = True


class RateLimited(RowboxError):
    """The user's token bucket is empty. Nothing was done."""

    code = "rate_limited"
    retryable = True


class Overloaded(RowboxError):
    """A queue or table is full. Refused before anything was done."""

    code = "overloaded"
    retryable = True
    told = "the server has no room for this now; nothing was done"


class SearchUnavailable(RowboxError):
    """No index of the mailbox can be kept now: its device has no room, or fails."""

    code = "search_unavailable"
    retryable = True
    told = "the server cannot search now; everything else goes on"


class PeerTooOld(RowboxError):
    """The process that owns the mailbox runs a Rowbox that does not know the call yet. Nothing was done."""

    code = "peer_too_old"
    retryable = True
    told = "the server that has the mailbox is older and does not know this call yet; nothing was done"


class FeatureOff(RowboxError):
    """Not all servers of the cluster know what was asked for yet: a rolling upgrade is under way. Nothing was done."""

    code = "feature_off"
    retryable = True
    told = "not all servers of this cluster know this yet: it comes with the end of their upgrade; nothing was done"


class HandoverInProgress(RowboxError):
    """This node does not own the user now, or is giving the user away. A send may or may not have been applied."""

    code = "handover_in_progress"
    retryable = True
    told = "this server does not answer for the mailbox now; a write may have been applied"


class NotTheOwner(HandoverInProgress):
    """This node has no grant of the user's shard, or it is giving the shard away: another node answers, now or soon.

    `map_version` is the newest version of the map that whoever refuses knows of, 0 for none: under the same one it
    refuses again.
    """

    def __init__(self, message: str, *, map_version: int = 0, retry_after_ms: int | None = None) -> None:
        super().__init__(message, retry_after_ms=retry_after_ms)
        self.map_version = map_version


class LeaseLapsed(HandoverInProgress):
    """This node's lease has lapsed: it answers again once the lease is renewed, unless it was replaced meanwhile."""


class StoreUnavailable(RowboxError):
    """The store refused or could not be reached. This call wrote nothing."""

    code = "store_unavailable"
    retryable = True
    told = "the store does not do this now; this call wrote nothing"


class StoreFull(StoreUnavailable):
    """No room left on the store's device. This call wrote nothing."""

    told = "the store has no room to write now; this call wrote nothing"


class StoreUnreachable(StoreUnavailable):
    """No way to the store was found at all, which says nothing of any part of it. This call wrote nothing."""


class LinkLost(StoreUnavailable):
    """The process that owns the mailbox could not be asked, or could not answer a question. This call wrote nothing."""

    told = "the server that has the mailbox cannot be reached now; this call wrote nothing"


class OwnerAway(StoreUnavailable):
    """Nobody answers for another user, whom the request needs as well. This call wrote nothing."""

    told = "nobody answers now for another user whom this needs; this call wrote nothing"


class WrongIncarnation(LinkLost):
    """Another life of a server answers where one was looked for. This call wrote nothing."""


class ClockInDoubt(StoreUnavailable):
    """The machine's clock contradicts what the store remembers, or the time that passes. This call wrote nothing."""

    told = "the server does not write while it doubts its clock; this call wrote nothing"


class StoreOutcomeUnknown(StoreUnavailable):
    """A write may have happened, may not, or may still happen: the same code outside, other duties inside."""

    told = "whether this was written is not known: ask again under the same clientMessageId"


# The store cannot be used as it is: the process ends with this line, the data stays untouched.


class StoreUnusable(RowboxError):
    """Opening failed for a reason that waiting does not cure. The message names the way out."""

    code = "store_unusable"


class StoreLocked(StoreUnusable):
    """Another process has the folder open."""


class StoreVersionMismatch(StoreUnusable):
    """The folder was made with another schema version or another number of shards."""


class StoreSettingsMismatch(StoreUnusable):
    """The store keeps what expires for another time than the settings say."""


class StoreDamaged(StoreUnusable):
    """A file or a cell does not read back as it was written."""


# Between servers. No client is told so.


class EventGap(RowboxError):
    """A member's row lacks something that stands before an event of its group. Nothing was written."""


class ConnectedElsewhere(RowboxError):
    """A device has connected once more since, elsewhere: that connection goes on, and this one ends."""


class JoinDeclined(RowboxError):
    """A member's row does not take part in a group: the group's row is to remove him who joined with `version`."""

    def __init__(self, message: str, *, version: int = 0) -> None:
        super().__init__(message)
        self.version = version

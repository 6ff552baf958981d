"""What the store holds of one user, for people who look into an incident: numbers, ids and times, nothing of what
somebody wrote.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from rowbox.cacheserver.check.row_cells import RowCells, ignore
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import CONVERSATION, DEVICES, MEMBER_MARKS, OWN, RECEIPTS, REVOCATION, TTL, LogCell
from rowbox.mailbox.check.fence_check import FenceCheck
from rowbox.mailbox.check.findings import Report
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.devices import NO_DEVICES, Devices
from rowbox.mailbox.fence import FenceEntry
from rowbox.mailbox.ids import shard_of
from rowbox.mailbox.people.own_settings import NOTHING_SET, OwnSettings
from rowbox.mailbox.receipts import NO_MARKS, MemberMarks, ReceiptMarks


class ListedConversation(NamedTuple):
    """A conversation of the mailbox, by its id. `marks`: its receipts; NO_MARKS where there are none. `own`: how the
    user has set it for himself; NOTHING_SET where he has not. `ttl_ms`: for how long what is sent now lasts; 0: no end.
    """

    conversation_id: bytes
    state: Conversation
    marks: ReceiptMarks
    own: OwnSettings
    ttl_ms: int


class MailboxSummary(NamedTuple):
    """A mailbox as the store holds it. Only what counts by the row's fence is in it.

    `head` is the mailbox's version, 0 for one that nobody wrote to. `conversations` come newest message first. `fence`
    lists who has claimed the row and still matters, the last one being its owner or the last that was; it is empty
    where no write can be late. `revoked_before_s`: tokens issued before that second are refused; 0: none are.
    `members`: of a group's row, what its members have and have read, by their userIds. `devices`: the user's.
    """

    user_id: str
    row: bytes
    shard: int
    head: int
    conversations: Sequence[ListedConversation]
    messages: int
    outbox: int
    client_ids: int
    fence: Sequence[FenceEntry]
    revoked_before_s: int
    members: Sequence[MemberMarks]
    devices: Devices


async def summary_of(store: StoreReader, user_id: str) -> MailboxSummary:
    """The summary of a user's mailbox. Reads the index at one moment, and then the keys of the messages.

    StoreUnavailable; StoreDamaged where a file of the store is damaged. Cells that do not decode are left out:
    `rowbox mailbox verify` names them.
    """
    row, cells = row_key(user_id, store.shards), RowCells(store, ignore)
    frame = await cells.frame(row)
    fence = FenceCheck(frame.fences, Report(user_id), fenced=store.late_writes)
    states = fence.states(frame.states)
    marks, own = states[RECEIPTS.letter], states[OWN.letter]
    ttls = {one: ttl.ttl_ms for one, ttl in states[TTL.letter].items()}
    listed = [
        ListedConversation(key, state, marks.get(key, NO_MARKS), own.get(key, NOTHING_SET), ttls.get(key, 0))
        for key, state in states[CONVERSATION.letter].items()
    ]
    revocations = [revocation.before_s for revocation in states[REVOCATION.letter].values()]
    return MailboxSummary(
        user_id,
        row,
        shard_of(user_id, store.shards),
        fence.head(states, frame.unknown),
        sorted(listed, key=lambda one: one.state.last_message_id, reverse=True),
        await _count_messages(cells, row, fence, own),
        sum(fence.counts(cell.epoch, cell.version) for cell in frame.outbox),
        sum(fence.counts(cell.epoch, cell.version) for cell in frame.dedupe),
        fence.fence,
        max(revocations, default=0),
        sorted(states[MEMBER_MARKS.letter].values(), key=lambda one: one.user_id),
        states[DEVICES.letter].get(b"", NO_DEVICES),
    )


async def _count_messages(cells: RowCells, row: bytes, fence: FenceCheck, own: Mapping[bytes, OwnSettings]) -> int:
    """How many messages count, and are not deleted. One that was changed may have several cells, side by side."""
    count, last = 0, (b"", b"")
    async for key in cells.message_keys(row):
        message = key.conversation_id, key.message_id
        floor = own[key.conversation_id].floor if key.conversation_id in own else 0
        if message != last and fence.counts(key.epoch, key.version) and (key.first_version or key.version) > floor:
            count, last = count + 1, message
    return count


async def changes_after(store: StoreReader, user_id: str, version: int) -> AsyncIterator[LogCell]:
    """The changes of a mailbox with a version greater than `version`, upwards, as far as the log reaches back.

    The fence is read last: of what a replaced owner wrote late nothing is shown.
    """
    row, cells = row_key(user_id, store.shards), RowCells(store, ignore)
    found = [entry async for entry in cells.log(row, version)]
    fence = FenceCheck(await cells.fences(row), Report(user_id), fenced=store.late_writes)
    for entry in found:
        if fence.counts(entry.epoch, entry.version):
            yield entry

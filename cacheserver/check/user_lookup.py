"""Who a user is, as the store holds it: for an operator, beside a server at work or without one."""

from rowbox.cacheserver.check.row_cells import RowCells, ignore
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import PROFILE
from rowbox.mailbox.check.fence_check import FenceCheck
from rowbox.mailbox.check.findings import Report
from rowbox.mailbox.people.profile import Profile


async def profile_in(store: StoreReader, user_id: str) -> Profile | None:
    """The profile that counts by the row's fence; None: the user has none. Reads the index at one moment.

    StoreUnavailable; StoreDamaged where a file of the store is damaged.
    """
    frame = await RowCells(store, ignore).frame(row_key(user_id, store.shards))
    states = FenceCheck(frame.fences, Report(user_id), fenced=store.late_writes).states(frame.states)
    found: Profile | None = states[PROFILE.letter].get(b"")
    return found

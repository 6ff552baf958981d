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


async def is_erased_in(store: StoreReader, user_id: str) -> bool:
    """Whether a user is deleted: then his row lacks what others have of him. Reads of his row what says that alone."""
    row, cells = row_key(user_id, store.shards), RowCells(store, ignore)
    states = await cells.states(row, PROFILE, b"")
    if not any(one is not None and one.erasure is not None for cell in states for one in (cell.current, cell.previous)):
        return False
    fence = FenceCheck(await cells.fences(row), Report(user_id), fenced=store.late_writes)
    profile: Profile | None = fence.states(states)[PROFILE.letter].get(b"")
    return profile is not None and profile.erasure is not None

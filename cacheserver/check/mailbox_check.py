"""Checks single mailboxes of a store that servers write to: each by itself, and its copies against all other rows.

Where the checker (checker.py) needs one walk over everything to know that all copies are there, this looks each of them
up: a read for each copy, and nothing of the rest of the store.
"""

from typing import NamedTuple

import msgspec

from rowbox.cacheserver.check.checker import SLACK_US, lives
from rowbox.cacheserver.check.copy_check import CopyCheck
from rowbox.cacheserver.check.group_check import GroupCheck
from rowbox.cacheserver.check.receipt_lookups import ReceiptLookups
from rowbox.cacheserver.check.row_cells import RowCells, ignore
from rowbox.cacheserver.check.row_looks import RowLooks
from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.rows.row_parts import LAST_QUALIFIER
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.check.findings import Code, Finding
from rowbox.mailbox.check.horizon import Horizon
from rowbox.mailbox.check.invariants import RowCheck
from rowbox.mailbox.message import Message
from rowbox.mailbox.settings.config import StoreSettings


class MissingCopy(NamedTuple):
    """A message that `user_id` should have and does not."""

    user_id: str
    message: Message


class MailboxReport(msgspec.Struct, frozen=True):
    """What a check of one mailbox has seen. `lookups`: in how many rows of others a copy or a mark was looked for.

    `missing`: of the findings, the copies of this user's messages that others do not have.
    """

    user_id: str
    conversations: int
    messages: int
    lookups: int
    findings: list[Finding]
    missing: list[MissingCopy] = []


class MailboxCheck:
    """Checks mailboxes of one store, one after the other. Reads only.

    Messages of the last `slack_us` microseconds before a mailbox is checked are not missed elsewhere: they may be on
    their way. So are all that stand in the outbox of their sender.
    """

    def __init__(self, store: StoreReader, settings: StoreSettings, now_us: NowUs, *, slack_us: int = SLACK_US) -> None:
        self._store = store
        self._now_us = now_us
        self._slack_us = slack_us
        self._lives = lives(settings)
        self._looks = RowLooks(store, self._horizon)

    async def check(self, user_id: str) -> MailboxReport:
        """The report of one user's mailbox; of a user without one it counts nothing and finds nothing.

        StoreUnavailable; StoreDamaged where a file of the store is damaged.
        """
        row = row_key(user_id, self._store.shards)
        before_us = self._now_us() - self._slack_us
        cells = RowCells(self._store, ignore)
        frame = await cells.frame(row)  # the outbox first: what is not in it, all its recipients have
        if not (frame.fences or frame.states or frame.unknown):
            return MailboxReport(user_id, 0, 0, 0, await self._unindexed(user_id, row))
        looked = await self._looks.at(user_id, row, lambda _message, _participants: None)
        missing: list[MissingCopy] = []

        def on_missing(holder: str, message: Message) -> None:
            missing.append(MissingCopy(holder, message))

        copies = CopyCheck(self._store, cells, lambda _conversation_id: True, before_us, on_missing)
        of_copies = [finding async for finding in copies.findings(user_id, row, frame, self._horizon())]
        groups = GroupCheck(self._store, cells, before_us)
        of_groups = await groups.of_user(user_id, frame, self._horizon())
        receipts = ReceiptLookups(self._store, cells)
        check = RowCheck(user_id, frame, self._horizon(), fenced=self._store.late_writes)
        of_receipts = await receipts.findings(user_id, check)
        findings = [*looked.findings, *of_copies, *of_groups, *of_receipts]
        lookups = copies.lookups + groups.lookups + receipts.lookups
        return MailboxReport(user_id, looked.conversations, looked.messages, lookups, findings, missing)

    async def _unindexed(self, user_id: str, row: bytes) -> list[Finding]:
        """What is wrong with a row that has no index: nothing, if it has no other cell."""
        for family in Family:
            if family is not Family.INDEX and await self._store.get_range(row, family, b"", LAST_QUALIFIER, 1):
                return [Finding(Code.NO_INDEX, user_id, f"the row has cells in family {family} and no index")]
        return []

    def _horizon(self) -> Horizon:
        return Horizon.at(self._now_us(), self._slack_us, self._lives)

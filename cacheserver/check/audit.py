"""The audit: whether the mailboxes of a sample of users are whole, proved beside running servers.

A sample is drawn by a hash of the userId and a seed, so each user is in it with the same chance, whichever others are,
and another seed draws others. Of each user in the sample the whole mailbox is read, and every copy of every message is
looked up where it should be: what the user sent, at all who take part; what the user got, at its sender.

An audit of a share p finds a message that is missing somewhere with the chance of p for its sender's mailbox and, where
it is missing in the recipient's, no sooner: so a fault that hits one message in a thousand shows in a sample of few
thousand messages.
"""

from collections.abc import AsyncIterator
from hashlib import blake2b

import msgspec

from rowbox.cacheserver.check.mailbox_check import MailboxCheck
from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.rows.walk import shard_runs, user_rows
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.check.findings import Finding
from rowbox.mailbox.settings.config import StoreSettings

_HASH_BYTES = 8


class AuditProgress(msgspec.Struct):
    """How far an audit is. `mailboxes` are in the sample, of `users` that were met."""

    shards: int
    shards_done: int = 0
    users: int = 0
    mailboxes: int = 0
    conversations: int = 0
    messages: int = 0
    lookups: int = 0


class Audit:
    """One audit of a store. `share` of all users is drawn (0 < share <= 1). `progress` is always current."""

    def __init__(self, store: StoreReader, settings: StoreSettings, now_us: NowUs, *, share: float, seed: str) -> None:
        self._store = store
        self._check = MailboxCheck(store, settings, now_us)
        self._share = share
        self._seed = seed
        self.progress = AuditProgress(store.shards)

    async def run(self) -> AsyncIterator[Finding | AuditProgress]:
        """Yields every finding, and the progress after each mailbox and each run of shards. Raises as a check does."""
        for shards in shard_runs(self._store.shards):
            async for user_id, _ in user_rows(self._store, shards, Family.INDEX):
                self.progress.users += 1
                if not in_sample(user_id, self._share, self._seed):
                    continue
                for finding in await self._look_at(user_id):
                    yield finding
                yield self.progress
            self.progress.shards_done += len(shards)
            yield self.progress

    async def _look_at(self, user_id: str) -> list[Finding]:
        report = await self._check.check(user_id)
        self.progress.mailboxes += 1
        self.progress.conversations += report.conversations
        self.progress.messages += report.messages
        self.progress.lookups += report.lookups
        return report.findings


def in_sample(user_id: str, share: float, seed: str) -> bool:
    """Whether a user is in the sample of that share of all users that `seed` draws."""
    drawn = blake2b(user_id.encode(), key=seed.encode()[:64], digest_size=_HASH_BYTES).digest()
    return int.from_bytes(drawn, "big") < share * (1 << (8 * _HASH_BYTES))

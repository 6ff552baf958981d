"""Whether this server reaches the mail: the rows of users, through the connections that serve users.

Beats go through connections of their own, so a lease that is renewed says nothing of the mail. Two things do:

reads   A probe each beat: the schema's row, and the keys of one shard, another one each time, so that one region that
        is silent does not look like a broken way. Every read made for users counts too. No success for
        BROKEN_AFTER_BEATS: the way is broken.
writes  Nobody writes by way of trial. But where writes of several rows have failed for as long, and none succeeded, the
        way is broken for writes. That may be no fault of the way: the regions may refuse everybody. So an owner goes by
        it only if a write of its own tenure has succeeded, and hands over at most once for it (docs/adr/0017).
"""

import asyncio
from collections.abc import Iterable

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.clocks import NowS
from rowbox.cacheserver.stores.port import Store
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.errors import StoreUnavailable

BROKEN_AFTER_BEATS = 3
ROWS_THAT_TELL = 3
"""Failed writes of fewer rows than this may be those of one region."""
FADES_AFTER_S = 60.0
"""After so long without another failure, failed writes tell nothing any more: maybe no user has written since."""
_STRIDE = 40_503
"""Shards probed one after the other lie far apart: 65,536 by the golden ratio. Odd, so that all have their turn."""


class MailHealth:
    """Knows whether users' rows are reached.

    `start` it with the store that serves users; `close` it before the store.
    """

    def __init__(self, beat_s: float, now_s: NowS) -> None:
        self._beat_s = beat_s
        self._now_s = now_s
        self._broken_after_s = BROKEN_AFTER_BEATS * beat_s
        self._read_s = now_s()
        self._failed_rows: set[bytes] = set()
        self._failing_since_s = self._failed_s = now_s()
        self._has_written = False
        self._why = "no answer"
        self._probes = 0
        self.loop: BackgroundLoop | None = None

    # ------------------------------------------------------------------ what it says

    @property
    def can_read(self) -> bool:
        """Whether a read of mail has succeeded within BROKEN_AFTER_BEATS."""
        return self._now_s() - self._read_s < self._broken_after_s

    @property
    def can_write(self) -> bool:
        """Whether writes are not known to fail. True where none was made."""
        now_s = self._now_s()
        tells = len(self._failed_rows) >= ROWS_THAT_TELL and now_s - self._failed_s < FADES_AFTER_S
        return not (tells and now_s - self._failing_since_s >= self._broken_after_s)

    @property
    def unready_reasons(self) -> tuple[str, ...]:
        """Why this server should get no traffic, for people."""
        if not self.can_read:
            return (f"the mailboxes cannot be read: {self._why}",)
        return () if self.can_write else (f"the mailboxes cannot be written: {self._why}",)

    @property
    def reaches_mail(self) -> bool:
        """What the beat tells the other servers. False: another server may reach the mail better."""
        return self.can_read and (self.can_write or not self._has_written)

    # ------------------------------------------------------------------ what it hears

    def begin_tenure(self) -> None:
        """Notes that this server owns from now on: forgets what earlier writes have told."""
        self._failed_rows.clear()
        self._has_written = False

    def has_read(self) -> None:
        """Notes that a read of mail was answered."""
        self._read_s = self._now_s()

    def has_written(self) -> None:
        """Notes that a write of mail was confirmed."""
        self._failed_rows.clear()
        self._has_written = True

    def failed_to_read(self, error: StoreUnavailable) -> None:
        """Notes that a read of mail failed."""
        self._why = str(error)

    def failed_to_write(self, rows: Iterable[bytes], error: StoreUnavailable) -> None:
        """Notes that a write of `rows` failed, or that its outcome is unknown."""
        self._why = str(error)
        now_s = self._now_s()
        if now_s - self._failed_s >= FADES_AFTER_S:
            self._failed_rows.clear()  # what has faded does not tell again because of one more
        self._failed_s = now_s
        if not self._failed_rows:
            self._failing_since_s = self._failed_s
        for row in rows:
            if len(self._failed_rows) < ROWS_THAT_TELL:
                self._failed_rows.add(row)

    # ------------------------------------------------------------------ the probe

    def start(self, store: Store) -> None:
        """Begins to probe `store`, which was opened just now and so counts as having answered."""
        self._read_s = self._now_s()

        async def probe() -> float:
            return await self._probe(store)

        self.loop = BackgroundLoop("mail_probe", probe)
        self.loop.start()

    async def close(self) -> None:
        """Ends the probes."""
        if self.loop is not None:
            await self.loop.close()

    async def _probe(self, store: Store) -> float:
        """One probe, and the pause until the next: shorter after a failure, which another shard may not share."""
        shard = self._probes * _STRIDE % store.shards
        self._probes += 1
        try:
            async with asyncio.timeout(self._beat_s):
                await store.verify()
                await store.scan_rows(range(shard, shard + 1), Family.INDEX, None, 1)
        except TimeoutError:
            self._why = "no answer"
        except StoreUnavailable as error:
            self.failed_to_read(error)
        else:
            self.has_read()
            return self._beat_s
        return self._beat_s / 4

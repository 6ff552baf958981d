"""Keys that are kept elsewhere (a file, an issuer's URL) and read again and again while a server runs.

Rules:
- They are read when they are `max_age_s` old, by whoever runs `round` in the background; when a token is signed by none
  of them, but then at most every `retry_s`, so that made-up tokens cost the issuer nothing; and when an operator asks
  (`reload`). Callers that need a reading at the same time share one.
- When a reading fails, the keys of the last good reading go on counting for `keep_s` after it. Then no key counts until
  a reading succeeds, because a key that was withdrawn meanwhile must not count for ever.
- `generation` rises when a key that counted no longer counts. A key that is added does not raise it.
- What was left out of a set is logged when it is new, not with each reading.
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Literal, NamedTuple

from rowbox.api.auth.keys import KeySet, KeysUnavailable, VerifyKey
from rowbox.mailbox.errors import RowboxError

_RETRY_AFTER_MS: Final = 10_000
_Sample = tuple[str, Literal["counter", "gauge"], str, dict[str, str], float]
_log = logging.getLogger(__name__)


class Ages(NamedTuple):
    """How long keys may be used, in seconds: the age at which they are read again (`max_age_s`), the age up to which
    they count while readings fail (`keep_s`), and the least time between two tries (`retry_s`).
    """

    max_age_s: float
    keep_s: float
    retry_s: float


class KeptKeys:
    """The keys of the last good reading, and when they are read again.

    `what` names the keys in the log and in metrics: a plural in one word.
    """

    def __init__(
        self, what: str, read: Callable[[], Awaitable[KeySet]], ages: Ages, monotonic: Callable[[], float]
    ) -> None:
        self.what = what
        self.generation = 0
        self._fetch = read
        self._ages = ages
        self._monotonic = monotonic
        self._keys = KeySet(())
        self._read_s = self._tried_s = self._valid_until_s = -math.inf
        self._reading: asyncio.Task[None] | None = None
        self._told: Counter[tuple[str, str]] = Counter()
        self._reads = self._failures = 0
        self._is_told = False
        self._why = "no answer"

    # ------------------------------------------------------------------ reading

    async def start(self) -> None:
        """The first reading. RowboxError where it fails."""
        await self._read()

    async def close(self) -> None:
        """Ends a reading under way."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def reload(self) -> None:
        """Reads now. RowboxError where that fails: then the keys at hand stay."""
        if self._is_reading():  # it may have begun before what is to be read was changed
            await asyncio.wait([self._begin()])
        reading = self._begin()
        await asyncio.wait([reading])
        reading.result()

    async def round(self) -> float:
        """Reads the keys where that is due. Returns the seconds until it is due again. RowboxError where it fails."""
        remaining_s = self._ages.max_age_s - self._age_s()
        if remaining_s > 0:
            return remaining_s
        reading = self._begin()
        await asyncio.wait([reading])
        reading.result()
        return self._ages.max_age_s

    async def refresh(self) -> bool:
        """Reads the keys, unless that was tried less than `retry_s` ago. Never raises.

        Returns whether the keys may have changed since the call.
        """
        before = self._keys
        if not self._is_reading() and self._monotonic() - self._tried_s < self._ages.retry_s:
            return False
        reading = self._begin()
        await asyncio.wait([reading])  # a caller that leaves does not cancel it for the others
        error = None if reading.cancelled() else reading.exception()
        if error is not None and not self._is_told:  # whoever runs `round` tells how it goes on
            unexpected = None if isinstance(error, RowboxError) else error
            _log.warning("%s cannot be read, those at hand stay: %s", self.what, error, exc_info=unexpected)
            self._is_told = True
        return self._keys is not before

    def _is_reading(self) -> bool:
        return self._reading is not None and not self._reading.done()

    def _begin(self) -> asyncio.Task[None]:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_again(), name=f"reading {self.what}")
            self._reading.add_done_callback(_retrieve)
        return self._reading

    async def _read_again(self) -> None:
        try:
            await self._read()
        except Exception as error:
            self._failures += 1
            self._why = str(error) or type(error).__name__
            raise
        if self._is_told:
            _log.info("%s can be read again", self.what)
        self._is_told = False

    async def _read(self) -> None:
        self._tried_s = self._monotonic()
        keys = await self._fetch()
        self._tell(keys)
        if keys.lacks_any_of(self._keys):
            self.generation += 1
        self._keys = keys
        self._reads += 1
        self._read_s = self._monotonic()
        self._valid_until_s = self._read_s + self._ages.keep_s

    def _tell(self, keys: KeySet) -> None:
        told, self._told = self._told, Counter(one.identity for one in keys.dropped)
        for one in keys.dropped:
            if told[one.identity]:
                told[one.identity] -= 1
                continue
            level = logging.WARNING if one.is_fault else logging.INFO
            _log.log(level, "%s: %s is left out: %s", self.what, one.name, one.reason)

    # ------------------------------------------------------------------ what counts

    @property
    def count(self) -> int:
        """How many keys were read."""
        return len(self._keys.keys)

    def are_valid(self) -> bool:
        """Whether the keys count now. Asked with each request, so it is cheap."""
        valid_until_s = self._valid_until_s
        return valid_until_s == math.inf or self._monotonic() < valid_until_s

    async def candidates(self, kid: object, algorithm: object) -> list[VerifyKey]:
        """The keys that a token with this header may be signed with. KeysUnavailable where none counts any more."""
        if not self.are_valid():
            await self.refresh()
            if not self.are_valid():
                raise KeysUnavailable(self.unready_reasons()[0], retry_after_ms=_RETRY_AFTER_MS)
        return self._keys.candidates(kid, algorithm)

    def _age_s(self) -> float:
        return self._monotonic() - self._read_s

    # ------------------------------------------------------------------ what it says

    def unready_reasons(self) -> tuple[str, ...]:
        """Why this server can verify no token now, for people. Empty where it can."""
        if self.are_valid():
            return ()
        if math.isinf(self._age_s()):
            return (f"{self.what} were not read so far",)
        return (f"{self.what} could not be read for {self._age_s():.0f} s, so no token counts: {self._why}",)

    def warnings(self) -> tuple[str, ...]:
        """What will become an unready reason if readings go on failing, for people. Empty where they succeed."""
        age_s, ages = self._age_s(), self._ages
        if not self.are_valid() or age_s < ages.max_age_s + ages.retry_s:
            return ()
        left = "" if math.isinf(ages.keep_s) else f" (in {ages.keep_s - age_s:.0f} s no token counts any more)"
        return (f"{self.what} could not be read for {age_s:.0f} s{left}: {self._why}",)

    def samples(self) -> Iterable[_Sample]:
        """The keys' metrics. Cheap."""
        of_what = {"keys": self.what}
        age_s, ages = self._age_s(), self._ages
        yield "rowbox_auth_keys", "gauge", "Keys that verify tokens.", of_what, self.count
        text = "Entries of the key set that verify nothing: faulty, for encryption, or of a type that is not known."
        yield "rowbox_auth_keys_left_out", "gauge", text, of_what, len(self._keys.dropped)
        yield "rowbox_auth_keys_age_seconds", "gauge", "Time since the keys were last read.", of_what, age_s
        text = "Age at which the keys are read again."
        yield "rowbox_auth_keys_max_age_seconds", "gauge", text, of_what, ages.max_age_s
        text = "1 while the keys count; 0 when they could not be read for too long, and every token is refused."
        yield "rowbox_auth_keys_valid", "gauge", text, of_what, float(self.are_valid())
        yield "rowbox_auth_keys_reads_total", "counter", "Readings of the keys that succeeded.", of_what, self._reads
        text = "Readings of the keys that failed; those at hand stay."
        yield "rowbox_auth_keys_failures_total", "counter", text, of_what, self._failures


def _retrieve(reading: asyncio.Task[None]) -> None:
    """Marks the error of a reading as seen, where no caller waited for it; the log has it already."""
    if not reading.cancelled():
        reading.exception()

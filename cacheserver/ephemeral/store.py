"""Where it is kept when users were active: in memory (one process), in Redis, or in the memory of another process.

One contract, and one suite of tests for all (tests/contract/test_ephemeral_contract.py). What is kept may be gone at
any time, as a whole or in part, and comes back by itself: whoever is active is written again.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from rowbox.cacheserver.ephemeral.signals import Signals
from rowbox.cacheserver.samples import Sample

MOST_AT_ONCE: Final = 1_000
"""Users of one call. More are the caller's to divide, so that one call is short for everybody."""
HIDDEN_MS: Final = 15 * 60_000
"""How long a key says that its user hides: longer than anybody believes what the user's owner has said before."""


class EphemeralAway(Exception):
    """Nothing can be written or read now. `again_s`: after so long it is tried again; before that it is not."""

    def __init__(self, why: str, again_s: float) -> None:
        super().__init__(why)
        self.again_s = again_s


class EphemeralStore(Protocol):
    """Each method raises EphemeralAway, within a short time. Users are MOST_AT_ONCE at most."""

    @property
    def signals(self) -> Signals:
        """What carries who types, between the same processes. To be started and closed by itself."""
        ...

    @property
    def is_up(self) -> bool:
        """Whether the last call was answered."""
        ...

    async def beat(self, ages_ms: Mapping[str, int]) -> Sequence[str]:
        """Each of these users was active so long ago. What is known of a later moment stays.

        Returns those who hide, of whom nothing is written.
        """
        ...

    async def ages(self, users: Sequence[str]) -> Sequence[int | None]:
        """How long ago each of these users was active, in milliseconds; None: nobody knows, or he hides.

        Of nobody it is asked as well: so it is known whether there is an answer.
        """
        ...

    async def hide(self, user_id: str) -> None:
        """Forgets when the user was active, and has `beat` write nothing of him for HIDDEN_MS."""
        ...

    async def show(self, user_id: str) -> None:
        """Undoes `hide`."""
        ...

    async def forget(self, user_id: str) -> None:
        """Forgets when the user was active. One who hides goes on hiding."""
        ...

    async def close(self) -> None:
        """Ends connections."""
        ...

    def samples(self) -> Iterable[Sample]:
        """The metrics."""
        ...


def up_samples(*, is_up: bool, failures: int) -> Iterable[Sample]:
    """The metrics of any of them."""
    text = "1 while it can be written and read who is online; 0: presence is not shown."
    yield "rowbox_ephemeral_up", "gauge", text, {}, int(is_up)
    text = "Times that what keeps presence could not be reached, or did not answer in time."
    yield "rowbox_ephemeral_failures_total", "counter", text, {}, failures

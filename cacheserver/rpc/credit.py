"""How much may be in flight on a link: for each lane a number of calls and of bytes. Pure.

The serving side says at the handshake how much it takes (Windows). The calling side goes by it: a call beyond is
refused before it leaves. The serving side counts as well, and a peer that exceeds its windows is cut off. It counts a
call from its coming until its answer is given to the transport, the calling side from before that until after; so a
peer that keeps the rule is never found to break it.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from rowbox.cacheserver.rpc.calls import Lane


class Window(msgspec.Struct, frozen=True, array_like=True):
    """What one lane holds: calls, and bytes of what they ask. One call has room in an empty lane, however large."""

    calls: int
    size_bytes: int


Windows = Mapping[str, Window]
"""By lane. A lane that is not named has the window of OTHER_LANES: it is one of a newer peer."""

OTHER_LANES: Final = Window(64, 4 << 20)
WINDOWS: Final[Windows] = {
    Lane.REQUESTS: Window(4_096, 32 << 20),
    Lane.WAITS: Window(32_768, 32 << 20),
    Lane.DELIVERIES: Window(4_096, 32 << 20),
    Lane.MOVES: Window(64, 64 << 20),
    Lane.GROUPS: Window(4_096, 32 << 20),
    Lane.RECEIPTS: Window(16_384, 32 << 20),
    Lane.CONTROL: Window(1_024, 1 << 20),
}


class _Used:
    __slots__ = ("calls", "most_bytes", "most_calls", "size_bytes")

    def __init__(self, window: Window) -> None:
        self.calls = 0
        self.size_bytes = 0
        self.most_calls = window.calls
        self.most_bytes = window.size_bytes


class Credit:
    """What is left of the windows of one link."""

    def __init__(self, windows: Windows) -> None:
        self._used = {lane: _Used(windows.get(lane, OTHER_LANES)) for lane in Lane}

    def take(self, lane: Lane, size_bytes: int) -> bool:
        """Takes what a call needs, where it is there: whether it is."""
        used = self._used[lane]
        if used.calls >= used.most_calls or (used.calls and used.size_bytes + size_bytes > used.most_bytes):
            return False
        used.calls += 1
        used.size_bytes += size_bytes
        return True

    def give_back(self, lane: Lane, size_bytes: int) -> None:
        used = self._used[lane]
        used.calls -= 1
        used.size_bytes -= size_bytes

    @property
    def calls(self) -> int:
        """Calls in flight, of all lanes."""
        return sum(used.calls for used in self._used.values())

    def by_lane(self) -> dict[str, int]:
        """The same, for each lane."""
        return {lane: used.calls for lane, used in self._used.items()}

from pathlib import Path

import pytest

from rowbox.cacheserver.stores.files.disk import DiskGuard, free_bytes
from rowbox.mailbox.errors import StoreFull, StoreUnavailable


class _Device:
    def __init__(self) -> None:
        self.free = 0
        self.looks = 0
        self.now_s = 0.0

    def look(self, folder: Path) -> int:
        self.looks += 1
        return self.free

    def guard(self, min_free_bytes: int) -> DiskGuard:
        return DiskGuard(Path("/"), min_free_bytes, self.look, lambda: self.now_s)


def test_it_refuses_below_the_bound_and_not_at_it() -> None:
    device = _Device()
    guard = device.guard(100)
    device.free = 100
    guard.check()
    device.free, device.now_s = 99, 1.0
    with pytest.raises(StoreFull) as refusal:
        guard.check()
    assert isinstance(refusal.value, StoreUnavailable)
    assert refusal.value.retryable
    assert guard.refused == 1


def test_it_lets_writes_through_again_by_itself() -> None:
    device = _Device()
    guard = device.guard(100)
    with pytest.raises(StoreFull):
        guard.check()
    device.free, device.now_s = 200, 0.1
    guard.check()


def test_it_looks_at_most_every_hundred_milliseconds() -> None:
    device = _Device()
    guard = device.guard(0)
    for millisecond in range(1000):
        device.now_s = millisecond / 1000
        guard.check()
    assert device.looks == 10


def test_a_real_device_has_some_room(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0


def test_a_device_that_does_not_answer_refuses_writes_in_our_words(tmp_path: Path) -> None:
    guard = DiskGuard(tmp_path / "gone", 1)
    with pytest.raises(StoreUnavailable, match="does not say"):
        guard.check()

"""kill -9 in the middle of writing: what was confirmed is there, whole and once."""

from pathlib import Path
from random import Random

import pytest

from .rocksdb_fixture import line, numbers, opened, rest, writer

pytestmark = pytest.mark.integration
KILLS = 6


async def test_no_confirmed_commit_is_lost_whenever_the_process_is_killed(tmp_path: Path) -> None:
    """The moments come from a seed as numbers of confirmed commits; within the next one it is the kernel's choice."""
    dice = Random(1)
    confirmed = -1
    for _ in range(KILLS):
        with writer(tmp_path, str(confirmed + 1)) as process:
            assert line(process) == "ready"
            for _ in range(dice.randrange(1, 120)):
                confirmed = int(line(process))
            process.kill()
            confirmed = max([confirmed, *map(int, rest(process))])
        async with opened(tmp_path) as store:
            found = await numbers(store)
        assert found == list(range(len(found)))
        assert confirmed <= found[-1] <= confirmed + 1
        confirmed = found[-1]


async def test_a_store_that_was_killed_over_and_over_while_opening_is_whole(tmp_path: Path) -> None:
    with writer(tmp_path, "0", "50") as process:
        assert [line(process) for _ in range(51)][-1] == "49"
    for _ in range(3):
        with writer(tmp_path, "50", "0") as process:
            process.kill()
    async with opened(tmp_path) as store:
        assert await numbers(store) == list(range(50))

"""The alerts about ownership, over what real servers export while the situations happen that the alerts name.

Virtual time makes the minutes of a situation, and Prometheus' own promtool evaluates the alerts over them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.servers import Server, owner_and_other, servers
from tests.cluster.world import SHARDS
from tests.house.test_alerts import Situation, assert_as_prometheus_says
from tests.support.virtual_time import run_virtual

MINUTES = 14
"""Of scrapes, one a minute."""
ALERTS: Final = frozenset(
    {"RowboxNobodyOwns", "RowboxMailUnreachable", "RowboxMissedBeats", "RowboxTakeovers", "RowboxBackgroundFails"}
)
Happening = Callable[[Server, Server], Awaitable[None]]


async def nothing(_first: Server, _second: Server) -> None:
    """A day like any other."""


async def meta_is_silent(first: Server, second: Server) -> None:
    """The region of meta/ does not answer: no lease can be renewed."""
    first.wire.is_cut = second.wire.is_cut = True


async def no_region_of_mail_answers(first: Server, second: Server) -> None:
    first.mail.silent_shards = second.mail.silent_shards = range(SHARDS)


async def the_owner_alone_does_not_reach_the_mail(first: Server, _second: Server) -> None:
    first.mail.is_cut = True


async def the_owner_is_cut_off(first: Server, _second: Server) -> None:
    first.cut_off()


SITUATIONS: Final[dict[Happening, set[str]]] = {
    nothing: set(),
    meta_is_silent: {"RowboxNobodyOwns", "RowboxMissedBeats"},
    no_region_of_mail_answers: {"RowboxNobodyOwns", "RowboxMailUnreachable"},
    the_owner_alone_does_not_reach_the_mail: {"RowboxMailUnreachable"},
    the_owner_is_cut_off: {"RowboxMailUnreachable", "RowboxMissedBeats"},
}
"""What happens in the middle, and which of ALERTS fire then."""


async def scraped(happening: Happening) -> dict[str, str]:
    """The series that Prometheus has in the end."""
    series: dict[str, list[float]] = {}
    async with servers() as all_of_them:
        first, second = await owner_and_other(all_of_them)
        second.node.start()
        await asyncio.sleep(5.0)
        for minute in range(MINUTES):
            if minute == MINUTES // 2:
                await happening(first, second)
            scrape(first, second, series)
            await asyncio.sleep(60.0)
        await heal(first, second)
    return {name: " ".join(map(str, values)) for name, values in series.items() if len(values) == MINUTES}


def scrape(first: Server, second: Server, series: dict[str, list[float]]) -> None:
    for server in (first, second):
        for name, _, _, labels, value in server.node.samples():
            named = {"job": "rowbox", "instance": server.name, **labels}
            key = name + "{" + ",".join(f'{label}="{text}"' for label, text in named.items()) + "}"
            series.setdefault(key, []).append(float(value))


async def heal(first: Server, second: Server) -> None:
    for server in (first, second):
        server.cut_off(is_cut=False)
        server.mail.silent_shards = range(0)
    await asyncio.sleep(20.0)


@pytest.mark.integration
@pytest.mark.tools("promtool")
def test_alerts_about_ownership_fire_in_the_situations_that_they_name(tmp_path: Path) -> None:
    situations = []
    for happening, firing in SITUATIONS.items():
        series = run_virtual(scraped(happening))
        situations += [
            Situation(alert, happening.__name__, alert in firing, series, f"{MINUTES - 1}m") for alert in sorted(ALERTS)
        ]
    assert_as_prometheus_says(situations, tmp_path)

"""For how long the users of a killed owner wait, in virtual time: what the protocol takes, apart from the machine."""

from rowbox.mailbox.settings.config import LeaseSettings
from tests.simulation.cluster.killed import waits_s
from tests.simulation.cluster.world import quiet_logs

KILLS, SEED = 100, 5
SETTINGS = LeaseSettings()
MOST_S = (SETTINGS.ttl_ms + SETTINGS.margin_ms) / 1000 + 0.5
"""Patience begins when an owner began its last beat, so nobody waits for longer than that and what comes after it. The
clocks of the servers run unequally fast, by 2 in 100."""


def test_users_of_a_killed_owner_wait_for_its_lease_from_its_last_beat_on() -> None:
    """The promise is TTL + 1.5 s, on a machine and an HBase that take their time as well."""
    with quiet_logs():
        waits = waits_s(KILLS, SEED)
    assert len(waits) > 2 * KILLS
    assert waits[-1] < MOST_S
    assert waits[len(waits) // 2] < MOST_S - SETTINGS.beat_ms / 2000, "half of them were killed late in a beat"

"""Each alert fires in the situation that it names and is quiet in the one beside it, as Prometheus itself evaluates it.

A situation is what the servers export in it, minute by minute, in promtool's notation: `5x60` is 5 for an hour,
`0+10x60` a counter that gains 10 a minute. Where our own code makes the situation, a test beside that code says that it
exports this (for who owns: tests/cluster).
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import yaml

from tests.conftest import require
from tests.house.reference.metrics import ALERTS, RULES

LOOKED_AT: Final = "60m"
A, B = '{job="rowbox",instance="a"}', '{job="rowbox",instance="b"}'


class Situation(NamedTuple):
    """`series`: what Prometheus has scraped, by series; `fires`: whether the alert stands at `looked_at`."""

    alert: str
    what: str
    fires: bool
    series: dict[str, str]
    looked_at: str = LOOKED_AT


def requests(status: int, per_minute: int) -> dict[str, str]:
    """Answers of one server, of one status."""
    name = f'rowbox_http_requests_total{{job="rowbox",instance="a",route="/v1/sendMessage",status="{status}"}}'
    return {name: f"0+{per_minute}x60"}


def sends(within_s: str) -> dict[str, str]:
    """The durations of sends: 100 a minute, all within `within_s` (a bound of the histogram) and none much faster."""
    bounds = ["0.005", "0.01", "0.05", "0.1", "0.5", "1", "2.5", "+Inf"]
    name = 'rowbox_http_request_duration_seconds_bucket{{job="rowbox",instance="a",{0},le="{1}"}}'
    route = 'route="/v1/sendMessage",method="POST"'
    reached = bounds.index(within_s)
    return {name.format(route, bound): f"0+{100 if n >= reached else 0}x60" for n, bound in enumerate(bounds)}


def commits(total_s_a_minute: int) -> dict[str, str]:
    """A hundred writing store calls a minute, and the time that they took together."""
    return {f"rowbox_commits_total{A}": "0+100x60", f"rowbox_commit_seconds_total{A}": f"0+{total_s_a_minute}x60"}


def connections(number: str) -> dict[str, str]:
    """So many of a thousand that there may be."""
    return {f"rowbox_http_connections{A}": number, f"rowbox_http_connections_limit{A}": "1000x60"}


def keys(age_s: str, valid: str) -> dict[str, str]:
    """An issuer's keys, read again when they are ten minutes old."""
    of_issuer = '{job="rowbox",instance="a",keys="issuer_keys"}'
    return {
        f"rowbox_auth_keys_age_seconds{of_issuer}": age_s,
        f"rowbox_auth_keys_max_age_seconds{of_issuer}": "600x60",
        f"rowbox_auth_keys_valid{of_issuer}": valid,
    }


def loads(of_hundred: int, evictions: int) -> dict[str, str]:
    """Of a hundred requests a minute so many read a mailbox from the store."""
    return {
        **requests(200, 100),
        f"rowbox_mailbox_loads_total{A}": f"0+{of_hundred}x60",
        f"rowbox_mailbox_evictions_total{A}": f"0+{evictions}x60",
    }


BUDGETS: Final = (
    ("rowbox_http_bodies_bytes", "rowbox_http_bodies_limit_bytes"),
    ("rowbox_http_held_bytes", "rowbox_http_held_limit_bytes"),
    ("rowbox_commands_waiting", "rowbox_commands_waiting_limit"),
    ("rowbox_commands_waiting_bytes", "rowbox_commands_waiting_limit_bytes"),
    ("rowbox_deliveries_pending_bytes", "rowbox_deliveries_pending_limit_bytes"),
    ("rowbox_waiters", "rowbox_waiters_limit"),
)


def sockets(open_now: str, streams: str) -> dict[str, str]:
    """Of 1,000 that there may be, so many sockets and streams."""
    kind = 'rowbox_sockets_open{job="rowbox",instance="a",kind="%s"}'
    return {kind % "socket": open_now, kind % "stream": streams, f"rowbox_sockets_limit{A}": "1000x60"}


def closed(code: str, number: str) -> dict[str, str]:
    """Sockets closed with a code."""
    return {f'rowbox_socket_closes_total{{job="rowbox",instance="a",code="{code}"}}': number}


def api_processes(listening: str, restarts: str) -> dict[str, str]:
    """A server that should have two."""
    return {
        f"rowbox_api_processes{A}": listening,
        f"rowbox_api_processes_wanted{A}": "2x60",
        f"rowbox_api_process_restarts_total{A}": restarts,
    }


def budget(used: str, limit: str, percent: str) -> dict[str, str]:
    """So much of a hundred that there may be."""
    return {f"{used}{A}": percent, f"{limit}{A}": "100x60"}


def device(free: str) -> dict[str, str]:
    """So much left on a device of 100,000 on which writes are refused from 64 on."""
    size = {f"rowbox_store_device_bytes{A}": "100000x600", f"rowbox_store_min_free_bytes{A}": "64x600"}
    return {f"rowbox_store_device_free_bytes{A}": free, **size}


def backup_at(time_s: str) -> dict[str, str]:
    """The last backup was made then; the first scrape here is at 0."""
    return {f"rowbox_last_backup_timestamp_seconds{A}": time_s}


def served(by_a: str, by_b: str) -> dict[str, str]:
    """Of 4,096 shards so many are served by each of two servers."""
    return {f"rowbox_map_shards{A}": "4096x60", f"rowbox_shards_served{A}": by_a, f"rowbox_shards_served{B}": by_b}


def refusals(reason: str, number: str) -> dict[str, str]:
    """Callers that were refused."""
    labels = f'{{job="rowbox",instance="a",link="servers",side="serves",reason="{reason}"}}'
    return {f"rowbox_link_refusals_total{labels}": number}


def pushes(ok: int, later: int, broken: int) -> dict[str, str]:
    """What targets answered, a minute."""
    name = 'rowbox_pushes_total{{job="rowbox",instance="a",outcome="{0}"}}'
    counts = {"ok": ok, "later": later, "broken": broken}
    return {name.format(outcome): f"0+{count}x60" for outcome, count in counts.items()}


SITUATIONS: Final = [
    Situation("RowboxDown", "the process is gone", True, {f"up{A}": "0x60"}),
    Situation("RowboxDown", "a restart of a few seconds", False, {f"up{A}": "1x58 0 1"}),
    Situation(
        "RowboxNobodyOwns",
        "the region of meta/ does not answer: no server has its lease",
        True,
        {f"rowbox_is_owner{A}": "0x60", f"rowbox_is_owner{B}": "0x60"},
    ),
    Situation(
        "RowboxNobodyOwns", "one of two owns", False, {f"rowbox_is_owner{A}": "1x60", f"rowbox_is_owner{B}": "0x60"}
    ),
    Situation(
        "RowboxNobodyOwns", "two of two own", False, {f"rowbox_is_owner{A}": "1x60", f"rowbox_is_owner{B}": "1x60"}
    ),
    Situation(
        "RowboxShardsUnserved", "an owner was killed, and nobody takes over", True, served("2000x60", "2096x50 stale")
    ),
    Situation("RowboxShardsUnserved", "one lives and has no lease", True, served("2000x60", "2096x50 0x10")),
    Situation(
        "RowboxShardsUnserved",
        "an owner was killed, the other took over",
        False,
        served("2000x50 4096x10", "2096x50 stale"),
    ),
    Situation(
        "RowboxShardsUnserved", "shards move to one that is scraped later", False, served("4096-64x60", "0 0+64x59")
    ),
    Situation("RowboxMailUnreachable", "its gateway refuses it", True, {f"rowbox_reaches_mail{A}": "1x50 0x10"}),
    Situation("RowboxMailUnreachable", "a stall of seconds", False, {f"rowbox_reaches_mail{A}": "1x58 0 1"}),
    Situation("RowboxAnswersFail", "five of a hundred", True, requests(200, 95) | requests(503, 5)),
    Situation("RowboxAnswersFail", "one of a thousand", False, requests(200, 999) | requests(500, 1)),
    Situation("RowboxSendsSlow", "sends take a second", True, sends("1")),
    Situation("RowboxSendsSlow", "sends take 50 ms", False, sends("0.05")),
    Situation("RowboxStoreSlow", "half a second each", True, commits(50)),
    Situation("RowboxStoreSlow", "10 ms each", False, commits(1)),
    Situation("RowboxCommandsWaiting", "the store has fallen behind", True, {f"rowbox_commands_waiting{A}": "5000x60"}),
    Situation("RowboxCommandsWaiting", "a burst of a minute", False, {f"rowbox_commands_waiting{A}": "0x58 5000 0"}),
    Situation("RowboxConnectionsFull", "silent clients", True, connections("950x60")),
    Situation("RowboxConnectionsFull", "a peak of a minute", False, connections("500x58 950 500")),
    Situation(
        "RowboxConnectionsFull",
        "something else takes the descriptors",
        True,
        connections("500x60") | {f"rowbox_http_accept_failures_total{A}": "0+50x60"},
    ),
    Situation("RowboxSocketsFull", "nearly all taken", True, sockets("920x60", "10x60")),
    Situation("RowboxSocketsFull", "a peak of a minute", False, sockets("500x58 950 500", "10x60")),
    Situation("RowboxSocketsSlow", "nobody acknowledges", True, sockets("300x60", "10x60") | closed("4008", "0+10x60")),
    Situation(
        "RowboxSocketsSlow", "a slow client now and then", False, sockets("300x60", "10x60") | closed("4008", "0+2x60")
    ),
    Situation("RowboxApiProcessesEnd", "one cannot start", True, api_processes("1x60", "0x60")),
    Situation("RowboxApiProcessesEnd", "one ends each minute", True, api_processes("2x60", "0+1x60")),
    Situation("RowboxApiProcessesEnd", "one was killed", False, api_processes("2x50 1 2x9", "0x50 1x10")),
    Situation(
        "RowboxClientsHold",
        "answers that nobody reads",
        True,
        {'rowbox_http_cut_connections_total{job="rowbox",instance="a",reason="bytes"}': "0+5x60"},
    ),
    Situation("RowboxClientsHold", "uploads without an end", True, {f"rowbox_http_refused_bodies_total{A}": "0+20x60"}),
    Situation(
        "RowboxClientsHold",
        "a head that did not end",
        False,
        {'rowbox_http_cut_connections_total{job="rowbox",instance="a",reason="head"}': "0+5x60"},
    ),
    *(
        Situation("RowboxBudgetNearlyUsed", f"much of {used}", True, budget(used, limit, "90x60"))
        for used, limit in BUDGETS
    ),
    Situation(
        "RowboxBudgetNearlyUsed",
        "half of each, and one full for a minute",
        False,
        {name: series for used, limit in BUDGETS for name, series in budget(used, limit, "50x58 95 50").items()},
    ),
    Situation("RowboxDiskFull", "50 MiB left, of which 64 are wanted", True, device("50x60")),
    Situation("RowboxDiskFull", "little, and enough", False, device("80x60")),
    Situation("RowboxDiskFilling", "a twentieth is left", True, device("5000x60")),
    Situation("RowboxDiskFilling", "it shrinks by 6,000 an hour", True, device("90000-100x60")),
    Situation(
        "RowboxDiskFilling", "a compaction that comes and goes", False, device("60000x300 50000x5 60000x55"), "6h"
    ),
    Situation("RowboxBackupOld", "nobody has made one for nine days", True, backup_at("-777600x60")),
    Situation("RowboxBackupOld", "one was made yesterday", False, backup_at("-86400x60")),
    Situation("RowboxUnknownOutcomes", "calls break off", True, {f"rowbox_unknown_outcomes_total{A}": "0x50 0+1x10"}),
    Situation("RowboxUnknownOutcomes", "an hour ago", False, {f"rowbox_unknown_outcomes_total{A}": "0 0+7x2 14x57"}),
    Situation("RowboxDeliveriesStall", "messages are stuck", True, {f"rowbox_deliveries_pending{A}": "1500x60"}),
    Situation("RowboxDeliveriesStall", "a sender was set aside", True, {f"rowbox_senders_spilled{A}": "1x60"}),
    Situation("RowboxDeliveriesStall", "some are on their way", False, {f"rowbox_deliveries_pending{A}": "40x60"}),
    Situation(
        "RowboxBackgroundFails",
        "a scan fails each minute",
        True,
        {'rowbox_background_failures_total{job="rowbox",instance="a",loop="recovery"}': "0+1x60"},
    ),
    Situation(
        "RowboxBackgroundFails",
        "one round failed",
        False,
        {'rowbox_background_failures_total{job="rowbox",instance="a",loop="recovery"}': "0x50 1x10"},
    ),
    Situation("RowboxMissedBeats", "no beat gets through", True, {f"rowbox_missed_beats_total{A}": "0+10x60"}),
    Situation("RowboxMissedBeats", "one was missed", False, {f"rowbox_missed_beats_total{A}": "0x57 1x3"}),
    Situation("RowboxTakeovers", "owners come and go", True, {f"rowbox_takeovers_total{A}": "0+1x60"}),
    Situation("RowboxTakeovers", "a rolling restart", False, {f"rowbox_takeovers_total{A}": "0x20 1x20 2x20"}),
    Situation(
        "RowboxTakeovers",
        "one of ten dies",
        False,
        {f"rowbox_takeovers_total{A}": "0x50 1x10", f"rowbox_takeovers_total{B}": "0x50 1x10"},
    ),
    Situation(
        "RowboxPeersUnreachable", "a firewall between two", True, {f"rowbox_router_peers_unreachable{A}": "0x50 1x10"}
    ),
    Situation("RowboxPeersUnreachable", "one was killed", False, {f"rowbox_router_peers_unreachable{A}": "0x58 1 0"}),
    Situation("RowboxMoveStuck", "its target hangs", True, {f"rowbox_map_oldest_move_seconds{A}": "0x50 0+60x10"}),
    Situation(
        "RowboxMoveStuck", "many moves, one after the other", False, {f"rowbox_map_oldest_move_seconds{A}": "8x60"}
    ),
    Situation(
        "RowboxMovesGivenUp",
        "its target cannot be called",
        True,
        {f"rowbox_moves_given_up_total{A}": "0+1x60"},
    ),
    Situation(
        "RowboxMovesGivenUp",
        "targets were restarted",
        False,
        {f"rowbox_moves_given_up_total{A}": "0x50 1 1 1 2 2 2 3 3 3 3"},
    ),
    Situation(
        "RowboxMapLags",
        "one reads the map no more",
        True,
        {f"rowbox_map_version{A}": "5x50 5+1x10", f"rowbox_map_version{B}": "5x60"},
    ),
    Situation(
        "RowboxMapLags",
        "one hears of newer ones, and cannot read them",
        True,
        {f"rowbox_map_lag_seconds{A}": "0x50 0+60x10"},
    ),
    Situation(
        "RowboxMapLags",
        "maps change all the time",
        False,
        {f"rowbox_map_version{A}": "5+9x60", f"rowbox_map_version{B}": "3+9x60", f"rowbox_map_lag_seconds{A}": "1x60"},
    ),
    Situation(
        "RowboxMapLags",
        "one has just started",
        False,
        {f"rowbox_map_version{A}": "5x60", f"rowbox_map_version{B}": "5x50 _x8 0 5"},
    ),
    Situation("RowboxLinksRefused", "another secret", True, refusals("proof", "0x50 0+20x10")),
    Situation(
        "RowboxLinksRefused",
        "one was refused for its name, as it came back as another",
        False,
        refusals("incarnation", "0x50 0+20x10"),
    ),
    Situation("RowboxRedisAway", "it was stopped", True, {f"rowbox_redis_listening{A}": "1x40 0x20"}),
    Situation("RowboxRedisAway", "it was restarted", False, {f"rowbox_redis_listening{A}": "1x55 0 0 1x3"}),
    Situation(
        "RowboxPresenceAway",
        "Redis was stopped",
        True,
        {f"rowbox_ephemeral_up{A}": "1x40 0x20"},
    ),
    Situation(
        "RowboxPresenceAway",
        "Redis was restarted",
        False,
        {f"rowbox_ephemeral_up{A}": "1x55 0 0 1x3"},
    ),
    Situation("RowboxGatewayFails", "a gateway hangs", True, {f"rowbox_gateway_deadline_misses_total{A}": "0+5x60"}),
    Situation("RowboxGatewayFails", "to and fro", True, {f"rowbox_gateway_failovers_total{A}": "0+5x60"}),
    Situation("RowboxGatewayFails", "one was restarted", False, {f"rowbox_gateway_failovers_total{A}": "0x55 1x5"}),
    Situation("RowboxStoreRangesAway", "a region is silent", True, {f"rowbox_store_ranges_unavailable{A}": "1x60"}),
    Situation("RowboxStoreRangesAway", "one moved", False, {f"rowbox_store_ranges_unavailable{A}": "0x59 1"}),
    Situation("RowboxClockInDoubt", "a clock was set by a year", True, {f"rowbox_clock_in_doubt{A}": "0x50 1x10"}),
    Situation("RowboxClockInDoubt", "it starts in 1970 and is set", False, {f"rowbox_clock_in_doubt{A}": "0x57 1 0x2"}),
    Situation(
        "RowboxClocksDisagree",
        "two servers an hour apart",
        True,
        {f"rowbox_clock_peer_difference_seconds{A}": "0x50 -3600x10"},
    ),
    Situation(
        "RowboxClocksDisagree",
        "a clock that is set within seconds",
        False,
        {f"rowbox_clock_peer_difference_seconds{A}": "0x58 40 0"},
    ),
    Situation("RowboxTimeNotSeen", "off for a weekend", True, {f"rowbox_clock_unseen_seconds{A}": "216000x60"}),
    Situation("RowboxTimeNotSeen", "off for an hour", False, {f"rowbox_clock_unseen_seconds{A}": "3600x60"}),
    Situation("RowboxKeysExpired", "the issuer was away for a day", True, keys(age_s="86000+60x60", valid="1x30 0x30")),
    Situation("RowboxKeysExpired", "the issuer is away for an hour", False, keys(age_s="0+60x60", valid="1x60")),
    Situation("RowboxKeysOld", "the issuer is away for an hour", True, keys(age_s="0+60x60", valid="1x60")),
    Situation(
        "RowboxKeysOld", "a reading failed, the next did not", False, keys(age_s="0+60x15 0+60x45", valid="1x60"), "19m"
    ),
    Situation("RowboxPushesFail", "a key that no browser knows", True, pushes(ok=0, later=0, broken=100)),
    Situation("RowboxPushesFail", "a service is away, and one webhook", False, pushes(ok=5, later=500, broken=2)),
    Situation(
        "RowboxPushesDropped", "a service is away for hours", True, {f"rowbox_pushes_dropped_total{A}": "0+5x60"}
    ),
    Situation("RowboxPushesDropped", "none", False, {f"rowbox_pushes_dropped_total{A}": "7x60"}),
    Situation(
        "RowboxErasureStandsStill", "a group does not answer", True, {f"rowbox_erasure_oldest_seconds{A}": "0+300x60"}
    ),
    Situation(
        "RowboxErasureStandsStill", "a large mailbox", False, {f"rowbox_erasure_oldest_seconds{A}": "0+60x30 0x30"}
    ),
    Situation("RowboxCacheTooSmall", "every second request loads and evicts", True, loads(50, 50)),
    Situation("RowboxCacheTooSmall", "a cold start: loads, and room for them", False, loads(50, 0)),
    Situation("RowboxRateLimited", "every tenth request", True, requests(200, 90) | requests(429, 10)),
    Situation("RowboxRateLimited", "one user in a loop", False, requests(200, 990) | requests(429, 10)),
]


def test_each_alert_has_a_situation_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    wanted = {(rule["alert"], fires) for rule in RULES for fires in (True, False)}
    assert {(one.alert, one.fires) for one in SITUATIONS} == wanted


def test_the_page_for_operators_has_each_alert_with_its_severity() -> None:
    section = (ALERTS.parents[2] / "docs" / "operations.md").read_text().partition("| alert | severity |")[2]
    rows = [row.split("|")[1:3] for row in section.partition("\n\n")[0].splitlines()[2:]]
    told = {(name.strip(), severity.strip()) for names, severity in rows for name in names.split(",")}
    assert told == {(rule["alert"], rule["labels"]["severity"]) for rule in RULES}


@pytest.mark.integration
@pytest.mark.tools("promtool")
def test_alerts_fire_where_they_should_and_nowhere_else(tmp_path: Path) -> None:
    """In one run of promtool: each situation is a world of its own."""
    assert_as_prometheus_says(SITUATIONS, tmp_path)


def assert_as_prometheus_says(situations: Sequence[Situation], folder: Path) -> None:
    """That each alert fires, or does not, as its situation says."""
    stories = folder / "situations.yml"
    tests = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": list(map(_story, situations))}
    stories.write_text(yaml.safe_dump(tests))
    promtool = require("promtool", "prometheus")
    done = subprocess.run([promtool, "test", "rules", stories], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _story(situation: Situation) -> dict[str, object]:
    """That the alert stands for one series or more, or for none."""
    standing = f'count(ALERTS{{alertname="{situation.alert}", alertstate="firing"}}) > bool 0'
    samples = [{"labels": "{}", "value": 1}] if situation.fires else []
    return {
        "name": f"{situation.alert}: {situation.what}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in situation.series.items()],
        "promql_expr_test": [{"expr": standing, "eval_time": situation.looked_at, "exp_samples": samples}],
    }

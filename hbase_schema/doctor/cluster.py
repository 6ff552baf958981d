"""The checks of `rowbox doctor`: the gateways, the table, what the store's calls really do, the gateways' settings."""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing

from rowbox.hbase_schema.doctor.diagnosis import Diagnosis, State, judged
from rowbox.hbase_schema.doctor.gateway_conf import fetch_configuration, judge_configuration, unknown_configuration
from rowbox.hbase_schema.doctor.probes import ClockMs, probe, probe_row
from rowbox.hbase_schema.migrate.live_schema import deviations, look, read_schema
from rowbox.hbase_schema.migrate.table_admin import TableAdmin
from rowbox.hbase_schema.table_plan import TablePlan
from rowbox.hbase_schema.thrift.connection import Address
from rowbox.hbase_schema.thrift.spoken import other_wire
from rowbox.hbase_schema.thrift.thrift1 import Thrift1
from rowbox.hbase_schema.thrift.thrift2 import THRIFT2, GatewayIdentity, identify
from rowbox.mailbox.clocks.clock_trust import ClockTrust, Remembered, duration
from rowbox.mailbox.errors import StoreUnavailable
from rowbox.mailbox.settings.config import HBaseSettings


def examine_gateway(address: Address, table: str, settings: HBaseSettings) -> tuple[Diagnosis, GatewayIdentity | None]:
    """Whether a gateway answers a call that HBase's master has to answer. The identity is None where it does not."""
    subject = f"gateway {address[0]}:{address[1]}"
    try:
        identity = identify(address, settings)
        if identity.protocol == THRIFT2:
            return Diagnosis(State.WRONG, subject, "speaks Thrift2: name gateways of Thrift1 in store.url"), None
        began = time.monotonic()
        with closing(Thrift1(address, table, settings)) as thrift1:
            thrift1.exists()
    except StoreUnavailable as error:
        finding = other_wire(address, settings) or f"{error}: start it, or take it out of store.url"
        return Diagnosis(State.WRONG, subject, finding), None
    took_ms = (time.monotonic() - began) * 1000
    return Diagnosis(
        State.OK, subject, f"answers in {took_ms:.0f} ms, has {settings.call_timeout_ms} ms for it"
    ), identity


def examine_cluster(identities: Collection[GatewayIdentity]) -> Diagnosis:
    """Whether one cluster is behind all gateways that answered."""
    clusters = {identity.cluster_id for identity in identities}
    if None in clusters:
        finding = "a gateway is too old to say which cluster is behind it; compare the gateways' hbase.zookeeper.quorum"
        return Diagnosis(State.UNKNOWN, "cluster", finding)
    return judged(
        well=len(clusters) == 1,
        subject="cluster",
        finding=f"behind the gateways is {' and '.join(sorted(filter(None, clusters)))}",
        advice="name the gateways of one cluster, else each mailbox is in two places",
    )


def examine_table(admin: TableAdmin, plan: TablePlan) -> Iterator[Diagnosis]:
    """Compares the table and its schema row with what the settings ask for."""
    found = deviations(plan, look(admin))
    essential = [difference for difference in found if difference.is_essential]
    for difference in essential:
        yield Diagnosis(State.WRONG, "table", f"{difference}: {difference.remedy or 'see: rowbox schema plan'}")
    if not essential:
        rest = f"; {len(found)} differences cost speed only, see: rowbox schema verify" if found else ""
        yield Diagnosis(State.OK, "table", f"families, versions, TTLs and shards are as planned{rest}")


def judge_remembered(remembered: Remembered | None, now_us: int) -> Diagnosis:
    """Whether a server that started now on this machine would believe the clock."""
    subject = "remembered time"
    if remembered is None:
        return Diagnosis(State.OK, subject, "none yet: no server has owned the mailboxes")
    trust = ClockTrust(remembered, now_us, 0)
    if trust.doubt is not None:
        advice = "set it right; where it is right: rowbox clock accept"
        return Diagnosis(State.WRONG, subject, f"{trust.doubt}, and a server here would not be ready: {advice}")
    apart_us = now_us - remembered.latest_us
    unseen = f"; nothing expires yet by {duration(trust.unseen_us)} that no server saw" if trust.unseen_us else ""
    direction = "ahead of" if apart_us >= 0 else "behind"
    finding = f"this machine's clock is {duration(abs(apart_us))} {direction} what the store has seen, and believed"
    return Diagnosis(State.OK, subject, finding + unseen)


def examine_calls(thrift1: Thrift1, token: bytes, now_ms: ClockMs) -> Iterator[Diagnosis]:
    """Tries what the store's calls really do, through one gateway. A table that is not Rowbox's is not written to."""
    subject = f"calls by {thrift1.name}"
    try:
        if not thrift1.exists() or read_schema(thrift1) is None:
            yield Diagnosis(
                State.UNKNOWN, subject, "there is no table to try them on; make it with: rowbox schema apply"
            )
            return
        with probe_row(thrift1, token) as row:
            for diagnosis in probe(row, now_ms):
                yield diagnosis._replace(subject=f"{diagnosis.subject} by {thrift1.name}")
    except StoreUnavailable as error:
        yield Diagnosis(State.WRONG, subject, f"{error}: look at the gateway's log")


def examine_configuration(infos: Sequence[Address], settings: HBaseSettings) -> Iterator[Diagnosis]:
    """Judges the settings of each gateway whose information port is known."""
    if not infos:
        yield from unknown_configuration("no --gateway-info was given")
    for info in infos:
        try:
            found = list(judge_configuration(fetch_configuration(info, settings.call_timeout_ms), settings))
        except StoreUnavailable as error:
            found = list(unknown_configuration(str(error)))
        name = f"{info[0]}:{info[1]}"
        yield from (diagnosis._replace(subject=f"{diagnosis.subject} of {name}") for diagnosis in found)

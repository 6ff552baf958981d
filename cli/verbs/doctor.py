"""`rowbox doctor`: whether what a server stands on is as the server needs it. It prints one line for each thing.

With an embedded store these are its folder and its device (doctor_embedded.py); on HBase the gateways, the table,
and the servers that share the mailboxes (cluster/doctor.py).
"""

import asyncio
import secrets
import sys
from collections.abc import Iterator
from contextlib import closing

import click
import orjson

from rowbox.cacheserver.clocks import wall_clock_ms, wall_clock_us
from rowbox.cacheserver.stores.clock_memory import REMEMBERED_QUALIFIER, decoded
from rowbox.cli.gateways import hbase_address, opened_admin, parse_gateway, thrift2_option
from rowbox.cli.options import with_settings
from rowbox.cli.verbs.cluster.doctor import examine_servers
from rowbox.cli.verbs.doctor_embedded import examine_embedded
from rowbox.hbase_schema.doctor.cluster import (
    examine_calls,
    examine_cluster,
    examine_configuration,
    examine_gateway,
    examine_table,
    judge_remembered,
)
from rowbox.hbase_schema.doctor.diagnosis import Diagnosis, State
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import CLOCK_ROW
from rowbox.hbase_schema.migrate.live_schema import read_schema
from rowbox.hbase_schema.table_plan import plan_table
from rowbox.hbase_schema.thrift.connection import Address
from rowbox.hbase_schema.thrift.thrift1 import Thrift1
from rowbox.mailbox.errors import BadRequest, RowboxError
from rowbox.mailbox.settings.config import LoadedSettings, parse_store_url


@click.command("doctor")
@with_settings("store.url", "server.data_dir")
@thrift2_option
@click.option(
    "--gateway-info",
    multiple=True,
    metavar="HOST:PORT",
    help="Information port of a gateway (hbase.thrift.info.port), which tells its settings. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(loaded: LoadedSettings, thrift2: str | None, gateway_info: tuple[str, ...], *, as_json: bool) -> None:
    """Check what the server relies on. Exit 1 where anything is WRONG. The settings must be the server's.

    The embedded store: it reads folders and who may read them, format, room, fsync, descriptors, clock, last backup.
    Beside a server or without one; it writes a small file to the data folder, and removes it.

    HBase: it asks gateways, and looks at table, calls, clocks, timeouts. It writes to a row of its own behind all
    mailboxes, and removes it. Of a cluster's servers: secret, TLS, Redis, map and clocks. It calls each server once at
    its peer address, as the other servers do, and asks it for nothing.
    """
    shown = []
    for diagnosis in _examined(loaded, thrift2, [parse_gateway(text, "--gateway-info") for text in gateway_info]):
        shown.append(diagnosis)
        if not as_json:
            click.echo(f"{diagnosis.state:<8} {diagnosis.subject}: {diagnosis.finding}")
    is_well = all(diagnosis.state is not State.WRONG for diagnosis in shown)
    if as_json:
        found = {"well": is_well, "checks": [diagnosis._asdict() for diagnosis in shown]}
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    sys.exit(0 if is_well else 1)


def _examined(loaded: LoadedSettings, thrift2: str | None, infos: list[Address]) -> Iterator[Diagnosis]:
    if parse_store_url(loaded.settings.store.url) is not None:
        return _examine(loaded, thrift2, infos)
    if infos or thrift2 is not None:
        raise BadRequest("--thrift2 and --gateway-info are for HBase: name its store with --store hbase://...")
    return examine_embedded(loaded)


def _examine(loaded: LoadedSettings, thrift2: str | None, infos: list[Address]) -> Iterator[Diagnosis]:
    """Examines a cluster. What needs a gateway is left out where no gateway answers."""
    address, settings = hbase_address(loaded), loaded.settings.hbase
    identities, fits = {}, False
    for gateway in address.gateways:
        diagnosis, identity = examine_gateway(gateway, address.table, settings)
        yield diagnosis
        if identity:
            identities[gateway] = identity
    if identities:
        yield examine_cluster(identities.values())
        found, fits = _examine_table(loaded, thrift2)
        yield from found
    for gateway in identities:
        with closing(Thrift1(gateway, address.table, settings)) as thrift1:
            yield from examine_calls(thrift1, secrets.token_hex(8).encode(), wall_clock_ms)
    yield from examine_configuration(infos, settings)
    if fits:
        yield from asyncio.run(examine_servers(loaded.settings))


def _examine_table(loaded: LoadedSettings, thrift2: str | None) -> tuple[list[Diagnosis], bool]:
    """Examines the table and its memory of the time, and whether a server could open it. A gateway that fails, or a row
    that does not read back, is a finding.
    """
    try:
        with opened_admin(loaded, thrift2) as admin:
            found = list(examine_table(admin, plan_table(admin.table, loaded.settings.store)))
            is_made = admin.thrift1.exists() and read_schema(admin.thrift1) is not None
            fits = is_made and all(one.state is not State.WRONG for one in found)
            return [*found, *(_examine_remembered(admin.thrift1) if is_made else [])], fits
    except RowboxError as error:
        return [Diagnosis(State.WRONG, "table", str(error))], False


def _examine_remembered(thrift1: Thrift1) -> list[Diagnosis]:
    """Compares the store's memory of the time with this machine's clock."""
    cell = thrift1.read(CLOCK_ROW, Family.INDEX, [REMEMBERED_QUALIFIER]).get(REMEMBERED_QUALIFIER)
    return [judge_remembered(None if cell is None else decoded(cell.value), wall_clock_us())]

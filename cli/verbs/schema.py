"""`rowbox schema`: makes the table of an HBase store, and says what differs from the plan (ADR 11)."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import click
import orjson

from rowbox.cli.gateways import hbase_address, opened_admin, thrift2_option
from rowbox.cli.options import with_settings
from rowbox.hbase_schema.migrate.apply import apply as apply_schema
from rowbox.hbase_schema.migrate.live_schema import LiveSchema, deviations, look, require_ours
from rowbox.hbase_schema.migrate.migrations import MIGRATIONS, pending
from rowbox.hbase_schema.migrate.table_admin import TableAdmin
from rowbox.hbase_schema.table_diff import Difference, not_shown
from rowbox.hbase_schema.table_plan import DEFAULT_REGIONS, Compression, TablePlan, plan_table
from rowbox.mailbox.settings.config import LoadedSettings

_with_store = with_settings("store.url", "server.data_dir")
_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


def _with_plan(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a verb the options that say how a new table is made. They do not change a table that is there."""
    choice = click.Choice(list(Compression), case_sensitive=False)
    compression = click.option(
        "--compression",
        type=choice,
        default=Compression.NONE,
        show_default=True,
        help="Of a new table's files. The cluster refuses what it has no library for; every one has GZ.",
    )
    regions = click.option(
        "--regions",
        type=click.IntRange(1, 65536),
        default=DEFAULT_REGIONS,
        show_default=True,
        metavar="N",
        help="Of a new table, beside the one for `meta/`; at most one for each shard.",
    )
    return regions(compression(verb))


@click.group()
def command() -> None:
    """Make the table of an HBase store, or say what differs from the plan."""


@command.command()
@_with_store
@thrift2_option
@_with_plan
@_json_option
def plan(loaded: LoadedSettings, thrift2: str | None, regions: int, compression: Compression, *, as_json: bool) -> None:
    """Say what `apply` would do, and what differs from the plan. Reads the table, and writes nothing.

    Exit 1 where `apply` would refuse: the table is not ours, or of another version or number of shards.
    """
    planned = _plan(loaded, regions, compression)
    with opened_admin(loaded, thrift2) as admin:
        live = look(admin)
        require_ours(planned, live)
        click.echo(_plan_as_json(planned, live) if as_json else _plan_as_text(planned, live, admin))


@command.command()
@_with_store
@thrift2_option
@_with_plan
def apply(loaded: LoadedSettings, thrift2: str | None, regions: int, compression: Compression) -> None:
    """Make the table, or bring it to this Rowbox's version. Safe to repeat, and beside another `apply`.

    Writes the table where there is none, and then its schema row; reads what stands. A table that stands is never
    altered to match the plan; what differs is listed. Exit 1 where mailboxes must not be
    served from it as it is.
    """
    planned = _plan(loaded, regions, compression)
    with opened_admin(loaded, thrift2) as admin:
        for version in apply_schema(admin, planned):
            click.echo(f"Version {version}: {MIGRATIONS[version].description}.")
        live = look(admin)
    found = deviations(planned, live)
    click.echo(_verdict(planned, live, found))
    sys.exit(1 if any(difference.is_essential for difference in found) else 0)


@command.command()
@_with_store
@thrift2_option
@_json_option
def verify(loaded: LoadedSettings, thrift2: str | None, *, as_json: bool) -> None:
    """Compare the live table with the plan. Exit 1 where anything differs.

    Reads the table, and writes nothing.
    """
    planned = _plan(loaded, DEFAULT_REGIONS, Compression.NONE)
    with opened_admin(loaded, thrift2) as admin:
        live = look(admin)
    found = deviations(planned, live)
    click.echo(_verify_as_json(planned, live, found) if as_json else _verdict(planned, live, found))
    sys.exit(1 if found else 0)


def _plan(loaded: LoadedSettings, regions: int, compression: Compression) -> TablePlan:
    settings = loaded.settings.store
    if regions > settings.shards:
        raise click.BadParameter(f"{regions} regions for {settings.shards} shards", param_hint="--regions")
    return plan_table(hbase_address(loaded).table, settings, regions=regions, compression=compression)


def _plan_as_text(planned: TablePlan, live: LiveSchema, admin: TableAdmin) -> str:
    steps = [f"Version {version}: {MIGRATIONS[version].description}." for version in _pending(live)]
    if live.table is not None:
        return "\n".join([*steps, _verdict(planned, live, deviations(planned, live))])
    how = f"in {len(planned.split_points) + 1} regions" if admin.thrift2 else "by Thrift1: unsplit, not encoded"
    return "\n".join([f"Table {planned.table} is not there. `apply` makes it, {how}:", *_families(planned), *steps])


def _families(planned: TablePlan) -> Iterator[str]:
    """Lines with the attributes that all families have, then with those that each family has of its own."""
    attributes = [set(family.items()) for family in planned.families.values()]
    common = set.intersection(*attributes)
    yield f"  all  {_written(common)}"
    yield from (
        f"  {family}    {_written(own - common)}" for family, own in zip(planned.families, attributes, strict=True)
    )


def _written(attributes: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(attributes))


def _verdict(planned: TablePlan, live: LiveSchema, found: list[Difference]) -> str:
    lines = [str(difference) for difference in found]
    remedies = [f"  {difference.remedy}" for difference in found if difference.remedy]
    if remedies:
        lines += ["To end the differences, in HBase's shell:", *remedies]
    if hidden := _hidden(planned, live):
        lines.append(f"Not looked at, because Thrift1 does not show it: {', '.join(hidden)}.")
    regions = f", {len(live.table.region_starts)} regions" if live.table else ""
    verdict = f"differs from the plan in {len(found)}" if found else "is as planned"
    return "\n".join([*lines, f"Table {planned.table} ({planned.shards} shards{regions}) {verdict}."])


def _pending(live: LiveSchema) -> list[int]:
    return pending(live.schema.version if live.schema else None, MIGRATIONS)


def _hidden(planned: TablePlan, live: LiveSchema) -> list[str]:
    return not_shown(planned, live.table) if live.table else []


def _plan_as_json(planned: TablePlan, live: LiveSchema) -> bytes:
    made = {
        "families": {family.value: attributes for family, attributes in planned.families.items()},
        "splitPoints": [point.decode() for point in planned.split_points],
        "pending": [{"version": version, "description": MIGRATIONS[version].description} for version in _pending(live)],
    }
    return _as_json(planned, live, deviations(planned, live), made)


def _verify_as_json(planned: TablePlan, live: LiveSchema, found: list[Difference]) -> bytes:
    return _as_json(planned, live, found, {"asPlanned": not found})


def _as_json(planned: TablePlan, live: LiveSchema, found: list[Difference], more: Mapping[str, object]) -> bytes:
    return orjson.dumps(
        {
            "table": planned.table,
            "shards": planned.shards,
            "exists": live.table is not None,
            "version": live.schema.version if live.schema else None,
            "regions": len(live.table.region_starts) if live.table else 0,
            "differences": [difference._asdict() for difference in found],
            "notShown": _hidden(planned, live),
            **more,
        },
        option=orjson.OPT_INDENT_2,
    )

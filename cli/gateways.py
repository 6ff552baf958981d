"""Shared by the verbs that work on an HBase cluster: its address, the option --thrift2, and opening both gateways."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from rowbox.hbase_schema.migrate.table_admin import TableAdmin, first_thrift1, thrift2_at
from rowbox.hbase_schema.thrift.connection import Address
from rowbox.hbase_schema.thrift.thrift2 import Thrift2
from rowbox.mailbox.errors import BadRequest, StoreUnavailable, StoreUnusable
from rowbox.mailbox.settings.config import HBaseAddress, HBaseSettings, LoadedSettings, parse_store_url

NO_THRIFT2: Final = "none"
_HOST_AND_PORT: Final = re.compile(r"([A-Za-z0-9_.-]+):([0-9]{1,5})")

thrift2_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--thrift2",
    metavar="HOST:PORT",
    help=f"Thrift2 gateway, or `{NO_THRIFT2}`.  [default: the first gateway's host and the port behind its own]",
)


def hbase_address(loaded: LoadedSettings) -> HBaseAddress:
    """The cluster that `store.url` names. BadRequest where that is the embedded store, which has no schema to apply."""
    address = parse_store_url(loaded.settings.store.url, loaded.origin("store.url"))
    if address is None:
        raise BadRequest("the embedded store makes its own schema; name a cluster: --store hbase://host:port/prefix")
    return address


@contextmanager
def opened_admin(loaded: LoadedSettings, thrift2: str | None) -> Iterator[TableAdmin]:
    """The store's table, by its gateways, which are closed in the end.

    Where no Thrift2 gateway was named and none answers, stderr says that the verb goes on with Thrift1 alone.
    """
    address = hbase_address(loaded)
    settings = loaded.settings.hbase
    thrift1 = first_thrift1(address, settings)
    admin = TableAdmin(address.table, thrift1, find_thrift2(address, thrift2, settings))
    try:
        yield admin
    finally:
        admin.close()


def parse_gateway(text: str, option: str) -> Address:
    """The host and port in `text`. BadRequest, naming `option`, where `text` is no host:port."""
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None or not 0 < int(match[2]) < 65536:
        raise BadRequest(f"{option} {text}: expected host:port")
    return match[1], int(match[2])


def find_thrift2(address: HBaseAddress, named: str | None, settings: HBaseSettings) -> Thrift2 | None:
    """The Thrift2 gateway at `named`, which must answer. By default the one at the first gateway's host and next port;
    None where that does not answer.
    """
    if named == NO_THRIFT2:
        return None
    if named is not None:
        return thrift2_at(parse_gateway(named, "--thrift2"), settings)
    host, port = address.gateways[0]
    try:
        return thrift2_at((host, port + 1), settings)
    except (StoreUnavailable, StoreUnusable) as error:
        click.echo(f"No Thrift2 ({error}): going on with Thrift1 alone.", err=True)
        return None

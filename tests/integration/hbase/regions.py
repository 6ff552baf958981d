"""Which region server has which part of a table."""

from collections.abc import Mapping

import happybase

from rowbox.mailbox.settings.config import parse_store_url


def hosts(store_url: str) -> dict[bytes, int]:
    """The ports of the region servers, by the first row of each region that they serve."""
    address = parse_store_url(store_url)
    assert address is not None
    connection = happybase.Connection(*address.gateways[0], timeout=20_000)
    try:
        return {region["start_key"]: region["port"] for region in connection.table(address.table).regions()}
    finally:
        connection.close()


def host_of(row: bytes, hosts: Mapping[bytes, int]) -> int:
    """The port of the region server that has a row."""
    return hosts[max(start for start in hosts if start <= row)]

"""How the descriptors of the process are shared between the store, the admin port and the API's connections.

Each connection is a descriptor, and so is each file of the store. A store that gets no descriptor when it switches its
memtable ends the process. So the store's part is set aside, and clients can take what is left.

    RESERVED       standard streams, log, lock, the loop's own, /proc for the metrics, key sets; two bursts of clients
    the store      embedded: `store.max_open_files`, and the files beside them (logs, manifest, a compaction's output);
                   HBase: each connection to a gateway, twice, as one may be opened while its predecessor closes
    the admin port ADMIN_CONNECTIONS
    the API        the rest, at most `server.max_connections`; long polls at most nine tenths of that

API processes (`server.api_processes`) have descriptors of their own, as many as this process each. Of these they need
RESERVED, and their connections can be the rest.
"""

import resource
from typing import Final, NamedTuple

from msgspec.structs import replace

from rowbox.api.edge.server import ADMIN_CONNECTIONS
from rowbox.api.http.acceptor import BURST
from rowbox.cli.serving.backends import CELL_CONNECTIONS
from rowbox.mailbox.settings.config import ConfigError, LoadedSettings, Settings, parse_store_url

RESERVED: Final = 64 + 2 * BURST
STORE_EXTRA: Final = 64
LEAST: Final = 512
"""A server is not started with fewer descriptors than these."""
_UNLIMITED: Final = 1 << 20


class Shared(NamedTuple):
    """Settings that fit into the process's descriptors. Each of `notes` is a line about a setting that was lowered."""

    settings: Settings
    notes: tuple[str, ...] = ()


def raise_open_files() -> int:
    """Raises the process's limit of open files as far as the system allows. Returns the new limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return _UNLIMITED if most == resource.RLIM_INFINITY else most


def within(loaded: LoadedSettings, limit: int) -> Shared:
    """The settings, with defaults lowered to what `limit` descriptors allow.

    ConfigError, naming both numbers, where a value that somebody gave is too large.
    """
    if limit < LEAST:
        raise ConfigError("RLIMIT_NOFILE", limit, "the system", f"at least {LEAST} descriptors")
    shared, settings = Shared(loaded.settings), loaded.settings
    if parse_store_url(settings.store.url) is None:
        why = f"a quarter of {limit} descriptors"
        shared = _lowered(loaded, shared, "store.max_open_files", limit // 4, why)
        store = shared.settings.store.max_open_files + STORE_EXTRA
    else:
        store = 2 * (settings.hbase.connections + CELL_CONNECTIONS)
    room = limit - RESERVED - ADMIN_CONNECTIONS - store
    why = f"what is left of {limit} descriptors (RLIMIT_NOFILE) beside the store's {store}"
    if count := shared.settings.server.api_processes:
        room = count * (limit - RESERVED)
        why = f"what {count} API processes with {limit} descriptors each (RLIMIT_NOFILE) can have"
    shared = _lowered(loaded, shared, "server.max_connections", room, why)
    connections = shared.settings.server.max_connections
    why = f"nine tenths of {connections} connections, each of which is one of {limit} descriptors (RLIMIT_NOFILE)"
    return _lowered(loaded, shared, "poll.max_per_server", connections * 9 // 10, why)


def _lowered(loaded: LoadedSettings, shared: Shared, key: str, most: int, why: str) -> Shared:
    settings, (table, _, field) = shared.settings, key.partition(".")
    value = getattr(getattr(settings, table), field)
    if value <= most:
        return shared
    if loaded.origin(key) != "default":
        raise ConfigError(key, value, loaded.origin(key), f"at most {most}: {why}")
    lowered = replace(settings, **{table: replace(getattr(settings, table), **{field: most})})
    return Shared(lowered, (*shared.notes, f"{key} is {most} instead of {value}: {why}"))

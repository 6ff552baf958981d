"""How many connections a server takes: what the system's limit of open files leaves beside its store."""

import resource

import pytest

from rowbox.api.edge.server import ADMIN_CONNECTIONS
from rowbox.cli.serving.descriptors import RESERVED, STORE_EXTRA, raise_open_files, within
from rowbox.mailbox.settings.config import ConfigError, Settings, load

HBASE = {"ROWBOX_STORE_URL": "hbase://localhost:9090/chat"}


def settings(limit: int, **environment: str) -> Settings:
    return within(load({}, environment, None), limit).settings


def test_where_there_are_enough_the_settings_stay() -> None:
    assert settings(1 << 20) == Settings()


@pytest.mark.parametrize("limit", [512, 1024, 4096, 20_000, 65_536])
def test_the_store_the_admin_port_and_the_api_together_fit(limit: int) -> None:
    """At 80c87b5 connections took all there were, and the store ended at the switch of its memtable."""
    shared = settings(limit)
    store = shared.store.max_open_files + STORE_EXTRA
    assert shared.server.max_connections + store + ADMIN_CONNECTIONS + RESERVED <= limit
    assert shared.server.max_connections >= 16
    assert shared.store.max_open_files <= limit // 4
    assert shared.poll.max_per_server <= shared.server.max_connections * 9 // 10, "others get in beside the polls"


def test_over_hbase_its_connections_are_set_aside_twice() -> None:
    shared = settings(2000, **HBASE)
    assert shared.server.max_connections == 2000 - RESERVED - ADMIN_CONNECTIONS - 2 * (shared.hbase.connections + 2)
    assert shared.store.max_open_files == Settings().store.max_open_files


def test_what_was_lowered_is_said() -> None:
    notes = within(load({}, {}, None), 20_000).notes
    assert "server.max_connections is 15616 instead of 100000" in notes[0]
    assert "poll.max_per_server is 14054 instead of 50000" in notes[1]
    assert all("RLIMIT_NOFILE" in note for note in notes)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"ROWBOX_SERVER_MAX_CONNECTIONS": "20000"}, "server.max_connections = 20000 .* at most 15616: .* of 20000"),
        ({"ROWBOX_POLL_MAX_PER_SERVER": "15000"}, "poll.max_per_server = 15000 .* at most 14054: .* 15616 connections"),
        (
            {"ROWBOX_SERVER_MAX_CONNECTIONS": "100", "ROWBOX_POLL_MAX_PER_SERVER": "100"},
            "poll.max_per_server = 100 .* at most 90: .* 100 connections",
        ),
        ({"ROWBOX_STORE_MAX_OPEN_FILES": "6000"}, "store.max_open_files = 6000 .* at most 5000"),
    ],
)
def test_what_was_asked_for_and_cannot_be_ends_the_start(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(20_000, **environment)


def test_with_hardly_any_descriptors_nothing_is_tried() -> None:
    with pytest.raises(ConfigError, match=r"RLIMIT_NOFILE = 511 .* at least 512"):
        settings(511)


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    limit = raise_open_files()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == limit

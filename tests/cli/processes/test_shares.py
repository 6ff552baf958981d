"""Each API process's part of the budgets: together they take what one process may take."""

import msgspec
import pytest

from rowbox.cli.serving.descriptors import RESERVED, within
from rowbox.cli.serving.processes.control import Begin, framed
from rowbox.cli.serving.processes.shares import share_of
from rowbox.mailbox.settings.config import ConfigError, LoadedSettings, Settings, load


def loaded(**environment: str) -> LoadedSettings:
    return load({}, environment, None)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64])
def test_together_they_take_no_more_than_one_process(count: int) -> None:
    whole = loaded(ROWBOX_SERVER_API_PROCESSES=str(count)).settings
    share = share_of(whole, 8080)
    for field in ("max_connections", "held_bytes", "bodies_bytes"):
        assert count * getattr(share.server, field) <= getattr(whole.server, field)
        assert getattr(share.server, field) > 0
    for field in ("max_per_server", "handshakes_per_second"):
        assert 0 < count * getattr(share.sockets, field) <= getattr(whole.sockets, field)
    assert share.sockets.max_per_user == whole.sockets.max_per_user
    assert whole.server.max_body_bytes <= share.server.bodies_bytes_per_user <= share.server.bodies_bytes


def test_what_the_owner_keeps_is_not_divided() -> None:
    whole = loaded(ROWBOX_SERVER_API_PROCESSES="4", ROWBOX_SERVER_PORT="0").settings
    share = share_of(whole, 8080)
    assert share.server.port == 8080
    for table in ("auth", "store", "cache", "commit", "poll", "rate_limits"):
        assert getattr(share, table) == getattr(whole, table)


@pytest.mark.parametrize("count", [1, 2, 64])
def test_the_smallest_budgets_that_start_reach_each_process(count: int) -> None:
    """A value out of its range would be refused there, where nobody says why."""
    least = {
        "ROWBOX_SERVER_API_PROCESSES": count,
        "ROWBOX_SERVER_MAX_CONNECTIONS": 16 * count,
        "ROWBOX_SERVER_HELD_BYTES": f"{count}MiB",
        "ROWBOX_SERVER_MAX_BODY_BYTES": 1024,
        "ROWBOX_SERVER_BODIES_BYTES": 1024 * count,
        "ROWBOX_SERVER_BODIES_BYTES_PER_USER": 1024,
    }
    share = share_of(loaded(**{name: str(value) for name, value in least.items()}).settings, 8080)
    begin = Begin("api-1", share, "/owner", "cluster", "incarnation", b"secret")
    assert msgspec.msgpack.decode(framed(begin)[4:], type=Begin) == begin


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"ROWBOX_SERVER_HELD_BYTES": "3MiB"}, "server.held_bytes = "),
        ({"ROWBOX_SERVER_MAX_CONNECTIONS": "63"}, "server.max_connections = 63 .*expected at least 64, .* for each"),
        ({"ROWBOX_SERVER_BODIES_BYTES": "2MiB", "ROWBOX_SERVER_MAX_BODY_BYTES": "1MiB"}, "server.bodies_bytes = "),
    ],
)
def test_a_part_that_is_too_small_to_serve_with_ends_the_start(environment: dict[str, str], message: str) -> None:
    loaded(**environment)
    with pytest.raises(ConfigError, match=message):
        loaded(ROWBOX_SERVER_API_PROCESSES="4", **environment)


def test_each_process_has_descriptors_of_its_own() -> None:
    """The store's and the operator's are the owner's."""
    of_two = within(loaded(ROWBOX_SERVER_API_PROCESSES="2"), 20_000)
    assert of_two.settings.server.max_connections == 2 * (20_000 - RESERVED)
    assert "what 2 API processes with 20000 descriptors each" in of_two.notes[0]
    assert share_of(of_two.settings, 1).server.max_connections + RESERVED == 20_000
    assert within(loaded(ROWBOX_SERVER_API_PROCESSES="8"), 20_000).settings == Settings(
        server=loaded(ROWBOX_SERVER_API_PROCESSES="8").settings.server
    )

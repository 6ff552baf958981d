"""Where a verb finds the admin port of the server on this machine."""

from typing import Final

from rowbox.mailbox.settings.config import Settings, hosts_of

_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- to be replaced, not to be listened on


def admin_address(settings: Settings) -> tuple[str, int]:
    """The host and the port to connect to, for a process on the server's machine."""
    host = hosts_of(settings.server.admin_host)[0]
    return _EVERY_ADDRESS.get(host, host), settings.server.admin_port

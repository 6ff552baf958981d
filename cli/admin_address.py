"""Where a verb finds the admin port of the server on this machine."""

from typing import Final

from rowbox.mailbox.config import Settings

_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- to be replaced, not to be listened on


def admin_address(settings: Settings) -> tuple[str, int]:
    """The host and the port to connect to, for a process on the server's machine."""
    server = settings.server
    return _EVERY_ADDRESS.get(server.host, server.host), server.admin_port

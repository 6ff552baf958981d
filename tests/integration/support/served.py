"""What a test under load needs of what it loads: one server, or a whole cluster."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tests.integration.support.client import Client


class Served(Protocol):
    """Starts, ends, and has clients."""

    @property
    def data_dir(self) -> Path:
        """Where the secret of its tokens lies."""

    @property
    def settings(self) -> Mapping[str, str]:
        """ROWBOX_* variables by which a verb finds its store."""

    def client(self, user_id: str) -> Client:
        """`user_id`'s client, which follows it through restarts."""

    def kill(self) -> None:
        """As a crash does: nothing of it runs on."""

    async def ended(self) -> object:
        """Returns once nothing of it runs any more."""

    async def start(self) -> None:
        """Returns when it is ready."""

    async def stop(self) -> None:
        """Ends it as an operator does, and sees that this works."""

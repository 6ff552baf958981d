"""What a verb has the owner of a mailbox do: by the server that runs, or in an embedded store that none has open."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from rowbox.cli.admin_address import admin_address
from rowbox.cli.data_dir import as_the_server, existing_store
from rowbox.cli.operator import NoServer, OperatorOutcomeUnknown, ask_server
from rowbox.mailbox.errors import StoreLocked, StoreUnusable
from rowbox.mailbox.settings.config import Settings, parse_store_url

if TYPE_CHECKING:
    from rowbox.cli.serving.backends import Backend

_T = TypeVar("_T")
DEADLINE_S: Final = 20.0
"""Seconds that the verb waits for the server: longer than a write may take there (commit.timeout_ms), with the second
that passes before the answer."""


def asked(settings: Settings, name: str, body: bytes, maybe: str) -> bytes:
    """The answer of the server on the data directory to an operator's call. NoServer where none runs; `maybe` is said
    of an unknown outcome.
    """
    try:
        return ask_server(settings, name, body, DEADLINE_S)
    except OperatorOutcomeUnknown as error:
        raise OperatorOutcomeUnknown(f"{error}; {maybe}") from error


def by_itself(settings: Settings, error: NoServer, do: "Callable[[Backend], Awaitable[_T]]") -> _T:
    """Does something in an embedded store that no server has open.

    NoServer, as `error` says, for a cluster's store; StoreUnusable where the store cannot be opened.
    """
    if parse_store_url(settings.store.url) is not None:
        raise NoServer(f"{error}; the owner of the mailboxes has to do it: run this beside it") from error
    folder = existing_store(settings)
    try:
        with as_the_server(folder):
            return asyncio.run(_in_store(settings, do))
    except StoreLocked as locked:
        host, port = admin_address(settings)
        raise StoreLocked(
            f"a server has the store in {folder} open, and its admin port is not {host}:{port}: "
            "name it with --admin-host and --admin-port, or give this verb the server's settings"
        ) from locked


async def _in_store(settings: Settings, do: "Callable[[Backend], Awaitable[_T]]") -> _T:
    from rowbox.cli.serving.backends import (
        backend,  # imported here, because the other verbs of tokens should not wait for a store's imports
    )

    failures: list[StoreUnusable] = []
    async with backend(settings, failures.append) as store:
        return await do(store)

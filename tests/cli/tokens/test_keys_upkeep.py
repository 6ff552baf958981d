"""SIGHUP and the rounds of a running server: what they read, and what stays when they cannot."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from rowbox.api.auth.authenticator import TokenAuthenticator, issue_token, make_authenticator
from rowbox.cli.serving.keys_upkeep import KeysUpkeep
from rowbox.mailbox.errors import StoreUnusable, Unauthenticated
from rowbox.mailbox.settings.config import AuthSettings
from tests.http.api import until
from tests.http.clock import Clock, claims_of

ONE, TWO = b"the first secret of at least 32 bytes", b"the second secret of at least 32 bytes"


class Folder:
    """What lies in a data directory."""

    def __init__(self) -> None:
        self.secrets: Sequence[bytes] = [ONE]
        self.error: Exception | None = None
        self.reads = 0

    def read(self) -> Sequence[bytes]:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.secrets


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder() -> Folder:
    return Folder()


@pytest.fixture
async def authenticator(folder: Folder, clock: Clock) -> TokenAuthenticator:
    authenticator = make_authenticator(AuthSettings(), folder.read, clock, clock)
    await authenticator.start()
    return authenticator


def token(secret: bytes, clock: Clock) -> str:
    return f"Bearer {issue_token(secret, 'alice', 3600, admin=False, now=clock.now)}"


async def test_tokens_of_a_secret_that_was_removed_are_refused_from_the_next_hangup_on(
    folder: Folder, clock: Clock, authenticator: TokenAuthenticator, caplog: pytest.LogCaptureFixture
) -> None:
    """Remembered ones as well."""
    caplog.set_level(logging.INFO)
    hangup, old, new = asyncio.Event(), token(ONE, clock), token(TWO, clock)
    async with KeysUpkeep(authenticator.keys, hangup):
        await claims_of(authenticator, old)
        folder.secrets = [TWO, ONE]
        hangup.set()
        await until(lambda: "SIGHUP: token_secrets were read again: 2 in use" in caplog.text)
        for one in (old, new):
            await claims_of(authenticator, one)
        folder.secrets = [TWO]
        hangup.set()
        await until(lambda: "SIGHUP: token_secrets were read again: 1 in use" in caplog.text)
        assert authenticator.remembered(old) is None
        with pytest.raises(Unauthenticated):
            await claims_of(authenticator, old)
        await claims_of(authenticator, new)


@pytest.mark.parametrize("error", [StoreUnusable("the file is gone"), AssertionError("a bug")], ids=["expected", "bug"])
async def test_what_cannot_be_read_ends_nothing_and_the_next_hangup_is_heard(
    error: Exception,
    folder: Folder,
    clock: Clock,
    authenticator: TokenAuthenticator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hangup, old = asyncio.Event(), token(ONE, clock)
    async with KeysUpkeep(authenticator.keys, hangup):
        folder.error = error
        for times in (1, 2):
            hangup.set()
            await until(lambda: caplog.text.count("SIGHUP: token_secrets were not read again") == times)  # noqa: B023
        assert str(error) in caplog.text
        await claims_of(authenticator, old)
        folder.error, folder.secrets = None, [TWO]
        hangup.set()
        await until(lambda: authenticator.keys.generation > 0)
        with pytest.raises(Unauthenticated):
            await claims_of(authenticator, old)


async def test_a_hangup_is_one_reading_and_many_that_come_meanwhile_are_one_more(
    folder: Folder, authenticator: TokenAuthenticator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hangup = asyncio.Event()
    async with KeysUpkeep(authenticator.keys, hangup):
        for times in (1, 2):
            for _ in range(100):
                hangup.set()
            await until(lambda: caplog.text.count("SIGHUP: token_secrets were read again") == times)  # noqa: B023
            assert not hangup.is_set()
    assert folder.reads == 3, "the first at the start"


async def test_a_secret_that_was_rotated_is_noticed_at_its_first_token(
    folder: Folder, clock: Clock, authenticator: TokenAuthenticator
) -> None:
    folder.secrets = [TWO, ONE]
    clock.now += 1
    for secret in (TWO, ONE):
        await claims_of(authenticator, token(secret, clock))
    assert folder.reads == 2


async def test_forged_tokens_have_the_files_read_once_a_second_at_most(
    folder: Folder, clock: Clock, authenticator: TokenAuthenticator
) -> None:
    clock.now += 1
    for _ in range(10):
        with pytest.raises(Unauthenticated):
            await claims_of(authenticator, token(TWO, clock))
    assert folder.reads == 2


async def test_without_a_word_they_are_read_again_each_minute(
    folder: Folder, clock: Clock, authenticator: TokenAuthenticator
) -> None:
    assert await authenticator.keys.round() == 60
    clock.now += 60
    folder.secrets = [TWO]
    await authenticator.keys.round()
    with pytest.raises(Unauthenticated):
        await claims_of(authenticator, token(ONE, clock))


async def test_a_server_without_authentication_only_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    hangup = asyncio.Event()
    async with KeysUpkeep(None, hangup):
        hangup.set()
        await until(lambda: "no keys to read again" in caplog.text)


async def test_its_rounds_are_counted(authenticator: TokenAuthenticator) -> None:
    upkeep = KeysUpkeep(authenticator.keys, asyncio.Event())
    async with upkeep:
        await until(lambda: any(value for *_, value in upkeep.samples()))
    assert {labels["loop"] for *_, labels, _ in upkeep.samples()} == {"keys"}

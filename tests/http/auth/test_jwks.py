"""Key sets: what they verify, and how they are kept fresh."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization

from rowbox.api.auth.authenticator import TokenAuthenticator, make_authenticator
from rowbox.api.auth.jwks import RETRY_S, jwks_keys
from rowbox.api.auth.jwks_source import MAX_BYTES, jwks_fetcher
from rowbox.api.auth.kept_keys import KeptKeys
from rowbox.api.auth.keys import KeysUnavailable
from rowbox.mailbox.errors import Unauthenticated
from rowbox.mailbox.settings.config import AuthSettings
from tests.http.api import until
from tests.http.auth.keys import (
    EC_KEY,
    EDWARDS_448_KEY,
    EDWARDS_KEY,
    ROTATED_KEY,
    RSA_KEY,
    bearer,
    jwk,
    key_set,
    private_jwk,
)
from tests.http.clock import Clock, claims_of

SETTINGS = AuthSettings(leeway_ms=0)
MAX_AGE_S = SETTINGS.jwks_max_age_ms / 1000


def no_secrets() -> list[bytes]:
    """A server with a key set takes no token that a secret signs."""
    raise AssertionError("secrets are not asked for")


class Issuer:
    """Where keys come from: counts how often it is asked, and fails when told to."""

    def __init__(self) -> None:
        self.body = key_set(jwk(EC_KEY, "one"))
        self.error: Exception | None = None
        self.fetches = 0
        self.gate: asyncio.Event | None = None

    async def fetch(self) -> bytes:
        self.fetches += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.body


def sample(keys: KeptKeys, name: str) -> float:
    """One number that they export."""
    return next(value for one, _, _, _, value in keys.samples() if one == name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def authenticator(clock: Clock, issuer: Issuer) -> AsyncIterator[TokenAuthenticator]:
    authenticator = TokenAuthenticator(jwks_keys(issuer.fetch, SETTINGS, clock), SETTINGS, clock)
    await authenticator.start()
    yield authenticator
    await authenticator.close()


async def refused(authenticator: TokenAuthenticator, authorization: str) -> None:
    with pytest.raises(Unauthenticated):
        await claims_of(authenticator, authorization)


@pytest.mark.parametrize("key", [RSA_KEY, EC_KEY, EDWARDS_KEY, EDWARDS_448_KEY], ids=["RSA", "EC", "Ed25519", "Ed448"])
@pytest.mark.parametrize("kid", ["k", None])
async def test_each_kind_of_key_verifies_from_a_file(key: Any, kid: str | None, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(jwk(key, kid)))
    authenticator = make_authenticator(AuthSettings(jwks=str(path)), no_secrets, clock, clock)
    await authenticator.start()
    assert (await claims_of(authenticator, bearer(key, None, clock))).user_id == "alice"
    await authenticator.close()


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256"])
async def test_an_rsa_key_without_alg_verifies_all_of_its_kind(
    algorithm: str, clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator
) -> None:
    issuer.body = key_set(jwk(RSA_KEY, "rsa"))
    clock.now += RETRY_S
    await claims_of(authenticator, bearer(RSA_KEY, "rsa", clock, algorithm))


async def test_a_public_key_is_no_hmac_secret(clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator) -> None:
    """The algorithm confusion of old: the attacker knows the public key, signs with it as an HS256 secret."""
    pem = EC_KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, issuer.body):
        header = {"alg": "HS256", "typ": "JWT", "kid": "one"}
        payload = {"sub": "alice", "exp": clock.now + 60}
        parts = [jwt.utils.base64url_encode(json.dumps(part).encode()) for part in (header, payload)]
        signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        signed = signature.sign(b".".join(parts), secret)
        token = b".".join([*parts, jwt.utils.base64url_encode(signed)]).decode()
        await refused(authenticator, f"Bearer {token}")


async def verifies(clock: Clock, *keys: object) -> TokenAuthenticator:
    """A server whose issuer publishes `keys`."""
    issuer = Issuer()
    issuer.body = key_set(*keys)
    authenticator = TokenAuthenticator(jwks_keys(issuer.fetch, SETTINGS, clock), SETTINGS, clock)
    await authenticator.start()
    return authenticator


@pytest.mark.parametrize("names", [(None, None), ("same", "same"), ("one", "two")], ids=["no kid", "one kid", "kids"])
async def test_keys_that_no_name_tells_apart_are_tried_one_after_the_other(
    names: tuple[str | None, str | None], clock: Clock
) -> None:
    authenticator = await verifies(clock, jwk(EC_KEY, names[0]), jwk(RSA_KEY, names[0]), jwk(ROTATED_KEY, names[1]))
    for key, kid in ((EC_KEY, names[0]), (RSA_KEY, names[0]), (ROTATED_KEY, names[1])):
        assert (await claims_of(authenticator, bearer(key, kid, clock))).user_id == "alice"
        assert (await claims_of(authenticator, bearer(key, None, clock))).user_id == "alice"
    await refused(authenticator, bearer(EDWARDS_KEY, names[0], clock))


async def test_a_token_that_names_a_key_is_tried_with_no_other(clock: Clock) -> None:
    authenticator = await verifies(clock, jwk(EC_KEY, "one"), jwk(ROTATED_KEY))
    await refused(authenticator, bearer(EC_KEY, "two", clock))
    await refused(authenticator, bearer(ROTATED_KEY, "one", clock))
    await refused(authenticator, bearer(ROTATED_KEY, "", clock))


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(EDWARDS_KEY, "Ed25519"), (EDWARDS_KEY, "EdDSA"), (EDWARDS_448_KEY, "Ed448"), (EDWARDS_448_KEY, "EdDSA")],
)
@pytest.mark.parametrize("named", [None, "EdDSA", "its own"])
async def test_edwards_curves_under_their_old_and_their_new_name(
    key: Any, algorithm: str, named: str | None, clock: Clock
) -> None:
    alg = {None: None, "EdDSA": "EdDSA", "its own": "Ed25519" if key is EDWARDS_KEY else "Ed448"}[named]
    authenticator = await verifies(clock, jwk(key, "k", alg=alg))
    await claims_of(authenticator, bearer(key, "k", clock, algorithm))


async def test_a_token_under_the_other_curves_name_is_refused(clock: Clock) -> None:
    authenticator = await verifies(clock, jwk(EDWARDS_KEY, "k"))
    await refused(authenticator, bearer(EDWARDS_KEY, "k", clock, "Ed448"))


@pytest.mark.parametrize("key", [RSA_KEY, EC_KEY], ids=["RSA", "EC"])
async def test_under_a_private_keys_name_every_token_is_refused_and_none_is_a_bug(key: Any, clock: Clock) -> None:
    """PyJWT makes a private key of it. That of RSA cannot verify: it was 500 for each. That of a curve can: the token
    of whoever had read the set was accepted.
    """
    authenticator = await verifies(clock, private_jwk(key, "leaked"), jwk(ROTATED_KEY, "good"))
    genuine = bearer(key, "leaked", clock)
    await refused(authenticator, genuine)
    await refused(authenticator, genuine[:-8] + "AAAAAAAA")
    await claims_of(authenticator, bearer(ROTATED_KEY, "good", clock))


async def test_what_is_left_out_is_logged_once(
    clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    broken, encryption = private_jwk(ROTATED_KEY, "leaked"), jwk(RSA_KEY, "enc", use="enc")
    for keys in ((jwk(EC_KEY, "one"), broken, encryption), (encryption, jwk(EC_KEY, "two"), broken)):
        issuer.body = key_set(*keys)
        clock.now += MAX_AGE_S
        await authenticator.keys.round()
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in lines] == ["INFO", "WARNING"] or [level for level, _ in lines] == ["WARNING", "INFO"]
    text = str(lines)
    assert "issuer_keys: key 2, kid 'leaked' is left out: is a private key" in text
    assert broken["d"] not in text


async def test_of_keys_without_a_name_each_is_logged(
    clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    leaked = [private_jwk(ROTATED_KEY), private_jwk(EC_KEY), private_jwk(ROTATED_KEY)]
    for number in (1, 3, 3, 2):
        issuer.body = key_set(jwk(EC_KEY, "one"), *leaked[:number])
        clock.now += MAX_AGE_S
        await authenticator.keys.round()
    assert [record.getMessage().split()[2] for record in caplog.records] == ["2", "3", "4"]


async def test_a_key_that_comes_beside_the_others_ends_no_remembered_token(
    clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator
) -> None:
    authorization = bearer(EC_KEY, "one", clock)
    first = await claims_of(authenticator, authorization)
    issuer.body = key_set(jwk(ROTATED_KEY, "next"), {"other": "order", **jwk(EC_KEY, "one")})
    clock.now += MAX_AGE_S
    await authenticator.keys.round()
    assert await claims_of(authenticator, authorization) is first
    await claims_of(authenticator, bearer(ROTATED_KEY, "next", clock))


@pytest.mark.parametrize("kid", ["one", None], ids=["under the same kid", "without a kid"])
async def test_rotation_a_signature_that_no_key_made_reads_the_set_again(
    kid: str | None, clock: Clock, issuer: Issuer
) -> None:
    issuer.body = key_set(jwk(EC_KEY, kid))
    authenticator = TokenAuthenticator(jwks_keys(issuer.fetch, SETTINGS, clock), SETTINGS, clock)
    await authenticator.start()
    issuer.body = key_set(jwk(ROTATED_KEY, kid))
    await refused(authenticator, bearer(ROTATED_KEY, kid, clock))
    assert issuer.fetches == 1
    clock.now += RETRY_S
    await claims_of(authenticator, bearer(ROTATED_KEY, kid, clock))
    for _ in range(10):
        await refused(authenticator, bearer(EC_KEY, kid, clock))
    assert issuer.fetches == 2


async def test_rotation_an_unknown_kid_reads_the_set_again(
    clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator
) -> None:
    clock.now += RETRY_S
    issuer.body = key_set(jwk(EC_KEY, "one"), jwk(ROTATED_KEY, "two"))
    await claims_of(authenticator, bearer(ROTATED_KEY, "two", clock))
    assert issuer.fetches == 2


async def test_made_up_kids_ask_the_issuer_at_most_every_30_s(
    clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator
) -> None:
    for number in range(10):
        await refused(authenticator, bearer(ROTATED_KEY, f"made-up-{number}", clock))
    assert issuer.fetches == 1
    clock.now += RETRY_S
    for number in range(10):
        await refused(authenticator, bearer(ROTATED_KEY, f"made-up-{number}", clock))
    assert issuer.fetches == 2


async def test_requests_that_need_a_refresh_share_it_and_survive_one_that_leaves(
    clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator
) -> None:
    clock.now += RETRY_S
    issuer.gate = asyncio.Event()
    issuer.body = key_set(jwk(ROTATED_KEY, "two"))
    authorization = bearer(ROTATED_KEY, "two", clock)
    waiting = [asyncio.create_task(claims_of(authenticator, authorization)) for _ in range(3)]
    await until(lambda: issuer.fetches == 2)
    waiting[0].cancel()
    issuer.gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert [getattr(result, "user_id", result) for result in results[1:]] == ["alice", "alice"]
    assert issuer.fetches == 2


async def test_a_reload_reads_after_it_was_asked_for_and_not_with_a_reading_under_way(
    clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator
) -> None:
    """That one may have got the set of before, and an operator who withdrew a key must be able to rely on SIGHUP."""
    clock.now += RETRY_S
    issuer.gate = asyncio.Event()
    under_way = asyncio.create_task(authenticator.keys.refresh())
    await until(lambda: issuer.fetches == 2)
    reloading = asyncio.create_task(authenticator.keys.reload())
    await asyncio.sleep(0)  # it has begun
    issuer.gate.set()
    await asyncio.gather(under_way, reloading)
    assert issuer.fetches == 3


async def test_an_old_set_is_read_again_in_the_background(
    clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator
) -> None:
    """By `round`, which serve runs in the background: a server that nobody asks anything keeps it fresh, too."""
    keys = authenticator.keys
    assert await keys.round() == MAX_AGE_S
    clock.now += MAX_AGE_S - 1
    assert await keys.round() == 1
    assert issuer.fetches == 1
    clock.now += 1
    assert await keys.round() == MAX_AGE_S
    assert issuer.fetches == 2


async def test_a_withdrawn_key_ends_the_tokens_that_were_remembered(
    clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator
) -> None:
    authorization = bearer(EC_KEY, "one", clock)
    await claims_of(authenticator, authorization)
    issuer.body = key_set(jwk(ROTATED_KEY, "two"))
    clock.now += MAX_AGE_S
    await authenticator.keys.round()
    await refused(authenticator, authorization)
    await claims_of(authenticator, bearer(ROTATED_KEY, "two", clock))


@pytest.mark.parametrize("body", [b"", b'{"keys": []}', None], ids=["not JSON", "empty", "unreachable"])
async def test_the_keys_at_hand_stay_when_a_refresh_fails(
    body: bytes | None, clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator
) -> None:
    issuer.body, issuer.error = body or b"", None if body is not None else KeysUnavailable("x")
    clock.now += MAX_AGE_S
    await refused(authenticator, bearer(ROTATED_KEY, "two", clock))
    assert issuer.fetches == 2
    await claims_of(authenticator, bearer(EC_KEY, "one", clock))


class TestAnIssuerThatIsAway:
    """Keys stay for auth.jwks_keep_ms; then no token counts, the remembered ones no more than others."""

    KEEP_S = SETTINGS.jwks_keep_ms / 1000

    async def test_keys_count_for_a_bounded_time(
        self, clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator
    ) -> None:
        authorization = bearer(EC_KEY, "one", clock)
        await claims_of(authenticator, authorization)
        issuer.error = KeysUnavailable("away")
        clock.now += self.KEEP_S - 1
        await claims_of(authenticator, authorization)
        clock.now += 1
        for _ in range(2):
            with pytest.raises(KeysUnavailable) as raised:
                await claims_of(authenticator, authorization)
            assert raised.value.retryable
            assert "away" not in raised.value.told, "a client learns nothing of where keys are read"

    async def test_it_comes_back_by_itself(
        self, clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator
    ) -> None:
        issuer.error = KeysUnavailable("away")
        clock.now += self.KEEP_S
        with pytest.raises(KeysUnavailable):
            await claims_of(authenticator, bearer(EC_KEY, "one", clock))
        issuer.error = None
        clock.now += RETRY_S
        await claims_of(authenticator, bearer(EC_KEY, "one", clock))

    async def test_the_server_says_so(self, clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator) -> None:
        keys = authenticator.keys
        assert keys.unready_reasons() == keys.warnings() == ()
        issuer.error = KeysUnavailable("away")
        clock.now += MAX_AGE_S + RETRY_S
        with pytest.raises(KeysUnavailable, match="away"):
            await keys.round()
        assert keys.unready_reasons() == ()
        assert keys.warnings() == (
            "issuer_keys could not be read for 630 s (in 85770 s no token counts any more): away",
        )
        assert sample(keys, "rowbox_auth_keys_valid") == 1
        clock.now += self.KEEP_S - MAX_AGE_S - RETRY_S
        assert keys.warnings() == ()
        assert keys.unready_reasons() == ("issuer_keys could not be read for 86400 s, so no token counts: away",)
        assert sample(keys, "rowbox_auth_keys_valid") == 0
        assert sample(keys, "rowbox_auth_keys_failures_total") == 1
        assert sample(keys, "rowbox_auth_keys_age_seconds") == 86400

    async def test_before_the_first_reading_it_is_not_ready(self, clock: Clock, issuer: Issuer) -> None:
        assert jwks_keys(issuer.fetch, SETTINGS, clock).unready_reasons() == ("issuer_keys were not read so far",)


async def test_a_bug_in_a_reading_is_told_and_ends_nothing(
    clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.error = AssertionError("a bug")
    clock.now += RETRY_S
    await refused(authenticator, bearer(ROTATED_KEY, "two", clock))
    assert "AssertionError: a bug" in caplog.text
    await claims_of(authenticator, bearer(EC_KEY, "one", clock))


async def test_a_start_without_keys_fails_and_names_the_place(clock: Clock, tmp_path: Path) -> None:
    authenticator = make_authenticator(AuthSettings(jwks=str(tmp_path / "none.json")), no_secrets, clock, clock)
    with pytest.raises(KeysUnavailable, match=r"none\.json"):
        await authenticator.start()


class TestUrl:
    """Over a real issuer on loopback."""

    @pytest.fixture
    async def url(self) -> AsyncIterator[str]:
        async def good(_: web.Request) -> web.Response:
            return web.Response(body=key_set(jwk(EC_KEY, "one")))

        async def large(_: web.Request) -> web.Response:
            return web.Response(body=b" " * (MAX_BYTES + 1))

        async def moved(_: web.Request) -> web.Response:
            raise web.HTTPFound("/good")

        async def broken(request: web.Request) -> web.Response:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        app = web.Application()
        for name, handler in (("good", good), ("large", large), ("moved", moved), ("broken", broken)):
            app.router.add_get(f"/{name}", handler)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{site.port}"
        await runner.cleanup()

    async def test_keys_come_from_it(self, url: str) -> None:
        authenticator = make_authenticator(AuthSettings(jwks=f"{url}/good"), no_secrets, time.time, time.monotonic)
        await authenticator.start()
        assert (await claims_of(authenticator, bearer(EC_KEY, "one", Clock(time.time())))).user_id == "alice"
        await authenticator.close()

    @pytest.mark.parametrize("name", ["large", "moved", "broken", "missing"])
    async def test_what_it_may_not_answer(self, name: str, url: str) -> None:
        with pytest.raises(KeysUnavailable, match=name):
            await jwks_fetcher(f"{url}/{name}")()

    @pytest.mark.parametrize(
        "place", ["http://issuer.example/keys", "ftp://issuer.example/keys", "http://127.0.0.1.example/"]
    )
    def test_other_urls_are_refused(self, place: str) -> None:
        with pytest.raises(KeysUnavailable, match="https"):
            jwks_fetcher(place)

    def test_a_url_with_a_password_is_refused_and_not_repeated(self) -> None:
        with pytest.raises(KeysUnavailable, match="a key set is public") as refused:
            jwks_fetcher("https://rowbox:hush@issuer.example/keys")
        assert "hush" not in str(refused.value)

"""Key sets: what they verify, and how they are kept fresh."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from rowbox.api.auth import TokenAuthenticator, make_authenticator
from rowbox.api.auth_jwks import MAX_AGE_S, RETRY_S, JwksKeys, parse_jwks
from rowbox.api.auth_jwks_source import MAX_BYTES, jwks_fetcher
from rowbox.api.auth_keys import KeysUnavailable
from rowbox.mailbox.config import AuthSettings
from rowbox.mailbox.errors import Unauthenticated
from tests.http.api import until
from tests.http.clock import Clock, claims_of

SETTINGS = AuthSettings(leeway_ms=0)
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
EDWARDS_KEY = ed25519.Ed25519PrivateKey.generate()
ROTATED_KEY = ec.generate_private_key(ec.SECP256R1())
_ALGORITHMS: dict[type, tuple[Any, str]] = {
    rsa.RSAPrivateKey: (jwt.algorithms.RSAAlgorithm, "RS256"),
    ec.EllipticCurvePrivateKey: (jwt.algorithms.ECAlgorithm, "ES256"),
    ed25519.Ed25519PrivateKey: (jwt.algorithms.OKPAlgorithm, "EdDSA"),
}


def _algorithm(key: Any) -> tuple[Any, str]:
    return next(found for kind, found in _ALGORITHMS.items() if isinstance(key, kind))


def jwk(key: Any, kid: str | None, **more: str) -> dict[str, Any]:
    fields = _algorithm(key)[0].to_jwk(key.public_key(), as_dict=True)
    named = {} if kid is None else {"kid": kid}
    return {**fields, **named, **more}


def key_set(*keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()


def bearer(key: Any, kid: str | None, clock: Clock, algorithm: str | None = None) -> str:
    headers = {} if kid is None else {"kid": kid}
    payload = {"sub": "alice", "exp": clock.now + 100_000}
    return f"Bearer {jwt.encode(payload, key, algorithm=algorithm or _algorithm(key)[1], headers=headers)}"


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


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def authenticator(clock: Clock, issuer: Issuer) -> AsyncIterator[TokenAuthenticator]:
    authenticator = TokenAuthenticator(JwksKeys(issuer.fetch, clock), SETTINGS, clock)
    await authenticator.start()
    yield authenticator
    await authenticator.close()


async def refused(authenticator: TokenAuthenticator, authorization: str) -> None:
    with pytest.raises(Unauthenticated):
        await claims_of(authenticator, authorization)


@pytest.mark.parametrize("key", [RSA_KEY, EC_KEY, EDWARDS_KEY], ids=["RSA", "EC", "OKP"])
@pytest.mark.parametrize("kid", ["k", None])
async def test_each_kind_of_key_verifies_from_a_file(key: Any, kid: str | None, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(jwk(key, kid)))
    authenticator = make_authenticator(AuthSettings(jwks=str(path)), b"", clock, clock)
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


async def test_an_rsa_key_with_alg_verifies_only_that(clock: Clock) -> None:
    keys = parse_jwks(key_set(jwk(RSA_KEY, "rsa", alg="PS256")))
    assert keys["rsa"].algorithms == ("PS256",)


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


@pytest.mark.parametrize(
    "unusable",
    [
        {"kty": "oct", "kid": "s", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"},
        {"kty": "oct", "kid": "s", "k": "c2VjcmV0", "alg": "RS256"},
        jwk(EC_KEY, "s", use="enc"),
        jwk(EC_KEY, "s", alg="HS256"),
        jwk(EC_KEY, "s", alg="none"),
        {"kty": "EC", "kid": "s", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "RSA", "kid": "s"},
        "text",
        None,
    ],
)
def test_a_key_that_cannot_verify_is_left_out(unusable: object) -> None:
    assert set(parse_jwks(key_set(unusable, jwk(EC_KEY, "one")))) == {"one"}
    with pytest.raises(KeysUnavailable):
        parse_jwks(key_set(unusable))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"keys": 1}', b'{"keys": {}}', b'{"keys": []}', b"\xff", b"[" * 9999]
)
def test_what_is_no_key_set(body: bytes) -> None:
    with pytest.raises(KeysUnavailable):
        parse_jwks(body)


async def test_a_short_rsa_key_does_not_verify(clock: Clock) -> None:
    weak = rsa.generate_private_key(65537, 1024)

    async def fetch() -> bytes:
        return key_set(jwk(weak, "weak"))

    authenticator = TokenAuthenticator(JwksKeys(fetch, clock), SETTINGS, clock)
    await authenticator.start()
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        authorization = bearer(weak, "weak", clock)
    await refused(authenticator, authorization)


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


async def test_an_old_set_is_read_again_in_the_background(
    clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator
) -> None:
    authorization = bearer(EC_KEY, "one", clock)
    clock.now += MAX_AGE_S
    await claims_of(authenticator, authorization)
    await until(lambda: issuer.fetches == 2)


async def test_a_withdrawn_key_ends_the_tokens_that_were_remembered(
    clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator
) -> None:
    authorization = bearer(EC_KEY, "one", clock)
    await claims_of(authenticator, authorization)
    issuer.body = key_set(jwk(ROTATED_KEY, "two"))
    clock.now += MAX_AGE_S
    await claims_of(authenticator, bearer(ROTATED_KEY, "two", clock))
    await refused(authenticator, authorization)


@pytest.mark.parametrize("body", [b"", b'{"keys": []}', None], ids=["not JSON", "empty", "unreachable"])
async def test_the_keys_at_hand_stay_when_a_refresh_fails(
    body: bytes | None, clock: Clock, issuer: Issuer, authenticator: TokenAuthenticator
) -> None:
    issuer.body, issuer.error = body or b"", None if body is not None else KeysUnavailable("x")
    clock.now += MAX_AGE_S
    await refused(authenticator, bearer(ROTATED_KEY, "two", clock))
    assert issuer.fetches == 2
    await claims_of(authenticator, bearer(EC_KEY, "one", clock))


async def test_a_start_without_keys_fails_and_names_the_place(clock: Clock, tmp_path: Path) -> None:
    authenticator = make_authenticator(AuthSettings(jwks=str(tmp_path / "none.json")), b"", clock, clock)
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
        authenticator = make_authenticator(AuthSettings(jwks=f"{url}/good"), b"", time.time, time.monotonic)
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

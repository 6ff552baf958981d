"""One key set: which of its keys verify what, which are left out, and why. Pure."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from rowbox.api.auth.jwk import MAX_KEYS, parse_jwks
from rowbox.api.auth.keys import MAX_TRIED, KeysUnavailable
from tests.http.auth.keys import (
    EC_KEY,
    EDWARDS_448_KEY,
    EDWARDS_KEY,
    ROTATED_KEY,
    RSA_KEY,
    jwk,
    key_set,
    private_jwk,
)

ENTRA = {
    **jwk(RSA_KEY, "7_Zuf1tvkwLxYaHS3q6lUjUYIGw"),
    "use": "sig",
    "x5t": "7_Zuf1tvkwLxYaHS3q6lUjUYIGw",
    "x5c": ["MIIC"],
}
"""Microsoft Entra ID: without alg, with a certificate that need not be one, and with an issuer of its own."""
ENTRA["issuer"] = "https://login.microsoftonline.com/{tenantid}/v2.0"
KEYCLOAK = [
    jwk(RSA_KEY, "signing", alg="RS256", use="sig"),
    {**jwk(RSA_KEY, "encrypting"), "alg": "RSA-OAEP", "use": "enc"},
    jwk(EC_KEY, "ec", alg="ES256", use="sig"),
]
WEAK = rsa.generate_private_key(65537, 1024)


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        (jwk(RSA_KEY), ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        (jwk(RSA_KEY, alg="PS256"), ("PS256",)),
        (jwk(RSA_KEY, key_ops=["verify"]), ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        (jwk(EC_KEY), ("ES256",)),
        (jwk(ec.generate_private_key(ec.SECP384R1())), ("ES384",)),
        (jwk(ec.generate_private_key(ec.SECP521R1()), alg="ES512"), ("ES512",)),
        (jwk(EDWARDS_KEY), ("EdDSA", "Ed25519")),
        (jwk(EDWARDS_KEY, alg="EdDSA"), ("EdDSA", "Ed25519")),
        (jwk(EDWARDS_KEY, alg="Ed25519"), ("EdDSA", "Ed25519")),
        (jwk(EDWARDS_448_KEY, alg="Ed448"), ("EdDSA", "Ed448")),
        (ENTRA, ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        (jwk(EC_KEY, alg=None, use="sig", x5u="https://x"), ("ES256",)),
    ],
)
def test_what_a_key_verifies(key: dict[str, Any], algorithms: tuple[str, ...]) -> None:
    keys = parse_jwks(key_set(key))
    assert ([one.algorithms for one in keys.keys], list(keys.dropped)) == ([algorithms], [])


def test_a_key_for_encryption_is_left_out_and_is_no_fault() -> None:
    keys = parse_jwks(key_set(*KEYCLOAK))
    assert [key.kid for key in keys.keys] == ["signing", "ec"]
    assert [(one.name, one.is_fault) for one in keys.dropped] == [("key 2, kid 'encrypting'", False)]


@pytest.mark.parametrize(
    ("unusable", "says"),
    [
        ({"kty": "oct", "kid": "s", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}, "is a secret"),
        ({"kty": "oct", "kid": "s", "k": "c2VjcmV0", "alg": "RS256"}, "is a secret"),
        (private_jwk(EC_KEY, "s"), "is a private key"),
        (private_jwk(RSA_KEY, "s"), "is a private key"),
        (private_jwk(EDWARDS_KEY, "s"), "is a private key"),
        ({**jwk(RSA_KEY, "s"), "d": None}, "is a private key"),
        ({**private_jwk(RSA_KEY, "s"), "key_ops": ["sign"]}, "is a private key"),
        ({**private_jwk(RSA_KEY, "s"), "use": "enc"}, "is a private key"),
        (jwk(EC_KEY, "s", use="tls"), "its use is 'tls'"),
        (jwk(EC_KEY, "s", use=["sig"]), "its use is"),
        (jwk(EC_KEY, "s", key_ops=["encrypt", "wrapKey"]), "without verify"),
        (jwk(EC_KEY, "s", key_ops="verify"), "without verify"),
        (jwk(EC_KEY, "s", alg="HS256"), "its alg is 'HS256'"),
        (jwk(EC_KEY, "s", alg="none"), "its alg is 'none'"),
        (jwk(EC_KEY, "s", alg="ESP256"), "its alg is 'ESP256'"),
        (jwk(EC_KEY, "s", alg=["ES256"]), "its alg is"),
        (jwk(EC_KEY, "s", alg="ES384"), "its alg is 'ES384'"),
        (jwk(EDWARDS_KEY, "s", alg="Ed448"), "its alg is 'Ed448'"),
        (jwk(RSA_KEY, "s", alg="RSA-OAEP"), "its alg is 'RSA-OAEP'"),
        (jwk(WEAK, "s"), "has 1024 bits"),
        ({"kty": "EC", "kid": "s", "crv": "P-256", "x": "AA", "y": "AA"}, "no key of its type"),
        ({**jwk(EC_KEY, "s"), "crv": "P-384"}, "no key of its type"),
        ({**jwk(EC_KEY, "s"), "crv": "secp256k1"}, "none that verifies tokens"),
        ({**jwk(EC_KEY, "s"), "crv": 7}, "none that verifies tokens"),
        ({"kty": "OKP", "kid": "s", "crv": "X25519", "x": "AA"}, "none that verifies tokens"),
        ({"kty": "AKP", "kid": "s", "alg": "ML-DSA-44", "pub": "AA"}, "none that verifies tokens"),
        ({"kid": "s"}, "none that verifies tokens"),
        ({"kty": "RSA", "kid": "s"}, "its n is missing"),
        ({"kty": "RSA", "kid": "s", "n": 7, "e": "AQAB"}, "its n is missing"),
        ({**jwk(RSA_KEY, "s"), "e": "!"}, "no key of its type"),
        ({**jwk(RSA_KEY, "s"), "e": ""}, "no key of its type"),
        ("text", "no JSON object"),
        (None, "no JSON object"),
        (["kty"], "no JSON object"),
    ],
)
def test_a_key_that_cannot_verify_is_left_out_with_its_reason(unusable: object, says: str) -> None:
    for keys in (parse_jwks(key_set(unusable, jwk(EC_KEY, "one"))), parse_jwks(key_set(jwk(EC_KEY, "one"), unusable))):
        assert [key.kid for key in keys.keys] == ["one"]
        (dropped,) = keys.dropped
        assert says in dropped.reason
    with pytest.raises(KeysUnavailable):
        parse_jwks(key_set(unusable))


def test_no_reason_holds_anything_of_the_key() -> None:
    private = private_jwk(RSA_KEY, "s")
    broken = {**jwk(RSA_KEY, "t"), "e": "!"}
    told = str(parse_jwks(key_set(private, broken, jwk(EC_KEY))).dropped)
    for member in ("d", "n", "p", "q"):
        assert private[member][:12] not in told


def test_a_reason_is_short_whatever_the_set_says() -> None:
    endless = jwk(EC_KEY, "k" * 9999, use="u" * 9999)
    (dropped,) = parse_jwks(key_set(endless, jwk(EC_KEY))).dropped
    assert len(dropped.name) + len(dropped.reason) < 300


def test_keys_beyond_a_hundred_are_not_read_and_that_is_said() -> None:
    keys = parse_jwks(key_set(*[jwk(EC_KEY, str(number)) for number in range(MAX_KEYS + 1)]))
    assert len(keys.keys) == MAX_KEYS
    assert [one.name for one in keys.dropped] == ["all keys after the first 100"]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"keys": 1}', b'{"keys": {}}', b'{"keys": "abc"}', b'{"keys": []}', b"\xff", b"[" * 9999],
)
def test_what_is_no_key_set(body: bytes) -> None:
    with pytest.raises(KeysUnavailable):
        parse_jwks(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["RSA", "EC", "OKP", "P-256"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([jwk(RSA_KEY), jwk(EC_KEY), jwk(EDWARDS_KEY)]), st.data())
def test_no_entry_of_a_set_spoils_the_others(key: dict[str, Any], data: st.DataObject) -> None:
    """Whatever stands in one of them."""
    member = data.draw(st.sampled_from([*key, "kid", "use", "alg", "key_ops", "x5c"]))
    spoilt = {**key, member: data.draw(json_values)}
    keys = parse_jwks(json.dumps({"keys": [spoilt, jwk(ROTATED_KEY, "good")]}).encode())
    assert "good" in {one.kid for one in keys.keys}


class TestCandidates:
    """Which keys a token with this header is tried with."""

    def test_a_name_decides_and_the_algorithm_within_it(self) -> None:
        keys = parse_jwks(key_set(jwk(RSA_KEY, "one"), jwk(EC_KEY, "one"), jwk(ROTATED_KEY, "two"), jwk(EDWARDS_KEY)))
        assert [key.material[0] for key in keys.candidates("one", "RS256")] == ["RSA"]
        assert [key.material[0] for key in keys.candidates("one", "ES256")] == ["EC"]
        assert keys.candidates("one", "EdDSA") == keys.candidates("three", "ES256") == []

    def test_without_a_name_the_algorithm_decides(self) -> None:
        keys = parse_jwks(key_set(jwk(RSA_KEY, "one"), jwk(EC_KEY), jwk(ROTATED_KEY, "two")))
        assert [key.kid for key in keys.candidates(None, "ES256")] == [None, "two"]

    @pytest.mark.parametrize("algorithm", [None, "", "none", "HS256", "ESP256", [], {}, 7])
    def test_no_other_algorithm_has_any(self, algorithm: object) -> None:
        assert parse_jwks(key_set(jwk(RSA_KEY), jwk(EC_KEY))).candidates(None, algorithm) == []

    def test_they_are_few(self) -> None:
        keys = parse_jwks(key_set(*[jwk(EC_KEY) for _ in range(MAX_TRIED + 1)]))
        assert len(keys.candidates(None, "ES256")) == MAX_TRIED

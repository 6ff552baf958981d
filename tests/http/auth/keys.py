"""Keys, sets of them and the tokens that they sign, for the tests of authentication."""

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

import rowbox.api.auth.signature as _  # noqa: F401 - PyJWT signs under RFC 9864's names, too, once this is imported
from tests.http.clock import Clock

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
EDWARDS_KEY = ed25519.Ed25519PrivateKey.generate()
EDWARDS_448_KEY = ed448.Ed448PrivateKey.generate()
ROTATED_KEY = ec.generate_private_key(ec.SECP256R1())
_ALGORITHMS: dict[type, tuple[Any, str]] = {
    rsa.RSAPrivateKey: (jwt.algorithms.RSAAlgorithm, "RS256"),
    ec.EllipticCurvePrivateKey: (jwt.algorithms.ECAlgorithm, "ES256"),
    ed25519.Ed25519PrivateKey: (jwt.algorithms.OKPAlgorithm, "EdDSA"),
    ed448.Ed448PrivateKey: (jwt.algorithms.OKPAlgorithm, "EdDSA"),
}


def _algorithm(key: Any) -> tuple[Any, str]:
    return next(found for kind, found in _ALGORITHMS.items() if isinstance(key, kind))


def jwk(key: Any, kid: str | None = None, **more: object) -> dict[str, Any]:
    """The public key of a private one, as an issuer publishes it."""
    fields = _algorithm(key)[0].to_jwk(key.public_key(), as_dict=True)
    fields.pop("key_ops", None)  # PyJWT's own habit; issuers leave it out
    named = {} if kid is None else {"kid": kid}
    return {**fields, **named, **more}


def key_set(*keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()


def private_jwk(key: Any, kid: str | None = None) -> dict[str, Any]:
    """What an issuer publishes by mistake."""
    fields = _algorithm(key)[0].to_jwk(key, as_dict=True)
    fields.pop("key_ops", None)
    return {**fields, **({} if kid is None else {"kid": kid})}


def bearer(key: Any, kid: str | None, clock: Clock, algorithm: str | None = None) -> str:
    """A token for alice that `key` signs, under the name `kid`."""
    headers = {} if kid is None else {"kid": kid}
    payload = {"sub": "alice", "exp": clock.now + 100_000}
    return f"Bearer {jwt.encode(payload, key, algorithm=algorithm or _algorithm(key)[1], headers=headers)}"

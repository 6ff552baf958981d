"""Reads JSON Web Keys (RFC 7517): which of a set can verify tokens, and why the others cannot.

Rules:
- Only asymmetric keys, and each only with the algorithms of its own type and curve. So neither `none` nor HS256 with a
  public key as its secret can verify, whatever a token's header says.
- A key that is not usable is left out with its reason. It never spoils the others: issuers publish keys for encryption
  in the same set, and one broken entry must not end everybody's access.
- A private key is left out as well: whoever can read the set can sign with it.
- Only the members that RFC 7518 and RFC 8037 define for a public key are looked at. A certificate (`x5c`) is not: the
  set is trusted because of where it is read from.
- `Ed25519` and `Ed448` (RFC 9864) name what `EdDSA` named for both curves; a key verifies tokens under either name.
  ESP256 and its kin are names of that RFC, too, but of COSE and not of JOSE: no token has them.

No reason holds anything of the key but its `kid`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import jwt
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from rowbox.api.auth.keys import DroppedKey, KeySet, KeysUnavailable, VerifyKey

MAX_KEYS: Final = 100
MIN_RSA_BITS: Final = 2048
"""RFC 7518, 3.3 and 3.5."""
EDWARDS_NAMES: Final = ("Ed25519", "Ed448")
_SHOWN: Final = 60
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class _Kind(NamedTuple):
    """A type of key, on one curve where it has such: its public members and the algorithms that it fits."""

    members: tuple[str, ...]
    algorithms: tuple[str, ...]
    read: Any


_RSA: Final = _Kind(("n", "e"), ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), RSAAlgorithm.from_jwk)
_KINDS: Final[Mapping[tuple[str, str | None], _Kind]] = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): _Kind(("crv", "x", "y"), ("ES256",), ECAlgorithm.from_jwk),
    ("EC", "P-384"): _Kind(("crv", "x", "y"), ("ES384",), ECAlgorithm.from_jwk),
    ("EC", "P-521"): _Kind(("crv", "x", "y"), ("ES512",), ECAlgorithm.from_jwk),
    ("OKP", "Ed25519"): _Kind(("crv", "x"), ("EdDSA", "Ed25519"), OKPAlgorithm.from_jwk),
    ("OKP", "Ed448"): _Kind(("crv", "x"), ("EdDSA", "Ed448"), OKPAlgorithm.from_jwk),
}


class _Unusable(Exception):
    """Why a key is left out."""

    def __init__(self, reason: str, *, is_fault: bool = True) -> None:
        super().__init__(reason)
        self.is_fault = is_fault


def parse_jwks(body: bytes) -> KeySet:
    """The usable keys of a set, and what was left out of it. KeysUnavailable where it holds no usable one."""
    try:
        listed = json.loads(body)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise KeysUnavailable("not a JSON Web Key Set") from error
    if not isinstance(listed, list):
        raise KeysUnavailable("not a JSON Web Key Set: its keys are no list")
    keys, dropped = [], []
    for number, jwk in enumerate(listed[:MAX_KEYS]):
        try:
            keys.append(_verify_key(jwk))
        except _Unusable as error:
            dropped.append(DroppedKey(f"key {number + 1}", _kid(jwk), str(error), error.is_fault))
    if len(listed) > MAX_KEYS:
        dropped.append(DroppedKey(f"all keys after the first {MAX_KEYS}", "", "so many are not read", is_fault=True))
    if not keys:
        why = "; ".join(f"{one.name}: {one.reason}" for one in dropped[:3])
        raise KeysUnavailable(f"the key set holds no public key for signatures{why and f' ({why})'}")
    return KeySet(keys, dropped)


def _kid(jwk: object) -> str:
    kid = jwk.get("kid") if isinstance(jwk, dict) else None
    return "" if kid is None else _shown(kid)


def _shown(value: object) -> str:
    return repr(value) if len(repr(value)) <= _SHOWN else f"{repr(value)[:_SHOWN]}..."


def _verify_key(jwk: object) -> VerifyKey:
    if not isinstance(jwk, dict):
        raise _Unusable("is no JSON object")
    _check_public(jwk)
    _check_purpose(jwk)
    kind = _kind(jwk)
    algorithms = _algorithms(jwk, kind)
    public = dict(_public_members(jwk, kind))
    kid = jwk.get("kid")
    return VerifyKey(None if kid is None else str(kid), algorithms, tuple(public.values()), _read(kind, public))


def _check_public(jwk: Mapping[str, object]) -> None:
    """_Unusable for a secret or a private key.

    This is checked before all else: whatever else is wrong with such a key, its issuer has to know that it leaked.
    """
    if jwk.get("kty") == "oct":
        raise _Unusable("is a secret, and who reads the set can sign with it: its issuer should withdraw it")
    if _PRIVATE & jwk.keys():
        raise _Unusable("is a private key, and who reads the set can sign with it: its issuer should withdraw it")


def _check_purpose(jwk: Mapping[str, object]) -> None:
    if jwk.get("use", "sig") != "sig":
        raise _Unusable(f"its use is {_shown(jwk['use'])}, not sig", is_fault=jwk["use"] != "enc")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise _Unusable(f"its key_ops are {_shown(operations)}, without verify")


def _kind(jwk: Mapping[str, object]) -> _Kind:
    kty, crv = jwk.get("kty"), jwk.get("crv")
    kind = _RSA if kty == "RSA" else _KINDS.get((str(kty), str(crv)))
    if kind is None:
        raise _Unusable(f"kty {_shown(kty)} with crv {_shown(crv)} is none that verifies tokens here")
    return kind


def _algorithms(jwk: Mapping[str, object], kind: _Kind) -> tuple[str, ...]:
    named = jwk.get("alg")
    if named is None or (named in kind.algorithms and kind is not _RSA):
        return kind.algorithms  # EdDSA and the curve's own name are one algorithm
    if named not in kind.algorithms:
        raise _Unusable(f"its alg is {_shown(named)}: with such a key, {', '.join(kind.algorithms)} are verified")
    return (str(named),)


def _public_members(jwk: Mapping[str, object], kind: _Kind) -> Iterator[tuple[str, str]]:
    yield "kty", str(jwk["kty"])
    for member in kind.members:
        value = jwk.get(member)
        if not isinstance(value, str):
            raise _Unusable(f"its {member} is missing, or no text")
        yield member, value


def _read(kind: _Kind, public: Mapping[str, str]) -> Any:
    try:
        key = kind.read(public)
    except (jwt.PyJWTError, ValueError) as error:  # whose texts may quote the key
        raise _Unusable("its values are no key of its type") from error
    if kind is _RSA and key.key_size < MIN_RSA_BITS:
        raise _Unusable(f"has {key.key_size} bits: {MIN_RSA_BITS} is the least that is safe")
    return key

"""Reads where a device is to be told of new messages, as a request names it."""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from contextlib import suppress
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from rowbox.api.v1.devices.types import CODE_PATTERN, WebhookTarget, WebTarget
from rowbox.api.v1.reading.request import given
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.push.target import AUTH_BYTES, P256DH_BYTES, SECRET_BYTES, PushTarget, host_of

PREFIX: Final = "whsec_"
_CODE: Final = re.compile(CODE_PATTERN[1:-1])
_OTHER_LETTERS: Final = str.maketrans("-_", "+/")


def target_of(asked: WebTarget | WebhookTarget) -> PushTarget:
    """The target that a request names. BadRequest."""
    if isinstance(asked, WebTarget):
        _check_url(asked.endpoint, "endpoint")
        return PushTarget("web", asked.endpoint, _key(asked.keys.p256dh) + _auth(asked.keys.auth))
    _check_url(asked.url, "url")
    return PushTarget("webhook", asked.url, _secret(asked.secret))


def code_of(asked: WebTarget | WebhookTarget) -> bytes:
    """The code that a request gives back; b"": it gives none. BadRequest."""
    code = given(asked.code) if isinstance(asked, WebhookTarget) else None
    if code is None:
        return b""
    if _CODE.fullmatch(code) is None:
        raise BadRequest("code is 32 lowercase hexadecimal digits")
    return bytes.fromhex(code)


def _check_url(url: str, name: str) -> None:
    if host_of(url) is None:
        raise BadRequest(f"{name} is an https address of a host with a name, without credentials and fragment")


def _key(text: str) -> bytes:
    point = _bytes_of(text, "p256dh")
    if len(point) == P256DH_BYTES:
        with suppress(ValueError):
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
            return point
    raise BadRequest("p256dh is no public key of P-256")


def _auth(text: str) -> bytes:
    secret = _bytes_of(text, "auth")
    if len(secret) != AUTH_BYTES:
        raise BadRequest(f"auth is {AUTH_BYTES} bytes")
    return secret


def _secret(text: str) -> bytes:
    least, most = SECRET_BYTES
    secret = _bytes_of(text.removeprefix(PREFIX), "secret") if text.startswith(PREFIX) else b""
    if not least <= len(secret) <= most:
        raise BadRequest(f"secret is {PREFIX} and {least} to {most} bytes in base64")
    return secret


def _bytes_of(text: str, name: str) -> bytes:
    """What base64 means, of either alphabet, padded or not. No error names the text."""
    plain = text.translate(_OTHER_LETTERS).rstrip("=")
    try:
        return b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (NotBase64, ValueError):
        raise BadRequest(f"{name} is not base64") from None

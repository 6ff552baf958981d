"""A push target: an address outside at which a device of a user is told of new messages.

`web` is a subscription of Web Push (RFC 8030): a push service's address, and the keys with which what is said is
encrypted for the browser (RFC 8291). `webhook` is an address of a program: what is said is signed for it (Standard
Webhooks). Whoever names a webhook's address has yet to show that it is his: the first call there carries a code, and
nothing else goes there until that was given back (RFC 8620, 7.2.2).

An address of Web Push is a secret: whoever knows it may send there. So nothing of a target is shown but its kind and
its host. No I/O, no clock.
"""

import re
from typing import Final, Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["web", "webhook"]
MAX_URL_CHARACTERS: Final = 1024
P256DH_BYTES: Final = 65
"""An uncompressed point of P-256."""
AUTH_BYTES: Final = 16
HTTPS_PORT: Final = 443
SECRET_BYTES: Final = (24, 64)
"""Of a webhook, least and most, as Standard Webhooks has it."""

_SAFARI: Final = ".push.apple.com"
_URL: Final = re.compile(r"https://([a-z0-9.-]{1,253})(?::([0-9]{1,5}))?(?:[/?][!-~]*)?", re.ASCII | re.IGNORECASE)
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


class PushTarget(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a device is told. `secret`: of `web` the browser's public key and its auth secret, P256DH_BYTES and
    AUTH_BYTES; of `webhook` what the signature is made with. `code`: what a webhook has still to give back; b"" where
    it has, and of `web`.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    kind: Kind
    url: str
    secret: bytes
    code: bytes = b""

    @property
    def host(self) -> str:
        """The name of the host that is called, in lower case."""
        return host_of(self.url) or ""

    @property
    def authority(self) -> str:
        """The host that is called, and the port where it is not that of HTTPS: what answers there is one server."""
        match = _URL.fullmatch(self.url)
        port = int(match[2] or HTTPS_PORT) if match is not None else HTTPS_PORT
        return self.host if port == HTTPS_PORT else f"{self.host}:{port}"

    @property
    def is_confirmed(self) -> bool:
        """Whether messages are told there: it is known whose address it is."""
        return not self.code

    @property
    def must_show(self) -> bool:
        """Whether each push has to show something: Safari takes the permission from a page where one shows nothing."""
        return self.kind == "web" and self.host.endswith(_SAFARI)

    def is_same_place(self, other: "PushTarget | None") -> bool:
        """Whether both name the same address with the same secret, confirmed or not."""
        if other is None:
            return False
        return (self.kind, self.url, self.secret) == (other.kind, other.url, other.secret)


def host_of(url: str) -> str | None:
    """The host's name in an address that may be a target's, in lower case; None for any other text.

    It is https, the host is a name with a dot and no number in any spelling (127.1, 0x7f000001), and there are no
    credentials, no fragment and no space.
    """
    match = _URL.fullmatch(url)
    if match is None or len(url) > MAX_URL_CHARACTERS or "#" in url:
        return None
    host, port = match[1].lower(), match[2]
    if _NAME.fullmatch(host) is None or _NUMBER.fullmatch(host.rpartition(".")[2]):
        return None
    return host if port is None or 0 < int(port) < 65536 else None


def is_allowed(host: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns is the host's: a name; `*.` and a name, for all hosts below it; `*`, for any host."""
    return any(_matches(host, pattern.lower()) for pattern in patterns)


def _matches(host: str, pattern: str) -> bool:
    if pattern == "*":
        return True
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern

"""Messages that nobody between two processes can change, repeat, leave out or exchange, where there is no TLS. Pure.

Each message carries a MAC (blake2b under the session's key of its direction) over its number and itself. The number is
not sent, because both sides count: a message that is missing, doubled or moved does not fit the number it is opened
under. Nothing is hidden: whoever reads the wire reads what users write, which is what TLS is for.
"""

from hashlib import blake2b
from hmac import compare_digest
from typing import Final

MAC_BYTES: Final = 16
COUNT_BYTES: Final = 8


class BrokenSeal(ValueError):
    """A message is not the one that was sent, or not in its place."""


class Seal:
    """One direction of one session. `key` is of this direction and session alone."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._count = 0

    def close(self, message: bytes) -> bytes:
        """The next message with its MAC in front."""
        return self._mac(message) + message

    def open(self, sealed: bytes) -> bytes:
        """The next message without its MAC; BrokenSeal."""
        message = sealed[MAC_BYTES:]
        if not compare_digest(self._mac(message), sealed[:MAC_BYTES]):
            raise BrokenSeal("a message is not the one that was sent")
        return message

    def _mac(self, message: bytes) -> bytes:
        mac = blake2b(self._count.to_bytes(COUNT_BYTES), key=self._key, digest_size=MAC_BYTES)
        mac.update(message)
        self._count += 1
        return mac.digest()

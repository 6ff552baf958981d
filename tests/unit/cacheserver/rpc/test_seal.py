"""Sealed messages: nothing is changed, repeated, left out or exchanged unseen."""

import pytest

from rowbox.cacheserver.rpc.handshake import VERSIONS
from rowbox.cacheserver.rpc.seal import BrokenSeal, Seal, seal_of

KEY, OTHER = b"k" * 32, b"o" * 32

pytestmark = pytest.mark.parametrize("version", VERSIONS)


def closed(seal: Seal, message: bytes) -> bytes:
    """The message as it is on the wire."""
    return seal.mac(message) + message


def test_what_was_sealed_in_order_opens_in_order(version: int) -> None:
    closing, opening = seal_of(version, KEY), seal_of(version, KEY)
    messages = [b"", b"a", b"a", b"x" * 100_000]
    assert [opening.open(closed(closing, message)) for message in messages] == messages


@pytest.mark.parametrize("position", [0, 15, 16, -1])
def test_a_changed_bit_is_seen(version: int, position: int) -> None:
    sealed = bytearray(closed(seal_of(version, KEY), b"a message"))
    sealed[position] ^= 1
    with pytest.raises(BrokenSeal):
        seal_of(version, KEY).open(bytes(sealed))


def test_a_message_that_is_repeated_left_out_or_exchanged_is_seen(version: int) -> None:
    closing = seal_of(version, KEY)
    first, second = closed(closing, b"first"), closed(closing, b"second")
    for arriving in ([first, first], [second], [second, first]):
        with pytest.raises(BrokenSeal):
            _opened(version, arriving)


def _opened(version: int, arriving: list[bytes]) -> list[bytes]:
    opening = seal_of(version, KEY)
    return [opening.open(sealed) for sealed in arriving]


def test_another_key_opens_nothing_and_no_message_is_too_short_to_be_refused(version: int) -> None:
    for sealed in (closed(seal_of(version, OTHER), b"a message"), b"", b"short"):
        with pytest.raises(BrokenSeal):
            seal_of(version, KEY).open(sealed)


@pytest.mark.parametrize("bits", [8, 16, 24, 32, 48, 63])
def test_a_number_does_not_come_again_however_many_messages_there_were(version: int, bits: int) -> None:
    """Two messages under one nonce give the key of a GMAC away, and what was once said could be repeated."""
    seal = seal_of(version, KEY)
    first = seal.mac(b"a message")
    seal._count = 1 << bits  # type: ignore[attr-defined]
    assert seal.mac(b"a message") != first

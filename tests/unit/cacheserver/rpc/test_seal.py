"""Sealed messages: nothing is changed, repeated, left out or exchanged unseen."""

import pytest

from rowbox.cacheserver.rpc.seal import BrokenSeal, Seal

KEY, OTHER = b"k" * 32, b"o" * 32


def test_what_was_sealed_in_order_opens_in_order() -> None:
    closing, opening = Seal(KEY), Seal(KEY)
    messages = [b"", b"a", b"a", b"x" * 100_000]
    assert [opening.open(closing.close(message)) for message in messages] == messages


@pytest.mark.parametrize("position", [0, 15, 16, -1])
def test_a_changed_bit_is_seen(position: int) -> None:
    sealed = bytearray(Seal(KEY).close(b"a message"))
    sealed[position] ^= 1
    with pytest.raises(BrokenSeal):
        Seal(KEY).open(bytes(sealed))


def test_a_message_that_is_repeated_left_out_or_exchanged_is_seen() -> None:
    closing = Seal(KEY)
    first, second = closing.close(b"first"), closing.close(b"second")
    for arriving in ([first, first], [second], [second, first]):
        with pytest.raises(BrokenSeal):
            _opened(arriving)


def _opened(arriving: list[bytes]) -> list[bytes]:
    opening = Seal(KEY)
    return [opening.open(sealed) for sealed in arriving]


def test_another_key_opens_nothing_and_no_message_is_too_short_to_be_refused() -> None:
    for sealed in (Seal(OTHER).close(b"a message"), b"", b"short"):
        with pytest.raises(BrokenSeal):
            Seal(KEY).open(sealed)

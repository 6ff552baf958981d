"""Which tokens prove what their clients have."""

from rowbox.mailbox.aggregate.proofs import FRESH_US, MOST_KEPT, Proofs

NOW = 1_800_000_000_000_000
ONE, OTHER = b"1" * 16, b"2" * 16


def test_the_first_token_proves_what_was_fresh_and_each_later_one_what_is_new() -> None:
    proofs = Proofs()
    assert proofs.prove(NOW) == NOW - FRESH_US
    assert proofs.prove(NOW) is None
    assert proofs.prove(NOW - 1) is None, "another device is behind"
    assert proofs.prove(NOW + 5) == NOW


def test_a_token_of_a_conversation_proves_that_one_alone() -> None:
    proofs = Proofs()
    assert proofs.prove(NOW, ONE) == NOW - FRESH_US
    assert proofs.prove(NOW, ONE) is None
    assert proofs.prove(NOW, OTHER) == NOW - FRESH_US
    assert proofs.prove(NOW + 1) == NOW + 1 - FRESH_US, "nothing was proven of the others"
    assert proofs.prove(NOW + 1, OTHER) is None
    assert proofs.prove(NOW + 2, OTHER) == NOW + 1


def test_the_token_of_a_page_proves_nothing() -> None:
    proofs = Proofs()
    proofs.gave_page(NOW)
    assert proofs.prove(NOW) is None
    proofs.gave_delta(NOW, NOW + 1, has_messages=False)
    assert proofs.prove(NOW + 1) is None, "it shows no more than the page"
    proofs.gave_delta(NOW + 1, NOW + 2, has_messages=True)
    assert proofs.prove(NOW + 2) is not None


def test_a_delta_without_messages_that_follows_a_delta_proves_as_that_does() -> None:
    proofs = Proofs()
    proofs.gave_page(NOW)
    proofs.gave_delta(NOW, NOW + 1, has_messages=True)
    proofs.gave_delta(NOW + 1, NOW + 2, has_messages=False)
    assert proofs.prove(NOW + 2) is not None


def test_a_page_where_a_delta_has_ended_takes_nothing_from_its_token() -> None:
    for page_is_first in (False, True):
        proofs = Proofs()
        if page_is_first:
            proofs.gave_page(NOW)
        proofs.gave_delta(NOW - 5, NOW, has_messages=True)
        proofs.gave_page(NOW)
        assert proofs.prove(NOW) is not None


def test_what_is_kept_is_bounded() -> None:
    proofs = Proofs()
    for number in range(3 * MOST_KEPT):
        proofs.gave_page(NOW + number)
        proofs.prove(NOW + 1000 + number, number.to_bytes(16, "big"))
        assert len(proofs._pages or ()) <= MOST_KEPT
        assert len(proofs._of or ()) <= MOST_KEPT
    assert proofs.prove(NOW + 3 * MOST_KEPT - 1) is None, "the newest pages are known"

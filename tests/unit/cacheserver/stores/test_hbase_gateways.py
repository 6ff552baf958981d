from rowbox.cacheserver.stores.hbase.gateway_choice import ERRORS_IN_A_ROW, Gateways

A, B, C = ("a", 1), ("b", 2), ("c", 3)


def test_they_are_tried_in_the_order_in_which_they_were_given() -> None:
    assert Gateways([A, B, C]).in_order() == [A, B, C]


def test_the_one_that_worked_stays_first_and_the_ones_after_it_are_next() -> None:
    gateways = Gateways([A, B, C])
    assert gateways.worked(B)
    assert gateways.in_order() == [B, C, A]
    assert not gateways.worked(B)
    assert gateways.in_order() == [B, C, A]


def test_one_that_failed_comes_last() -> None:
    gateways = Gateways([A, B, C])
    assert gateways.was_silent(A, 5.0)
    assert gateways.in_order() == [B, C, A]
    assert gateways.was_silent(B, 5.0)
    assert gateways.in_order() == [C, A, B]


def test_of_many_calls_that_fail_at_one_gateway_only_the_first_changes_it() -> None:
    gateways = Gateways([A, B, C])
    assert gateways.was_silent(A, 5.0)
    assert not gateways.was_silent(A, 5.0)
    assert gateways.in_order() == [B, C, A]


def test_the_only_one_is_used_whatever_it_does() -> None:
    gateways = Gateways([A])
    assert not gateways.was_silent(A, 5.0)
    assert gateways.in_order() == [A]


def test_one_that_answers_others_is_not_the_one_that_is_silent() -> None:
    """A region that says nothing must not close the connections to a gateway that works."""
    gateways = Gateways([A, B])
    gateways.answered(A, 7.0)
    assert not gateways.was_silent(A, 5.0)
    assert gateways.in_order() == [A, B]
    assert gateways.was_silent(A, 8.0)


def test_one_that_answers_with_errors_only_is_left() -> None:
    gateways = Gateways([A, B])
    assert [gateways.erred(A) for _ in range(ERRORS_IN_A_ROW)] == [False] * (ERRORS_IN_A_ROW - 1) + [True]
    assert gateways.in_order() == [B, A]


def test_errors_with_answers_between_them_are_no_reason_to_leave() -> None:
    gateways = Gateways([A, B])
    for _ in range(10 * ERRORS_IN_A_ROW):
        assert not gateways.erred(A)
        gateways.answered(A, 1.0)


def test_one_that_was_left_is_tried_again_when_the_next_one_errs_too() -> None:
    gateways = Gateways([A, B])
    for gateway in (A, B):
        for _ in range(ERRORS_IN_A_ROW):
            gateways.erred(gateway)
    assert gateways.in_order() == [A, B]


def test_the_last_errors_of_one_that_was_left_are_no_news() -> None:
    gateways = Gateways([A, B])
    for _ in range(2 * ERRORS_IN_A_ROW):
        gateways.erred(A)
    assert gateways.in_order() == [B, A]

from rowbox.cacheserver.stores.hbase.failover import ERRORS_IN_A_ROW, Failover

A, B, C = ("a", 1), ("b", 2), ("c", 3)


def test_they_are_tried_in_the_order_in_which_they_were_given() -> None:
    assert Failover([A, B, C]).in_order() == [A, B, C]


def test_the_one_that_worked_stays_first_and_the_ones_after_it_are_next() -> None:
    failover = Failover([A, B, C])
    assert failover.worked(B)
    assert failover.in_order() == [B, C, A]
    assert not failover.worked(B)
    assert failover.in_order() == [B, C, A]


def test_one_that_failed_comes_last() -> None:
    failover = Failover([A, B, C])
    assert failover.was_silent(A, 5.0)
    assert failover.in_order() == [B, C, A]
    assert failover.was_silent(B, 5.0)
    assert failover.in_order() == [C, A, B]


def test_of_many_calls_that_fail_at_one_gateway_only_the_first_changes_it() -> None:
    failover = Failover([A, B, C])
    assert failover.was_silent(A, 5.0)
    assert not failover.was_silent(A, 5.0)
    assert failover.in_order() == [B, C, A]


def test_the_only_one_is_used_whatever_it_does() -> None:
    failover = Failover([A])
    assert not failover.was_silent(A, 5.0)
    assert failover.in_order() == [A]


def test_one_that_answers_others_is_not_the_one_that_is_silent() -> None:
    """A region that says nothing must not close the connections to a gateway that works."""
    failover = Failover([A, B])
    failover.answered(A, 7.0)
    assert not failover.was_silent(A, 5.0)
    assert failover.in_order() == [A, B]
    assert failover.was_silent(A, 8.0)


def test_one_that_answers_with_errors_only_is_left() -> None:
    failover = Failover([A, B])
    assert [failover.erred(A) for _ in range(ERRORS_IN_A_ROW)] == [False] * (ERRORS_IN_A_ROW - 1) + [True]
    assert failover.in_order() == [B, A]


def test_errors_with_answers_between_them_are_no_reason_to_leave() -> None:
    failover = Failover([A, B])
    for _ in range(10 * ERRORS_IN_A_ROW):
        assert not failover.erred(A)
        failover.answered(A, 1.0)


def test_one_that_was_left_is_tried_again_when_the_next_one_errs_too() -> None:
    failover = Failover([A, B])
    for gateway in (A, B):
        for _ in range(ERRORS_IN_A_ROW):
            failover.erred(gateway)
    assert failover.in_order() == [A, B]


def test_the_last_errors_of_one_that_was_left_are_no_news() -> None:
    failover = Failover([A, B])
    for _ in range(2 * ERRORS_IN_A_ROW):
        failover.erred(A)
    assert failover.in_order() == [B, A]


def test_errors_of_the_one_before_do_not_count() -> None:
    failover = Failover([A, B])
    for _ in range(ERRORS_IN_A_ROW - 1):
        failover.erred(A)
    assert failover.worked(B)
    assert not failover.erred(B)


def test_nor_does_an_answer_of_the_one_before() -> None:
    failover = Failover([A, B])
    failover.answered(A, 9.0)
    failover.worked(B)
    assert failover.was_silent(B, 5.0)


def test_an_answer_at_the_moment_when_the_call_began_was_not_to_a_later_one() -> None:
    failover = Failover([A, B])
    failover.answered(A, 5.0)
    assert failover.was_silent(A, 5.0)

from rowbox.cacheserver.stores.hbase_gateways import Gateways

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
    assert gateways.failed(A)
    assert gateways.in_order() == [B, C, A]
    assert gateways.failed(B)
    assert gateways.in_order() == [C, A, B]


def test_of_many_calls_that_fail_at_one_gateway_only_the_first_changes_it() -> None:
    gateways = Gateways([A, B, C])
    assert gateways.failed(A)
    assert not gateways.failed(A)
    assert gateways.in_order() == [B, C, A]


def test_the_only_one_is_used_whatever_it_does() -> None:
    gateways = Gateways([A])
    assert not gateways.failed(A)
    assert gateways.in_order() == [A]

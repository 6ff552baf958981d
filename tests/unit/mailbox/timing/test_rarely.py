from rowbox.mailbox.timing.rarely import Rarely


def test_of_each_kind_one_in_a_while_which_counts_those_between() -> None:
    now_s = 0.0
    rarely = Rarely(lambda: now_s, every_s=10.0)
    assert [rarely.count("a"), rarely.count("a"), rarely.count("b"), rarely.count("a")] == [1, 0, 1, 0]
    now_s = 9.9
    assert rarely.count("a") == 0
    now_s = 10.0
    assert [rarely.count("a"), rarely.count("a")] == [4, 0]
    now_s = 30.0
    assert [rarely.count("a"), rarely.count("b")] == [2, 1]

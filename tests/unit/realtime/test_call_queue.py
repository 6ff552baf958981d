"""How many calls of one connection begin, by what they may answer while its client reads nothing."""

import pytest

from rowbox.api.realtime.call_queue import MAX_CALLS, UNWRITTEN_BYTES, CallQueue
from rowbox.api.realtime.frames import Call


def queue_of(*names: str) -> CallQueue:
    queue = CallQueue()
    for number, name in enumerate(names):
        assert queue.add(Call(id=number, do=name))
    return queue


def begun(queue: CallQueue, unwritten_bytes: int = 0) -> list[str]:
    return [one.call.do for one in queue.begin(unwritten_bytes)]


@pytest.mark.parametrize("name", ["fetchMessages", "fetchConversation", "fetchChanges", "fetchReceipts"])
def test_of_calls_that_answer_a_page_two_are_under_way_and_no_more(name: str) -> None:
    """Else 8 MiB are kept of whoever asks 32 times and reads nothing. The receipts of a group are a page, too."""
    queue = queue_of(*[name] * MAX_CALLS)
    assert begun(queue) == [name, name]
    queue.ended(1)
    assert begun(queue, UNWRITTEN_BYTES // 2) == []
    assert begun(queue) == [name]


def test_looks_at_groups_are_counted_by_what_their_members_take() -> None:
    queue = queue_of(*["fetchGroup"] * MAX_CALLS)
    assert len(begun(queue)) == 8


def test_what_answers_little_waits_for_no_page() -> None:
    queue = queue_of("fetchChanges", "fetchChanges", "fetchChanges", "sendMessage", "fetchReceipts", "react")
    assert begun(queue) == ["fetchChanges", "fetchChanges", "sendMessage", "react"]
    assert begun(queue_of("sendMessage"), UNWRITTEN_BYTES) == []

"""The owner's side of the order: what was sent behind a refused write is refused, too."""

import asyncio

import pytest

from rowbox.cacheserver import refused_turns
from rowbox.cacheserver.port import MarkRead, Routed, Send
from rowbox.cacheserver.routing.in_turn import InTurn
from rowbox.mailbox.errors import LeaseLapsed, NotTheOwner, RateLimited, RowboxError, StoreOutcomeUnknown
from tests.routing.scripted import ScriptedTarget, fails, sent, turns
from tests.support.virtual_time import virtual_time

ROUTER, OTHER_ROUTER = 1, 2


class Served:
    def __init__(self) -> None:
        self.owner = ScriptedTarget("a")
        self.in_turn = InTurn(self.owner)

    def send(self, name: str, turn: int, *, user: str = "ann", router: int = ROUTER) -> "asyncio.Task[object]":
        return asyncio.ensure_future(self.in_turn.send(Send(user, "bob", "hi", name, None, Routed(router, turn))))

    def mark(self, turn: int) -> "asyncio.Task[object]":
        return asyncio.ensure_future(self.in_turn.mark_read(MarkRead("ann", b"c", b"m", None, Routed(ROUTER, turn))))


@pytest.mark.parametrize("error", [NotTheOwner("n", map_version=3), LeaseLapsed("l"), StoreOutcomeUnknown("u")])
def test_what_was_sent_behind_a_refused_write_is_not_begun(error: RowboxError) -> None:
    @virtual_time
    async def run() -> None:
        served = Served()
        served.owner.error = error
        assert await fails(served.send("1", 1)) is error
        served.owner.error = None
        for behind in (served.send("2", 1), served.mark(1), served.send("old", 0)):
            refusal = await fails(behind)
            assert isinstance(refusal, NotTheOwner)
            assert refusal.map_version == 0
        assert served.owner.names == ["1"]

    run()


@virtual_time
async def test_a_higher_turn_is_begun_and_its_writes_count_from_then_on() -> None:
    served = Served()
    served.owner.error = NotTheOwner("closing")
    await fails(served.send("1", 1))
    served.owner.error = None
    sending = [served.send("1", 2), served.send("2", 2), served.mark(2)]
    await turns()
    for asked in served.owner.asked[1:]:
        asked.says(sent())
    await asyncio.gather(*sending)
    assert served.owner.names == ["1", "1", "2"]


@virtual_time
async def test_a_refusal_concerns_one_user_of_one_router() -> None:
    served = Served()
    served.owner.error = NotTheOwner("closing")
    await fails(served.send("1", 1))
    served.owner.error = None
    others = [served.send("2", 1, user="cy"), served.send("3", 1, router=OTHER_ROUTER)]
    await turns()
    assert served.owner.names == ["1", "2", "3"]
    for one in others:
        one.cancel()


@virtual_time
async def test_an_answer_is_no_refusal() -> None:
    served = Served()
    served.owner.error = RateLimited("too many")
    await fails(served.send("1", 1))
    await fails(served.send("2", 1))
    assert served.owner.names == ["1", "2"]


@virtual_time
async def test_a_write_that_no_router_sent_has_no_turn() -> None:
    served = Served()
    served.owner.error = NotTheOwner("closing")
    for _ in range(2):
        await fails(served.in_turn.send(Send("ann", "bob", "hi", "1")))
    assert len(served.owner.asked) == 2


def test_a_refusal_of_an_earlier_turn_that_is_heard_of_late_lets_nothing_of_a_later_one_in() -> None:
    """A link may be lost under the first: its router begins the next turn, and then the owner ends the first."""
    refused = refused_turns.RefusedTurns()
    assert refused.refuse("ann", Routed(ROUTER, 3))
    assert not refused.refuse("ann", Routed(ROUTER, 2))
    with pytest.raises(NotTheOwner):
        refused.admit("ann", Routed(ROUTER, 3))
    refused.admit("ann", Routed(ROUTER, 4))
    assert not len(refused), "its router has heard of it"


@virtual_time
async def test_refusals_are_forgotten_when_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_turns, "MOST_REFUSED", 3)
    served = Served()
    served.owner.error = NotTheOwner("closing")
    for user in "abcde":
        await fails(served.send("1", 1, user=user))
    assert len(served.in_turn._refused) == 3
    before = len(served.owner.asked)
    await fails(served.send("2", 1, user="e"))
    assert len(served.owner.asked) == before
    await fails(served.send("2", 1, user="a"))
    assert len(served.owner.asked) == before + 1

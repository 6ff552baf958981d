"""A following through a router goes on at whoever owns the user, and its client is told where it may have missed."""

import asyncio

import pytest

from rowbox.cacheserver.port import HANDED_OVER, LINK_LOST, REPLACED, REVOKED, SIGNED_OUT, Changed, Follow, Lost
from rowbox.cacheserver.routing.followings import CHECK_S, FIRST_PAUSE_S, LONGEST_PAUSE_S
from rowbox.mailbox.errors import (
    ConnectedElsewhere,
    HandoverInProgress,
    LinkLost,
    NotTheOwner,
    Overloaded,
    RowboxError,
    SignedOut,
    TokenRevoked,
)
from rowbox.mailbox.revocation import Bearer
from tests.routing.scripted import PATIENCE_S, Routed, ScriptedTarget, fails, turns
from tests.support.virtual_time import virtual_time


class At:
    """A following at one owner."""

    def __init__(self, head: str) -> None:
        self.head = head
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


async def followed(
    routed: Routed,
    told: list[Changed | Lost],
    target: ScriptedTarget,
    head: str = "5.x",
    request: Follow | None = None,
) -> tuple[At, object]:
    following = asyncio.ensure_future(routed.router.follow(request or Follow("ann"), told.append))
    await turns()
    at = At(head)
    target.asked[-1].says(at)
    return at, await following


@virtual_time
async def test_what_an_owner_tells_is_told_on_and_moves_the_head() -> None:
    routed, told = Routed("a"), list[Changed | Lost]()
    routed.gives("a")
    at, following = await followed(routed, told, routed["a"])
    assert following.head == "5.x"  # type: ignore[attr-defined]
    change = Changed("6.x", "5.x", b"{}")
    routed["a"].notify(change)
    assert (told, following.head) == ([change], "6.x")  # type: ignore[attr-defined]
    following.close()  # type: ignore[attr-defined]
    routed["a"].notify(Changed("7.x", "6.x"))
    assert (told, at.is_closed) == ([change], True)


@virtual_time
async def test_a_lost_following_goes_on_at_the_next_owner_and_is_told_once_that_there_may_be_news() -> None:
    routed, told = Routed("a", "b"), list[Changed | Lost]()
    routed.gives("a")
    _, following = await followed(routed, told, routed["a"])
    old = routed["a"].notify
    routed.gives("b")
    old(Lost(LINK_LOST))
    await turns()
    routed["b"].asked[-1].says(At("9.x"))
    await turns()
    assert told == [Lost(LINK_LOST, is_over=False), Changed("9.x", "9.x")]
    assert following.head == "9.x"  # type: ignore[attr-defined]
    old(Changed("8.x", "5.x", b"{}"))
    assert len(told) == 2, "the owner that was lost tells nothing more"
    routed["b"].notify(Changed("10.x", "9.x", b"{}"))
    assert len(told) == 3


@virtual_time
async def test_it_is_tried_until_there_is_an_owner() -> None:
    routed, told = Routed("a"), list[Changed | Lost]()
    version = routed.gives("a").version
    await followed(routed, told, routed["a"])
    target = routed["a"]
    target.error = NotTheOwner("given away", map_version=version)
    target.notify(Lost(HANDED_OVER))
    await asyncio.sleep(10 * PATIENCE_S)
    target.error = None
    tried = len(target.asked)
    await asyncio.sleep(6)
    assert tried < 40
    target.asked[-1].says(At("9.x"))
    await turns()
    assert told[-1] == Changed("9.x", "9.x")


@virtual_time
async def test_it_does_not_wait_for_its_pause_where_there_is_another_owner() -> None:
    """A dead owner is found nowhere for seconds, and the pauses have grown by then."""
    routed, told = Routed("a", "b"), list[Changed | Lost]()
    routed.gives("a")
    await followed(routed, told, routed["a"])
    routed["a"].error, routed["b"].error = LinkLost("it is dead"), HandoverInProgress("it has just begun")
    routed["a"].notify(Lost(LINK_LOST))
    while True:  # until an attempt that is followed by a long pause
        tries = len(routed["a"].asked)
        await asyncio.sleep(LONGEST_PAUSE_S / 3)
        if len(routed["a"].asked) == tries:
            break
    routed.gives("b")
    await asyncio.sleep(2 * FIRST_PAUSE_S)
    assert len(routed["a"].asked) == tries
    assert len(routed["b"].asked) > 1, "the pauses begin anew there"
    routed["b"].error = None
    await asyncio.sleep(4 * FIRST_PAUSE_S)
    routed["b"].asked[-1].says(At("9.x"))
    await turns()
    assert told[-1] == Changed("9.x", "9.x")


@virtual_time
async def test_a_try_that_was_under_way_when_there_was_another_owner_goes_on_there() -> None:
    routed, told = Routed("a", "b"), list[Changed | Lost]()
    routed.gives("a")
    await followed(routed, told, routed["a"])
    routed["a"].notify(Lost(LINK_LOST))
    await turns()
    routed.gives("b")
    await turns()
    assert routed["b"].asked == []
    routed["a"].asked[-1].says(LinkLost("it is dead"))
    await turns()
    routed["b"].asked[-1].says(At("9.x"))
    await turns()
    assert told[-1] == Changed("9.x", "9.x")


@virtual_time
async def test_it_is_tried_again_after_a_fault_that_nobody_expected(caplog: pytest.LogCaptureFixture) -> None:
    routed, told = Routed("a"), list[Changed | Lost]()
    version = routed.gives("a").version
    await followed(routed, told, routed["a"])
    target = routed["a"]
    target.error = RuntimeError("a mistake of ours")
    target.notify(Lost(HANDED_OVER))
    await asyncio.sleep(6)
    assert len([one for one in caplog.records if "begun anew" in one.message]) == 1, "one line, however often"
    target.error = None
    await asyncio.sleep(6)
    target.asked[-1].says(At(f"{version + 9}.x"))
    await turns()
    assert told[-1] == Changed(f"{version + 9}.x", f"{version + 9}.x")


@virtual_time
async def test_an_owner_that_is_replaced_and_says_nothing_is_left_by_the_map() -> None:
    """It may be stopped, or not know yet."""
    routed, told = Routed("a", "b"), list[Changed | Lost]()
    routed.gives("a")
    at, _ = await followed(routed, told, routed["a"])
    old = routed["a"].notify
    routed.gives("b")
    await asyncio.sleep(CHECK_S + 1)
    assert at.is_closed
    routed["b"].asked[-1].says(At("9.x"))
    await turns()
    old(Changed("8.x", "5.x", b"{}"))
    assert told == [Lost(HANDED_OVER, is_over=False), Changed("9.x", "9.x")]


@virtual_time
async def test_while_the_map_names_nobody_whoever_tells_is_kept() -> None:
    """A shard without an owner is about to be given: to the same one, mostly."""
    routed, told = Routed("a"), list[Changed | Lost]()
    routed.gives("a")
    at, _ = await followed(routed, told, routed["a"])
    routed.view.show(routed.standing.next().unlisting(["a"]))
    assert routed.router.owner_now("ann") == ""
    await asyncio.sleep(CHECK_S + 1)
    assert (told, at.is_closed) == ([], False)


@virtual_time
async def test_a_revoked_token_ends_it_for_good() -> None:
    routed, told = Routed("a"), list[Changed | Lost]()
    routed.gives("a")
    await followed(routed, told, routed["a"])
    routed["a"].notify(Lost(REVOKED))
    await asyncio.sleep(60)
    assert told == [Lost(REVOKED)]
    assert len(routed.router.followings) == 0


@virtual_time
async def test_the_place_of_a_device_is_taken_once_and_not_by_who_is_mended() -> None:
    routed, told = Routed("a", "b"), list[Changed | Lost]()
    routed.gives("a")
    bearer = Bearer("ann", 0.0, b"", "phone")
    await followed(routed, told, routed["a"], request=Follow("ann", bearer, 7, takes_place=True))
    assert routed["a"].asked[-1].request.takes_place
    routed.gives("b")
    routed["a"].notify(Lost(LINK_LOST))
    await turns()
    assert routed["b"].asked[-1].request == Follow("ann", bearer, 7, takes_place=False)
    routed["b"].asked[-1].says(ConnectedElsewhere("this device has connected elsewhere"))
    await asyncio.sleep(60)
    assert told == [Lost(LINK_LOST, is_over=False), Lost(REPLACED)]
    assert (len(routed["b"].asked), len(routed.router.followings)) == (1, 0)


@pytest.mark.parametrize(
    ("reason", "connection", "error"),
    [
        (REVOKED, 7, TokenRevoked),
        (SIGNED_OUT, 7, SignedOut),
        (REPLACED, 7, ConnectedElsewhere),
        (REPLACED, 0, Overloaded),
    ],
)
@virtual_time
async def test_one_that_is_ended_while_it_begins_says_why(
    reason: str, connection: int, error: type[RowboxError]
) -> None:
    """Its token is good where its device has only connected once more: no client is to throw that away."""
    routed = Routed("a")
    routed.gives("a")
    request = Follow("ann", Bearer("ann", 0.0, b"", "phone"), connection, takes_place=bool(connection))
    beginning = asyncio.ensure_future(routed.router.follow(request, lambda _: None))
    await turns()
    at = At("5.x")
    routed["a"].asked[-1].says(at)
    routed["a"].notify(Lost(reason))  # both came at once
    with pytest.raises(error) as raised:
        await beginning
    assert type(raised.value) is error
    assert (at.is_closed, len(routed.router.followings)) == (True, 0)


@virtual_time
async def test_one_that_is_lost_and_given_up_while_it_begins_is_not_mended_for_nobody() -> None:
    routed = Routed("a")
    routed.gives("a")
    beginning = asyncio.ensure_future(routed.router.follow(Follow("ann"), lambda _: None))
    await turns()
    routed["a"].notify(Lost(LINK_LOST))
    await turns()
    beginning.cancel()
    await turns()
    assert len(routed["a"].asked) == 2
    at = At("9.x")
    routed["a"].asked[-1].says(at)
    await turns()
    assert at.is_closed


@virtual_time
async def test_the_token_of_another_user_is_judged_while_it_follows() -> None:
    routed, told = Routed("a"), list[Changed | Lost]()
    routed.gives("a")
    target = routed["a"]
    admin = Bearer("root")
    beginning = asyncio.ensure_future(routed.router.follow(Follow("ann", admin), told.append))
    await turns()
    target.asked[-1].says(None)
    await turns()
    target.asked[-1].says(At("5.x"))
    await beginning
    await turns()
    target.asked[-1].says(None)
    await asyncio.sleep(1.5)
    target.asked[-1].says(TokenRevoked("revoked"))
    await turns()
    assert told == [Lost(REVOKED)]


@virtual_time
async def test_where_nobody_owns_the_user_whoever_begins_is_told_after_the_patience() -> None:
    routed = Routed("a")
    assert isinstance(await fails(routed.router.follow(Follow("ann"), lambda _: None)), HandoverInProgress)

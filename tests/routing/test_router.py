"""Each rule of the router by itself, over targets that answer as the test says."""

import asyncio

import pytest

from rowbox.cacheserver.port import (
    Changes,
    FetchChanges,
    FetchConversations,
    FetchMessages,
    MarkRead,
    MarkReadResult,
    Page,
    Send,
)
from rowbox.cacheserver.routing.deliveries import Deliveries
from rowbox.cacheserver.routing.judges import Judges
from rowbox.cacheserver.routing.user_line import UserLine
from rowbox.cacheserver.shardmap.shard_map import ListedNode
from rowbox.mailbox.errors import (
    ClientMessageIdReused,
    HandoverInProgress,
    LeaseLapsed,
    LinkLost,
    NotTheOwner,
    Overloaded,
    PeerTooOld,
    RateLimited,
    RowboxError,
    StoreOutcomeUnknown,
    StoreUnavailable,
    TokenRevoked,
)
from rowbox.mailbox.group import GroupPart, Resumed, Standing
from rowbox.mailbox.message import Message
from rowbox.mailbox.revocation import Bearer
from tests.routing.scripted import PATIENCE_S, Routed, comes_to, fails, sent, turns
from tests.support.virtual_time import virtual_time

EMPTY = Page((), is_delta=True, token="t1")
NEWS = Page((b"{}",), is_delta=True, token="t2")
CHANGES = Changes((b"{}",), (), account=False, is_delta=True, token="t2")
ADMIN = Bearer("root")


def elapsed_s(since_s: float = 0.0) -> float:
    return asyncio.get_running_loop().time() - since_s


# ---------------------------------------------------------------------- who is asked


@virtual_time
async def test_the_owner_that_the_map_names_is_asked() -> None:
    routed = Routed("a", "b")
    routed.gives("b")
    sending = routed.send("1")
    await turns()
    routed["b"].asked[0].says(sent())
    assert await sending == sent()
    assert not routed["a"].asked


@virtual_time
async def test_a_request_waits_for_the_first_map() -> None:
    routed = Routed("a")
    sending = routed.send("1")
    await asyncio.sleep(PATIENCE_S - 0.1)
    routed.gives("a")
    await turns()
    routed["a"].asked[0].says(sent())
    assert await sending == sent()
    await routed.targets.close()


@virtual_time
async def test_a_request_for_whom_nobody_is_found_ends_at_its_deadline() -> None:
    routed = Routed("a")
    assert isinstance(await fails(routed.send("1")), HandoverInProgress)
    assert elapsed_s() == pytest.approx(PATIENCE_S)
    assert isinstance(await fails(routed.router.fetch_messages(FetchMessages("ann"))), HandoverInProgress)
    assert not len(routed.router.lines)


@virtual_time
async def test_whoever_refuses_is_asked_again_only_by_a_newer_map() -> None:
    routed = Routed("a")
    version = routed.gives("a").version
    sending = routed.send("1")
    await turns()
    routed["a"].asked[0].says(NotTheOwner("closing", map_version=version))
    await asyncio.sleep(3)
    assert len(routed["a"].asked) == 1
    routed.gives(None)  # the move was given up
    await turns()
    routed["a"].asked[1].says(sent())
    assert await sending == sent()


@virtual_time
async def test_a_refusal_that_no_newer_map_follows_ends_at_the_deadline_after_one_try() -> None:
    routed = Routed("a")
    refusal = NotTheOwner("closing", map_version=routed.gives("a").version)
    routed["a"].error = refusal
    assert await fails(routed.send("1")) is refusal
    assert await fails(routed.router.fetch_messages(FetchMessages("ann"))) is refusal
    assert len(routed["a"].asked) == 2
    assert elapsed_s() == pytest.approx(2 * PATIENCE_S)


@virtual_time
async def test_who_refused_by_a_map_that_is_not_known_here_yet_is_not_asked_by_an_older_one() -> None:
    routed = Routed("a")
    wanted: list[int] = []
    routed.view.on_wanted = lambda: wanted.append(1)
    version = routed.gives("a").version
    reading = asyncio.ensure_future(routed.router.fetch_messages(FetchMessages("ann")))
    await turns()
    routed["a"].asked[0].says(NotTheOwner("closing", map_version=version + 2))
    await turns()
    assert wanted  # the map is read now, and not at the next beat
    routed.gives(None)
    await turns()
    assert len(routed["a"].asked) == 1
    routed.gives(None)
    routed.gives(None)
    await turns()
    routed["a"].asked[1].says(EMPTY)
    assert await reading == EMPTY


@virtual_time
async def test_a_node_that_has_not_applied_the_map_yet_is_asked_as_soon_as_it_says_that_it_has() -> None:
    routed = Routed("a")
    version = routed.gives("a").version
    sending = routed.send("1")
    await turns()
    routed["a"].map_version = version - 1
    routed["a"].asked[0].says(NotTheOwner("not yet", map_version=version - 1))
    await asyncio.sleep(0.3)
    assert len(routed["a"].asked) == 1
    routed["a"].map_version = version
    routed.targets.stir()
    await turns()
    routed["a"].asked[1].says(sent())
    assert await sending == sent()


@virtual_time
async def test_a_node_that_says_nothing_of_its_map_is_asked_once_a_second_at_most() -> None:
    routed = Routed("a")
    version = routed.gives("a").version
    routed["a"].map_version = 0
    routed["a"].error = NotTheOwner("not yet", map_version=version - 1)
    await fails(routed.send("1"))
    assert 5 <= len(routed["a"].asked) <= 11


@virtual_time
async def test_a_lease_that_has_lapsed_is_waited_for() -> None:
    routed = Routed("a")
    routed.gives("a")
    routed["a"].error = LeaseLapsed("lapsed", retry_after_ms=1000)
    sending = routed.send("1")
    await asyncio.sleep(2)
    assert len(routed["a"].asked) < 20  # the pauses grow
    routed["a"].error = None
    await comes_to(lambda: not routed["a"].asked[-1].answer.done())
    routed["a"].asked[-1].says(sent())
    assert await sending == sent()


@virtual_time
async def test_a_lost_link_is_waited_for_and_not_tried_meanwhile() -> None:
    routed = Routed("a")
    routed.gives("a")
    sending = routed.send("1")
    await turns()
    routed["a"].is_up = False
    routed["a"].asked[0].says(StoreOutcomeUnknown("the link was lost"))
    await asyncio.sleep(0.4)
    assert len(routed["a"].asked) == 1
    routed["a"].is_up = True
    routed.targets.stir()
    await turns()
    routed["a"].asked[1].says(sent())
    assert await sending == sent()


@virtual_time
async def test_a_newer_map_ends_every_pause() -> None:
    routed = Routed("a", "b")
    routed.gives("a")
    routed["a"].is_up = False
    routed["a"].error = LinkLost("no link")
    sending = routed.send("1")
    await asyncio.sleep(0.3)
    routed.gives("b")
    await turns()
    routed["b"].asked[0].says(sent())
    assert await sending == sent()


@virtual_time
async def test_an_owner_that_cannot_be_reached_delays_nobody_else() -> None:
    routed = Routed("a", "b")
    routed.standing = routed.standing.next()
    routed.gives("a")
    routed["a"].is_up = False
    routed["a"].error = LinkLost("no link")
    waiting = routed.send("1")
    await turns()
    routed.gives("b")  # one shard is all there is: what was refused goes on there, and so does everybody else
    other = routed.send("2", sender="cy")
    await turns()
    for asked in routed["b"].asked:
        asked.says(sent())
    assert await waiting == await other == sent()
    assert elapsed_s() < 0.1


@pytest.mark.parametrize("error", [RateLimited("r"), Overloaded("o"), StoreUnavailable("s"), TokenRevoked("t")])
def test_any_other_error_is_the_answer(error: RowboxError) -> None:
    @virtual_time
    async def run() -> None:
        routed = Routed("a")
        routed.gives("a")
        routed["a"].error = error
        assert await fails(routed.send("1")) is error
        assert await fails(routed.router.fetch_messages(FetchMessages("ann"))) is error
        assert len(routed["a"].asked) == 2

    run()


@virtual_time
async def test_every_call_goes_to_the_owner() -> None:
    routed = Routed("a")
    routed.gives("a")
    answers = [
        (routed.router.send_status("ann", "1"), sent()),
        (routed.router.mark_read(MarkRead("ann", b"c" * 16, b"m" * 16)), MarkReadResult(b"c" * 16, 0, 0)),
        (routed.router.fetch_conversations(FetchConversations("ann")), EMPTY),
        (routed.router.fetch_messages(FetchMessages("ann")), EMPTY),
        (routed.router.fetch_changes(FetchChanges("ann")), CHANGES),
        (routed.router.revoke_user("ann"), 5),
        (routed.router.revoke_id("id"), None),
    ]
    for call, answer in answers:
        calling = asyncio.ensure_future(call)
        await turns()
        routed["a"].asked[-1].says(answer)
        assert await calling == answer


@virtual_time
async def test_who_may_not_write_is_told_before_the_body_is_read() -> None:
    routed = Routed("a")
    routed.router.admit_write("ann")
    routed.gives("a")
    routed["a"].not_admitted = HandoverInProgress("closing")
    routed.router.admit_write("ann")  # the write will wait
    routed["a"].not_admitted = RateLimited("too many")
    with pytest.raises(RateLimited):
        routed.router.admit_write("ann")


# ---------------------------------------------------------------------- the order of a user's writes


async def a_write_waits_for_earlier_ones_at_the_old_owner() -> None:
    """Told in test_order.py without its rule, too."""
    routed = Routed("a", "b")
    routed.gives("a")
    first = routed.send("1")
    await turns()
    version = routed.gives("b").version
    second = routed.send("2")
    await turns()
    assert routed["b"].names == []
    routed["a"].asked[0].says(NotTheOwner("given away", map_version=version))
    await turns()
    assert routed["b"].names == ["1", "2"]
    for asked in routed["b"].asked:
        asked.says(sent())
    await asyncio.gather(first, second)


@virtual_time
async def test_a_write_waits_for_earlier_ones_at_the_old_owner() -> None:
    await a_write_waits_for_earlier_ones_at_the_old_owner()


def test_without_that_rule_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UserLine, "lets_through", lambda *_: True)
    with pytest.raises(AssertionError):
        virtual_time(a_write_waits_for_earlier_ones_at_the_old_owner)()


@virtual_time
async def test_writes_of_one_user_are_sent_without_waiting_for_answers() -> None:
    routed = Routed("a")
    routed.gives("a")
    sending = [routed.send(name) for name in "123"]
    await turns()
    assert routed["a"].names == ["1", "2", "3"]
    for asked in routed["a"].asked:
        asked.says(sent())
    await asyncio.gather(*sending)
    assert not len(routed.router.lines)


@virtual_time
async def test_a_refused_write_goes_first_and_when_all_has_come_back() -> None:
    routed = Routed("a", "b")
    version = routed.gives("a").version
    sending = [routed.send(name) for name in "12"]
    await turns()
    routed["a"].asked[0].says(NotTheOwner("closing", map_version=version))
    routed.gives("b")
    sending.append(routed.send("3"))
    await turns()
    assert routed["b"].names == []
    routed["a"].asked[1].says(NotTheOwner("comes too early"))
    await turns()
    assert routed["b"].names == ["1", "2", "3"]
    for asked in routed["b"].asked:
        asked.says(sent())
    await asyncio.gather(*sending)


@pytest.mark.parametrize(
    "error", [NotTheOwner("closing", map_version=1), LeaseLapsed("lapsed"), StoreOutcomeUnknown("no answer")]
)
def test_a_write_is_not_sent_again_behind_a_later_one_that_was_confirmed(error: RowboxError) -> None:
    """An owner refuses what was sent behind it. Where it does not (an older Rowbox), the client hears of the first."""

    @virtual_time
    async def run() -> None:
        routed = Routed("a", "b")
        routed.gives("a")
        sending = [routed.send(name) for name in "123"]
        await turns()
        first, second, third = routed["a"].asked
        first.says(error)
        third.says(sent())
        await turns()
        routed.gives("b")
        second.says(error)
        sending.append(routed.send("4"))
        assert await fails(sending[0]) is error
        assert await fails(sending[1]) is error
        assert await sending[2] == sent()
        await turns()
        assert routed["b"].names == ["4"]
        routed["b"].asked[0].says(sent())
        await sending[3]
        assert not len(routed.router.lines)

    run()


@virtual_time
async def test_other_users_do_not_wait_in_the_line() -> None:
    routed = Routed("a")
    version = routed.gives("a").version
    waiting = routed.send("1")
    await turns()
    routed["a"].asked[0].says(NotTheOwner("closing", map_version=version))
    other = routed.send("2", sender="cy")
    await turns()
    routed["a"].asked[1].says(sent())
    assert await other == sent()
    waiting.cancel()


@virtual_time
async def test_who_is_cancelled_leaves_nothing_behind() -> None:
    routed = Routed("a", "b")
    version = routed.gives("a").version
    sending = [routed.send(name) for name in "123"]
    await turns()
    routed["a"].asked[0].says(NotTheOwner("closing", map_version=version))
    routed["a"].asked[1].says(NotTheOwner("closing", map_version=version))
    await turns()
    sending[0].cancel()  # the first, which waits for a newer map; the third is still on its way
    await turns()
    routed.gives("b")
    routed["a"].asked[2].says(NotTheOwner("given away", map_version=version + 1))
    await turns()
    assert routed["b"].names == ["2", "3"]
    for one in sending:
        one.cancel()
    await turns()
    assert not len(routed.router.lines)
    assert (routed.router.lines.waiting.count, routed.router.lines.waiting.size_bytes) == (0, 0)


@virtual_time
async def test_too_many_waiting_writes_are_refused_at_once() -> None:
    routed = Routed("a", most_waiting=4)
    sending = [routed.send(str(number), sender=f"user{number}") for number in range(4)]
    await turns()
    assert isinstance(await fails(routed.send("x", sender="another")), Overloaded)
    assert elapsed_s() == 0
    for one in sending:
        one.cancel()
    await turns()
    assert not len(routed.router.lines)


# ---------------------------------------------------------------------- what a client is told


@virtual_time
async def test_a_retry_that_meets_its_own_first_try_is_no_duplicate() -> None:
    routed = Routed("a")
    routed.gives("a")
    sending = routed.send("1")
    await turns()
    first: Send = routed["a"].asked[0].request
    routed["a"].asked[0].says(StoreOutcomeUnknown("the link was lost"))
    await comes_to(lambda: len(routed["a"].asked) == 2)
    routed["a"].asked[1].says(sent(first.entropy, duplicate=True))
    assert await sending == sent(first.entropy)


@virtual_time
async def test_a_retry_that_meets_an_earlier_request_is_a_duplicate() -> None:
    routed = Routed("a")
    routed.gives("a")
    sending = routed.send("1")
    await turns()
    routed["a"].asked[0].says(StoreOutcomeUnknown("the link was lost"))
    await comes_to(lambda: len(routed["a"].asked) == 2)
    routed["a"].asked[1].says(sent(5, duplicate=True))
    assert await sending == sent(5, duplicate=True)


@pytest.mark.parametrize("error", [RateLimited("r"), TokenRevoked("t"), StoreUnavailable("s"), Overloaded("o")])
@pytest.mark.parametrize("first", [StoreOutcomeUnknown("u"), NotTheOwner("n"), LeaseLapsed("l")])
def test_after_a_try_that_may_have_been_written_nobody_says_that_nothing_was(
    first: RowboxError, error: RowboxError
) -> None:
    @virtual_time
    async def run() -> None:
        routed = Routed("a")
        routed.gives("a")
        sending = routed.send("1")
        await turns()
        routed["a"].asked[0].says(first)
        await comes_to(lambda: len(routed["a"].asked) == 2)
        routed["a"].asked[1].says(error)
        assert isinstance(await fails(sending), StoreOutcomeUnknown)

    run()


@virtual_time
async def test_that_an_id_names_another_payload_is_true_of_every_try() -> None:
    routed = Routed("a")
    routed.gives("a")
    sending = routed.send("1")
    await turns()
    routed["a"].asked[0].says(StoreOutcomeUnknown("u"))
    await comes_to(lambda: len(routed["a"].asked) == 2)
    routed["a"].asked[1].says(ClientMessageIdReused("another"))
    assert isinstance(await fails(sending), ClientMessageIdReused)


@virtual_time
async def test_what_was_not_sent_was_not_written() -> None:
    routed = Routed("a")
    routed.gives("a")
    routed["a"].error = LinkLost("no link")
    sending = routed.send("1")
    await turns()
    routed["a"].error = RateLimited("too many")
    assert isinstance(await fails(sending), RateLimited)


# ---------------------------------------------------------------------- waits


@virtual_time
async def test_a_wait_goes_on_at_the_next_owner_with_the_rest_of_its_time() -> None:
    routed = Routed("a", "b")
    version = routed.gives("a").version
    polling = asyncio.ensure_future(routed.router.fetch_messages(FetchMessages("ann", token="t0", wait_ms=30_000)))
    await asyncio.sleep(20)
    routed["a"].asked[0].says(NotTheOwner("given away", map_version=version + 1))
    await asyncio.sleep(4)
    routed.gives("b")
    await turns()
    assert routed["b"].asked[0].request == FetchMessages("ann", token="t0", wait_ms=6_000)
    routed["b"].asked[0].says(NEWS)
    assert await polling == NEWS


@virtual_time
async def test_a_wait_for_changes_goes_on_at_the_next_owner_from_the_same_token() -> None:
    routed = Routed("a", "b")
    version = routed.gives("a").version
    waiting = asyncio.ensure_future(routed.router.fetch_changes(FetchChanges("ann", "t0", wait_ms=30_000)))
    await asyncio.sleep(20)
    routed["a"].asked[0].says(NotTheOwner("given away", map_version=version + 1))
    routed.gives("b")
    await turns()
    assert routed["b"].asked[0].request == FetchChanges("ann", "t0", wait_ms=10_000)
    routed["b"].asked[0].says(CHANGES)
    assert await waiting == CHANGES


@virtual_time
async def test_an_owner_that_does_not_know_the_call_yet_is_asked_once() -> None:
    routed = Routed("a")
    routed.gives("a")
    routed["a"].error = PeerTooOld("older")
    assert isinstance(await fails(routed.router.fetch_changes(FetchChanges("ann"))), PeerTooOld)
    assert len(routed["a"].asked) == 1


@virtual_time
async def test_a_wait_that_lost_its_owner_waits_for_another_one_no_longer_than_any_request() -> None:
    routed = Routed("a")
    version = routed.gives("a").version
    polling = asyncio.ensure_future(routed.router.fetch_messages(FetchMessages("ann", token="t0", wait_ms=55_000)))
    await asyncio.sleep(20)
    routed["a"].asked[0].says(NotTheOwner("given away", map_version=version))
    assert isinstance(await fails(polling), NotTheOwner)
    assert elapsed_s() == pytest.approx(20 + PATIENCE_S)


@virtual_time
async def test_a_slow_read_is_not_tried_for_ever() -> None:
    routed = Routed("a")
    routed.gives("a")
    reading = asyncio.ensure_future(routed.router.fetch_messages(FetchMessages("ann")))
    for number in range(20):
        await comes_to(lambda number=number: len(routed["a"].asked) > number or reading.done())  # type: ignore[misc]
        if reading.done():
            break
        await asyncio.sleep(2)
        routed["a"].asked[number].says(LinkLost("lost"))
        await turns()
    assert isinstance(await fails(reading), LinkLost)
    assert elapsed_s() < 2 * PATIENCE_S


@virtual_time
async def test_a_drain_reaches_every_target_and_those_that_come_later() -> None:
    routed = Routed("a", local="own")
    routed.gives("a")
    await fails(asyncio.wait_for(routed.send("1"), 0.1))
    routed.router.begin_drain()
    assert routed["a"].has_drained
    assert routed.own is not None
    assert routed.own.has_drained
    assert "draining" in routed.router.unready_reasons()
    routed.standing = routed.standing.listing([ListedNode("late", "late", "late:1")])
    routed.gives("late")
    await turns()
    assert routed["late"].has_drained


# ---------------------------------------------------------------------- tokens of other users


@virtual_time
async def test_a_token_of_another_user_is_judged_by_that_users_owner_first() -> None:
    routed = Routed("a")
    routed.gives("a")
    sending = routed.send("1", bearer=ADMIN)
    await turns()
    assert [one.request for one in routed["a"].asked] == [ADMIN]
    routed["a"].asked[0].says(None)
    await turns()
    routed["a"].asked[1].says(sent())
    assert await sending == sent()


@virtual_time
async def test_a_revoked_token_of_another_user_does_nothing() -> None:
    routed = Routed("a")
    routed.gives("a")
    routed["a"].error = TokenRevoked("revoked")
    assert isinstance(await fails(routed.send("1", bearer=ADMIN)), TokenRevoked)
    fetch = FetchMessages("ann", bearer=ADMIN)
    assert isinstance(await fails(routed.router.fetch_messages(fetch)), TokenRevoked)
    assert isinstance(await fails(routed.router.send_status("ann", "1", ADMIN)), TokenRevoked)
    assert [one.request for one in routed["a"].asked] == [ADMIN, ADMIN, ADMIN]
    assert not len(routed.router.lines)
    assert not len(routed.router.judges)


@virtual_time
async def test_a_write_whose_token_is_being_judged_keeps_its_place() -> None:
    routed = Routed("a")
    routed.gives("a")
    sending = [routed.send("1", bearer=ADMIN), routed.send("2")]
    await turns()
    assert routed["a"].names == []
    routed["a"].asked[0].says(None)
    await turns()
    assert routed["a"].names == ["1", "2"]
    for asked in routed["a"].asked[1:]:
        asked.says(sent())
    await asyncio.gather(*sending)


@virtual_time
async def test_questions_about_one_token_are_shared_by_all_who_came_before_they_were_sent() -> None:
    routed = Routed("a")
    routed.gives("a")
    first = asyncio.ensure_future(routed.router.judges.judge(ADMIN))
    await turns()
    others = [asyncio.ensure_future(routed.router.judges.judge(ADMIN)) for _ in range(5)]
    await turns()
    assert len(routed["a"].asked) == 1
    others[0].cancel()
    routed["a"].asked[0].says(None)
    await first
    await turns()
    assert len(routed["a"].asked) == 2  # sent after all five had come
    routed["a"].asked[1].says(TokenRevoked("revoked"))
    assert all([isinstance(await fails(one), TokenRevoked) for one in others[1:]])
    assert not len(routed.router.judges)


@virtual_time
async def test_who_asks_between_two_questions_is_judged_by_the_second() -> None:
    """The first one has ended, and the one behind it has not been asked yet: a third one would end in its place."""
    answers: list[asyncio.Future[None]] = []

    def ask(_: Bearer) -> "asyncio.Future[None]":
        answers.append(asyncio.get_running_loop().create_future())
        return answers[-1]

    judges = Judges(ask)
    asked = [asyncio.ensure_future(judges.judge(ADMIN)) for _ in range(2)]
    await turns()
    answers[0].set_result(None)
    for _ in range(5):
        asked.append(asyncio.ensure_future(judges.judge(ADMIN)))
        await asyncio.sleep(0)
    while not all(one.done() for one in asked):
        assert sum(not answer.done() for answer in answers) <= 1, "two questions about one token are under way"
        for answer in answers[::-1]:
            if not answer.done():
                answer.set_result(None)
        await turns()
    await asyncio.gather(*asked)
    assert not len(judges)


@virtual_time
async def test_a_wait_with_another_users_token_is_judged_each_second() -> None:
    routed = Routed("a")
    routed.gives("a")
    asked = FetchMessages("ann", token="t0", wait_ms=3_000, bearer=ADMIN)
    polling = asyncio.ensure_future(routed.router.fetch_messages(asked))
    target = routed["a"]
    await turns()
    target.asked[0].says(None)
    await turns()
    assert target.asked[1].request == FetchMessages("ann", token="t0", wait_ms=1_000, bearer=ADMIN)
    await asyncio.sleep(1)
    target.asked[1].says(EMPTY)
    await turns()
    target.asked[2].says(None)
    await turns()
    assert target.asked[3].request == FetchMessages("ann", token="t1", wait_ms=1_000, bearer=ADMIN)
    await asyncio.sleep(0.5)
    target.asked[3].says(NEWS)
    await turns()
    target.asked[4].says(TokenRevoked("revoked"))  # what came of the wait is not told
    assert isinstance(await fails(polling), TokenRevoked)


@virtual_time
async def test_a_wait_with_another_users_token_ends_with_its_time() -> None:
    routed = Routed("a")
    routed.gives("a")
    polling = asyncio.ensure_future(
        routed.router.fetch_conversations(FetchConversations("ann", token="t0", wait_ms=1_500, bearer=ADMIN))
    )
    for seconds in (0, 1, 0, 0.5, 0):
        await turns()
        await asyncio.sleep(seconds)
        asked = routed["a"].asked[-1]
        asked.says(None if asked.request == ADMIN else EMPTY)
    assert await polling == EMPTY
    assert elapsed_s() == pytest.approx(1.5)


@virtual_time
async def test_what_is_left_of_a_wait_is_never_no_time_before_it_is_over() -> None:
    """A part of a wait that waits for nothing is asked for again at once, over and over."""
    routed = Routed("a")
    routed.gives("a")
    polling = asyncio.ensure_future(
        routed.router.fetch_conversations(FetchConversations("ann", token="t0", wait_ms=1_000, bearer=ADMIN))
    )
    for seconds in (0, 0.9997, 0):
        await turns()
        await asyncio.sleep(seconds)
        asked = routed["a"].asked[-1]
        asked.says(None if asked.request == ADMIN else EMPTY)
    await turns()
    part = routed["a"].asked[-1].request
    assert isinstance(part, FetchConversations)
    assert part.wait_ms == 1
    polling.cancel()


# ---------------------------------------------------------------------- deliveries, readiness, links


@virtual_time
async def test_a_delivery_goes_to_the_recipients_owner_and_never_back() -> None:
    routed = Routed("a", "own", local="own")
    deliveries = Deliveries(routed.view, routed.targets)
    with pytest.raises(NotTheOwner):
        deliveries.deliver("bob", [])
    routed.gives("own")
    with pytest.raises(NotTheOwner):
        deliveries.deliver("bob", [])
    version = routed.gives("a").version
    delivered = deliveries.deliver("bob", [])
    routed["a"].asked[0].says(2)
    assert await delivered == 2
    wanted: list[int] = []
    routed.view.on_wanted = lambda: wanted.append(1)
    delivered = deliveries.deliver("bob", [])
    routed["a"].asked[1].says(NotTheOwner("given away", map_version=version + 1))
    assert isinstance(await fails(delivered), NotTheOwner)
    await turns()
    assert wanted
    assert deliveries.calls == 2


@virtual_time
async def test_what_is_said_to_two_rows_is_said_to_each_where_it_differs() -> None:
    """... and goes once where it is the same. An id does not tell: of rows that were put back all are told one."""
    routed = Routed("a")
    routed.gives("a")
    deliveries = Deliveries(routed.view, routed.targets)

    def said(standing: Standing) -> Message:
        part = GroupPart(5, 0, (), resumed=Resumed(standing, 0, "member", 5, ()))
        return Message(bytes(16), bytes(16), "", (), "", group=part)

    is_in, is_out = said(Standing.IN), said(Standing.LEFT)
    delivered = [deliveries.deliver(user, [what]) for user, what in (("ann", is_in), ("bob", is_out), ("cid", is_in))]
    await turns()
    assert [asked.request for asked in routed["a"].asked] == [(("ann", "cid"), [is_in]), (("bob",), [is_out])]
    routed["a"].asked[0].says([1, 1])
    routed["a"].asked[1].says([1])
    assert await asyncio.gather(*delivered) == [1, 1, 1]


@virtual_time
async def test_a_server_is_ready_when_it_knows_a_map_and_reaches_an_owner() -> None:
    routed = Routed("a", "b")
    (reason,) = routed.router.unready_reasons()
    assert "not known" in reason
    routed.gives("a")
    await fails(asyncio.wait_for(routed.send("1"), 0.1))
    assert routed.router.unready_reasons() == ()
    routed["a"].is_up = False
    assert routed.router.unready_reasons() == ()
    assert list(routed.router.warnings()) == ["no link to 1 of 2 servers that own mailboxes"]
    routed["b"].is_up = False
    assert list(routed.router.unready_reasons()) == ["no server that owns mailboxes can be reached"]


@virtual_time
async def test_an_owner_is_ready_without_the_others() -> None:
    routed = Routed("a", "own", local="own")
    routed.gives("own")
    await fails(asyncio.wait_for(routed.send("1"), 0.1))
    routed["a"].is_up = False
    assert routed.router.unready_reasons() == ()
    assert "a warning" in routed.router.warnings()
    routed.standing_reasons.append("its lease has lapsed")
    assert list(routed.router.unready_reasons()) == ["its lease has lapsed"]
    routed.standing_reasons.clear()
    routed.gives("a")
    await fails(asyncio.wait_for(routed.send("1"), 0.1))
    assert list(routed.router.unready_reasons()) == ["no server that owns mailboxes can be reached"]


@virtual_time
async def test_shards_without_an_owner_are_a_warning() -> None:
    routed = Routed("a")
    routed.view.show(routed.standing)
    assert "1 of 1 shards have no owner" in routed.router.warnings()


@virtual_time
async def test_what_the_map_lists_no_more_is_closed() -> None:
    routed = Routed("a", "b")
    routed.gives("b")
    await turns()
    left = routed["a"]
    routed.standing = routed.standing.unlisting({"a"})
    routed.gives(None)
    await turns()
    assert left.is_closed
    assert list(routed.targets.remote) == ["b"]
    await routed.targets.close()
    assert routed["b"].is_closed


@virtual_time
async def test_an_older_map_never_replaces_a_newer_one() -> None:
    routed = Routed("a", "b")
    older = routed.gives("a")
    routed.gives("b")
    assert not routed.view.show(older)
    await fails(asyncio.wait_for(routed.send("1"), 0.1))
    assert routed["b"].names == ["1"]
    assert routed["a"].names == []


@virtual_time
async def test_the_samples_say_what_is_known_and_what_was_tried_again() -> None:
    routed = Routed("a")
    routed.gives("a")
    routed["a"].error = LeaseLapsed("lapsed")
    await fails(routed.send("1"))
    samples = {(name, *labels.values()): value for name, _, _, labels, value in routed.router.samples()}
    assert samples["rowbox_router_peers",] == 1
    assert samples["rowbox_router_peers_unreachable",] == 0
    assert samples["rowbox_router_retries_total", "lease"] > 5


@virtual_time
async def test_a_process_that_is_another_incarnation_makes_its_links_anew() -> None:
    """Each has proven the earlier name to its listener, which would take nothing that is handed over under that."""
    routed = Routed("a", "b", local="a")
    routed.gives("b")
    await turns()
    of_the_first_life = routed["b"]
    routed.gives(None)
    await turns()
    closed = [of_the_first_life.is_closed]
    del routed.targets_of["b"]
    routed.own_name = "a-2"
    routed.gives(None)
    await turns()
    closed.append(of_the_first_life.is_closed)
    assert closed == [False, True]
    sending = routed.send("1")
    await turns()
    routed["b"].asked[0].says(sent())
    await sending

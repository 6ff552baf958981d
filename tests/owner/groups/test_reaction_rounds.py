"""Rounds of reactions: what comes together is decided together, and nobody is left without an answer."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from rowbox.cacheserver.delivery.parcels import PARCEL_BYTES, Parcel
from rowbox.cacheserver.groups.reaction_rounds import MOST_WAITING, ROUND_S, ReactionRounds
from rowbox.mailbox.cells import OutboxCell
from rowbox.mailbox.errors import HandoverInProgress, NotAMember, NotTheOwner, Overloaded
from rowbox.mailbox.group import GroupPart
from rowbox.mailbox.groups.message_row import Reacted
from rowbox.mailbox.groups.requests import GroupChanged, MessageReaction, Standpoint
from rowbox.mailbox.message import Message
from rowbox.mailbox.reactions import Reaction
from tests.support.virtual_time import settle, virtual_time

GROUP, ONE, OTHER = bytes(16), bytes(15) + b"\x01", bytes(15) + b"\x02"


def reaction(user: str, message_id: bytes = ONE) -> MessageReaction:
    return MessageReaction(GROUP, Standpoint(user, 1, 1, 1), message_id, "x", 0)


class Row:
    """The group's row: what it was asked together, and when."""

    def __init__(self) -> None:
        self.rounds: list[tuple[float, list[str]]] = []
        self.error: Exception | None = None

    def decide(self, asked: Sequence[MessageReaction]) -> "asyncio.Future[Reacted]":
        loop = asyncio.get_running_loop()
        if self.error is not None:
            raise self.error
        self.rounds.append((loop.time(), [one.by.user_id for one in asked]))
        future: asyncio.Future[Reacted] = loop.create_future()
        refused = NotAMember("you are not in this group any more")
        answers = [refused if one.by.user_id == "mallory" else GroupChanged(5, changed=True) for one in asked]
        loop.call_later(0.1, future.set_result, Reacted(answers))
        return future


@virtual_time
async def test_a_message_has_a_round_a_second() -> None:
    row = Row()
    rounds = ReactionRounds(row.decide)
    users = [f"user-{number}" for number in range(30)]

    async def react(user: str, after_s: float) -> GroupChanged:
        await asyncio.sleep(after_s)
        return await rounds.react(reaction(user))

    answers = await asyncio.gather(*(react(user, number / 10) for number, user in enumerate(users)))
    assert all(answer.changed for answer in answers)
    times = [at for at, _ in row.rounds]
    assert len(times) <= 4
    assert all(later - earlier >= ROUND_S for earlier, later in pairwise(times))
    assert [user for _, asked in row.rounds for user in asked] == users
    await asyncio.sleep(2 * ROUND_S)
    assert len(rounds) == 0


@virtual_time
async def test_each_is_answered_or_refused_by_himself_and_messages_do_not_wait_for_one_another() -> None:
    row = Row()
    rounds = ReactionRounds(row.decide)
    await rounds.react(reaction("ann"))
    asked = [rounds.react(reaction("bob")), rounds.react(reaction("mallory")), rounds.react(reaction("cid", OTHER))]
    bob, mallory, cid = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(mallory, NotAMember)
    assert bob == cid == GroupChanged(5, changed=True)
    assert [users for _, users in row.rounds] == [["ann"], ["cid"], ["bob", "mallory"]]


@virtual_time
async def test_who_has_left_is_not_asked_for() -> None:
    row = Row()
    rounds = ReactionRounds(row.decide)
    await rounds.react(reaction("ann"))
    gone = asyncio.create_task(rounds.react(reaction("bob")))
    await settle(5)
    gone.cancel()
    await asyncio.sleep(2 * ROUND_S)
    assert [users for _, users in row.rounds] == [["ann"]]


@virtual_time
async def test_what_fails_is_told_to_all_who_asked_and_the_next_round_comes() -> None:
    row = Row()
    rounds = ReactionRounds(row.decide)
    await rounds.react(reaction("ann"))
    row.error = NotTheOwner("this server is giving this group away")
    results = await asyncio.gather(rounds.react(reaction("bob")), rounds.react(reaction("cid")), return_exceptions=True)
    assert [type(result) for result in results] == [NotTheOwner, NotTheOwner]
    row.error = None
    assert (await rounds.react(reaction("dan"))).changed


@virtual_time
async def test_so_many_wait_and_the_end_of_the_owner_ends_their_waiting() -> None:
    rounds = ReactionRounds(Row().decide)
    await rounds.react(reaction("ann"))
    waiting = [asyncio.create_task(rounds.react(reaction(f"user-{number}"))) for number in range(MOST_WAITING)]
    await settle(5)
    with pytest.raises(Overloaded):
        await rounds.react(reaction("one too many"))
    rounds.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(result) for result in results} == {HandoverInProgress}
    assert len(rounds) == 0


def test_reactions_count_in_what_is_on_its_way() -> None:
    reactions = tuple(Reaction(f"user-{number}", "x", number) for number in range(500))
    event = Message(ONE, GROUP, "ann", (), "", group=GroupPart(6, 5, ("bob",), reactions=reactions))
    assert Parcel("!g", b"", OutboxCell(OTHER, 1, 6, event)).size_bytes > PARCEL_BYTES + 500 * 50

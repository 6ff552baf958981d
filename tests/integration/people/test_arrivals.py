"""The verdict over blocks, reads and pushes finds each kind of breach, planted in a sound history."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.mailbox.representation import Conversation, Message, Receipts
from tests.integration.people.arrivals import (
    PUSH_S,
    Arrivals,
    Block,
    Deletion,
    Look,
    Pushed,
    Read,
    Sent,
    arrival_breaches,
)

ANN, BOB = "ann", "bob"
"""Ann writes, and Bob blocks her from 2.0 or 2.5 on, until 5.0 or 5.5."""
IDS = ("m1", "m2", "m3", "m4", "m5")


class World:
    """Of m1 to m5 the third came behind the block, and the second and the fourth at either side of it: shown is m2."""

    def __init__(self) -> None:
        times = ((0.0, 1.0), (1.5, 2.2), (3.0, 4.0), (4.5, 5.2), (6.0, 7.0))
        self.told = Arrivals(
            [
                Sent(ANN, BOB, f"text {name}", f"say-{name}", *moments, name)
                for name, moments in zip(IDS, times, strict=True)
            ],
            {(BOB, ANN): [Block(2.0, 2.5, 5.0, 5.5)]},
            {},
            {BOB: [Read(ANN, "m2", 8.0)]},
            {BOB: [look(2.1, "m1"), look(6.0, "m1", "m2")]},
            [Pushed(BOB, "m5", 9.0), Pushed(BOB, "m1", 8.0 + PUSH_S)],
        )
        self.mailboxes = {ANN: [message(name) for name in IDS], BOB: [message(name) for name in ("m1", "m2", "m5")]}
        self.lists = {ANN: [conversation("m2", "m2")], BOB: [conversation("m5", None)]}

    def found(self) -> list[str]:
        return [one.partition(":")[0] for one in arrival_breaches(self.told, self.mailboxes, self.lists)]


def look(asked_s: float, *names: str) -> Look:
    return Look(asked_s, frozenset(names))


def message(name: str) -> Message:
    number = int(name[1:])
    return Message(
        message_id=name,
        conversation_id="c",
        sender_id=ANN,
        participants=(ANN, BOB),
        message_content=f"text {name}",
        sent_timestamp=number,
        last_updated_timestamp=number,
    )


def conversation(delivered: str, read: str | None) -> Conversation:
    return Conversation(
        conversation_id="c",
        participants=(ANN, BOB),
        snippet=None,
        last_updated_timestamp=9,
        last_message_id="m5",
        last_sender_id=ANN,
        last_sent_timestamp=5,
        unread_count=0,
        receipts=Receipts(delivered_up_to=delivered, read_up_to=read),
    )


@pytest.fixture
def world() -> World:
    return World()


def test_a_sound_history_has_no_breach(world: World) -> None:
    assert world.found() == []


@pytest.mark.parametrize("name", ["m2", "m4"])
def test_what_came_while_a_block_was_made_or_ended_may_be_shown_or_not(world: World, name: str) -> None:
    without = [one for one in world.mailboxes[BOB] if one.message_id != name]
    del world.told.looks[BOB][1]
    for shown in (without, [*without, message(name)]):
        world.mailboxes[BOB] = shown
        assert world.found() == []


def shown_behind(world: World) -> None:
    world.mailboxes[BOB].append(message("m3"))


def shown_once(world: World) -> None:
    world.told.looks[BOB].append(look(8.0, "m3"))


def kept_back(world: World) -> None:
    del world.mailboxes[BOB][-1]


def lost(world: World) -> None:
    del world.mailboxes[ANN][2]


def changed(world: World) -> None:
    world.mailboxes[BOB][0] = replace(message("m1"), message_content="another text")


def taken_away(world: World) -> None:
    del world.mailboxes[BOB][1]


def doubled(world: World) -> None:
    world.mailboxes[BOB].append(message("m1"))


def invented(world: World) -> None:
    world.mailboxes[BOB].append(replace(message("m1"), message_id="m6"))


def never_arrived(world: World) -> None:
    world.told.sent[4].arrived_s = float("inf")


def told_as_delivered(world: World) -> None:
    world.lists[ANN] = [conversation("m3", "m2")]


def told_as_read(world: World) -> None:
    world.lists[ANN] = [conversation("m2", "m5")]


def pushed_behind(world: World) -> None:
    world.told.pushed.append(Pushed(BOB, "m3", 4.5))


def pushed_though_read(world: World) -> None:
    world.told.pushed.append(Pushed(BOB, "m2", 8.1 + PUSH_S))


def pushed_to_her(world: World) -> None:
    world.told.pushed.append(Pushed(ANN, "m5", 9.0))


def answered_otherwise(world: World) -> None:
    world.told.wrong_answers.append("say-m1 is m1 and m9")


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (shown_behind, ["shown behind a block"]),
        (shown_once, ["shown once behind a block", "taken away"]),
        (kept_back, ["kept back"]),
        (changed, ["kept back"]),
        (lost, ["lost"]),
        (taken_away, ["taken away"]),
        (doubled, ["doubled"]),
        (invented, ["nobody sent what bob has as m6"]),
        (never_arrived, ["never arrived"]),
        (told_as_delivered, ["told by a receipt"]),
        (told_as_read, ["told by a receipt"]),
        (pushed_behind, ["pushed behind a block"]),
        (pushed_though_read, ["pushed though it was read"]),
        (pushed_to_her, ["pushed to somebody else"]),
        (answered_otherwise, ["say-m1 is m1 and m9"]),
    ],
)
def test_each_breach_is_found(world: World, plant: Callable[[World], Any], found: list[str]) -> None:
    plant(world)
    assert world.found() == found


def test_a_block_that_goes_on_hides_whatever_comes(world: World) -> None:
    world.told.blocks[BOB, ANN] = [Block(2.0, 2.5)]
    assert world.found() == ["shown behind a block", "pushed behind a block"]


def test_of_two_blocks_each_hides(world: World) -> None:
    world.told.blocks[BOB, ANN].append(Block(5.6, 5.7))
    assert world.found() == ["shown behind a block", "pushed behind a block"]


class Deleted(World):
    """Nobody is blocked; the conversation was deleted at some moment between 4.1 and 4.9, and a late try may have come
    until 5.5: so m1, m2 and m3 are gone, m5 is there, and m4 may be.
    """

    def __init__(self) -> None:
        super().__init__()
        self.told.blocks = {}
        self.told.deletions = {(BOB, ANN): [Deletion(4.1, 4.9, 5.5)]}
        self.told.looks[BOB] = [look(3.5, "m1", "m2", "m3"), look(5.0, "m4")]
        self.told.pushed = [Pushed(BOB, "m5", 9.0), Pushed(BOB, "m1", 4.0)]
        self.mailboxes[BOB] = [message("m5")]


def test_of_a_deleted_conversation_there_is_what_came_later_or_meanwhile() -> None:
    deleted = Deleted()
    assert deleted.found() == []
    deleted.mailboxes[BOB].append(message("m4"))
    assert deleted.found() == []


def shown_still(world: World) -> None:
    world.mailboxes[BOB].append(message("m3"))


def shown_behind_it(world: World) -> None:
    world.told.looks[BOB].append(look(5.0, "m1"))


def gone_as_well(world: World) -> None:
    world.mailboxes[BOB] = []
    world.lists[BOB] = []


def listed_for_nothing(world: World) -> None:
    world.told.sent.pop()
    world.told.pushed.clear()
    world.mailboxes = {ANN: world.mailboxes[ANN][:-1], BOB: []}


def pushed_behind_it(world: World) -> None:
    world.told.pushed.append(Pushed(BOB, "m3", 5.0 + PUSH_S))


def never_deleted(world: World) -> None:
    world.told.deletions = {}


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (shown_still, ["shown though it was deleted"]),
        (shown_behind_it, ["shown once though it was deleted"]),
        (gone_as_well, ["kept back"]),
        (listed_for_nothing, ["listed"]),
        (pushed_behind_it, ["pushed though it was deleted"]),
        (never_deleted, ["kept back"] * 4 + ["taken away"] * 4),
    ],
)
def test_each_breach_of_a_deletion_is_found(plant: Callable[[World], Any], found: list[str]) -> None:
    deleted = Deleted()
    plant(deleted)
    assert deleted.found() == found

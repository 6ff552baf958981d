"""The queue of pushes, in virtual time, over services that answer as a test says."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rowbox.cacheserver.push.dispatcher import (
    AT_ONCE,
    AT_ONCE_A_HOST,
    LONGEST_HOST_PAUSE_S,
    LONGEST_S,
    REFUSALS,
    Dispatcher,
    Errand,
    Saying,
)
from rowbox.cacheserver.push.port import Answer, Outcome
from rowbox.mailbox.errors import LeaseLapsed, NotTheOwner, Overloaded
from rowbox.mailbox.push.note import Note, ReadNote
from rowbox.mailbox.push.target import PushTarget
from tests.support.virtual_time import settle, virtual_time

OK, DOWN = Answer(Outcome.OK), Answer(Outcome.LATER)


class World:
    """A dispatcher over scripted services. `says` answers a push to a host, once the `gate` is open."""

    def __init__(self, most: int = 100) -> None:
        self.says: Callable[[str], Answer] = lambda _: OK
        self.takes_s: Callable[[str], float] = lambda _: 0.01
        self.sent: list[str] = []
        """The devices that were told, in order."""
        self.sent_at_s: list[float] = []
        self.under_way: dict[str, int] = {}
        self.most_under_way: dict[str, int] = {}
        self.gate: asyncio.Event | None = None
        self.nothing_for: set[str] = set()
        self.moved: dict[str, str] = {}
        self.fails: list[Exception] = []
        self.said: list[str] = []
        self.gone: list[str] = []
        self.server_key = ""
        self.dispatcher = Dispatcher(
            self,
            self._ask,
            lambda errand, _: self.said.append(errand.device_id),
            lambda errand, _: self.gone.append(errand.device_id),
            most=most,
        )

    def check(self, target: PushTarget) -> None:
        """All are taken."""

    async def send(self, target: PushTarget, note: Note, push_id: str) -> Answer:
        for key in (target.host, ""):
            self.under_way[key] = self.under_way.get(key, 0) + 1
            self.most_under_way[key] = max(self.under_way[key], self.most_under_way.get(key, 0))
        self.sent.append(push_id)
        self.sent_at_s.append(asyncio.get_running_loop().time())
        try:
            await (self.gate.wait() if self.gate is not None else asyncio.sleep(self.takes_s(target.host)))
            return self.says(target.host)
        finally:
            for key in (target.host, ""):
                self.under_way[key] -= 1

    def put(self, device: str, host: str = "push.test") -> None:
        self.moved.setdefault(device, host)
        self.dispatcher.put(Errand("ann", device, b"c"), host)

    def most_of(self, host: str = "") -> int:
        return self.most_under_way.get(host, 0)

    async def _ask(self, errand: Errand) -> Saying | None:
        if self.fails:
            raise self.fails.pop(0)
        device = errand.device_id
        if device in self.nothing_for:
            return None
        return Saying(PushTarget("web", f"https://{self.moved[device]}/", b""), ReadNote("c", 0), device)


def in_a_world(test: Callable[[World], Awaitable[None]]) -> Callable[[], None]:
    """Makes a test of an async function over a World, which is closed in the end, with nothing left of it."""

    @virtual_time
    async def run() -> None:
        world = World()
        try:
            await test(world)
        finally:
            await world.dispatcher.close()
        assert not world.under_way.get("")

    run.__name__ = test.__name__
    return run


@in_a_world
async def test_what_is_put_is_told_once(world: World) -> None:
    for _ in range(3):
        world.put("phone")
    world.put("laptop")
    await asyncio.sleep(1)
    assert world.sent == world.said == ["phone", "laptop"]
    assert world.dispatcher.waiting == 0
    assert not world.dispatcher._hosts


@in_a_world
async def test_what_is_put_while_it_is_told_is_asked_for_again(world: World) -> None:
    world.put("phone")
    await asyncio.sleep(0.005)
    world.put("phone")
    world.put("phone")
    await asyncio.sleep(1)
    assert world.sent == ["phone", "phone"]


@virtual_time
async def test_no_more_go_at_once_than_may() -> None:
    world = World(most=1000)
    world.gate = asyncio.Event()
    for host in range(30):
        for device in range(6):
            world.put(f"{host}.{device}", f"h{host}.test")
    await settle()
    assert world.most_of() == AT_ONCE
    assert {world.most_of(f"h{host}.test") for host in range(30)} <= {0, *range(1, AT_ONCE_A_HOST + 1)}
    world.gate.set()
    await asyncio.sleep(1)
    assert len(world.said) == 180
    assert world.most_of() == AT_ONCE
    await world.dispatcher.close()


@in_a_world
async def test_of_one_host_no_more_go_at_once_than_may(world: World) -> None:
    for device in range(20):
        world.put(str(device))
    await asyncio.sleep(1)
    assert (len(world.said), world.most_of()) == (20, AT_ONCE_A_HOST)
    assert world.sent == [str(device) for device in range(20)], "in the order in which they were put"


@virtual_time
async def test_where_the_queue_is_full_the_oldest_goes() -> None:
    world = World(most=10)
    world.gate = asyncio.Event()
    for device in range(AT_ONCE_A_HOST + 15):
        world.put(str(device))
        await settle(2)
    assert (world.dispatcher.waiting, world.dispatcher.dropped) == (10, 5)
    world.gate.set()
    await asyncio.sleep(1)
    assert world.said == ["0", "1", "2", "3", *(str(device) for device in range(9, 19))]
    await world.dispatcher.close()


@in_a_world
async def test_what_there_is_nothing_to_say_for_is_not_told(world: World) -> None:
    world.nothing_for = {"phone"}
    world.put("phone")
    world.put("laptop")
    await asyncio.sleep(1)
    assert (world.sent, world.dispatcher.moot) == (["laptop"], 1)


@in_a_world
async def test_later_is_when_the_target_says(world: World) -> None:
    answers = [Answer(Outcome.LATER, 7_000), OK]
    world.says = lambda _: answers.pop(0)
    world.put("phone")
    await asyncio.sleep(6.9)
    assert world.sent == ["phone"]
    world.put("phone")  # it waits already
    await asyncio.sleep(0.3)
    assert (world.sent, world.said) == (["phone", "phone"], ["phone"])


@in_a_world
async def test_a_target_that_says_at_once_is_asked_after_pauses_that_grow_all_the_same(world: World) -> None:
    world.says = lambda _: Answer(Outcome.LATER, 1)
    world.put("phone")
    await asyncio.sleep(2 * LONGEST_S)
    assert 10 < len(world.sent) < 30
    assert world.dispatcher.waiting == 0


@in_a_world
async def test_another_port_of_a_host_that_does_not_answer_holds_up_nobody(world: World) -> None:
    """Whoever names a port at which a push service hears nothing has nobody else's pushes wait."""
    world.says = lambda _: DOWN
    for device in range(3):
        world.put(f"silent {device}", "push.test:81")
    await asyncio.sleep(1)
    world.says = lambda _: OK
    world.put("phone", "push.test")
    await asyncio.sleep(0.1)
    assert world.said == ["phone"]


@in_a_world
async def test_a_target_may_have_a_push_wait_for_an_hour_and_no_longer(world: World) -> None:
    world.says = lambda _: Answer(Outcome.LATER, 1 << 40)
    world.put("phone")
    await asyncio.sleep(LONGEST_S + 10)
    assert (world.said, world.dispatcher.waiting, world.dispatcher.dropped) == ([], 0, 1)


@in_a_world
async def test_what_does_not_answer_is_tried_for_an_hour_after_pauses_that_grow(world: World) -> None:
    world.says = lambda _: DOWN
    world.put("phone")
    await asyncio.sleep(2 * LONGEST_S)
    assert (world.dispatcher.waiting, world.dispatcher.dropped) == (0, 1)
    assert 5 < len(world.sent) < 30
    assert world.sent_at_s[-1] < LONGEST_S
    pauses = [later - earlier for earlier, later in zip(world.sent_at_s, world.sent_at_s[1:], strict=False)]
    assert pauses[0] < 5 < max(pauses)
    assert not world.dispatcher._hosts, "nothing is kept of it for ever"


@virtual_time
async def test_hosts_that_do_not_answer_take_no_places_from_others() -> None:
    """Each takes ten seconds to fail; together they could have all places twice."""
    world = World(most=5_000)
    world.says = lambda host: DOWN if host.startswith("dead") else OK
    world.takes_s = lambda host: 10.0 if host.startswith("dead") else 0.01
    hosts = AT_ONCE // 2
    for host in range(hosts):
        for device in range(60):
            world.put(f"d{host}.{device}", f"dead{host}.test")
    await asyncio.sleep(60)
    world.most_under_way.clear()
    tried = len(world.sent)
    for number in range(10):
        world.put(f"phone{number}")
        await asyncio.sleep(0.5)
        assert f"phone{number}" in world.said
        await asyncio.sleep(59.5)
    assert max(world.most_of(f"dead{host}.test") for host in range(hosts)) == 1, "one at a time"
    assert len(world.sent) - tried - 10 < 1.3 * hosts * 600 / (LONGEST_HOST_PAUSE_S + 10), "and a pause behind each"
    await world.dispatcher.close()


@in_a_world
async def test_a_host_that_answers_again_is_told_everything(world: World) -> None:
    world.says = lambda _: DOWN
    for device in range(50):
        world.put(str(device))
    await asyncio.sleep(300)
    assert not world.said
    world.says = lambda _: OK
    await asyncio.sleep(1200)
    assert sorted(world.said, key=int) == [str(device) for device in range(50)]
    assert not world.dispatcher._hosts


@in_a_world
async def test_a_target_that_is_gone_is_told_of_at_once(world: World) -> None:
    world.says = lambda _: Answer(Outcome.GONE)
    world.put("phone")
    await asyncio.sleep(1)
    assert (world.gone, world.sent, world.dispatcher.removed) == (["phone"], ["phone"], 1)


@in_a_world
async def test_a_target_that_refuses_three_times_in_a_row_is_gone(world: World) -> None:
    for refused in (True, True, False, True, True, True):
        assert not world.gone
        world.says = lambda _, refused=refused: Answer(Outcome.REFUSED) if refused else OK  # type: ignore[misc]
        world.put("phone")
        await asyncio.sleep(1)
    assert world.gone == ["phone"]
    assert world.dispatcher.sent[Outcome.REFUSED] == 5 >= REFUSALS


@in_a_world
async def test_what_is_broken_is_given_up_and_said(world: World) -> None:
    world.says = lambda _: Answer(Outcome.BROKEN, reason="status 400")
    world.put("phone")
    await asyncio.sleep(1)
    assert (world.sent, world.dispatcher.waiting, world.dispatcher.sent[Outcome.BROKEN]) == (["phone"], 0, 1)


@in_a_world
async def test_an_error_that_nobody_expected_costs_one_push(world: World) -> None:
    def fails(_: str) -> Answer:
        raise ZeroDivisionError

    world.says = fails
    world.put("phone")
    await asyncio.sleep(1)
    world.says = lambda _: OK
    world.put("phone")
    await asyncio.sleep(1)
    assert (world.said, world.dispatcher.sent[Outcome.BROKEN]) == (["phone"], 1)


@in_a_world
async def test_a_mailbox_that_cannot_be_asked_now_is_asked_later(world: World) -> None:
    world.fails = [Overloaded("full")]
    world.put("phone")
    await asyncio.sleep(0.5)
    assert (world.sent, world.dispatcher.waiting) == ([], 1)
    await asyncio.sleep(5)
    assert world.said == ["phone"]


@in_a_world
async def test_where_the_lease_has_lapsed_it_is_asked_again(world: World) -> None:
    world.fails = [LeaseLapsed("a moment")]
    world.put("phone")
    await asyncio.sleep(5)
    assert world.said == ["phone"]


@in_a_world
async def test_a_mailbox_that_has_another_owner_is_left_to_him(world: World) -> None:
    world.fails = [NotTheOwner("moved")]
    world.put("phone")
    await asyncio.sleep(5)
    assert (world.sent, world.dispatcher.waiting) == ([], 0)


@in_a_world
async def test_a_target_at_another_host_by_now_is_told_there_in_its_turn(world: World) -> None:
    world.moved["phone"] = "new.test"
    world.dispatcher.put(Errand("ann", "phone", b"c"), "old.test")
    await asyncio.sleep(1)
    assert (world.said, world.most_of("old.test"), world.most_of("new.test")) == (["phone"], 0, 1)
    assert not world.dispatcher._hosts


@in_a_world
async def test_users_who_are_given_away_are_forgotten(world: World) -> None:
    world.says = lambda _: Answer(Outcome.LATER, 5_000)
    world.put("phone")
    await asyncio.sleep(1)
    world.dispatcher.forget(lambda user_id: user_id == "bob")
    assert world.dispatcher.waiting == 1
    world.dispatcher.forget(lambda user_id: user_id == "ann")
    await asyncio.sleep(10)
    assert (world.dispatcher.waiting, world.sent) == (0, ["phone"])
    assert not world.dispatcher._hosts


@virtual_time
async def test_who_is_given_away_before_his_turn_holds_up_nobody() -> None:
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, error: errors.append(error))
    world = World()
    world.gate = asyncio.Event()
    for device in range(AT_ONCE):
        world.put(str(device), f"h{device // AT_ONCE_A_HOST}.test")
    world.put("phone", "alone.test")
    world.dispatcher.forget(lambda _: True)
    world.put("laptop", "another.test")
    await settle()
    world.gate.set()
    await asyncio.sleep(1)
    assert (len(world.said), errors) == (AT_ONCE + 1, [])
    assert not world.dispatcher._hosts
    await world.dispatcher.close()


@virtual_time
async def test_after_its_end_nothing_is_told() -> None:
    world = World()
    world.gate = asyncio.Event()
    for device in range(10):
        world.put(str(device))
    await settle()
    await world.dispatcher.close()
    world.put("phone")
    await asyncio.sleep(5)
    assert len(world.sent) == AT_ONCE_A_HOST
    assert not world.said


@in_a_world
async def test_what_is_refused_is_logged_rarely_and_names_no_address(world: World) -> None:
    world.says = lambda _: Answer(Outcome.BROKEN, reason="status 400")
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("rowbox.cacheserver.push.dispatcher.log.warning", lambda text, *args: lines.append(text % args))
        for device in range(50):
            world.put(str(device))
        await asyncio.sleep(2)
    assert lines == ["a push was not taken: push.test (status 400); 1 of these since this was last said"]

"""A user's devices: places, ids that are over, and what a token is refused for."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.account.access_row import AccessRow
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import DEVICES, ChangeKind, LogCell
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.devices import (
    MOST_DEVICES,
    MOST_SIGNED_OUT,
    NO_DEVICES,
    SEEN_EVERY_US,
    UNUSED_US,
    Devices,
    is_device_id,
    refusal_of,
)
from rowbox.mailbox.errors import SignedOut, TokenRevoked, TooManyDevices, UnknownDevice
from rowbox.mailbox.fence import FenceEntry
from rowbox.mailbox.revocation import Bearer, Revocation, end_of_second
from rowbox.mailbox.two_states import IndexCell

DAY_MS = 86_400_000
LIMITS = Limits(30 * DAY_MS, 7 * DAY_MS, 7 * DAY_MS, 64, 1 << 20)
NOW_S = 1_800_000_000
NOW_US = NOW_S * US_PER_S + 250_000
EPOCH = 1 << 24


def mailbox(*, fenced: bool = False) -> Mailbox:
    return Mailbox("ann", LIMITS, epoch=EPOCH, fence=(FenceEntry(EPOCH, 0, 0),) if fenced else ())


def on(device_id: str, issued_at_s: float = NOW_S - 60, *, by_token: bool = False) -> Bearer:
    return Bearer("ann", issued_at_s, b"", device_id, by_token)


def with_devices(*device_ids: str) -> Mailbox:
    ann = mailbox()
    plan = ann.plan(NOW_US)
    for device_id in device_ids:
        AccessRow(plan).register(device_id, "", "")
    ann.apply(plan)
    return ann


def refuses(plan: Plan, bearer: Bearer) -> type[TokenRevoked] | None:
    try:
        plan.admit(bearer)
    except TokenRevoked as error:
        return type(error)
    return None


def listed(of: Mailbox | Plan) -> list[str]:
    return [one.device_id for one in (of.devices or NO_DEVICES).devices]


@pytest.mark.parametrize("text", ["a", "A.b_c:d-9", "x" * 64])
def test_what_a_device_id_is(text: str) -> None:
    assert is_device_id(text)


@pytest.mark.parametrize("text", ["", "x" * 65, "a b", "a\n", "\xe4", "a/b", "a@b"])
def test_what_no_device_id_is(text: str) -> None:
    assert not is_device_id(text)


@pytest.mark.parametrize("fenced", [False, True])
def test_a_registration_is_a_change_that_is_shown_and_the_same_again_is_none(fenced: bool) -> None:
    ann = mailbox(fenced=fenced)
    plan = ann.plan(NOW_US)
    device = AccessRow(plan).register("phone", "Ann's", "ios")
    assert (device.created_us, device.seen_us) == (NOW_US, NOW_US)
    assert plan.log == [LogCell(plan.head, EPOCH, ChangeKind.ACCOUNT, b"", b"")]
    assert not plan.refuses_more
    (cell, entry) = plan.cells()
    assert isinstance(cell, IndexCell)
    assert (cell.kind, cell.current, cell.previous) == (DEVICES.letter, plan.devices, None)
    assert entry is plan.log[0]
    ann.apply(plan)
    again = ann.plan(NOW_US + 9)
    assert AccessRow(again).register("phone", "Ann's", "ios") == device
    assert again.changes_nothing
    renamed = AccessRow(again).register("phone", "Ann's old one", "ios")
    assert (renamed.name, renamed.created_us) == ("Ann's old one", NOW_US)


def test_a_device_that_registers_anew_is_in_use_and_nobody_is_told_of_that_alone() -> None:
    ann = with_devices("phone", "laptop")
    plan = ann.plan(NOW_US + SEEN_EVERY_US - 1)
    assert AccessRow(plan).register("phone", "", "").seen_us == NOW_US
    assert plan.changes_nothing
    later = ann.plan(NOW_US + SEEN_EVERY_US)
    device = AccessRow(later).register("phone", "", "")
    assert (device.created_us, device.seen_us) == (NOW_US, NOW_US + SEEN_EVERY_US)
    assert not later.log
    assert not later.changes_nothing
    assert AccessRow(later).register("phone", "", "web").platform == "web"
    assert [entry.kind for entry in later.log] == [ChangeKind.ACCOUNT]


def test_a_device_that_was_signed_out_is_refused_for_good_with_any_token() -> None:
    ann = with_devices("phone", "laptop")
    plan = ann.plan(NOW_US)
    assert AccessRow(plan).sign_out("phone").device_ids == ("phone",)
    assert plan.refuses_more
    assert refuses(plan, on("phone")) is SignedOut, "also behind it in the same mutation"
    ann.apply(plan)
    later = ann.plan(NOW_US + 9 * US_PER_S)
    for issued_at_s in (0.0, NOW_S, NOW_S + 3600.0):
        assert refuses(later, on("phone", issued_at_s)) is SignedOut
    assert [refuses(later, one) for one in (on("laptop"), on("other"), Bearer("ann", NOW_S), Bearer("bob"))] == [
        None
    ] * 4
    with pytest.raises(SignedOut):
        AccessRow(later).register("phone", "", "")
    assert AccessRow(later).sign_out("phone").device_ids == ()
    assert later.changes_nothing
    with pytest.raises(UnknownDevice):
        AccessRow(later).sign_out("other")
    assert listed(ann) == ["laptop"]


def test_all_but_one_spares_the_tokens_that_name_it_and_no_others() -> None:
    ann = with_devices("phone", "laptop", "tablet")
    plan = ann.plan(NOW_US)
    assert set(AccessRow(plan).sign_out_all(end_of_second(NOW_US), 0, "laptop").device_ids) == {"phone", "tablet"}
    ann.apply(plan)
    later = ann.plan(NOW_US + 9 * US_PER_S)
    assert refuses(later, on("laptop", by_token=True)) is None
    for refused in (on("laptop"), on("tablet", by_token=True), Bearer("ann", NOW_S), Bearer("ann")):
        assert refuses(later, refused) is SignedOut
    assert refuses(later, Bearer("ann", NOW_S + 1)) is None, "whoever signs in again"
    assert refuses(later, on("phone", NOW_S + 1)) is SignedOut, "but not under an id that is over"
    assert listed(ann) == ["laptop"]


def test_what_one_sign_out_refused_the_next_ones_exception_does_not_let_in() -> None:
    ann = with_devices("phone", "laptop")
    first, second = ann.plan(NOW_US), None
    AccessRow(first).sign_out_all(end_of_second(NOW_US), 0, "phone")
    ann.apply(first)
    second = ann.plan(NOW_US + 10 * US_PER_S)
    AccessRow(second).sign_out_all(end_of_second(second.now_us), 0, "laptop")
    ann.apply(second)
    later = ann.plan(NOW_US + 20 * US_PER_S)
    assert refuses(later, on("laptop", NOW_S - 60, by_token=True)) is SignedOut
    assert refuses(later, on("laptop", NOW_S + 5, by_token=True)) is SignedOut, "the id itself is over since the first"
    new = ann.plan(NOW_US)
    revocation = new._mailbox.revocation
    assert revocation is not None
    assert not revocation.refuses(on("laptop", NOW_S + 5, by_token=True), NOW_US)


def test_the_same_exception_twice_is_no_other() -> None:
    once = Revocation(1, 1).extended(100, 0, "phone", is_sign_out=True)
    twice = once.extended(200, 0, "phone", is_sign_out=True)
    assert not twice.refuses(on("phone", 50, by_token=True), 0)
    assert twice.refuses(on("phone", 50), 0)
    assert once.extended(200, 0, "", is_sign_out=False).refuses(on("phone", 50, by_token=True), 0)


def test_an_operators_revocation_says_so_unless_the_user_had_signed_out() -> None:
    revocation = Revocation(1, 1).extended(100, 0, "", is_sign_out=True).extended(200, 0, "", is_sign_out=False)
    assert refusal_of(Bearer("ann", 99), revocation, None, 0) is SignedOut
    assert refusal_of(Bearer("ann", 100), revocation, None, 0) is TokenRevoked
    assert refusal_of(Bearer("ann", 200), revocation, None, 0) is None


def test_there_are_so_many_places_and_the_one_not_used_for_longest_gives_way() -> None:
    ids = [f"d{number}" for number in range(MOST_DEVICES)]
    ann = with_devices(*ids)
    plan = ann.plan(NOW_US + UNUSED_US - 1)
    with pytest.raises(TooManyDevices):
        AccessRow(plan).register("one more", "", "")
    assert plan.changes_nothing
    assert AccessRow(plan).register("d0", "named", "").name == "named"
    later = ann.plan(NOW_US + UNUSED_US)
    AccessRow(later).register("one-more", "", "")
    assert later.refuses_more
    assert listed(later) == [*ids[1:], "one-more"]
    assert refuses(later, on("d0")) is SignedOut


@given(st.lists(st.tuples(st.integers(0, 70), st.booleans()), max_size=200), st.data())
def test_what_was_refused_stays_refused_whatever_is_forgotten(
    done: list[tuple[int, bool]], data: st.DataObject
) -> None:
    """And all of it takes a bounded room."""
    devices: Devices = NO_DEVICES
    signed_out: dict[str, int] = {}
    now_us = NOW_US
    for number, registers in done:
        now_us += data.draw(st.integers(0, 3 * US_PER_S))
        device_id = f"d{number}"
        if registers and not devices.is_signed_out(device_id):
            devices = devices.with_device(device_id, "", "", now_us) or devices
        elif devices.get(device_id) is not None:
            devices = devices.without(device_id, now_us)
            signed_out[device_id] = now_us
    assert len(devices.devices) <= MOST_DEVICES
    assert len(devices.signed_out) <= MOST_SIGNED_OUT
    for device_id, at_us in signed_out.items():
        assert devices.refuses(on(device_id, at_us // US_PER_S))
        assert devices.refuses(on(device_id, 0.0))
    for device in devices.devices:
        assert not devices.refuses(on(device.device_id, device.created_us // US_PER_S + 1))


def test_where_many_were_signed_out_the_first_are_known_by_the_time_of_their_tokens() -> None:
    devices = NO_DEVICES
    for number in range(MOST_SIGNED_OUT + 1):
        at_us = NOW_US + number * US_PER_S
        added = devices.with_device(f"d{number}", "", "", at_us)
        assert added is not None
        devices = added.without(f"d{number}", at_us)
    assert not devices.is_signed_out("d0")
    assert devices.refuses(on("d0", NOW_S))
    assert not devices.refuses(on("d0", NOW_S + 1)), "a token that did not exist when it was signed out"
    assert devices.refuses(on("d1", NOW_S + 3600))
    again = devices.with_device("d0", "", "", NOW_US + 3600 * US_PER_S)
    assert again is not None
    assert again.refuses(on("d0", NOW_S)), "the id is free again, and the old token is not"
    assert not again.refuses(on("d0", NOW_S + 3600))
    assert len(msgspec.msgpack.encode(devices)) < 8_000

"""How a device was used, in memory and in the row: what it has is never said ahead of what it has proven."""

from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.account.access_row import AccessRow
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.devices import NOTED_EVERY_US, UNSEEN_US, DeviceUse
from tests.unit.mailbox.test_devices import NOW_US, mailbox, with_devices

HOUR_US = 3_600_000_000


def begin(ann: Mailbox, device_id: str) -> DeviceUse:
    assert ann.devices is not None
    device = ann.devices.get(device_id)
    assert device is not None
    return ann.device_uses.setdefault(device_id, DeviceUse(device))


def written(ann: Mailbox) -> dict[str, int]:
    assert ann.devices is not None
    return {one.device_id: one.acked for one in ann.devices.devices}


def test_a_note_alone_is_a_change_that_is_not_shown_and_the_same_again_is_none() -> None:
    ann = with_devices("phone", "laptop")
    has = ann.head
    begin(ann, "phone").note(NOW_US + 5, has, ann.newest_shown)
    plan = ann.plan(NOW_US + 9)
    plan.note_device_uses()
    assert not plan.log
    assert not plan.refuses_more
    assert plan.head > has
    ann.apply(plan)
    assert written(ann) == {"phone": has, "laptop": 0}
    begin(ann, "phone").note(NOW_US + 20, ann.head, ann.newest_shown)
    again = ann.plan(NOW_US + 30)
    again.note_device_uses()
    assert again.changes_nothing, "what lies between the two shows nothing"


def test_it_goes_with_another_change_and_has_its_version() -> None:
    ann = with_devices("phone")
    begin(ann, "phone").note(NOW_US, ann.head, ann.newest_shown)
    early = ann.plan(NOW_US + NOTED_EVERY_US - 1)
    AccessRow(early).register("laptop", "", "")
    early.cells()
    ann.apply(early)
    assert written(ann) == {"phone": 0, "laptop": 0}
    later = ann.plan(ann.head + NOTED_EVERY_US)
    AccessRow(later).revoke(1_900_000_000, 0)
    head = later.head
    later.cells()
    assert later.head == head
    assert later.devices is not None
    assert later.devices.version == head
    ann.apply(later)
    assert written(ann)["phone"] > 0


def test_when_it_was_seen_is_worth_a_write_after_an_hour() -> None:
    ann = with_devices("phone")
    use = begin(ann, "phone")
    use.note(NOW_US, ann.head, ann.newest_shown)
    plan = ann.plan(NOW_US)
    plan.note_device_uses()
    ann.apply(plan)
    for later_us, is_news in ((UNSEEN_US - 1, False), (UNSEEN_US, True)):
        use.note(NOW_US + later_us, ann.head, ann.newest_shown)
        assert use.is_news == is_news
    use.note(NOW_US, 0, ann.newest_shown)
    assert use.seen_us == NOW_US + UNSEEN_US, "a clock that was set back"


def test_of_a_device_that_is_signed_out_nothing_is_known() -> None:
    ann = with_devices("phone", "laptop")
    for device_id in ("phone", "laptop"):
        begin(ann, device_id).note(NOW_US, ann.head, ann.newest_shown)
    plan = ann.plan(NOW_US)
    AccessRow(plan).sign_out("phone")
    ann.apply(plan)
    assert list(ann.device_uses) == ["laptop"]


def test_a_row_that_was_put_back_has_no_device_that_is_ahead_of_it() -> None:
    ann = with_devices("phone", "laptop")
    begin(ann, "phone").note(NOW_US, ann.head + 1, ann.newest_shown)
    begin(ann, "laptop").note(NOW_US, ann.head, ann.newest_shown)
    ann.take_device_uses(ann.device_uses)
    assert list(ann.device_uses) == ["laptop"]


def test_where_there_are_no_devices_nothing_is_noted() -> None:
    ann = mailbox()
    plan = ann.plan(NOW_US)
    plan.note_device_uses()
    assert plan.changes_nothing


steps = st.lists(
    st.tuples(st.sampled_from(["shown", "note", "acks", "loaded"]), st.sampled_from(["phone", "laptop"])), max_size=60
)


@given(steps, st.data())
def test_what_is_written_is_what_was_proven_but_for_what_shows_nothing(
    done: list[tuple[str, str]], data: st.DataObject
) -> None:
    """But for versions behind which nothing is shown, which may be missing."""
    ann = with_devices("phone", "laptop")
    proven = {"phone": 0, "laptop": 0}
    shown = [ann.head]
    now_us = NOW_US
    for step, device_id in done:
        now_us += data.draw(st.integers(1, HOUR_US))
        plan = ann.plan(now_us)
        if step == "shown":
            AccessRow(plan).register(device_id, str(now_us), "")
            plan.cells()
            ann.apply(plan)
            shown.append(ann.head)
        elif step == "note":
            plan.note_device_uses()
            if not plan.changes_nothing:
                ann.apply(plan)
            for one, version in proven.items():
                behind = [at for at in shown if written(ann)[one] < at <= version]
                assert not behind, f"{one} has {behind}, and the row does not say so"
        elif step == "acks":
            version = data.draw(st.sampled_from([*shown, ann.head]))
            proven[device_id] = max(proven[device_id], version)
            begin(ann, device_id).note(now_us, version, ann.newest_shown)
        else:
            uses, ann.device_uses = ann.device_uses, {}
            ann.log.clear()
            ann.log_floor = ann.head
            ann.take_device_uses(uses)
        assert all(written(ann)[one] <= proven[one] for one in proven)

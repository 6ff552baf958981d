"""The judge of groups under load is judged: each kind of breach is found, and a sound history has none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from rowbox.api.v1.groups.types import FetchGroupResponse, GroupSettingsShown, MemberShown
from rowbox.mailbox.group import EventType, Role
from rowbox.mailbox.representation import Conversation, Event, Message
from tests.integration.conversations.group_history import GroupHistory, group_breaches

GROUP = "group"


@dataclass
class Told:
    """What was asked of a group, and what its members have of it; a test changes something of that."""

    history: GroupHistory = field(default_factory=lambda: GroupHistory("ann", "g", GROUP))
    log: list[Message] = field(default_factory=list)
    parts: dict[str, list[Message]] = field(default_factory=dict)
    listed: dict[str, Conversation | None] = field(default_factory=dict)
    views: dict[str, FetchGroupResponse | str] = field(default_factory=dict)

    def breaches(self) -> list[str]:
        return group_breaches(self.history, self.parts, self.listed, self.views)

    def text(self, user_id: str, content: str) -> None:
        """A confirmed message."""
        send = self.history.begin_send(user_id, content)
        self.log.append(_message(len(self.log), user_id, content))
        self.history.settle_send(send, self.log[-1].message_id)

    def event(self, type_: EventType, actor: str, users: tuple[str, ...] = (), name: str | None = None) -> None:
        """A confirmed change."""
        deed = self.history.begin_deed(actor, type_, users, role="admin" if type_ == "role" else None, name=name)
        event = Event(type_, actor, users, UNSET if name is None else name)
        self.log.append(replace(_message(len(self.log), actor, ""), kind="system", event=event))
        self.history.settle_deed(deed, self.log[-1].sent_timestamp)


def told() -> Told:
    """Bob is in twice, dan comes later, eve never: the mailboxes are right."""
    made = Told()
    made.event("created", "ann", ("bob", "cid"), "three")
    made.text("bob", "hello")
    made.event("role", "ann", ("cid",))
    made.event("removed", "cid", ("bob",))
    made.text("cid", "without bob")
    made.event("added", "ann", ("bob", "dan"))
    made.text("dan", "for four")
    made.event("renamed", "ann", name="four")
    made.event("left", "cid", ("cid",))
    made.text("bob", "for three")
    of_bob, of_cid, of_dan = [*range(4), *range(5, 10)], range(9), range(5, 10)
    parts: dict[str, Sequence[int]] = {"ann": range(10), "bob": of_bob, "cid": of_cid, "dan": of_dan, "eve": ()}
    made.parts = {user_id: [made.log[at] for at in part] for user_id, part in parts.items()}
    made.listed = {user_id: _listed("member", "in", ("ann", "bob", "dan"), 8) for user_id in ("bob", "dan")}
    made.listed |= {"ann": _listed("owner", "in", ("ann", "bob", "dan"), 8), "eve": None}
    made.listed["cid"] = _listed("admin", "left", ("ann", "bob", "dan"), 8)
    members = (_member("ann", "owner", 0), _member("bob", "member", 5), _member("dan", "member", 5))
    settings = GroupSettingsShown()
    view = FetchGroupResponse(
        conversation_id=GROUP, name="four", settings=settings, owner_id="ann", members=members, version=8
    )
    made.views = {"ann": view, "bob": view, "dan": view, "cid": "not_a_member", "eve": "unknown_conversation"}
    return made


def _message(at: int, sender_id: str, content: str) -> Message:
    return Message(f"message-{at}", GROUP, sender_id, (), content, at, at)


def _member(user_id: str, role: Role, joined: int) -> MemberShown:
    return MemberShown(user_id=user_id, role=role, joined_timestamp=joined)


def _listed(role: Role, membership: Literal["in", "left"], members: tuple[str, ...], version: int) -> Conversation:
    listed = Conversation(GROUP, members, None, 0, "", None, 0, 0)
    shown = {"name": "four", "member_count": len(members), "role": role, "membership": membership}
    return replace(listed, kind="group", group_version=version, **shown)


def test_a_sound_history_has_no_breach() -> None:
    assert told().breaches() == []


def test_an_unsettled_request_is_no_proof() -> None:
    made = told()
    made.history.begin_send("ann", "nobody knows")
    made.history.begin_deed("ann", "removed", ("bob",))
    assert len(made.breaches()) == 2


def test_a_change_of_a_message_is_judged_by_itself_and_its_message_as_it_was_sent() -> None:
    made = told()
    change = made.history.begin_change("bob", "message-1", "hallo")
    assert any("was never answered" in finding for finding in made.breaches())
    made.history.settle_change(change, is_done=True)
    assert any(finding.startswith("lost edit") for finding in made.breaches())
    for user_id in ("ann", "bob"):
        part = made.parts[user_id]
        part[1] = replace(part[1], message_content="hallo", edited_timestamp=9)
    assert made.breaches() == []
    made.parts["bob"][1] = made.log[1]
    assert any(finding.startswith("lost edit: message-1 in bob") for finding in made.breaches())


def _lose(made: Told) -> None:
    del made.parts["bob"][1]


def _show_what_is_not_his(made: Told) -> None:
    made.parts["bob"].insert(4, made.log[4])


def _show_what_came_after_he_left(made: Told) -> None:
    made.parts["cid"].append(made.log[9])


def _show_what_was_before_he_came(made: Told) -> None:
    made.parts["dan"].insert(0, made.log[4])


def _double(made: Told) -> None:
    made.parts["dan"].append(made.parts["dan"][1])


def _misorder(made: Told) -> None:
    made.parts["dan"][:2] = made.parts["dan"][1::-1]


def _change_a_copy(made: Told) -> None:
    made.parts["dan"][1] = replace(made.parts["dan"][1], message_content="else")


def _change_an_event(made: Told) -> None:
    made.parts["bob"][0] = replace(made.parts["bob"][0], event=Event("created", "ann", ("bob",), "three"))


def _give_a_stranger(made: Told) -> None:
    made.parts["eve"] = [made.log[0]]
    made.listed["eve"] = made.listed["bob"]


@pytest.mark.parametrize(
    ("breach", "told_as"),
    [
        (_lose, "missing: bob"),
        (_show_what_is_not_his, "not a member: bob"),
        (_show_what_came_after_he_left, "not a member: cid"),
        (_show_what_was_before_he_came, "not a member: dan"),
        (_double, "doubled: dan"),
        (_misorder, "another order: dan"),
        (_change_a_copy, "changed: dan"),
        (_change_an_event, "changed: bob"),
        (_give_a_stranger, "not a member: eve"),
    ],
    ids=lambda one: one.__name__ if callable(one) else "",
)
def test_a_part_that_is_not_the_log_from_join_to_leaving_is_found(breach: Callable[[Told], None], told_as: str) -> None:
    made = told()
    breach(made)
    assert any(finding.startswith(told_as) for finding in made.breaches())


def _for_all(made: Told, change: Callable[[list[Message]], None]) -> list[str]:
    """What is found where every mailbox has the same wrong log."""
    change(made.log)
    made.parts = {"ann": made.log}
    return made.breaches()


@pytest.mark.parametrize(
    ("change", "told_as"),
    [
        (lambda log: log.pop(6), "lost: g.000002"),
        (lambda log: log.append(log[6]), "doubled: 1 messages"),
        (lambda log: log.append(replace(log[6], message_id="again")), "doubled: g.000002"),
        (lambda log: log.append(_message(10, "bob", "I never said that")), "nobody sent"),
        (lambda log: log.__setitem__(6, replace(log[6], sender_id="bob")), "changed: g.000002"),
        (lambda log: log.__setitem__(6, replace(log[6], message_id="other")), "lost: g.000002"),
        (lambda log: log.insert(3, log.pop(6)), "misordered"),
        (lambda log: log.pop(3), "lost: Deed"),
        (lambda log: log.append(replace(log[3], message_id="m", sent_timestamp=10)), "nobody asked for"),
        (lambda log: log.insert(1, log.pop(3)), "misordered"),
    ],
)
def test_a_log_that_is_not_what_was_answered_is_found(change: Callable[[list[Message]], None], told_as: str) -> None:
    assert any(finding.startswith(told_as) for finding in _for_all(told(), change))


def test_who_was_in_already_is_not_named_by_the_event_that_adds() -> None:
    made = told()
    made.history.deeds[3].users = ("bob", "cid", "dan")
    assert made.breaches() == []
    made.history.deeds[3].users = ("bob",)
    assert any(finding.startswith("lost: Deed") for finding in made.breaches())


def test_an_event_of_another_actor_is_found() -> None:
    found = _for_all(told(), lambda log: log.__setitem__(3, replace(log[3], sender_id="ann")))
    assert any("was sent by another one" in finding for finding in found)


def test_a_refused_message_in_the_log_is_found_unless_a_try_had_no_answer() -> None:
    made = told()
    send = made.history.begin_send("eve", "let me in")
    made.history.settle_send(send, "")
    found = _for_all(made, lambda log: log.append(_message(10, "eve", "let me in")))
    assert any("was refused, and is in the log" in finding for finding in found)
    send.unknown_outcomes = 1
    assert not any("was refused" in finding for finding in made.breaches())


def test_a_retry_that_made_a_second_message_is_found() -> None:
    made = told()
    made.history.settle_send(made.history.sends[0], "message-99")
    assert made.breaches() == ["g.000000 is 'message-1' and 'message-99'"]


@pytest.mark.parametrize(
    ("type_", "refused", "unknown_outcomes", "may_be"),
    [
        ("removed", "not_allowed", 0, False),
        ("removed", "not_allowed", 1, True),
        ("removed", "", 0, True),
        ("left", "not_a_member", 0, True),
        ("left", "unknown_conversation", 0, False),
        ("deleted", "group_deleted", 0, True),
    ],
)
def test_an_event_that_no_answer_tells_of_has_to_be_of_a_try_that_may_have_been_done(
    type_: EventType, refused: str, unknown_outcomes: int, may_be: bool
) -> None:
    made = told()
    deed = made.history.begin_deed("bob", type_, ("bob",))
    made.history.settle_deed(deed, None, refused)
    deed.unknown_outcomes = unknown_outcomes
    event = Event(type_, "bob", ("bob",))
    found = _for_all(made, lambda log: log.append(replace(_message(10, "bob", ""), kind="system", event=event)))
    assert any(finding.startswith("nobody asked for") for finding in found) is not may_be


@pytest.mark.parametrize(
    "change",
    [
        {"name": "three"},
        {"member_count": 4},
        {"participants": ("ann", "bob")},
        {"group_version": 7},
        {"membership": "removed"},
        {"role": "admin"},
    ],
)
def test_a_list_that_shows_another_group_is_found(change: dict[str, object]) -> None:
    made = told()
    listed = made.listed["bob"]
    assert listed is not None
    made.listed["bob"] = replace(listed, **change)
    assert any(finding.startswith("listed: bob") for finding in made.breaches())


def test_a_group_that_is_in_nobodys_list_is_found() -> None:
    made = told()
    made.listed["bob"] = None
    assert any(finding.startswith("listed: bob") for finding in made.breaches())


@pytest.mark.parametrize("user_id", ["ann", "bob", "cid", "eve"])
def test_another_answer_of_fetch_group_is_found(user_id: str) -> None:
    made = told()
    view, code = made.views["dan"], "group_deleted"
    assert isinstance(view, FetchGroupResponse)
    made.views[user_id] = replace(view, members=view.members[1:]) if user_id == "ann" else code
    assert any(finding.startswith(f"fetchGroup: {user_id}") for finding in made.breaches())


def gives_earlier() -> Told:
    """The same group, where who joins is given what was written before."""
    made = told()
    made.history.gives_earlier = True
    made.parts |= {user_id: list(made.log) for user_id in ("bob", "dan")}
    return made


def test_who_joined_has_what_was_written_before_where_the_group_says_so() -> None:
    assert gives_earlier().breaches() == []


def test_who_joined_and_lacks_what_was_written_before_is_found() -> None:
    made = gives_earlier()
    made.parts["bob"].pop(4)
    (breach,) = made.breaches()
    assert breach == "missing: bob was in, and is without message-4"


def test_who_was_given_more_than_the_group_gives_is_found() -> None:
    made = gives_earlier()
    made.history.gives_earlier = False
    assert "not a member: bob has message-4, and was not in" in made.breaches()

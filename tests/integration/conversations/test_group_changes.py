"""The judge of changed messages of groups is judged: each kind of breach is found, and sound copies have none."""

from collections import defaultdict
from math import inf

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from rowbox.mailbox.reactions import Reaction, tallies_of
from rowbox.mailbox.representation import Event, Message
from rowbox.mailbox.representation import Reaction as Shown
from tests.integration.conversations.group_changes import message_breaches
from tests.integration.conversations.group_history import GroupHistory
from tests.integration.conversations.group_log import stays_of

GROUP = "group"


class Group:
    """A group whose members' copies are right; a test changes something of that."""

    def __init__(self) -> None:
        self.history = GroupHistory("ann", "g", GROUP)
        self.parts: dict[str, list[Message]] = defaultdict(list)
        self.version = 0
        self.ended = inf
        self._in: list[str] = []
        self._reactions: dict[str, tuple[Reaction, ...]] = defaultdict(tuple)

    def breaches(self) -> list[str]:
        stays = stays_of(self.parts["ann"], self.history.leaving_at)
        return list(message_breaches(self.history.changes, self.parts, "ann", stays, self.ended))

    def copy(self, user_id: str, text: str) -> Message:
        return next(one for one in self.parts[user_id] if one.message_id == f"m {text}")

    def put(self, user_id: str, text: str, **change: object) -> None:
        """Changes a copy, where there is one: who came in behind the message has none."""
        part = self.parts[user_id]
        part[:] = [replace(one, **change) if one.message_id == f"m {text}" else one for one in part]

    def event(self, type_: str, *users: str, is_answered: bool = True) -> None:
        deed = self.history.begin_deed("ann", type_, users)  # type: ignore[arg-type]
        self._in += [one for one in users if type_ in {"created", "added"}]
        self._in += ["ann"] if type_ == "created" else []
        self._append("ann", "", Event(type_, "ann", users))  # type: ignore[arg-type]
        self._in = [one for one in self._in if type_ not in {"removed", "left"} or one not in users]
        self.history.settle_deed(deed, self.version if is_answered else None)

    def send(self, text: str) -> None:
        """Of Bob."""
        send = self.history.begin_send("bob", text)
        self._append("bob", text)
        self.history.settle_send(send, f"m {text}")

    def edit(self, text: str, to: str) -> None:
        change = self.history.begin_change("bob", f"m {text}", to)
        self.version += 1
        self._put_for_all(text, message_content=to, edited_timestamp=self.version)
        self.history.settle_change(change, is_done=True)

    def unsend(self, text: str, user_id: str = "bob") -> None:
        change = self.history.begin_change(user_id, f"m {text}", None)
        self._put_for_all(text, message_content="", edited_timestamp=UNSET, unsent=True, reactions=UNSET)
        self.history.settle_change(change, is_done=True)

    def react(self, user_id: str, text: str, emoji: str) -> None:
        change = self.history.begin_reaction(user_id, self.copy(user_id, text), emoji)
        self.version += 1
        others = tuple(one for one in self._reactions[text] if one.user_id != user_id)
        self._reactions[text] = (*others, Reaction(user_id, emoji, self.version))
        for member in self._in:
            tallies = tallies_of(self._reactions[text], member)
            shown = tuple(Shown(one.emoji, one.count, one.users, one.is_mine) for one in tallies)
            self.put(member, text, reactions=shown or UNSET)
        self.history.settle_change(change, is_done=True)

    def _append(self, sender_id: str, text: str, event: Event | None = None) -> None:
        self.version += 1
        name = f"m {text}" if event is None else f"event {self.version}"
        message = Message(name, GROUP, sender_id, (), text, self.version, self.version)
        for member in self._in:
            self.parts[member].append(message if event is None else replace(message, kind="system", event=event))

    def _put_for_all(self, text: str, **change: object) -> None:
        for member in self._in:
            self.put(member, text, **change)


def told() -> Group:
    """Cid is removed in the middle, dan leaves before that and comes back, eve comes last. The others are always in."""
    made = Group()
    made.event("created", "bob", "cid", "dan")
    for text in ("plain", "edited", "unsent", "reacted", "late edit", "late unsend", "late reaction"):
        made.send(text)
    made.edit("edited", "better")
    made.event("left", "dan")
    made.edit("edited", "best")
    made.unsend("unsent")
    made.react("ann", "reacted", "👍")
    made.react("cid", "reacted", "😂")
    made.event("removed", "cid")
    made.edit("late edit", "later")
    made.unsend("late unsend", "ann")
    made.react("bob", "late reaction", "👍")
    made.event("added", "dan", "eve")
    made.react("dan", "late reaction", "👍")
    made.send("for eve")
    made.react("eve", "for eve", "❤️")
    made.event("renamed")
    return made


def test_sound_copies_have_no_breach() -> None:
    made = told()
    assert made.breaches() == []
    texts = [made.copy(user_id, "edited").message_content for user_id in ("ann", "cid", "dan")]
    assert texts == ["best", "best", "better"]


def test_those_who_are_in_when_the_group_ends_have_the_same() -> None:
    made = told()
    made.event("deleted")
    made.ended = made.version
    assert made.breaches() == []
    made.put("bob", "edited", message_content="better")
    assert any(finding.startswith("unequal") for finding in made.breaches())


LAUGHING = Shown("😂", 1, ("cid",), True)
FOR_ALL = ("ann", "bob", "cid", "dan", "eve")


@pytest.mark.parametrize(
    ("users", "text", "change", "told_as"),
    [
        (FOR_ALL, "edited", {"message_content": "better"}, "lost edit"),
        (FOR_ALL, "plain", {"message_content": "I never said that"}, "no finding"),
        (FOR_ALL, "edited", {"edited_timestamp": UNSET}, "edited"),
        (FOR_ALL, "plain", {"unsent": True, "message_content": ""}, "nobody took back"),
        (FOR_ALL, "unsent", {"unsent": UNSET, "message_content": "unsent"}, "came back"),
        (FOR_ALL, "unsent", {"message_content": "unsent"}, "came back"),
        (FOR_ALL, "reacted", {"reactions": UNSET}, "lost reaction"),
        (FOR_ALL, "plain", {"reactions": (Shown("👍", 1, ("bob",), False),)}, "lost reaction"),
        (("bob",), "edited", {"message_content": "better"}, "unequal"),
        (("bob",), "late edit", {"edited_timestamp": 1}, "unequal"),
        (("bob",), "late unsend", {"unsent": UNSET, "message_content": "late unsend"}, "unequal"),
        (("bob",), "reacted", {"reactions": UNSET}, "unequal"),
        (("bob",), "late reaction", {"reactions": (Shown("👍", 2, ("bob", "dan"), False),)}, "unequal"),
        (("cid",), "edited", {"message_content": "better", "edited_timestamp": 9}, "lost edit"),
        (("cid",), "late edit", {"message_content": "later", "edited_timestamp": 19}, "not his to see"),
        (("cid",), "unsent", {"unsent": UNSET, "message_content": "unsent"}, "came back"),
        (("cid",), "late unsend", {"unsent": True, "message_content": ""}, "nobody took back"),
        (("cid",), "reacted", {"reactions": (Shown("👍", 1, ("ann",), False),)}, "lost reaction"),
        (("cid",), "late reaction", {"reactions": (Shown("👍", 1, ("bob",), False),)}, "lost reaction"),
        (("cid",), "reacted", {"reactions": (Shown("👍", 1, ("ann",), True), LAUGHING)}, "miscounted"),
        (("dan",), "edited", {"message_content": "edited", "edited_timestamp": UNSET}, "no finding"),
        (("dan",), "edited", {"message_content": "best", "edited_timestamp": 11}, "not his to see"),
        (("dan",), "plain", {"unsent": True, "message_content": ""}, "nobody took back"),
        (("eve",), "for eve", {"reactions": UNSET}, "unequal"),
    ],
)  # fmt: skip
def test_a_copy_that_is_not_what_was_answered_is_found(
    users: tuple[str, ...], text: str, change: dict[str, object], told_as: str
) -> None:
    """Of a text that nobody asked to be changed another judge says that nobody sent it."""
    made = told()
    for user_id in users:
        if any(one.message_id == f"m {text}" for one in made.parts[user_id]):
            made.put(user_id, text, **change)
    found = made.breaches()
    assert any(finding.startswith(told_as) for finding in found or ["no finding"]), found


@pytest.mark.parametrize("may_be", [True, False])
def test_what_was_refused_may_stand_only_if_a_try_had_no_answer(may_be: bool) -> None:
    made = told()
    change = made.history.begin_change("bob", "m plain", "refused")
    made.history.settle_change(change, is_done=False)
    change.unknown_outcomes = int(may_be)
    for user_id in ("ann", "bob", "dan"):
        made.put(user_id, "plain", message_content="refused", edited_timestamp=99)
    assert any("lost edit" in finding for finding in made.breaches()) is not may_be


def test_of_a_leaving_that_no_answer_tells_of_it_is_not_known_what_was_before_it() -> None:
    made = told()
    for deed in made.history.deeds:
        deed.version = None
    assert made.breaches() == []
    made.put("cid", "late unsend", unsent=True, message_content="")
    assert made.breaches() == []


def test_of_more_than_five_who_react_with_one_emoji_five_are_named() -> None:
    made = Group()
    readers = [f"user-{number}" for number in range(8)]
    made.event("created", "bob", *readers)
    made.send("popular")
    for user_id in readers:
        made.react(user_id, "popular", "👍")
    assert made.breaches() == []
    (shown,) = made.copy("ann", "popular").reactions or ()
    assert (shown.count, len(shown.users)) == (8, 5)
    for wrong in (replace(shown, count=7), replace(shown, users=shown.users[:4]), replace(shown, count=9)):
        for user_id in ("ann", "bob"):
            made.put(user_id, "popular", reactions=(wrong,))
        assert any(finding.startswith(("lost reaction", "miscounted")) for finding in made.breaches())

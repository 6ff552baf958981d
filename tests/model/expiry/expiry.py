"""Two users of a conversation who set its ttl at once, send and edit, while what they tell each other is under way.

What is searched is what ships: rows are columns of the store, each mutation is a `Plan`, and what is read of a row is
read by a `View`. The model adds what happens between the two rows, and time:

- what one row has to tell the other comes late, twice, in any order, and also after its end
- an hour passes, once: then whatever was sent under a ttl of an hour has ended, and may be removed, or come first
- Bob's clock is two minutes ahead of Ann's, which is more than her clock follows

Takeovers and writes that are late have searches of their own (tests/model/rows): a ttl is one more state in the index.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from rowbox.cacheserver.rows.view import View, current
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.aggregate.changes import NewChange
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.needs import CopyNeed, DedupeNeed, Fact, HeldMessages, MessageNeed
from rowbox.mailbox.aggregate.plan import NewSend, Plan, Sent
from rowbox.mailbox.cells import TTL, MessageCell
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.expiry.ttl import MIN_TTL_MS, Ttl, has_expired
from rowbox.mailbox.ids import client_id_hash, direct_conversation_id, payload_hash
from rowbox.mailbox.message import Message
from rowbox.mailbox.ttls.ttl_row import NewTtl, set_ttl, take_ttl
from tests.model.changes.rows import (
    NOW_US,
    Row,
    first_fence,
    index_of,
    mailbox_of,
    stored,
    superseded,
    without,
    written,
)

ANN, BOB = "ann", "bob"
BOTH = (ANN, BOB)
CONVERSATION_ID = direct_conversation_id(*BOTH)
AHEAD_US = {ANN: 0, BOB: 120 * US_PER_S}
HOUR_US = 3_600 * US_PER_S
AFTER_US = NOW_US + HOUR_US + 600 * US_PER_S
"""When all that was sent under a ttl of an hour has ended, by either clock."""
DAY_MS = 24 * MIN_TTL_MS


class Sets(NamedTuple):
    """A user sets the ttl."""

    user_id: str
    ttl_ms: int


class Says(NamedTuple):
    """A user sends a message."""

    user_id: str
    text: str


class Edits(NamedTuple):
    """A user edits the message that he sent last."""

    user_id: str


Deed = Sets | Says | Edits
AT_ONCE: tuple[Deed, ...] = (Sets(ANN, MIN_TTL_MS), Sets(BOB, DAY_MS), Says(ANN, "a"), Says(BOB, "b"))
EDITED: tuple[Deed, ...] = (Sets(ANN, MIN_TTL_MS), Says(ANN, "a"), Edits(ANN), Says(BOB, "b"))


class State(NamedTuple):
    ann: Row
    bob: Row
    left: tuple[Deed, ...]
    told: frozenset[Message] = frozenset()
    """What was told: each may come at any time, and again."""
    ends: frozenset[tuple[bytes, int]] = frozenset()
    """Of each message that was sent when it ends; 0: never."""
    over: frozenset[bytes] = frozenset()
    """The ids of settings that somebody saw and set another one in place of."""
    is_later: bool = False
    wrong: str | None = None


class Expiry:
    """The model. `deeds` are done in any order, but those of one user to one message in theirs."""

    def __init__(self, deeds: tuple[Deed, ...]) -> None:
        self._deeds = deeds

    def initial(self) -> State:
        """Both have the conversation: Ann has said something, for ever."""
        ann, bob = stored([first_fence()]), stored([first_fence()])
        plan = _mailbox(ann, ANN).plan(NOW_US)
        said = _send(plan, "first")
        ann = _after(ann, plan)
        to_bob = _mailbox(bob, BOB).plan(NOW_US + AHEAD_US[BOB])
        to_bob.deliver(said)
        return State(ann, _after(bob, to_bob), self._deeds)

    def successors(self, state: State) -> Iterable[tuple[str, State]]:
        for deed in dict.fromkeys(state.left):
            if not isinstance(deed, Edits) or not any(
                isinstance(one, Says) and one[0] == deed[0] for one in state.left
            ):
                yield f"{deed}", _done(state, deed)
        for message in sorted(state.told, key=lambda one: (one.message_id, one.content)):
            yield f"{_other(message.sender_id)} is told: {_name(message)}", _taken(state, message)
        if not state.is_later:
            yield "an hour passes", state._replace(is_later=True)
        else:
            yield from _removals(state)

    def violation(self, state: State) -> str | None:
        if state.wrong is not None:
            return state.wrong
        ends = dict(state.ends)
        for user_id in BOTH:
            for cell in _shown(state, user_id):
                if cell.expires_us != ends[cell.message_id]:
                    return f"{user_id} has {cell.content!r} until {cell.expires_us}, it was sent to end otherwise"
                if has_expired(cell.expires_us, _now_us(state, user_id)):
                    return f"{user_id} is shown {cell.content!r}, which has ended"
        if state.left or any(_is_news(state, message) for message in state.told):
            return None
        ann, bob = _ttl(state.ann, ANN), _ttl(state.bob, BOB)
        if ann != bob:
            return f"all is told: in Ann's row messages last {ann}, in Bob's {bob}"
        if ann[1] in state.over:
            return "all is told: a setting is in force that somebody saw and set another one in place of"
        shown = [{cell.message_id: cell.content for cell in _shown(state, user_id)} for user_id in BOTH]
        return None if shown[0] == shown[1] else f"all is told: Ann is shown {shown[0]}, Bob {shown[1]}"


def _done(state: State, deed: Deed) -> State:
    user_id = deed.user_id
    row = _row(state, user_id)
    plan = _mailbox(row, user_id).plan(_now_us(state, user_id))
    ends = state.ends
    over = state.over
    if isinstance(deed, Sets):
        over |= {_ttl(row, user_id)[1]} - {b""}
        set_ttl(plan, NewTtl(CONVERSATION_ID, deed.ttl_ms, BOTH.index(user_id)))
    elif isinstance(deed, Says):
        known = _ttl(row, user_id)
        said = _send(plan, deed.text)
        ends |= {(said.message_id, said.sent_us + known[0] * 1000 if known[0] else 0)}
    else:
        own = [cell for cell in _shown(state, user_id) if cell.client_message_id == f"{user_id} a"]
        if not own:  # it has ended
            return _without(state, deed)
        need = MessageNeed(CONVERSATION_ID, own[0].message_id)
        new = NewChange(CONVERSATION_ID, own[0].message_id, "edited", 10 * HOUR_US, 5)
        plan.change(new, Fact(need, plan.head, HeldMessages((own[0],))))
    told = state.told | {cell.message for cell in plan.outbox}
    after = _with_row(_without(state, deed), user_id, _after(row, plan))._replace(told=told, ends=ends, over=over)
    if isinstance(deed, Sets) and _ttl(_row(after, user_id), user_id)[0] != deed.ttl_ms:
        return after._replace(wrong=f"{user_id} has set a ttl of {deed.ttl_ms}, and it is none")
    return after


def _taken(state: State, message: Message) -> State:
    user_id = _other(message.sender_id)
    row = _row(state, user_id)
    return _with_row(state, user_id, _after(row, _plan_of(state, message, row, user_id)))


def _plan_of(state: State, message: Message, row: Row, user_id: str) -> Plan:
    """The plan of a row that is told something, as a DeliverCommand makes it."""
    plan = _mailbox(row, user_id).plan(_now_us(state, user_id))
    if message.ttl_ms is not None:
        take_ttl(plan, message)
        return plan
    held = next((cell for cell in _shown(state, user_id) if cell.message_id == message.message_id), None)
    need = plan.deliver(message)
    if isinstance(need, CopyNeed):
        plan.deliver(message, Fact(need, plan.head, held is not None))
    elif isinstance(need, MessageNeed):
        plan.deliver(message, Fact(need, plan.head, HeldMessages((held,))))
    return plan


def _is_news(state: State, message: Message) -> bool:
    user_id = _other(message.sender_id)
    return not _plan_of(state, message, _row(state, user_id), user_id).changes_nothing


def _removals(state: State) -> Iterator[tuple[str, State]]:
    """Cells of what has ended, which may be removed (rows/disappeared.py)."""
    for user_id in BOTH:
        row = _row(state, user_id)
        ended = [cell for cell in row if cell[0] is Family.MESSAGES and has_expired(_ends(cell[1]), AFTER_US)]
        for cell in sorted(ended):
            yield f"{user_id}: a cell is removed", _with_row(state, user_id, without(row, frozenset([cell])))


def _ends(qualifier: bytes) -> int:
    return keys.message_stamp(qualifier)[3]


def _send(plan: Plan, text: str) -> Message:
    user_id = plan.user_id
    client_id = f"{user_id} {text}"
    hashes = client_id_hash(client_id), payload_hash(CONVERSATION_ID, text)
    new = NewSend(user_id, CONVERSATION_ID, BOTH, text, client_id, *hashes, len(text))
    sent = plan.send(new, Fact(DedupeNeed(new.client_id_hash), plan.head, None))
    assert isinstance(sent, Sent)
    assert sent.message is not None
    return sent.message


def _after(row: Row, plan: Plan) -> Row:
    cells = frozenset(cell for cell in stored(plan.cells()) if cell[0] in (Family.INDEX, Family.MESSAGES))
    return without(written(row, cells), superseded(plan))


@lru_cache(maxsize=1 << 12)
def _decoded(qualifier: bytes, value: bytes) -> MessageCell:
    return codec.decode_message(qualifier, value)


def _mailbox(row: Row, user_id: str) -> Mailbox:
    return _loaded(index_of(row), user_id)


@lru_cache(maxsize=1 << 14)
def _loaded(index: Row, user_id: str) -> Mailbox:
    """A plan that is not applied leaves it as it is."""
    return mailbox_of(0, index, user_id)


def _shown(state: State, user_id: str) -> list[MessageCell]:
    """What a user is shown now, but for what was there from the beginning."""
    row = _row(state, user_id)
    view = View(keys.row_key(user_id, 64), _mailbox(row, user_id), _now_us(state, user_id))
    by_id: dict[bytes, list[MessageCell]] = {}
    for family, qualifier, value in row:
        if family is Family.MESSAGES:
            cell = _decoded(qualifier, value)
            by_id.setdefault(cell.message_id, []).append(cell)
    known = {message_id for message_id, _ in state.ends}
    newest = [current(view, cells) for message_id, cells in sorted(by_id.items()) if message_id in known]
    return [cell for cell in newest if cell is not None]


def _ttl(row: Row, user_id: str) -> tuple[int, bytes]:
    known = _mailbox(row, user_id).state(TTL, CONVERSATION_ID) or Ttl(0, 0, 0)
    return known.ttl_ms, known.set_by


def _now_us(state: State, user_id: str) -> int:
    return (AFTER_US if state.is_later else NOW_US) + AHEAD_US[user_id]


def _row(state: State, user_id: str) -> Row:
    return state.ann if user_id == ANN else state.bob


def _with_row(state: State, user_id: str, row: Row) -> State:
    return state._replace(ann=row) if user_id == ANN else state._replace(bob=row)


def _without(state: State, deed: Deed) -> State:
    left = list(state.left)
    left.remove(deed)
    return state._replace(left=tuple(left))


def _other(user_id: str) -> str:
    return BOB if user_id == ANN else ANN


def _name(message: Message) -> str:
    return f"{message.ttl_ms} ms" if message.ttl_ms is not None else message.content

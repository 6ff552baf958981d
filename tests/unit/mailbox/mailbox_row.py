"""A row's cells, made by the core itself and then open to be broken."""

from collections.abc import Callable
from itertools import groupby
from typing import Any, NamedTuple

from msgspec.structs import replace

from rowbox.mailbox.account import blocks
from rowbox.mailbox.account.access_row import AccessRow
from rowbox.mailbox.account.account_row import AccountRow
from rowbox.mailbox.account.deeds import AccountDeed
from rowbox.mailbox.aggregate.changes import NewChange, NewReaction
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.needs import Fact, HeldMessages, MessageNeed
from rowbox.mailbox.aggregate.plan import NewSend, Plan
from rowbox.mailbox.cells import (
    BLOCK,
    CONTACT,
    CONVERSATION,
    OWN,
    PROFILE,
    RECEIPTS,
    TTL,
    Cell,
    ChangeKind,
    DedupeCell,
    FenceCell,
    LogCell,
    MessageCell,
    OutboxCell,
)
from rowbox.mailbox.check.findings import Finding
from rowbox.mailbox.check.horizon import Horizon, Lives
from rowbox.mailbox.check.invariants import RowCheck, RowFrame
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.fence import Fence, FenceEntry
from rowbox.mailbox.ids import client_id_hash, direct_conversation_id, message_id, payload_hash
from rowbox.mailbox.message import Change, Message
from rowbox.mailbox.reactions import Reaction
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.revocation import end_of_second
from rowbox.mailbox.ttls.ttl_row import NewTtl, set_ttl
from rowbox.mailbox.two_states import IndexCell, UnknownIndexCell

BIRTH_US = 1_800_000_000_000_000
SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
LIVES = Lives(messages_ms=30 * 86_400_000, log_ms=8 * 86_400_000, dedupe_ms=7 * 86_400_000)
OLD_EPOCH, EPOCH = 1 << 24, 2 << 24
WITH_BOB = direct_conversation_id("alice", "bob")
WITH_CAROL = direct_conversation_id("alice", "carol")
_LIMITS = Limits(LIVES.messages_ms, LIVES.dedupe_ms, 7 * 86_400_000, 64, 1 << 20)


class Ids(NamedTuple):
    """The messages of the row, in the order in which they came."""

    from_carol: bytes
    to_carol: bytes
    again_to_carol: bytes
    to_bob: bytes
    from_bob: bytes
    again_from_bob: bytes


class AliceRow:
    """Alice's row. Carol wrote and was answered twice; Bob was written to and answered twice, of which she read one."""

    def __init__(self, *, fenced: bool) -> None:
        self.fenced = fenced
        self.now_us = BIRTH_US
        self.fence: Fence = (FenceEntry(EPOCH, 0, 0),) if fenced else ()
        self.fences = [FenceCell(EPOCH, self.fence)] if fenced else []
        self.states: list[IndexCell[Any]] = []
        self.dedupe: list[DedupeCell] = []
        self.outbox: list[OutboxCell] = []
        self.unknown: list[UnknownIndexCell] = []
        self.messages: list[MessageCell] = []
        self.log: list[LogCell] = []
        self._mailbox = Mailbox("alice", _LIMITS, epoch=EPOCH, fence=self.fence)
        self.ids = Ids(
            from_carol=self.deliver("carol", "hello"),
            to_carol=self.send("carol", "hello back", "c1"),
            again_to_carol=self.send("carol", "how are you?", "c2"),
            to_bob=self.send("bob", "are you there?", "b1"),
            from_bob=self.deliver("bob", "yes"),
            again_from_bob=self.deliver("bob", "x" * 200),
        )
        self.mark_read(WITH_BOB, self.ids.from_bob)

    # The core writes

    def send(self, recipient: str, content: str, client_message_id: str) -> bytes:
        conversation_id = direct_conversation_id("alice", recipient)
        payload = payload_hash(conversation_id, content)
        hashed = client_id_hash(client_message_id)
        plan = self._plan()
        sent = plan.send(
            NewSend("alice", conversation_id, ("alice", recipient), content, client_message_id, hashed, payload, 7)
        )
        self._commit(plan)
        return sent.record.message_id  # type: ignore[union-attr]

    def deliver(self, sender: str, content: str, expires_us: int = 0) -> bytes:
        conversation_id = direct_conversation_id("alice", sender)
        message = Message(
            message_id(self.now_us + SECOND_US // 2, 7),
            conversation_id,
            sender,
            (sender, "alice"),
            content,
            expires_us=expires_us,
        )
        plan = self._plan()
        blocks.deliver(plan, message)
        self._commit(plan)
        return message.message_id

    def change(self, message: bytes, content: str | None) -> None:
        """Alice edits one of her messages, or takes it back. The cell before stays."""
        held = self.message(message)
        new = NewChange(held.conversation_id, message, content, window_us=DAY_US, entropy=9)
        plan = self._plan()
        need = MessageNeed(held.conversation_id, message)
        plan.change(new._replace(holders=() if self.fenced else ("other",)), self._fact(plan, need, held))
        self._commit(plan)

    def take_change(self, message: bytes, content: str) -> None:
        """Whoever wrote a message to Alice has edited it."""
        held = self.message(message)
        plan = self._plan()
        told = message, held.conversation_id, held.sender_id, (held.sender_id, "alice"), content
        plan.take_change(Message(*told, Change(self.now_us - 1)), held)
        self._commit(plan)

    def react(self, message: bytes, emoji: str) -> None:
        """Alice reacts to a message."""
        held = self.message(message)
        new = NewReaction(held.conversation_id, message, emoji, window_us=DAY_US, entropy=11)
        plan = self._plan()
        need = MessageNeed(held.conversation_id, message)
        plan.react(new._replace(holders=() if self.fenced else ("other",)), self._fact(plan, need, held))
        self._commit(plan)

    def take_reaction(self, message: bytes, user_id: str, emoji: str) -> None:
        """Whoever Alice talks to has reacted to a message."""
        held = self.message(message)
        plan = self._plan()
        told = message, held.conversation_id, user_id, (user_id, "alice"), "", None
        plan.take_change(Message(*told, Reaction(user_id, emoji, self.now_us - 1)), held)
        self._commit(plan)

    def _fact(self, plan: Plan, need: MessageNeed, held: MessageCell) -> Fact:
        if self.fenced:
            return Fact(need, plan.head, HeldMessages((held,)))
        return Fact(need._replace(holders=("other",)), plan.head, HeldMessages((held, None)))

    def mark_read(self, conversation_id: bytes, up_to: bytes) -> None:
        plan = self._plan()
        plan.mark_read(conversation_id, up_to)
        self._commit(plan)

    def take_receipt(self, message: bytes, *, is_read: bool) -> None:
        """Bob has one of Alice's messages, or has read it."""
        plan = self._plan()
        plan.take_receipt(Receipt(WITH_BOB, "bob", message, message if is_read else b"", self.now_us))
        self._commit(plan)

    def note_told(self, conversation_id: bytes, read: bytes) -> None:
        """Alice's row notes that the other one's knows what she has read."""
        plan = self._plan()
        plan.note_told({conversation_id: read})
        self._commit(plan)

    def do(self, deed: AccountDeed) -> None:
        plan = self._plan()
        AccountRow(plan).do(deed)
        self._commit(plan)

    def change_profile(self, **fields: Any) -> None:
        """Damages the profile."""
        self.states = [
            replace(cell, current=replace(cell.current, **fields)) if cell.kind == PROFILE.letter else cell
            for cell in self.states
        ]

    def change_own(self, **fields: Any) -> None:
        """Damages how conversations are set."""
        self.states = [
            replace(cell, current=replace(cell.current, **fields)) if cell.kind == OWN.letter else cell
            for cell in self.states
        ]

    def change_block(self, **fields: Any) -> None:
        """Damages the block."""
        self.states = [
            replace(cell, current=replace(cell.current, **fields)) if cell.kind == BLOCK.letter else cell
            for cell in self.states
        ]

    def change_contact(self, **fields: Any) -> None:
        """Damages the contact."""
        self.states = [
            replace(cell, current=replace(cell.current, **fields)) if cell.kind == CONTACT.letter else cell
            for cell in self.states
        ]

    def change_receipts(self, **fields: Any) -> None:
        """Damages the marks of the conversation with Bob."""
        self.states = [
            replace(cell, current=replace(cell.current, **fields)) if cell.kind == RECEIPTS.letter else cell
            for cell in self.states
        ]

    def set_ttl(self, ttl_ms: int) -> None:
        """Alice says how long messages with Bob last."""
        plan = self._plan()
        set_ttl(plan, NewTtl(WITH_BOB, ttl_ms, 13, () if self.fenced else ("bob",)))
        self._commit(plan)

    def change_ttl(self, **fields: Any) -> None:
        """Damages how long messages with Bob last."""
        self.states = [
            replace(cell, current=replace(cell.current, **fields)) if cell.kind == TTL.letter else cell
            for cell in self.states
        ]

    def revoke(self, until_s: int = 0) -> None:
        plan = self._plan()
        AccessRow(plan).revoke(end_of_second(self.now_us), until_s)
        self._commit(plan)

    def register_device(self, device_id: str) -> None:
        plan = self._plan()
        AccessRow(plan).register(device_id, "", "")
        self._commit(plan)

    def _plan(self) -> Plan:
        self.now_us += SECOND_US
        return self._mailbox.plan(self.now_us)

    def _commit(self, plan: Plan) -> None:
        for cell in plan.cells():
            self._put(cell)
        self._mailbox.apply(plan)

    def _put(self, cell: Cell) -> None:
        match cell:
            case IndexCell():
                self.states = [old for old in self.states if _key(old) != _key(cell)] + [cell]
            case MessageCell():
                self.messages.append(cell)
            case LogCell():
                self.log.append(cell)
            case DedupeCell():
                self.dedupe.append(cell)
            case OutboxCell():
                self.outbox.append(cell)
            case FenceCell():
                self.fences.append(cell)

    # The test looks

    def check(self, *, slack_us: int = 60 * SECOND_US) -> list[Finding]:
        """What the checker finds, in the order in which a store gives the cells."""
        messages = sorted(self.messages, key=lambda cell: (cell.message_id, -cell.version), reverse=True)
        messages.sort(key=lambda cell: cell.conversation_id)
        log = sorted(self.log, key=lambda cell: (cell.version, cell.epoch))
        frame = RowFrame(self.fences, self.states, self.dedupe, self.outbox, self.unknown)
        horizon = Horizon.at(self.now_us, slack_us, LIVES)
        check = RowCheck("alice", frame, horizon, fenced=self.fenced)
        for _, cells in groupby(messages, key=lambda cell: (cell.conversation_id, cell.message_id)):
            check.message(*cells)
        for entry in log:
            check.log_entry(entry)
        return check.end()

    def message(self, message: bytes) -> MessageCell:
        """Its newest cell."""
        cells = [cell for cell in self.messages if cell.message_id == message]
        return max(cells, key=lambda cell: cell.version)

    def state(self, conversation_id: bytes) -> Conversation:
        letter = CONVERSATION.letter
        state = next(one.current for one in self.states if (one.kind, one.key) == (letter, conversation_id))
        assert isinstance(state, Conversation)
        return state

    def other_states(self) -> list[IndexCell[Any]]:
        """Of all kinds but conversations."""
        return [cell for cell in self.states if cell.kind != CONVERSATION.letter]

    def replace_others(self, *cells: IndexCell[Any]) -> None:
        self.states = [cell for cell in self.states if cell.kind == CONVERSATION.letter] + [*cells]

    # The test breaks

    def change_state(self, conversation_id: bytes, **fields: Any) -> None:
        for place, cell in enumerate(self.states):
            if (cell.kind, cell.key) == (CONVERSATION.letter, conversation_id):
                self.states[place] = replace(cell, current=replace(cell.current, **fields))

    def change_message(self, message: bytes, **fields: Any) -> None:
        self.messages = [replace(cell, **fields) if cell.message_id == message else cell for cell in self.messages]

    def change_record(self, message: bytes, **fields: Any) -> None:
        self.dedupe = [replace(cell, **fields) if cell.message_id == message else cell for cell in self.dedupe]

    def change_log(self, message: bytes, **fields: Any) -> None:
        self.log = [
            replace(cell, **fields) if (cell.kind, cell.message_id) == (ChangeKind.MESSAGE, message) else cell
            for cell in self.log
        ]

    def rename(self, old: bytes, new: bytes) -> None:
        """Gives a message another id, wherever it is named."""
        self.change_message(old, message_id=new)
        self.change_record(old, message_id=new)
        self.change_log(old, message_id=new)
        for cell in [cell for cell in self.states if cell.kind == CONVERSATION.letter]:
            names = [name for name in ("last_message_id", "read_mark") if getattr(cell.current, name) == old]
            self.change_state(cell.key, **dict.fromkeys(names, new))
        self.outbox = [cell for cell in self.outbox if cell.message_id != old]

    def drop_record(self, message: bytes) -> None:
        self.dedupe = [cell for cell in self.dedupe if cell.message_id != message]

    def drop_log(self, is_gone: Callable[[LogCell], bool]) -> None:
        self.log = [cell for cell in self.log if not is_gone(cell)]


def _key(cell: IndexCell[Any]) -> tuple[bytes, bytes, int]:
    return cell.kind, cell.key, cell.epoch

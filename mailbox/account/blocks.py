"""What a row makes of what others send to its user, where he has blocked some of them: shown, or hidden. What is shown
and begins a conversation may have to be accepted first: that is said by requests.py.

It is decided when the message comes, in the row's own order: what comes behind a block is hidden, what came before it
stays. A hidden message is stored as any other, but under the hidden id of its conversation (`hidden_conversation_id`),
in one mutation with the state of the block: no conversation, no log entry and no count tells of it, so nothing that
reads a mailbox for its user finds it. The sender's row and its owner hear what they always hear.

    known again     A message is asked for under both ids as long as there is a state of its sender, in force or ended:
                    it may have come before the block, while it was in force, or behind its end.
    what is done    An edit, an unsend or a reaction of who is blocked is kept with the hidden copy, also where the
    to messages     message itself is shown: what comes behind a block changes nothing that the user sees.
    a ttl           What who is blocked sets of the conversation is not shown, and counts from the end of the block on
                    (mailbox/ttls).
    hidden stays    What was hidden once is not shown later, nor what is done to it later.
    deleted         Who deletes his copy of the conversation deletes what he was shown; what is hidden stays. What
                    is done to a message that he deleted is dropped, behind a block too: he may have deleted that, too.
    reports         A report is never hidden: whoever judges what is reported has to have it.

What is kept of a message is its first text and its last one, also where it is taken back then: an edit takes the edit
before it away, so that who is blocked makes no message that takes ever longer to be read. So does a reaction: its cell
has the text.
Of a reaction to what is shown the text is not kept a second time: it may be the user's own, who takes it back.

What the blocked one has and has read of the user's messages is kept with the block, and taken in when that ends: his
owner tells it once.
"""

from collections.abc import Sequence

import msgspec

from rowbox.mailbox.account import requests
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.needs import CopyNeed, Fact, HeldMessages, MessageNeed, Need
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import BLOCK, MessageCell
from rowbox.mailbox.errors import BlockedByYou
from rowbox.mailbox.group import person_key
from rowbox.mailbox.ids import direct_conversation_id, hidden_conversation_id
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.block import Block
from rowbox.mailbox.reactions import Reaction, with_reaction
from rowbox.mailbox.receipts import Receipt, Seen, seen_in
from rowbox.mailbox.ttls.ttl_row import take_ttl


def block_of(row: Plan | Mailbox, user_id: str) -> Block | None:
    """What a row says of somebody whom its user has ever blocked; None: he has not."""
    return row.state(BLOCK, person_key(user_id)) if row.has_any(BLOCK) else None


def is_blocked(row: Plan | Mailbox, user_id: str) -> bool:
    """Whether a row's user has blocked somebody, and does now."""
    block = block_of(row, user_id)
    return block is not None and block.is_on


def check_may_write(row: Plan, user_id: str) -> None:
    """BlockedByYou where the row's user has blocked whom he writes to."""
    if is_blocked(row, user_id):
        raise BlockedByYou("you have blocked this user")


def deliver(plan: Plan, message: Message, fact: Fact | None = None) -> int | Need:
    """Adds another user's message, what it was changed to, another user's reaction, or the ttl that he has set, once:
    shown or hidden.

    Returns its version in this row, or 0 where it was delivered before or has ended.
    """
    if plan.is_erased:
        return 0
    block = block_of(plan, message.sender_id)
    if message.ttl_ms is not None:
        return take_ttl(plan, message, is_hidden=block is not None and block.is_on)
    if block is None:
        done = plan.deliver(message, fact)
        return requests.note_message(plan, message, done) if isinstance(done, int) else done
    if message.change is not None or message.reaction is not None:
        held = _held(plan, message, block, fact)
        return held if isinstance(held, MessageNeed) else _take_change(plan, message, block, *held)
    if message.is_expired(plan.seen_us, plan.retention_ms):
        return 0
    known = plan.holds(message, fact, may_be_hidden=block.may_keep(message.message_id))
    if isinstance(known, CopyNeed):
        return known
    return 0 if known else deliver_new(plan, message)


def deliver_new(plan: Plan, message: Message) -> int:
    """Adds another user's message, which the caller knows to be new to the row. Returns its version here; 0: the user
    is deleted, and nothing comes in.
    """
    if plan.is_erased:
        return 0
    block = block_of(plan, message.sender_id)
    if block is None or not block.is_on or message.told is not None:
        return requests.note_message(plan, message, plan.deliver_new(message))
    version = plan.tick(message.sent_us)
    return _hide(plan, block.with_hidden(message.message_id, version, plan.epoch), message)


def take_receipt(plan: Plan, receipt: Receipt) -> int:
    """Adds what a reader has and has read, or keeps it while he is blocked. The version; 0: nothing is shown."""
    block = block_of(plan, receipt.reader_id)
    if block is None or not block.is_on:
        return plan.take_receipt(receipt)
    kept = Seen(block.delivered, block.read, block.read_us)
    seen = kept.joined(seen_in(receipt))
    if receipt.conversation_id == direct_conversation_id(plan.user_id, receipt.reader_id) and seen != kept:
        epoch, version = plan.stamp()
        marks = {"delivered": seen.delivered, "read": seen.read, "read_us": seen.read_us}
        kept_by = msgspec.structs.replace(block, version=version, epoch=epoch, **marks)
        plan.put(BLOCK, kept_by, person_key(receipt.reader_id))
    return 0


def take_kept_receipt(plan: Plan, block: Block) -> None:
    """Adds what was kept of whom the user has just unblocked."""
    if block.delivered:
        conversation_id = direct_conversation_id(plan.user_id, block.user_id)
        plan.take_receipt(Receipt(conversation_id, block.user_id, block.delivered, block.read, block.read_us))


def take_change(plan: Plan, message: Message, held: MessageCell | None, hidden: MessageCell | None) -> int:
    """Adds what another user has done to a message. `held` is what is shown of it here, `hidden` what is kept hidden.

    Returns its version in this row, or 0 where it is here already, or the message is gone.
    """
    if plan.is_erased:
        return 0
    block = block_of(plan, message.sender_id)
    if block is not None:
        return _take_change(plan, message, block, held, hidden)
    return requests.note_message(plan, message, plan.take_change(message, held))


def kept_of(cells: Sequence[MessageCell]) -> list[MessageCell]:
    """What is kept of one hidden message, of all its cells that count, the one that was kept first coming first.

    Cells that another one has superseded are left out: the store may have them for a while.
    """
    in_order = sorted(cells, key=lambda cell: cell.version)
    return [cell for place, cell in enumerate(in_order) if not _is_superseded(cell, in_order[place + 1 :])]


def _is_superseded(cell: MessageCell, later: Sequence[MessageCell]) -> bool:
    """By the next reaction, of which the cell has all else too; or, where it is an edit of what came, by the next."""
    is_edit = cell.change is not None and not cell.is_unsent and cell.version > cell.came
    return any(one.change == cell.change or (is_edit and one.change is not None and not one.is_unsent) for one in later)


def _held(
    plan: Plan, message: Message, block: Block, fact: Fact | None
) -> tuple[MessageCell | None, MessageCell | None] | MessageNeed:
    """What is shown of a message in this row, and what is kept hidden of it. Else what to read."""
    if not block.may_keep(message.message_id):
        held = plan.held(message.conversation_id, message.message_id, fact)
        return held if isinstance(held, MessageNeed) else (held, None)
    need = MessageNeed(message.conversation_id, message.message_id, with_hidden=True)
    if fact is None or not isinstance(fact.value, HeldMessages) or not plan.answers(fact, need):
        return need
    return fact.value.cells[0], fact.value.hidden[0]


def _take_change(
    plan: Plan, message: Message, block: Block, held: MessageCell | None, hidden: MessageCell | None
) -> int:
    if any(cell is not None and _is_known(message, cell) for cell in (held, hidden)):
        return 0
    if held is not None and held.came <= plan.floor(message.conversation_id):
        return 0
    is_shown = held is not None or hidden is None
    if is_shown and not block.is_on:
        return requests.note_message(plan, message, plan.take_change(message, held))
    if message.reaction is not None:
        return _keep_reaction(plan, message, message.reaction, block, hidden or held)
    change = message.change
    assert change is not None
    if hidden is None:
        if message.is_expired(plan.seen_us, plan.retention_ms):
            return 0
        version = plan.tick(message.sent_us)
        if held is None:  # the message itself comes this way: as it was changed before it was delivered
            return _hide(plan, block.with_hidden(message.message_id, version, plan.epoch), message)
        return _hide(plan, block.with_kept(message.message_id, version, plan.epoch), message)
    if hidden.change is not None and hidden.version > hidden.came and not change.is_unsent:
        plan.superseded.append(hidden)
    version = plan.tick(change.version)
    return _hide(plan, block.with_kept(message.message_id, version, plan.epoch), message, hidden)


def _is_known(message: Message, cell: MessageCell) -> bool:
    """Whether what was done to a message, or something later of the kind, is in this cell of it."""
    if message.change is not None:
        return not message.change.supersedes(cell.change)
    assert message.reaction is not None
    return with_reaction(cell.reactions, message.reaction) is None


def _keep_reaction(plan: Plan, message: Message, reaction: Reaction, block: Block, base: MessageCell | None) -> int:
    """Keeps a reaction to what is hidden of a message, or to a hidden copy of what is shown of it: `base`."""
    if base is None or base.is_unsent:
        return 0
    hidden_id = hidden_conversation_id(message.conversation_id)
    is_first = base.conversation_id != hidden_id
    reactions = with_reaction(() if is_first else base.reactions, reaction)
    if reactions is None:
        return 0
    version, epoch = plan.tick(reaction.version), plan.epoch
    plan.put(BLOCK, block.with_kept(message.message_id, version, epoch), person_key(block.user_id))
    plan.hide(
        msgspec.structs.replace(
            base,
            conversation_id=hidden_id,
            epoch=epoch,
            version=version,
            client_message_id=None,
            content="" if is_first else base.content,
            first_version=version if is_first else base.came,
            reactions=reactions,
        )
    )
    if not is_first:
        plan.superseded.append(base)
    return version


def _hide(plan: Plan, block: Block, message: Message, before: MessageCell | None = None) -> int:
    """Stores `message` under the hidden id, with the state that `block` is by it. `before`: what was hidden of it."""
    plan.put(BLOCK, block, person_key(block.user_id))
    is_unsent = message.change is not None and message.change.is_unsent
    came = before.came if before is not None else block.version if message.change is not None else 0
    plan.hide(
        MessageCell(
            hidden_conversation_id(message.conversation_id),
            message.message_id,
            plan.epoch,
            block.version,
            message.sender_id,
            message.content,
            None,
            message.change,
            came,
            before.reactions if before is not None and not is_unsent else (),
            expires_us=before.expires_us if before is not None else message.expires_us,
        )
    )
    return block.version

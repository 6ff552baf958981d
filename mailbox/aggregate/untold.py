"""What of a mailbox the authors of its messages are to be told: which are delivered, which are read. Pure.

In a group it is the group's row that is told, and authors ask it.

Read is what the read marks say. Delivered is what a token proves that came from a delta: its client has everything up
to the token's version. What is kept of that is in memory alone (proofs.py): a token that comes after a restart or a
takeover proves it again.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.cells import BLOCK, MEMBERSHIP, ChangeKind, LogCell
from rowbox.mailbox.clocks.clock import US_PER_S, is_others_date
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.group import Standing, group_name, is_group_name, person_key
from rowbox.mailbox.ids import sent_timestamp
from rowbox.mailbox.message import is_expired
from rowbox.mailbox.receipts import NO_MARKS, Receipt

MOST_FRESH: Final = 64
"""Conversations of which the first token after a load tells, and of which a load looks whether their reads are told."""
UNTOLD_US: Final = 600 * US_PER_S
"""How far behind the newest change a load looks for reads that were not told."""


def read_receipt(mailbox: Mailbox, conversation_id: bytes, read_us: int = 0) -> tuple[str, Receipt] | None:
    """What the other participant, or the group's row, is to be told of what the user has read, and whose row that is.

    `read_us`: when he read the last of it; 0: nobody knows. (A version is no time: a mailbox may count its versions on
    from a date far ahead.) None where there is no such row (_told), and where it has confirmed that already.
    """
    state = mailbox.index.get(conversation_id)
    other = _told(mailbox, conversation_id, state)
    if state is None or other is None:
        return None
    read = state.read_of_others
    if state.group is None and _claims_hidden(mailbox, other, read):
        return None
    if read <= mailbox.receipts.get(conversation_id, NO_MARKS).told_read:
        return None
    known_us = max(read_us, sent_timestamp(read) + 1) if read_us else 0  # never before it was sent, by whichever clock
    return other, Receipt(conversation_id, mailbox.user_id, read, read, known_us)


def untold_reads(mailbox: Mailbox) -> Iterator[tuple[str, Receipt]]:
    """As `read_receipt`, of the conversations in which a mark may have moved and not been told: for after a load.

    When it was that the user read is not known any more.
    """
    for conversation_id, _ in mailbox.index.latest(mailbox.head - UNTOLD_US, MOST_FRESH):
        found = read_receipt(mailbox, conversation_id)
        if found is not None:
            yield found


def delivered(mailbox: Mailbox, since: int, until: int, only: bytes | None = None) -> Iterator[tuple[str, Receipt]]:
    """What is delivered by what a client has of the changes after `since`, up to `until`: by author.

    `only`: it has those of this conversation. What was told to be read is left out. Where the log in memory does not
    reach back to `since`, only conversations of which it has everything are told of.
    """
    newest = _from_log(mailbox, since, until) if since >= mailbox.log_floor else _from_index(mailbox, since, until)
    for conversation_id, message_id in newest.items():
        state = mailbox.index.get(conversation_id) if only is None or only == conversation_id else None
        other = _told(mailbox, conversation_id, state)
        if other is None or (not is_group_name(other) and _claims_hidden(mailbox, other, message_id)):
            continue
        if message_id > mailbox.receipts.get(conversation_id, NO_MARKS).told_read:
            yield other, Receipt(conversation_id, mailbox.user_id, message_id)


def _claims_hidden(mailbox: Mailbox, author_id: str, mark: bytes) -> bool:
    """Whether a mark would say that the user has something of what is hidden of this author, as long as that is kept.

    While the author is blocked he is told nothing: what changes less looks no different from what nobody reads.
    """
    block = mailbox.state(BLOCK, person_key(author_id)) if mailbox.has_any(BLOCK) else None
    if block is None or block.is_on:
        return block is not None
    if not block.hidden_from or mark < block.hidden_from:
        return False
    return not is_expired(sent_timestamp(block.hidden_up_to), mailbox.head, mailbox.limits.retention_ms)


def _told(mailbox: Mailbox, conversation_id: bytes, state: Conversation | None) -> str | None:
    """Whose row is told of what the user has and has read: the other one's, or that of a group in which the user is.

    None: nobody's, also where the conversation waits to be accepted.
    """
    if state is None or mailbox.index.is_request(conversation_id):
        return None
    if state.group is None:
        return state.other_of(mailbox.user_id)
    known = mailbox.state(MEMBERSHIP, conversation_id)
    return group_name(conversation_id) if known is not None and known.standing is Standing.IN else None


def _from_log(mailbox: Mailbox, since: int, until: int) -> Mapping[bytes, bytes]:
    """By conversation, the newest message of another that came with a version in (since, until]."""
    found: dict[bytes, bytes] = {}
    for entry in reversed(mailbox.log):  # the newest first, so that most are passed over by one comparison
        if entry.version <= since:
            break
        message_id = entry.message_id
        if (
            message_id > found.get(entry.conversation_id, b"")
            and entry.version <= until
            and entry.kind is ChangeKind.MESSAGE
            and entry.version > mailbox.index.floors.get(entry.conversation_id, 0)
            and _came_from_another(mailbox, entry)
        ):
            found[entry.conversation_id] = message_id
    return found


def _came_from_another(mailbox: Mailbox, entry: LogCell) -> bool:
    """Whether a message that came can be another's. By dates alone a user's own may pass for one, where his mailbox
    counts its versions on from far ahead: it is above all that he received.
    """
    if not is_others_date(sent_timestamp(entry.message_id), entry.version):
        return False
    state = mailbox.index.get(entry.conversation_id)
    return state is not None and entry.message_id <= state.received_up_to


def _from_index(mailbox: Mailbox, since: int, until: int) -> Mapping[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for conversation_id, _ in mailbox.index.latest(since, MOST_FRESH):
        state = mailbox.index.get(conversation_id)
        if state is not None and _came_by(state, until) and not mailbox.index.is_deleted(conversation_id):
            found[conversation_id] = state.received_up_to
    return found


def _came_by(state: Conversation, version: int) -> bool:
    """Whether all messages of a conversation came up to a version, the newest of another among them."""
    return bool(state.received_up_to) and state.last_message_version <= version

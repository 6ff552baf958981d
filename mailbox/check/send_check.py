"""The invariants of what a user sends: each message with its dedupe record, its clientMessageId, its outbox cell; each
reaction with its outbox cell.

Held in memory: the dedupe records and the outbox, as the owner holds them, and 100 bytes of each own message.
"""

from collections.abc import Collection, Iterable

from rowbox.mailbox.cells import DedupeCell, MessageCell, OutboxCell
from rowbox.mailbox.check.findings import Code, Report
from rowbox.mailbox.check.horizon import Horizon
from rowbox.mailbox.group import group_send_hash, is_group_name
from rowbox.mailbox.ids import client_id_hash, payload_hash, sent_timestamp
from rowbox.mailbox.reactions import Reaction, reaction_of


class SendCheck:
    """Checks one user's own sends.

    Only cells that count are given to it: all own `message`s, and all `reactions`, in any order, then `end`. All
    messages of a group's row are its own.
    """

    def __init__(
        self,
        dedupe: Iterable[DedupeCell],
        outbox: Iterable[OutboxCell],
        with_ends: Collection[bytes],
        horizon: Horizon,
        report: Report,
    ) -> None:
        """`with_ends`: the conversations whose messages may have come to an end of their own."""
        self._with_ends = with_ends
        self._horizon = horizon
        self._report = report
        self._is_group = is_group_name(report.user_id)
        self._records: dict[bytes, DedupeCell] = {}
        self._unseen_records: dict[bytes, DedupeCell] = {}
        parcels = [parcel for parcel in outbox if not parcel.is_reminder]
        self._unseen_parcels: dict[bytes, OutboxCell] = {}
        self._unseen_changes: dict[bytes, list[OutboxCell]] = {}
        """By the message that they change."""
        self._unseen_reactions: dict[bytes, list[OutboxCell]] = {}
        """By the message to which the user reacts."""
        self._used: dict[bytes, int] = {}
        for record in dedupe:
            self._add_record(record)
        for parcel in parcels:
            self._add_parcel(parcel)
            message, reaction, reactions = parcel.message, parcel.message.reaction, _reactions_in(parcel)
            is_as_sent = message.change is None and reaction is None and reactions is None
            is_other = is_as_sent and message.message_id != parcel.message_id
            is_others = reaction is not None and reaction.user_id != report.user_id
            if is_other or is_others or (message.sender_id != report.user_id and not self._is_group):
                report(Code.OUTBOX, f"the outbox cell of {parcel.message_id.hex()} holds another message")

    def message(self, cell: MessageCell) -> None:
        """Takes in one of the user's own messages."""
        self._check_outbox(cell)
        if cell.client_message_id is None:
            self._report(Code.CLIENT_MESSAGE_ID, f"own message {cell.message_id.hex()} has no clientMessageId")
            return
        hashed = client_id_hash(cell.client_message_id)
        if self._is_group:
            hashed = group_send_hash(cell.sender_id, cell.client_message_id)
        other = self._used.get(hashed)
        self._used[hashed] = cell.came
        if other is not None and abs(cell.came - other) < self._horizon.reuse_us:
            self._report(
                Code.CLIENT_MESSAGE_ID_REUSED, f"the messages of {cell.came} and {other} have one clientMessageId"
            )
            return
        self._check_record(cell, hashed)

    def reactions(self, cell: MessageCell) -> None:
        """Takes in a message of anybody, for the user's reaction to it."""
        if not self._unseen_reactions:
            return
        own = reaction_of(cell.reactions, self._report.user_id)
        for parcel in self._unseen_reactions.pop(cell.message_id, ()):
            told, of_group = parcel.message.reaction, _reactions_in(parcel)
            is_behind = told is not None and (own is None or own.version < told.version)
            is_behind |= of_group is not None and cell.version < parcel.version
            if is_behind and not cell.is_unsent:
                text = f"the outbox holds a reaction to {cell.message_id.hex()} at {parcel.version}"
                self._report(Code.OUTBOX, f"{text}, which it does not have")

    def told(self, cell: MessageCell) -> None:
        """Takes in a system message of a group's row."""
        self._check_outbox(cell)

    def end(self) -> None:
        """Reports records and parcels whose messages did not come."""
        for record in self._unseen_records.values():
            if record.version > self._horizon.messages and record.conversation_id not in self._with_ends:
                text = f"the record of {record.version} names message {record.message_id.hex()}, which is not there"
                self._report(Code.DEDUPE_WITHOUT_MESSAGE, text)
        for parcel in self._unseen_parcels.values():
            if not self._horizon.may_be_gone(parcel.version, parcel.message.expires_us):
                self._report(
                    Code.OUTBOX, f"the outbox holds {parcel.message_id.hex()}, which is no message of the user"
                )

        for changed, parcels in self._unseen_changes.items():
            expires_us = max(parcel.message.expires_us for parcel in parcels)
            if not self._horizon.may_be_gone(sent_timestamp(changed), expires_us):
                text = f"the outbox holds a change of {changed.hex()}, which is no message of the user"
                self._report(Code.OUTBOX, f"{text} ({len(parcels)} such)")

        for message, parcels in self._unseen_reactions.items():
            may_have_ended = parcels[0].message.conversation_id in self._with_ends
            if sent_timestamp(message) > self._horizon.messages and not may_have_ended:
                text = f"the outbox holds a reaction to {message.hex()}, which is not there"
                self._report(Code.OUTBOX, f"{text} ({len(parcels)} such)")

    def _add_parcel(self, parcel: OutboxCell) -> None:
        message = parcel.message
        if message.ttl_ms is not None:
            return
        if message.reaction is not None or _reactions_in(parcel) is not None:
            self._unseen_reactions.setdefault(message.message_id, []).append(parcel)
        elif message.change is not None:
            self._unseen_changes.setdefault(message.message_id, []).append(parcel)
        else:
            self._unseen_parcels[parcel.message_id] = parcel

    def _add_record(self, record: DedupeCell) -> None:
        self._unseen_records[record.message_id] = record
        other = self._records.get(record.client_id_hash)
        if other is None or other.version < record.version:
            self._records[record.client_id_hash] = record
        if other is not None and abs(other.version - record.version) < self._horizon.reuse_us:
            self._report(Code.DEDUPE_DOUBLED, f"versions {other.version} and {record.version} have one clientMessageId")

    def _check_record(self, cell: MessageCell, hashed: bytes) -> None:
        record = self._records.get(hashed)
        if record is None or record.message_id != cell.message_id:
            horizon = self._horizon.group_sends if self._is_group else self._horizon.dedupe
            if cell.came > horizon:
                self._report(Code.DEDUPE_MISSING, f"own message {cell.message_id.hex()} has no dedupe record")
            return
        self._unseen_records.pop(cell.message_id, None)
        told = (record.conversation_id, record.version, record.epoch, record.payload_hash)
        payload = payload_hash(cell.conversation_id, cell.content)
        if cell.first_version:  # the record is of the text as it was sent, and of the owner of that time
            is_same = told[:2] == (cell.conversation_id, cell.came)
            is_same &= cell.change is not None or record.payload_hash == payload
        else:
            is_same = told == (cell.conversation_id, cell.version, cell.epoch, payload)
        if not is_same:
            self._report(Code.DEDUPE_DIFFERS, f"the record of own message {cell.message_id.hex()} tells of another one")

    def _check_outbox(self, cell: MessageCell) -> None:
        for change in self._unseen_changes.pop(cell.message_id, ()):
            if cell.change is None or cell.change.version < change.version:
                text = (
                    f"the outbox holds a change of {cell.message_id.hex()} at {change.version}, which it does not have"
                )
                self._report(Code.OUTBOX, text)
        parcel = self._unseen_parcels.pop(cell.message_id, None)
        if parcel is None:
            return
        told = (parcel.message.conversation_id, parcel.version, parcel.epoch, parcel.message.content)
        if cell.first_version:
            is_same = told[:2] == (cell.conversation_id, cell.came)
        else:
            is_same = told == (cell.conversation_id, cell.version, cell.epoch, cell.content)
        if not is_same:
            self._report(Code.OUTBOX, f"the outbox holds {cell.message_id.hex()} differently")


def _reactions_in(parcel: OutboxCell) -> tuple[Reaction, ...] | None:
    """How members react to a message, in an event of a group that says so."""
    group = parcel.message.group
    return group.reactions if group is not None else None

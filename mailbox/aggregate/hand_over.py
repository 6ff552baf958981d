"""A mailbox as its owner hands it over to the next one: what a load would have read, and what memory has beside that.

    fence, head            for the next owner's claim, which is made of these without a read
    states                 of conversations as they are packed, and of all other kinds
    stale                  by kind and lower epoch: the keys whose states are in cells of that epoch
    client ids             what is in memory of them, and from where on the store has more
    outbox                 the cells that are not known to have been delivered
    windows, log           as far as they are in memory

Not here, because whoever did not read the row does not know of it: cells that carry nothing and could be removed. The
next cold load finds them.

The next owner's mailbox differs from the one that was handed over in what its claim changes, as a load's would: it has
another epoch and list, and every cell that carries a state is now of a lower epoch (`HandedOver.mailbox`). All rules of
that are here; what may be handed over at all, and what of it may be used, is the business of cacheserver/.

It is a format between processes of different age, and nothing keeps it (docs/formats.md). A field is added at the end,
and an older process ignores it; where that would be wrong, FORMAT rises, and an older process loads the row instead.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import msgspec

from rowbox.mailbox.aggregate.client_ids import ClientIds, PackedIds
from rowbox.mailbox.aggregate.index_draft import StoredState, index_of, stored_packed
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.cells import CONVERSATION, KINDS, RECEIPTS, ChangeKind, LogCell, OutboxCell
from rowbox.mailbox.fence import Access, Fence, FenceEntry, access, claim
from rowbox.mailbox.message import Message, MessageCopy
from rowbox.mailbox.receipts import shown_versions
from rowbox.mailbox.two_states import ByKind

FORMAT = 10
"""Rises when an older process would misread a mailbox, and when a message's representation changes: the copies in
windows are encoded already."""
_CHANGES = {kind.value: kind for kind in ChangeKind}


class _Log(msgspec.Struct, array_like=True, gc=False):
    floor: int
    entries: list[tuple[int, int, int, bytes, bytes, int, int]]
    """Version, epoch, kind, conversation, message, first version, when it ends; ascending."""


class _Handed(msgspec.Struct, array_like=True, gc=False):
    """What is encoded. The order of the fields is the format."""

    format: int
    epoch: int
    fence: list[list[Any]]
    """Of each entry the fields in their order."""
    head: int
    conversations: dict[bytes, bytes]
    others: dict[bytes, dict[bytes, msgspec.Raw]]
    """By the letter of a kind, and by key."""
    stale: dict[bytes, dict[int, list[bytes]]]
    client_ids: PackedIds
    outbox: list[tuple[bytes, int, int, Message]]
    """Message id, epoch, version, message."""
    windows: list[tuple[bytes, bytes, list[MessageCopy]]]
    """Conversation, floor, copies; the least recently used window first."""
    log: _Log


class HandedOver(NamedTuple):
    """A mailbox that nobody owns yet: `fence` is the list of the one who handed it over. Made by `unpacked`."""

    epoch: int
    fence: Fence
    head: int
    outbox: Sequence[OutboxCell]
    states: Sequence[StoredState]
    others: ByKind[Any]
    stale_epochs: ByKind[int]
    client_ids: ClientIds
    windows: Sequence[tuple[bytes, bytes, list[MessageCopy]]]
    log: _Log

    @classmethod
    def unpacked(cls, packed: bytes) -> Self | None:
        """The inverse of `packed_mailbox`.

        None where these bytes are no mailbox, or one of which this process would misread something: then the row has
        to be loaded.
        """
        try:
            handed = _decode(packed)
            if handed.format != FORMAT or not handed.others.keys() <= KINDS.keys() or not handed.fence:
                return None
            return cls(
                handed.epoch,
                tuple(_entry(fields) for fields in handed.fence),
                handed.head,
                [OutboxCell(*cell) for cell in handed.outbox],
                [stored_packed(conversation_id, state) for conversation_id, state in handed.conversations.items()],
                {
                    letter: {key: msgspec.msgpack.decode(state, type=KINDS[letter].state) for key, state in of.items()}
                    for letter, of in handed.others.items()
                },
                {
                    letter: {key: epoch for epoch, keys in of.items() for key in keys}
                    for letter, of in handed.stale.items()
                },
                ClientIds.unpacked(handed.client_ids),
                handed.windows,
                handed.log,
            )
        except (msgspec.MsgspecError, ValueError, TypeError):
            return None

    def claim(self, epoch: int, incarnation: str, now_ms: int) -> Fence | None:
        """The list with which `incarnation` claims the row for `epoch`; None where it may not, or need not.

        To be written before anything of the mailbox is shown or gone on with.
        """
        if access(self.fence, epoch, incarnation) is not Access.CLAIMABLE:
            return None
        return claim(self.fence, epoch, self.head, now_ms, incarnation)

    def mailbox(self, user_id: str, limits: Limits, fence: Fence) -> Mailbox:
        """The mailbox of the one whose claim with `fence` was confirmed. To be called once: it takes over what is here.

        Each state is in a cell of an epoch that is lower than the new one: of the epoch that handed it over, where that
        one had not found it in another's.
        """
        made = Mailbox(
            user_id,
            limits,
            epoch=fence[-1].epoch,
            fence=fence,
            head=self.head,
            index=index_of(self.states, shown_versions(self.others.get(RECEIPTS.letter, {}))),
            client_ids=self.client_ids,
            stale_epochs={letter: self._carriers(letter, keys) for letter, keys in self._keys()},
            others=self.others,
        )
        entries = [
            LogCell(*entry[:2], _CHANGES.get(entry[2], entry[2]), entry[3], entry[4], entry[5], entry[6])
            for entry in self.log.entries
        ]
        made.restore(self.windows, entries, self.log.floor)
        return made

    def _keys(self) -> Iterator[tuple[bytes, list[bytes]]]:
        yield CONVERSATION.letter, [state.conversation_id for state in self.states]
        yield from ((letter, list(states)) for letter, states in self.others.items())

    def _carriers(self, letter: bytes, keys: list[bytes]) -> dict[bytes, int]:
        return {**dict.fromkeys(keys, self.epoch), **self.stale_epochs.get(letter, {})}


def packed_mailbox(mailbox: Mailbox, outbox: Sequence[OutboxCell]) -> bytes:
    """A mailbox that its owner has claimed and goes on with no more, with the row's outbox cells that are valid.

    `outbox`: all of them whose messages are not known to have arrived, or the next owner would never deliver these.
    """
    return _encode(
        _Handed(
            FORMAT,
            mailbox.epoch,
            mailbox.fence,  # type: ignore[arg-type]
            mailbox.head,
            mailbox.index.packed(),
            mailbox.others,  # type: ignore[arg-type]
            {letter: _by_epoch(stale) for letter, stale in mailbox.stale_epochs.items() if stale},
            mailbox.client_ids.packed(),
            [(cell.message_id, cell.epoch, cell.version, cell.message) for cell in outbox],
            [(conversation_id, window.floor, window.copies) for conversation_id, window in mailbox.windows.items()],
            _Log(
                mailbox.log_floor,
                [
                    (
                        *(one.version, one.epoch, int(one.kind), one.conversation_id, one.message_id),
                        *(one.first_version, one.expires_us),
                    )
                    for one in mailbox.log
                ],
            ),
        )
    )


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Handed).decode


def _entry(fields: list[Any]) -> FenceEntry:
    """A fence entry. Fields of a newer Rowbox are cut off, because msgspec refuses longer tuples."""
    return msgspec.convert(fields[: len(FenceEntry._fields)], FenceEntry)


def _by_epoch(stale: dict[bytes, int]) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for key, epoch in stale.items():
        found.setdefault(epoch, []).append(key)
    return found

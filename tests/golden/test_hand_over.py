"""A mailbox that is handed over: processes of different age do that, and a field that moved would be misread."""

from typing import Any

import pytest

from rowbox.mailbox.account.access_row import AccessRow
from rowbox.mailbox.aggregate.client_ids import ClientIds
from rowbox.mailbox.aggregate.hand_over import HandedOver, packed_mailbox
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.plan import NewSend
from rowbox.mailbox.cells import CONVERSATION, OutboxCell
from rowbox.mailbox.fence import FenceEntry
from rowbox.mailbox.ids import client_id_hash, direct_conversation_id, message_id, payload_hash
from rowbox.mailbox.message import Message
from tests.golden.lines import Line, lines, named, of_today

LINES = lines("hand_over")
DAY_MS = 86_400_000
LIMITS = Limits(30 * DAY_MS, 7 * DAY_MS, 7 * DAY_MS, window_messages=64, window_bytes=1 << 20)
BIRTH_US = 1_800_000_000_000_000
EPOCH = 2 << 24
FENCE = (FenceEntry(1 << 24, 0, 5, True), FenceEntry(EPOCH, 77, BIRTH_US // 1000, incarnation="a"))


def fresh() -> Mailbox:
    ids = ClientIds(loaded_at=BIRTH_US - 1)
    return Mailbox("ann", LIMITS, epoch=EPOCH, fence=FENCE, head=BIRTH_US - 1, client_ids=ids)


def busy() -> tuple[Mailbox, list[OutboxCell]]:
    """Ann wrote to Bob, who is not known to have it; Cem wrote; she read that and revoked her tokens."""
    mailbox = fresh()
    with_bob, with_cem = direct_conversation_id("ann", "bob"), direct_conversation_id("ann", "cem")
    mailbox.client_ids.add_read([client_id_hash("c0")], b"\xf0" * 24)
    plan = mailbox.plan(BIRTH_US)
    hashes = client_id_hash("c1"), payload_hash(with_bob, "hällo")
    plan.send(NewSend("ann", with_bob, ("ann", "bob"), "hällo", "c1", *hashes, 7))
    said = Message(message_id(BIRTH_US - 5, 9), with_cem, "cem", ("ann", "cem"), "hello")
    plan.deliver(said)
    outbox = [cell for cell in plan.cells() if isinstance(cell, OutboxCell)]
    mailbox.apply(plan)
    plan = mailbox.plan(BIRTH_US)
    plan.mark_read(with_cem, said.message_id)
    AccessRow(plan).revoke(1_800_000_001, 9)
    mailbox.apply(plan)
    mailbox.stale_epochs = {CONVERSATION.letter: {with_cem: 1 << 24}}
    return mailbox, outbox


CASES: dict[str, tuple[Mailbox, list[OutboxCell]]] = {"an empty mailbox": (fresh(), []), "a mailbox": busy()}


def shown(packed: bytes) -> Any:
    found = HandedOver.unpacked(packed)
    assert found is not None
    fields = {**found._asdict(), "client_ids": found.client_ids.packed()}
    return named(fields)


def without_later(now: Any, golden: Any) -> Any:
    """`now` without fields that came after `golden` and hold nothing."""
    if isinstance(now, dict) and isinstance(golden, dict):
        kept = {name: field for name, field in now.items() if name in golden or field not in (None, "", 0)}
        return {name: without_later(field, golden.get(name)) for name, field in kept.items()}
    if isinstance(now, list) and isinstance(golden, list) and len(now) == len(golden):
        return [without_later(one, other) for one, other in zip(now, golden, strict=True)]
    return now


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["case"])
def test_what_was_ever_handed_over_reads_as_it_was_meant(line: Line) -> None:
    """Of the same format. Of another one it is loaded: then its line goes, too."""
    assert without_later(shown(bytes.fromhex(line["packed"])), line["fields"]) == line["fields"]


@pytest.mark.parametrize("line", of_today(LINES), ids=lambda line: line["case"])
def test_it_is_handed_over_as_its_golden_line(line: Line) -> None:
    """The copies in the windows are encoded messages: when these look different, an older process must not take them.

    Where this fails for such a reason, hand_over.FORMAT has to rise.
    """
    packed = packed_mailbox(*CASES[line["case"]])
    found = {"case": line["case"], "packed": packed.hex(), "fields": shown(packed)}
    assert line == found, "append what stands on the right to hand_over.jsonl (docs/formats.md)"


def test_every_case_has_a_line() -> None:
    assert {line["case"] for line in LINES} == set(CASES)

"""The invariants of disappearing messages, of one row (mailbox/expiry)."""

from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.check.findings import Code, Report
from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.expiry.ttl import MAX_TTL_MS, MIN_TTL_MS, Ttl
from rowbox.mailbox.ids import sent_timestamp


def check_ttl(conversation_id: bytes, ttl: Ttl, report: Report) -> None:
    """Looks at for how long messages of a conversation last."""
    for ttl_ms in (ttl.ttl_ms, ttl.hidden_ms):
        if ttl_ms and not MIN_TTL_MS <= ttl_ms <= MAX_TTL_MS:
            report(Code.ENDS, f"conversation {conversation_id.hex()} has a ttl of {ttl_ms} ms, which nobody can set")
    if ttl.hidden_by and ttl.hidden_by <= ttl.set_by:
        text = f"conversation {conversation_id.hex()} hides a setting of its ttl that comes before the one in force"
        report(Code.ENDS, text)


def check_end(cell: MessageCell, report: Report) -> None:
    """Looks at when a message ends, by when it was sent."""
    if not cell.expires_us:
        return
    lasts_us = cell.expires_us - sent_timestamp(cell.message_id)
    if not MIN_TTL_MS * US_PER_MS <= lasts_us <= MAX_TTL_MS * US_PER_MS:
        report(Code.ENDS, f"message {cell.message_id.hex()} lasts for {lasts_us} us, which no ttl says")

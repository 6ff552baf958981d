"""`rowbox mailbox show`: what the store holds of one user, in numbers, ids and times."""

import asyncio
from collections.abc import Iterator

import click
import orjson
from rich.table import Table

from rowbox.cacheserver.check.mailbox_summary import ListedConversation, MailboxSummary, summary_of
from rowbox.cli.options import with_settings
from rowbox.cli.tables import printed
from rowbox.cli.times import time_text
from rowbox.cli.verbs.tokens.subjects import user_meant
from rowbox.cli.walk import opened
from rowbox.mailbox.clocks.clock import US_PER_MS, US_PER_S
from rowbox.mailbox.devices import Device, Devices
from rowbox.mailbox.fence import N_BITS, FenceEntry, map_version_of
from rowbox.mailbox.group import group_name
from rowbox.mailbox.ids import from_text, sent_timestamp, to_text
from rowbox.mailbox.receipts import MemberMarks
from rowbox.mailbox.settings.config import LoadedSettings, Settings
from rowbox.mailbox.settings.units import format_duration


@click.command("show")
@click.argument("user", metavar="USER")
@with_settings("server.data_dir", "store.url")
@click.option(
    "--conversations", "most", type=click.IntRange(0), default=20, show_default=True, help="Conversations to list."
)
@click.option("--group", "is_group", is_flag=True, help="USER is the conversationId of a group: show its row.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; times in microseconds.")
def show(loaded: LoadedSettings, user: str, *, most: int, is_group: bool, as_json: bool) -> None:
    """Show what the store holds of USER: conversations, counts, receipts, devices, and who has claimed the mailbox.

    Reads only, and shows nothing of what somebody wrote. May run beside the server: an embedded store is read as it is
    when the verb begins.
    """
    settings = loaded.settings
    name = group_name(from_text(user, "USER")) if is_group else user_meant(settings.auth, user, "USER")
    summary = asyncio.run(_read(settings, name))
    if as_json:
        click.echo(_as_json(summary, most))
        return
    for line in _lines(summary):
        click.echo(line)
    if most and summary.conversations:
        click.echo(printed(_table(summary, most)), nl=False)
    if most and summary.members:
        click.echo(printed(_members(summary, most)), nl=False)
    if summary.devices.devices:
        click.echo(printed(_devices(summary.devices)), nl=False)


async def _read(settings: Settings, user_id: str) -> MailboxSummary:
    async with opened(settings) as store:
        return await summary_of(store, user_id)


def _lines(summary: MailboxSummary) -> Iterator[str]:
    devices = summary.devices
    rows = {
        "User": summary.user_id,
        "Row": f"{summary.row.decode()} (shard {summary.shard})",
        "Head": str(summary.head) if summary.head else "0: nobody has written to this mailbox",
        "Last change": time_text(summary.head) if summary.head else "",
        "Conversations": f"{len(summary.conversations):,}, {_unread(summary):,} of them with unread messages",
        "Messages": f"{summary.messages:,}",
        "In the outbox": f"{summary.outbox:,} messages that not every recipient is known to have",
        "Known sends": f"{summary.client_ids:,} clientMessageIds",
        "Revoked tokens": f"issued before {time_text(summary.revoked_before_s * US_PER_S)}"
        if summary.revoked_before_s
        else "",
        "Devices": f"{len(devices.devices)} signed in, {len(devices.signed_out)} signed out" if devices.version else "",
    }
    yield from (f"{name:<15} {value}" for name, value in rows.items() if value)
    for number, entry in enumerate(reversed(summary.fence)):
        yield f"{'' if number else 'Claimed by':<15} {_claim(entry)}"


def _unread(summary: MailboxSummary) -> int:
    return sum(listed.state.unread_count > 0 for listed in summary.conversations)


def _claim(entry: FenceEntry) -> str:
    who = "earlier owners" if entry.folded else entry.incarnation or "an owner of the first format"
    epoch = f"map version {map_version_of(entry.epoch)}, n {entry.epoch & ((1 << N_BITS) - 1)}"
    return f"{who}, {epoch}, from version {entry.starts_after} on, {time_text(entry.claimed_at_ms * US_PER_MS)}"


def _table(summary: MailboxSummary, most: int) -> Table:
    shown = summary.conversations[:most]
    left_out = len(summary.conversations) - len(shown)
    table = Table("conversation", "with", "unread", "newest message", "sent", "ttl", caption=_caption(left_out))
    for listed in shown:
        state = listed.state
        others = [user for user in state.participants if user != summary.user_id]
        message = to_text(state.last_message_id), time_text(sent_timestamp(state.last_message_id))
        ttl = format_duration(listed.ttl_ms) if listed.ttl_ms else "-"
        table.add_row(to_text(listed.conversation_id), ", ".join(others) or "-", str(state.unread_count), *message, ttl)
    return table


def _members(summary: MailboxSummary, most: int) -> Table:
    left_out = max(0, len(summary.members) - most)
    table = Table("member", "has got up to", "has read up to", "read", caption=_caption(left_out))
    for marks in summary.members[:most]:
        read_us = marks.moves[-1].at_us if marks.moves else 0
        table.add_row(
            marks.user_id, _id(marks.delivered) or "-", _id(marks.read) or "-", time_text(read_us) if read_us else "-"
        )
    return table


def _devices(devices: Devices) -> Table:
    """Without their names, which somebody wrote."""
    table = Table("device", "registered", "last used, as written", "has up to version", "is pushed to")
    for one in devices.devices:
        times = time_text(one.created_us), time_text(one.seen_us)
        table.add_row(one.device_id, *times, str(one.acked or "-"), "no" if one.push is None else "yes")
    return table


def _id(mark: bytes) -> str | None:
    return to_text(mark) if mark else None


def _caption(left_out: int) -> str | None:
    return f"and {left_out:,} more (--conversations)" if left_out else None


def _as_json(summary: MailboxSummary, most: int) -> bytes:
    return orjson.dumps(
        {
            "userId": summary.user_id,
            "row": summary.row.decode(),
            "shard": summary.shard,
            "head": summary.head,
            "conversationCount": len(summary.conversations),
            "messages": summary.messages,
            "outbox": summary.outbox,
            "clientMessageIds": summary.client_ids,
            "revokedBefore": summary.revoked_before_s * US_PER_S or None,
            "claims": [_claim_fields(entry) for entry in summary.fence],
            "conversations": [_conversation_fields(listed) for listed in summary.conversations[:most]],
            "members": [_member_fields(marks) for marks in summary.members],
            "devices": [_device_fields(one) for one in summary.devices.devices],
            "signedOutDevices": [{"deviceId": one.device_id, "at": one.at_us} for one in summary.devices.signed_out],
        },
        option=orjson.OPT_INDENT_2,
    )


def _claim_fields(entry: FenceEntry) -> dict[str, object]:
    return {
        "mapVersion": map_version_of(entry.epoch),
        "n": entry.epoch & ((1 << N_BITS) - 1),
        "incarnation": entry.incarnation,
        "startsAfter": entry.starts_after,
        "claimedAt": entry.claimed_at_ms * US_PER_MS,
        "folded": entry.folded,
    }


def _conversation_fields(listed: ListedConversation) -> dict[str, object]:
    state = listed.state
    return {
        "conversationId": to_text(listed.conversation_id),
        "participants": list(state.participants),
        "unreadCount": state.unread_count,
        "lastMessageId": to_text(state.last_message_id),
        "readMark": to_text(state.read_mark),
        "lastUpdatedTimestamp": state.version,
        "receipts": {
            "deliveredUpTo": _id(listed.marks.delivered),
            "readUpTo": _id(listed.marks.read),
            "readTimestamp": listed.marks.read_us or None,
            "toldReadUpTo": _id(listed.marks.told_read),
        },
        "mutedUntil": listed.own.muted_until or None,
        "archived": listed.own.is_archived,
        "pinned": listed.own.is_pinned,
        "markedUnread": listed.own.is_marked_unread,
        "deleted": listed.own.is_deleted,
        "deletedUpTo": listed.own.floor or None,
        "ttlMs": listed.ttl_ms or None,
    }


def _device_fields(device: Device) -> dict[str, object]:
    """Without its name, which somebody wrote, and without what its push goes by, which is a secret of its client."""
    return {
        "deviceId": device.device_id,
        "platform": device.platform,
        "createdTimestamp": device.created_us,
        "lastSeenTimestamp": device.seen_us,
        "acked": device.acked or None,
        "hasPush": device.push is not None,
    }


def _member_fields(marks: MemberMarks) -> dict[str, object]:
    return {
        "userId": marks.user_id,
        "deliveredUpTo": _id(marks.delivered),
        "readUpTo": _id(marks.read),
        "moves": [{"upTo": to_text(move.up_to), "at": move.at_us or None} for move in marks.moves],
    }

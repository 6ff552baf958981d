"""The metrics of an owner."""

from collections.abc import Iterable

from rowbox.cacheserver.background import background_samples
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.samples import Kind, Sample


def owner_samples(owner: Owner) -> Iterable[Sample]:
    """All metrics of one owner. It only reads integers."""
    commit, table, delivery = owner.committer.counters, owner.table, owner.delivery
    loader, folding = owner.loader, owner.loader.folding
    numbers: tuple[tuple[str, Kind, str, float], ...] = (
        (
            "rowbox_commands_total",
            "counter",
            "Commands (sends, deliveries, marks and the like) that were decided.",
            commit.commands,
        ),
        ("rowbox_commands_waiting", "gauge", "Commands that wait for a store call.", owner.pipeline.waiting.count),
        (
            "rowbox_commands_waiting_bytes",
            "gauge",
            "Bytes of the commands that wait for a store call.",
            owner.pipeline.waiting.size_bytes,
        ),
        (
            "rowbox_commands_waiting_limit",
            "gauge",
            "How many commands may wait for a store call.",
            owner.pipeline.waiting.most,
        ),
        (
            "rowbox_commands_waiting_limit_bytes",
            "gauge",
            "How many bytes of commands may wait for a store call.",
            owner.pipeline.waiting.most_bytes,
        ),
        (
            "rowbox_commands_refused_total",
            "counter",
            "Commands refused because the queue, or their user's share of it, had no room.",
            owner.pipeline.refused,
        ),
        ("rowbox_commits_total", "counter", "Store calls that wrote to mailboxes.", commit.batches),
        ("rowbox_commit_rows_total", "counter", "Rows that writing store calls wrote.", commit.rows),
        ("rowbox_commit_cells_total", "counter", "Cells that writing store calls wrote.", commit.cells),
        ("rowbox_commit_seconds_total", "counter", "Time that writing store calls took.", commit.seconds),
        ("rowbox_sends_total", "counter", "Sends that made a message.", commit.sends),
        (
            "rowbox_fetches_total",
            "counter",
            "Pages, deltas and long polls that were asked of this server's mailboxes, by whatever server's API.",
            owner.fetches_begun,
        ),
        (
            "rowbox_send_store_calls_total",
            "counter",
            "Store calls that sends waited for, one after the other: of a send and of its delivery.",
            commit.send_store_calls,
        ),
        (
            "rowbox_unknown_outcomes_total",
            "counter",
            "Writing store calls whose outcome is unknown.",
            commit.unknown_outcomes,
        ),
        (
            "rowbox_cells_removed_total",
            "counter",
            "Cells that were removed because nobody needs them.",
            owner.cleaner.removed,
        ),
        ("rowbox_mailboxes_in_memory", "gauge", "Mailboxes in memory.", len(table)),
        ("rowbox_cache_bytes", "gauge", "What the mailboxes in memory take, estimated.", table.size_bytes),
        ("rowbox_cache_limit_bytes", "gauge", "What the mailboxes in memory may take: cache.bytes.", table.limit_bytes),
        ("rowbox_mailbox_loads_total", "counter", "Mailboxes read from the store.", table.loads),
        (
            "rowbox_load_store_calls_total",
            "counter",
            "Store calls that reading mailboxes took, their claims included.",
            loader.store_calls,
        ),
        (
            "rowbox_mailboxes_claimed_warm_total",
            "counter",
            "Mailboxes that the last owner had handed over: claimed, and not read.",
            loader.warm_loads,
        ),
        (
            "rowbox_mailboxes_handed_over_bytes",
            "gauge",
            "What was handed over and is not in use yet.",
            loader.warm.size_bytes,
        ),
        (
            "rowbox_folding_reads_total",
            "counter",
            "Store calls that looked for late writes, before a list of epochs is folded.",
            folding.reads,
        ),
        ("rowbox_fences_folded_total", "counter", "Lists of a mailbox's epochs that were made short.", folding.folded),
        ("rowbox_mailbox_evictions_total", "counter", "Mailboxes dropped from memory to make room.", table.evictions),
        (
            "rowbox_deliveries_pending",
            "gauge",
            "Messages on their way to their recipients' mailboxes.",
            delivery.pending,
        ),
        (
            "rowbox_deliveries_pending_bytes",
            "gauge",
            "Bytes of the messages on their way to recipients.",
            delivery.budget.size_bytes,
        ),
        (
            "rowbox_deliveries_pending_limit_bytes",
            "gauge",
            "How many bytes of messages may be on their way.",
            delivery.budget.most_bytes,
        ),
        ("rowbox_deliveries_total", "counter", "Messages that have reached all their recipients.", delivery.delivered),
        ("rowbox_delivery_retries_total", "counter", "Deliveries of messages that were tried again.", delivery.retries),
        (
            "rowbox_delivery_gaps_total",
            "counter",
            "Events of groups that came to a mailbox which lacked an earlier one.",
            delivery.group_events.gaps,
        ),
        (
            "rowbox_delivery_resumes_total",
            "counter",
            "Mailboxes that had been put back and were told how a group stands.",
            delivery.group_events.resumed,
        ),
        (
            "rowbox_senders_spilled",
            "gauge",
            "Senders of whose messages some are on their way in the store alone.",
            len(delivery.spilled),
        ),
        (
            "rowbox_outbox_scans_total",
            "counter",
            "Scans for undelivered messages that came to their end.",
            owner.recovery.scans,
        ),
        (
            "rowbox_disappeared_cells_total",
            "counter",
            "Cells of messages that came to an end of their own and were found to be removed.",
            owner.disappeared.removed,
        ),
        (
            "rowbox_disappeared_walks_total",
            "counter",
            "Walks over all rows for messages that have ended that came to their end.",
            owner.disappeared.walks,
        ),
        (
            "rowbox_erasures",
            "gauge",
            "Deleted users whose mailboxes have something that is still to be removed.",
            owner.erasures.under_way,
        ),
        (
            "rowbox_erasure_oldest_seconds",
            "gauge",
            "For how long the oldest of these has been deleted; 0 where there is none.",
            owner.erasures.oldest_s,
        ),
        (
            "rowbox_erasures_total",
            "counter",
            "Mailboxes of deleted users that were erased to the end.",
            owner.erasures.done,
        ),
        ("rowbox_store_ranges", "gauge", "Ranges of the store that work or fail as one.", owner.quarantine.count),
        (
            "rowbox_store_ranges_suspect",
            "gauge",
            "Ranges of which it is being found out whether they answer; what needs them waits.",
            owner.quarantine.suspects,
        ),
        (
            "rowbox_store_ranges_unavailable",
            "gauge",
            "Ranges that do not answer; what needs them is refused.",
            owner.quarantine.away,
        ),
        (
            "rowbox_store_probes_total",
            "counter",
            "Store calls that asked a range whether it answers.",
            owner.quarantine.probes,
        ),
        (
            "rowbox_commits_set_aside",
            "gauge",
            "Overdue store calls that nobody waits for any more.",
            owner.pipeline.set_aside,
        ),
        ("rowbox_followers", "gauge", "Clients that are told of changes of mailboxes.", owner.follows.followers.count),
        (
            "rowbox_follow_frames_total",
            "counter",
            "Changes that were told to followers with the bytes of their commit.",
            owner.follows.followers.frames,
        ),
        (
            "rowbox_follow_notices_total",
            "counter",
            "Changes that were told to followers without them: they pull.",
            owner.follows.followers.notices,
        ),
        ("rowbox_waiters", "gauge", "Clients waiting for news.", owner.waiters.count),
        ("rowbox_waiters_limit", "gauge", "How many clients may wait for news.", owner.waiters.most),
    )
    for name, kind, text, value in numbers:
        yield name, kind, text, {}, value
    yield from owner.receipts.samples()
    yield from owner.gatherings.samples()
    loops = (
        owner.recovery.loop,
        owner.disappeared.loop,
        owner.settling.loop,
        owner.cleaner.loop,
        owner.revocations.ids.loop,
        owner.follows.loop,
        owner.groups.forgetting.loop,
        owner.device_uses.loop,
        owner.deleted_copies.loop,
        owner.erasures.loop,
    )
    if owner.searches is not None:
        yield from owner.searches.samples()
    if owner.pushes is not None:
        yield from owner.pushes.samples()
    yield from background_samples(loops)

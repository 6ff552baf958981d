"""How traces name things: "2.1" is the epoch of map version 2 and n = 1, "x@2.1/3" message x under its version 3."""

from functools import cache

from rowbox.mailbox.fence import N_BITS, Fence, FenceEntry
from tests.model.rows.owner import NO_END
from tests.model.rows.row import Call, Entry, History

PROCESSES = "AB"
MESSAGES = "xyzw"


def name_epoch(epoch: int) -> str:
    return f"{epoch >> N_BITS}.{epoch & (1 << N_BITS) - 1}"


def name_entry(entry: Entry) -> str:
    return f"{MESSAGES[entry.message]}@{name_epoch(entry.epoch)}/{entry.version}"


@cache
def name_history(history: History) -> str:
    return f"[{' '.join(map(name_entry, history))}]"


def name_fence(fence: Fence) -> str:
    return f"[{', '.join(map(_name_fence_entry, fence))}]"


def _name_fence_entry(entry: FenceEntry) -> str:
    after = "nothing ends" if entry.starts_after >= NO_END else f"after {entry.starts_after}"
    return f"{'up to ' if entry.folded else ''}{name_epoch(entry.epoch)} {after}"


@cache
def name_call(call: Call) -> str:
    if call.delete:
        return f"deletion of {_name_columns(call)}"
    if call.entries:
        return f"put {name_history(tuple(sorted(call.entries)))}"
    return f"fence {' '.join(name_fence(cell.fence) for cell in call.fences)}"


def _name_columns(call: Call) -> str:
    index = [f"i of {name_epoch(epoch)}" for _, epoch in sorted(cell.column for cell in call.index_cells)]
    fences = [f"fence of {name_epoch(epoch)}" for epoch in sorted(cell.epoch for cell in call.fences)]
    entries = [name_entry(entry) for entry in sorted(call.entries)]
    outbox = [f"o of {name_entry(entry)}" for entry in sorted(call.outbox - call.entries)]
    return ", ".join([*index, *fences, *entries, *outbox])

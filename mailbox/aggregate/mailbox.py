"""The mailbox of one user in memory: what the owner decides on, and what it answers from.

A mutation goes plan -> store -> apply. `Mailbox.plan()` opens a Plan (plan.py). Commands are added to the plan; each is
decided at once, as if those before it had been applied, and the mailbox does not change. When the store has confirmed
the mutation, `Mailbox.apply(plan)` changes the mailbox; when it has not, the plan is forgotten. A mailbox has at most
one plan at a time.

What is complete here and what is a part of what the store holds:

index        every conversation, newest state                              complete
others       the newest states of all other kinds of index cells           complete
client_ids   every clientMessageId of the dedupe life, as hashes           complete (a miss is certain)
windows      the newest messages of some conversations                     each complete above its floor
log          the newest changes                                            complete above `log_floor`

No I/O, no clock, no randomness: what a rule needs from the store is asked for as a Need, time is an argument.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, cast

from rowbox.mailbox.aggregate.client_ids import ClientIds
from rowbox.mailbox.aggregate.index import ConversationIndex
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.aggregate.proofs import Proofs
from rowbox.mailbox.aggregate.state_size import state_bytes
from rowbox.mailbox.aggregate.window import Window
from rowbox.mailbox.cells import ACCOUNT_KINDS, DEVICES, MEMBERSHIP, OWN, PROFILE, RECEIPTS, REVOCATION, TTL, LogCell
from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.devices import Devices, DeviceUse
from rowbox.mailbox.errors import NotTheOwner
from rowbox.mailbox.expiry.ttl import Ttl
from rowbox.mailbox.fence import Fence, is_sweepable, is_valid, map_version_of
from rowbox.mailbox.group import Membership
from rowbox.mailbox.ids import ZERO_ID
from rowbox.mailbox.message import MessageCopy
from rowbox.mailbox.people.own_settings import OwnSettings
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.receipts import ReceiptMarks
from rowbox.mailbox.revocation import Revocation
from rowbox.mailbox.two_states import ByKind, Kind, State, StateT

LOG_ENTRIES = 256
"""Changes kept in memory; a client that missed more reads them from the store."""
LOG_ENTRY_BYTES = 250
MAILBOX_BYTES = 2_000
"""An empty mailbox with its row's place in the table. Measured with tracemalloc over 10,000 of them."""
WINDOW_BYTES = 300
DEVICE_USE_BYTES = 250
STALE_BYTES = 100
"""An entry of a dict whose key the index holds anyway."""


_OF_ACCOUNTS = frozenset(kind.letter for kind in ACCOUNT_KINDS)


class Created(Protocol):
    """A state of the account."""

    @property
    def created_version(self) -> int:
        """The version with which its key came into the mailbox."""
        ...


class Limits(NamedTuple):
    """What a mailbox needs of the settings."""

    retention_ms: int
    dedupe_life_ms: int
    token_life_ms: int
    window_messages: int
    window_bytes: int


class Mailbox:
    """One user's mailbox, at one version: `head`. Whoever calls `plan` and `apply` holds the user's lock."""

    __slots__ = (
        "_others_bytes",
        "_windows_bytes",
        "born",
        "client_ids",
        "device_uses",
        "devices",
        "epoch",
        "fence",
        "has_push",
        "head",
        "index",
        "is_erased",
        "limits",
        "log",
        "log_floor",
        "others",
        "proofs",
        "stale_epochs",
        "user_id",
        "windows",
    )

    def __init__(
        self,
        user_id: str,
        limits: Limits,
        *,
        epoch: int,
        fence: Fence = (),
        head: int = 0,
        index: ConversationIndex | None = None,
        client_ids: ClientIds | None = None,
        stale_epochs: ByKind[int] | None = None,
        others: ByKind[State] | None = None,
    ) -> None:
        """A mailbox as it was loaded.

        `fence` () where no write can be late: then every cell counts. `stale_epochs` names, by kind and key, the
        lower epoch whose index cell carries a state: garbage once this epoch has written the key itself. `others`
        are the states of all kinds but conversations. `born` is the version with which the first conversation came, or
        something of the account, if that was earlier; 0 for a mailbox that has none of these.
        """
        self.user_id = user_id
        self.limits = limits
        self.epoch = epoch
        self.fence = fence
        self.head = head
        self.index = index if index is not None else ConversationIndex()
        self.index.keep_for(limits.retention_ms * US_PER_MS)
        self.client_ids = client_ids if client_ids is not None else ClientIds()
        self.stale_epochs = stale_epochs or {}
        self.others: ByKind[State] = {}
        self.devices: Devices | None = None
        """The user's devices; None where there never was one."""
        self.device_uses: dict[str, DeviceUse] = {}
        """How his devices were used since the mailbox was loaded, as far as they are signed in."""
        self.has_push = False
        """Whether one of them has a push target: asked at each change."""
        self.is_erased = False
        """Whether the user is deleted, which is for ever: nothing is read for him, and nothing comes in."""
        self._others_bytes = 0
        self.born = self.index.born
        for kind, states in (others or {}).items():
            self._take_others(kind, states)
        self.index.leave_out()
        self.windows: OrderedDict[bytes, Window] = OrderedDict()
        self._windows_bytes = 0
        self.log: deque[LogCell] = deque()
        self.log_floor = head
        self.proofs = Proofs()

    @property
    def is_fenced(self) -> bool:
        """Whether writes can be late here, so that cells need judging and index cells hold two states."""
        return bool(self.fence)

    @property
    def size_bytes(self) -> int:
        """About how many bytes the mailbox takes in memory: a sum of counts that are kept current."""
        return (
            MAILBOX_BYTES
            + self.index.size_bytes
            + self.client_ids.size_bytes
            + self._windows_bytes
            + self._others_bytes
            + len(self.device_uses) * DEVICE_USE_BYTES
            + len(self.log) * LOG_ENTRY_BYTES
            + sum(map(len, self.stale_epochs.values())) * STALE_BYTES
        )

    def state(self, kind: Kind[StateT], key: bytes = b"") -> StateT | None:
        """The state of a key; None where none was ever written. Not for conversations: `index` has them."""
        return cast("StateT | None", self.others.get(kind.letter, {}).get(key))

    def states_of(self, kind: Kind[StateT]) -> Mapping[bytes, StateT]:
        """The states of a kind by key. Not for conversations: `index` has them."""
        return cast("Mapping[bytes, StateT]", self.others.get(kind.letter, {}))

    def has_any(self, kind: Kind[StateT]) -> bool:
        """Whether there is a state of this kind, under whatever key. Not for conversations."""
        return bool(self.others.get(kind.letter))

    @property
    def receipts(self) -> Mapping[bytes, ReceiptMarks]:
        """The marks of both sides, by conversation."""
        return self.index.marks

    @property
    def newest_shown(self) -> int:
        """No change that is shown to clients has a version above this."""
        return self.log[-1].version if self.log else self.log_floor

    @property
    def revocation(self) -> Revocation | None:
        """Which of the user's tokens are refused; None: none are."""
        states = self.others.get(REVOCATION.letter)
        known = cast("Revocation", states[b""]) if states else None
        return known if known is not None and known.before_s else None

    def counts(self, epoch: int, version: int, as_of: int) -> bool:
        """Whether a cell of (`epoch`, `version`) read from the store is part of this mailbox as of head `as_of`.

        NotTheOwner for a cell of a higher epoch: another owner has claimed the row, and the caller has to drop
        this mailbox.
        """
        if not self.fence:
            return version <= as_of
        if epoch > self.epoch:
            raise NotTheOwner("another node has claimed this user", map_version=map_version_of(epoch))
        return version <= as_of and is_valid(self.fence, epoch, version)

    def is_dead(self, epoch: int, version: int) -> bool:
        """Whether a cell is the late write of a replaced owner, which the owner of this mailbox may remove (rule 2)."""
        return is_sweepable(self.fence, self.epoch, epoch, version)

    def horizon(self, now_us: int) -> int:
        """The one rule of retention: a message is in this mailbox while the version it came with is greater than this.

        A message that has an end of its own is not there from that on, either (mailbox/expiry).
        The store keeps it somewhat longer: its cell's life counts from the write, which is never before the version.
        """
        return now_us - self.limits.retention_ms * US_PER_MS

    def plan(self, now_us: int, seen_us: int | None = None) -> Plan:
        """Opens a mutation at `now_us`. What has expired by `seen_us` (None: by `now_us`) is gone."""
        return Plan(self, now_us, now_us if seen_us is None else seen_us)

    def apply(self, plan: Plan) -> None:
        """Takes in a mutation that the store has confirmed: what it changes is visible from now on.

        A change is a state in `plan.states` or `plan.others`; `plan.log` is only what clients are told of it.
        """
        self.head = plan.head
        for kind, states in plan.others.items():
            self._take_others(kind, states)
        if not self.born and plan.states:
            self.born = min([state.created_version for state in plan.states.values()])
        touched = self._touched(plan) if RECEIPTS.letter in plan.others else []
        for conversation_id, state in plan.states_by_version():
            while touched and touched[-1][0] < state.version:
                self.index.touch(*touched.pop()[::-1])
            if state.created_version > plan.base_head:
                self._open_window(conversation_id, ZERO_ID)
            self.index.put(conversation_id, state)
        while touched:
            self.index.touch(*touched.pop()[::-1])
        self._apply_copies(plan)
        if plan.records:
            for client_id_hash, record in plan.records.items():
                self.client_ids.add(client_id_hash, record.version)
            self.client_ids.drop_expired(plan.seen_us - self.limits.dedupe_life_ms * US_PER_MS)
        self._extend_log(plan.log)
        self._trim_windows()

    def take_stale(self, plan: Plan) -> list[tuple[bytes, bytes, int]]:
        """The (kind, key, epoch) of index cells that an applied `plan` made garbage. Each is returned once."""
        if not self.stale_epochs:
            return []
        return [
            (kind, key, stale.pop(key))
            for kind, states in plan.changes()
            if (stale := self.stale_epochs.get(kind))
            for key in states
            if key in stale
        ]

    def window(self, conversation_id: bytes, now_us: int) -> Window | None:
        """The window of a conversation, without what has expired by `now_us`; None where the mailbox has none.

        It becomes the most recently used one.
        """
        window = self.windows.get(conversation_id)
        if window is not None:
            self.windows.move_to_end(conversation_id)
            before = window.size_bytes
            window.drop_expired(self.horizon(now_us), now_us)
            self._windows_bytes += window.size_bytes - before
        return window

    def window_to_fill(self, conversation_id: bytes) -> Window:
        """The window of a conversation, made where there is none: empty, with the newest messageId as floor."""
        window = self.windows.get(conversation_id)
        if window is None:
            state = self.index.get(conversation_id)
            window = self._open_window(conversation_id, state.last_message_id if state is not None else ZERO_ID)
        return window

    def fill_window(
        self, conversation_id: bytes, window: Window, older: list[MessageCopy], floor: bytes, missed_before: int
    ) -> None:
        """Extends `window` by what a read of the store gave (Window.fill), if the mailbox still holds it."""
        if self.windows.get(conversation_id) is not window:
            return
        before = window.size_bytes
        window.fill(older, floor, missed_before)
        self._windows_bytes += window.size_bytes - before
        self._trim_windows()

    def changes_after(self, version: int) -> list[LogCell]:
        """The log entries in memory after `version`, upwards: all there are where that is not below `log_floor`."""
        found: list[LogCell] = []
        for entry in reversed(self.log):
            if entry.version <= version:
                break
            found.append(entry)
        return found[::-1]

    def extend_log_back(self, older: Sequence[LogCell], floor: int, ceiling: int) -> None:
        """Extends the log downwards by all entries with floor < version <= ceiling, as far as a log is kept.

        Void unless the log still begins above `ceiling`: it may have lost entries while these were read.
        """
        room = LOG_ENTRIES - len(self.log)
        if ceiling != self.log_floor or room <= 0:
            return
        kept = older[-room:]
        self.log.extendleft(reversed(kept))
        self.log_floor = floor if len(kept) == len(older) else older[-room - 1].version

    def restore(
        self, windows: Iterable[tuple[bytes, bytes, list[MessageCopy]]], log: Iterable[LogCell], log_floor: int
    ) -> None:
        """Takes in what another process had in memory of this mailbox at the same head, as far as there is room.

        Of each window: the conversation, its floor and its copies; the least recently used one first. To be called of a
        mailbox that was just made.
        """
        for conversation_id, floor, copies in windows:
            window = self._open_window(conversation_id, floor)
            window.restore(copies)
            self._windows_bytes += window.size_bytes
        self._trim_windows()
        self.log_floor = log_floor
        self._extend_log(log)

    def take_device_uses(self, uses: dict[str, DeviceUse]) -> None:
        """Keeps what is known of the use of those devices that are signed in, and what of it is written by now."""
        signed_in = {device.device_id: device for device in self.devices.devices} if self.devices is not None else {}
        for device_id, use in list(uses.items()):
            if device_id in signed_in and use.acked <= self.head:
                use.written(signed_in[device_id])
            else:
                del uses[device_id]
        self.device_uses = uses

    def copy_in_memory(self, conversation_id: bytes, message_id: bytes) -> MessageCopy | None:
        """A message of a conversation; None where no window holds it."""
        window = self.windows.get(conversation_id)
        return window.get(message_id) if window is not None else None

    def _touched(self, plan: Plan) -> list[tuple[int, bytes]]:
        """The conversations whose marks an applied plan has changed for clients to see, each with the version of that;
        the one that changed last comes first.
        """
        marks = ((one, self.receipts[one].shown) for one in plan.others[RECEIPTS.letter])
        return sorted([(shown, one) for one, shown in marks if shown > plan.base_head], reverse=True)

    def _take_others(self, kind: bytes, states: Mapping[bytes, State]) -> None:
        known = self.others.setdefault(kind, {})
        if kind == MEMBERSHIP.letter:
            self.index.memberships = cast("Mapping[bytes, Membership]", known)
        if kind == RECEIPTS.letter:
            self.index.marks = cast("Mapping[bytes, ReceiptMarks]", known)
        if kind == OWN.letter:
            self.index.own = cast("Mapping[bytes, OwnSettings]", known)
            self.index.take_floors(cast("Mapping[bytes, OwnSettings]", states))
        if kind == TTL.letter:
            self.index.ttls = cast("Mapping[bytes, Ttl]", known)
        for key, state in states.items():
            before = known.get(key)
            self._others_bytes += state_bytes(state) - (state_bytes(before) if before is not None else 0)
            known[key] = state
        if kind == DEVICES.letter:
            self.devices = cast("Devices", known[b""])
            self.take_device_uses(self.device_uses)
            self.has_push = self.devices.have_push
        if kind == PROFILE.letter and known:
            self.is_erased = cast("Profile", known[b""]).erasure is not None
        if kind in _OF_ACCOUNTS and states:
            first = min(state.created_version for state in cast("Iterable[Created]", states.values()))
            self.born = min(self.born, first) if self.born else first

    def _open_window(self, conversation_id: bytes, floor: bytes) -> Window:
        window = self.windows[conversation_id] = Window(floor, self.limits.window_messages, self.limits.window_bytes)
        self._windows_bytes += WINDOW_BYTES
        return window

    def _apply_copies(self, plan: Plan) -> None:
        for conversation_id in plan.deleted:
            self._empty_window(conversation_id)
        for conversation_id, copy, newest_before in plan.copies:
            if not plan.deleted or copy.came > self.index.floors.get(conversation_id, 0):
                self._add_copy(conversation_id, copy, newest_before)
        for conversation_id, copy in plan.changed:
            self._replace_copy(conversation_id, copy)

    def _empty_window(self, conversation_id: bytes) -> None:
        """Forgets the messages of a conversation that was deleted. What is read of it now is void."""
        window = self.windows.pop(conversation_id, None)
        if window is not None:
            self._windows_bytes -= window.size_bytes + WINDOW_BYTES
        self._open_window(conversation_id, ZERO_ID)

    def _add_copy(self, conversation_id: bytes, copy: MessageCopy, newest_before: bytes) -> None:
        window = self.windows.get(conversation_id)
        if window is None:
            if copy.message_id <= newest_before:
                return
            window = self._open_window(conversation_id, newest_before)
        before = window.size_bytes
        window.add(copy)
        self._windows_bytes += window.size_bytes - before
        self.windows.move_to_end(conversation_id)

    def _replace_copy(self, conversation_id: bytes, copy: MessageCopy) -> None:
        window = self.windows.get(conversation_id)
        if window is not None:
            before = window.size_bytes
            window.replace(copy)
            self._windows_bytes += window.size_bytes - before

    def _extend_log(self, entries: Iterable[LogCell]) -> None:
        self.log.extend(entries)
        while len(self.log) > LOG_ENTRIES:
            self.log_floor = self.log.popleft().version

    def _trim_windows(self) -> None:
        """Forgets the least recently used windows, but for one: a page of the hottest conversation stays cheap."""
        while self._windows_bytes > self.limits.window_bytes and len(self.windows) > 1:
            _, window = self.windows.popitem(last=False)
            self._windows_bytes -= window.size_bytes + WINDOW_BYTES

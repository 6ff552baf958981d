"""When a user's devices are told of a message, and when no more.

    a message of somebody else came that counts as unread (`applied`)
        nobody used the mailbox within ACTIVE_S   -> the devices are told now
        somebody did                              -> after PATIENCE_S they are, if it is still unread then
    a mailbox was loaded (`loaded`)               -> the same for what came behind `pushed`, as if somebody used it
    a place is free in the dispatcher (`_ask`)    -> what there is to say now: of the conversation's newest unread
                                                     message, once, to who does not have it by his token; or, where
                                                     there is none any more, that this is so, to who was told of one
    what was told was read or taken back          -> CLEAR_S later these devices are told that
    a push was taken                              -> NOTE_S later the row notes up to which version (`pushed`)

A push is a hint, and the message is in the mailbox. What a crash leaves untold the next load finds, because `pushed` is
behind it; what was told within NOTE_S before a crash is told once more. A load that nobody asks for is not made for it.

Nothing is done for a user without a push target: the owner asks `Mailbox.has_push` before it calls.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Final

from rowbox.cacheserver.access.device_uses import DeviceUses
from rowbox.cacheserver.cache.commands import DEVICES_BYTES, Command, CommandResult, PushCommand
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.push.dispatcher import Dispatcher, Errand, Saying
from rowbox.cacheserver.push.notes import Content, NewMessage, counts, newest_unread, note_of
from rowbox.cacheserver.push.port import PushPort
from rowbox.cacheserver.push.unread import Unread
from rowbox.cacheserver.samples import Sample
from rowbox.mailbox.account.access_row import AccessRow
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.aggregate.state_size import state_bytes
from rowbox.mailbox.cells import OWN
from rowbox.mailbox.devices import NO_DEVICES, Device
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.ids import from_text, to_text
from rowbox.mailbox.push.note import CodeNote, MessageNote, Note, ReadNote
from rowbox.mailbox.push.target import PushTarget
from rowbox.mailbox.timing.timer_queue import TimerQueue

ACTIVE_S: Final = 60.0
"""A user who sent or read something within this time is looking, as a rule; so is one whose client says so."""
PATIENCE_S: Final = 15.0
CLEAR_S: Final = 5.0
NOTE_S: Final = 10.0
MOST_USERS: Final = 100_000
"""Of whom it is kept when they were active."""
MOST_TOLD: Final = 50_000
"""Conversations of which it is kept what devices were told."""
MOST_AT_LOAD: Final = 100
"""Conversations of a mailbox of which a load has devices told."""

Place = tuple[str, bytes]
"""A user, and a conversation of his."""


class Pushes:
    """The pushes of one owner's users. `close` ends it."""

    def __init__(
        self,
        port: PushPort,
        table: Table,
        submit: Callable[[Command], None],
        content: Content,
        seen_us: Callable[[], int],
    ) -> None:
        self._table = table
        self._submit = submit
        self._content: Content = content
        self._loop = asyncio.get_running_loop()
        self._port = port
        self._seen_us = seen_us
        self.dispatcher = Dispatcher(port, self._ask, self._was_told, self._is_gone)
        self._unread = Unread()
        self._active_at_s: OrderedDict[str, float] = OrderedDict()
        self._told: OrderedDict[Place, dict[str, bytes]] = OrderedDict()
        """By place and device: the message that the device was told of, and may still show."""
        self._owed = TimerQueue[Place](self._loop, self._tell)
        self._to_clear = TimerQueue[Place](self._loop, self._tell)
        self._pushed: dict[str, int] = {}
        """By user: up to which version he was pushed, where his row does not say so yet."""
        self._to_note = TimerQueue[str](self._loop, self._note)

    # ------------------------------------------------------------------ what the calls about devices need

    @property
    def server_key(self) -> str:
        """See Pushing."""
        return self._port.server_key

    def check(self, target: PushTarget) -> None:
        """See Pushing."""
        self._port.check(target)

    def confirm(self, user_id: str, device: Device) -> None:
        """See Pushing."""
        if device.push is not None and device.push.code:
            self.dispatcher.put(Errand(user_id, device.device_id, b""), device.push.authority)

    # ------------------------------------------------------------------ what the owner tells

    def applied(self, mailbox: Mailbox, plan: Plan) -> None:
        """A plan was applied to a mailbox that has push targets."""
        user_id = mailbox.user_id
        self._unread.applied(mailbox, plan)
        if plan.records or plan.read:
            self.note_active(user_id)
        for conversation_id, copy, _ in plan.copies:
            state = plan.states.get(conversation_id)
            if state is not None and counts(state, copy.message_id):
                self._owe((user_id, conversation_id))
        for conversation_id, state in plan.states.items():
            if not state.unread_count:
                self._clear((user_id, conversation_id))
        for conversation_id, copy in plan.changed:
            if copy.message_id in self._told.get((user_id, conversation_id), {}).values():
                self._clear((user_id, conversation_id))

    def loaded(self, mailbox: Mailbox) -> None:
        """A mailbox that has push targets came into memory. Whoever asked for it may be its user."""
        pushed = (mailbox.devices or NO_DEVICES).pushed
        for conversation_id, _ in mailbox.index.latest(pushed, MOST_AT_LOAD):
            message = self._newest(mailbox, conversation_id)
            if message is not None and message.version > pushed:
                self._owed.add((mailbox.user_id, conversation_id), PATIENCE_S)

    def note_active(self, user_id: str, ago_s: float = 0.0) -> None:
        """The user was looking at one of his clients so long ago."""
        at_s = self._loop.time() - ago_s
        self._active_at_s[user_id] = max(at_s, self._active_at_s.get(user_id, at_s))
        self._active_at_s.move_to_end(user_id)
        if len(self._active_at_s) > MOST_USERS:
            self._active_at_s.popitem(last=False)

    def give_away(self, is_given: Callable[[str], bool]) -> None:
        """Forgets the users of whom `is_given` says so."""
        self.dispatcher.forget(is_given)
        for queue in (self._owed, self._to_clear):
            for place in [place for place in queue if is_given(place[0])]:
                queue.remove(place)
        for place in [place for place in self._told if is_given(place[0])]:
            del self._told[place]
        for user_id in [user_id for user_id in self._pushed if is_given(user_id)]:
            del self._pushed[user_id]
            self._to_note.remove(user_id)
        for user_id in [user_id for user_id in self._active_at_s if is_given(user_id)]:
            del self._active_at_s[user_id]

    async def close(self) -> None:
        """Ends it: nobody is told anything any more."""
        for queue in (self._owed, self._to_clear, self._to_note):
            queue.close()
        await self.dispatcher.close()

    def samples(self) -> Iterable[Sample]:
        """The metrics of it."""
        yield from self.dispatcher.samples()
        text = "Conversations of which devices are told if they are still unread after 15 s."
        yield "rowbox_pushes_owed", "gauge", text, {}, len(self._owed)

    # ------------------------------------------------------------------ when

    def _owe(self, place: Place) -> None:
        if place in self._owed:
            return
        if self._loop.time() - self._active_at_s.get(place[0], float("-inf")) < ACTIVE_S:
            self._owed.add(place, PATIENCE_S)
        else:
            self._tell(place)

    def _clear(self, place: Place) -> None:
        if place in self._told and place not in self._to_clear:
            self._to_clear.add(place, CLEAR_S)

    def _tell(self, place: Place) -> None:
        """Has each device told of a conversation. What there is to say, and to which of them, is asked later."""
        user_id, conversation_id = place
        row = self._table.peek(user_id)
        if row is None or row.mailbox is None or row.mailbox.devices is None:
            return  # the next load finds it
        for device in row.mailbox.devices.devices:
            if device.push is not None and device.push.is_confirmed:
                self.dispatcher.put(Errand(user_id, device.device_id, conversation_id), device.push.authority)

    # ------------------------------------------------------------------ what the dispatcher asks and tells

    async def _ask(self, errand: Errand) -> Saying | None:
        user_id, device_id, conversation_id = errand
        row, mailbox = await self._table.loaded(user_id)
        row.grant.check()
        device = (mailbox.devices or NO_DEVICES).get(device_id)
        target = device.push if device is not None else None
        if target is None:
            return None
        if not conversation_id:
            return _saying(errand, target, CodeNote(target.code.hex()), target.code) if target.code else None
        if not target.is_confirmed:
            return None
        told = self._told.get((user_id, conversation_id), {}).get(device_id)
        message = self._newest(mailbox, conversation_id)
        if message is None:
            if told is None:
                return None
            if target.must_show:
                self._forget_told((user_id, conversation_id), device_id)
                return None
            read = ReadNote(to_text(conversation_id), self._badge(mailbox))
            return _saying(errand, target, read, b"read" + told)
        has_it = message.message_id == told or DeviceUses.acked(mailbox).get(device_id, 0) >= message.version
        if has_it or self._is_quiet(mailbox, conversation_id):
            return None
        note = note_of(mailbox, conversation_id, message, self._badge(mailbox), self._content)
        return _saying(errand, target, note, message.message_id, message)

    def _was_told(self, errand: Errand, saying: Saying) -> None:
        user_id, device_id, conversation_id = errand
        place, note = (user_id, conversation_id), saying.note
        if isinstance(note, ReadNote):
            self._forget_told(place, device_id)
        elif isinstance(note, MessageNote):
            self._told.setdefault(place, {})[device_id] = from_text(note.message_id, "messageId")
            self._told.move_to_end(place)
            if len(self._told) > MOST_TOLD:
                self._told.popitem(last=False)
            if user_id not in self._pushed:
                self._to_note.add(user_id, NOTE_S)
            self._pushed[user_id] = max(saying.version, self._pushed.get(user_id, 0))
            if not self._is_unread(place, saying.version):
                self._clear(place)  # it was read or taken back while it was being told

    def _forget_told(self, place: Place, device_id: str) -> None:
        devices = self._told.get(place, {})
        devices.pop(device_id, None)
        if not devices:
            self._told.pop(place, None)

    def _newest(self, mailbox: Mailbox, conversation_id: bytes) -> NewMessage | None:
        return newest_unread(mailbox, conversation_id, self._seen_us())

    def _is_unread(self, place: Place, version: int) -> bool:
        """Whether the message that came with `version`, or one behind it, is unread; True where memory does not say."""
        row = self._table.peek(place[0])
        if row is None or row.mailbox is None:
            return True
        message = self._newest(row.mailbox, place[1])
        return message is not None and message.version >= version

    def _badge(self, mailbox: Mailbox) -> int:
        return self._unread.badge(mailbox, self._seen_us())

    def _is_quiet(self, mailbox: Mailbox, conversation_id: bytes) -> bool:
        """Whether its user is not to be told of a conversation: it is muted, or waits to be accepted."""
        own = mailbox.state(OWN, conversation_id)
        return own is not None and (own.is_request or own.is_muted(self._seen_us()))

    def _is_gone(self, errand: Errand, target: PushTarget) -> None:
        user_id, device_id, _ = errand
        self._change(user_id, lambda plan: AccessRow(plan).remove_push(device_id, target))

    # ------------------------------------------------------------------ what the row notes

    def _note(self, user_id: str) -> None:
        version = self._pushed.pop(user_id)
        row = self._table.peek(user_id)
        if row is not None and row.mailbox is not None:  # else the next load has it told once more
            self._change(user_id, lambda plan: AccessRow(plan).note_pushed(version))

    def _change(self, user_id: str, do: Callable[[Plan], None]) -> None:
        future: asyncio.Future[CommandResult] = self._loop.create_future()
        future.add_done_callback(_heard)
        try:
            self._submit(PushCommand(user_id, do, self._devices_bytes(user_id), future=future))
        except RowboxError:
            return  # it is found out once more

    def _devices_bytes(self, user_id: str) -> int:
        row = self._table.peek(user_id)
        devices = row.mailbox.devices if row is not None and row.mailbox is not None else None
        return DEVICES_BYTES if devices is None else state_bytes(devices)


def _saying(errand: Errand, target: PushTarget, note: Note, what: bytes, message: NewMessage | None = None) -> Saying:
    key = "\0".join(errand[:2]).encode() + errand.conversation_id + what
    push_id = blake2b(key, digest_size=16, person=b"rowbox-push").hexdigest()
    return Saying(target, note, push_id, message.version if message is not None else 0)


def _heard(done: "asyncio.Future[CommandResult]") -> None:
    """What could not be written is found out once more; nobody waits for it."""
    if not done.cancelled():
        done.exception()

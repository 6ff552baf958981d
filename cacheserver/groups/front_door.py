"""What a user asks of a group, at the user's owner: his own row first, then the group's row, then his own copy.

    own row     is he in, by which join; does he know the send already; how far has his row come
    group's row decides, orders, writes (group_rows.py; at its own owner)
    own row     the answer is given once the user's own row has the event

Nothing is written into the own row before the group's has said yes, so a refusal wrote nothing (P7). What is asked does
not occupy the own row: the event has to be able to come in. docs/adr/0053-groups-searched.md has the rules.

A try whose outcome is not known is repeated, under the same clientMessageId, and so is one that nobody could answer.
What the same user asks of the same group meanwhile waits (lines.py).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Final, NamedTuple, TypeVar

from msgspec.structs import replace

from rowbox.cacheserver.access.revocations import Revocations
from rowbox.cacheserver.cache.row import Row
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.clocks import Time
from rowbox.cacheserver.lines import Lines
from rowbox.cacheserver.port import ChangeGroup, ChangeMessage, Create, FetchGroup, FetchReceipts, React, Send
from rowbox.cacheserver.rows.row_reader import RowReader
from rowbox.cacheserver.rows.view import View
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.cells import MEMBERSHIP, DedupeCell, MessageCell
from rowbox.mailbox.errors import (
    ClientGroupIdReused,
    ClientMessageIdReused,
    GroupDeleted,
    GroupMoved,
    HandoverInProgress,
    MessageTooLarge,
    NotAMember,
    RowboxError,
    StoreOutcomeUnknown,
    UnknownMessage,
)
from rowbox.mailbox.group import History
from rowbox.mailbox.groups.done_already import has_text, shows_reaction
from rowbox.mailbox.groups.group_row import LONG_AGO_US
from rowbox.mailbox.groups.member_row import may_create, place_of, so_already, standpoint
from rowbox.mailbox.groups.requests import (
    Add,
    Gone,
    GroupAnswer,
    GroupChange,
    GroupChanged,
    GroupReceipts,
    GroupRequest,
    GroupSend,
    GroupSent,
    GroupView,
    MessageChange,
    MessageReaction,
    NewGroup,
    Standpoint,
    ViewGroup,
    ViewReceipts,
)
from rowbox.mailbox.ids import client_id_hash, counted, entropy_of, payload_hash
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import GroupsSettings

FIRST_PAUSE_S: Final = 0.01
LONGEST_PAUSE_S: Final = 0.25
TRIED_AGAIN: Final = (HandoverInProgress, StoreOutcomeUnknown, GroupMoved)
"""Errors of a group's row after which it is asked once more."""
TRUE_OF_ALL: Final[Mapping[type, tuple[type[RowboxError], ...]]] = {
    GroupSend: (NotAMember, GroupDeleted, ClientMessageIdReused),
    NewGroup: (ClientGroupIdReused,),
}
"""Errors that are true of earlier tries too, by what was asked: one of these that was written would be known. Of what
else is asked nothing remembers that it was done: who was removed behind it may have done it.
"""

CheckKnown = Callable[[Sequence[str]], Awaitable[None]]
"""Raises UnknownUser where one of the users may not be brought into a group, and what asking for them raises."""
AskGroup = Callable[[GroupRequest], Awaitable[GroupAnswer]]
_Known = TypeVar("_Known")
_READS: Final = (ViewGroup, ViewReceipts)
_REQUESTS: Final = (NewGroup, GroupSend, GroupChange, MessageChange, MessageReaction, Gone, *_READS)


class SentTo(NamedTuple):
    """A send to a group, as the sender's own row has it; `version` is that row's. The others are as in SendResult."""

    message_id: bytes
    version: int
    pending: int
    duplicate: bool


class FrontDoor:
    """What users of one owner ask of groups. `ask` reaches a group's row, wherever it is owned."""

    def __init__(
        self,
        table: Table,
        reader: RowReader,
        revocations: Revocations,
        time: Time,
        settings: GroupsSettings,
        ask: AskGroup,
        check_known: CheckKnown,
        random: Random,
        *,
        patience_s: float,
    ) -> None:
        """`patience_s`: how long a request is tried."""
        self._table = table
        self._reader = reader
        self._revocations = revocations
        self._time = time
        self._settings = settings
        self._ask = ask
        self._check_known = check_known
        self._random = random
        self._patience_s = patience_s
        self._loop = asyncio.get_running_loop()
        self.lines = Lines()

    async def send(self, request: Send, conversation_id: bytes) -> SentTo:
        """Sends to a group. See MailboxPort.send for what it raises."""
        self._check_size(request.content)
        async with self.lines.turn(request.sender_id, conversation_id, request.routed):
            return await self._send(request, conversation_id)

    async def change(self, request: ChangeGroup) -> GroupChanged:
        """Creates or changes a group. See MailboxPort.change_group for what it raises."""
        async with self.lines.turn(request.user_id, request.conversation_id, request.routed):
            deed, entropy = request.deed, self._random.getrandbits(62)
            await self._check_newcomers(request)

            async def prepare() -> GroupRequest | GroupChanged:
                _, mailbox = await self._own_row(request.user_id, request.bearer)
                if isinstance(deed, Create):
                    may_create(mailbox, request.conversation_id)
                    return self._new_group(request, deed, entropy)
                answer = so_already(mailbox, request.conversation_id, deed)
                if answer is not None:
                    return answer
                by = standpoint(mailbox, request.conversation_id, self._time.now_us())
                return GroupChange(request.conversation_id, by, deed, entropy)

            changed = await self._tried(prepare)
            assert isinstance(changed, GroupChanged)
            with _done():
                await self._own_row_has(request.user_id, request.conversation_id, changed.version)
            return changed

    async def _check_newcomers(self, request: ChangeGroup) -> None:
        """UnknownUser where somebody may not be brought into a group. A group that was made is no more asked about."""
        deed = request.deed
        if isinstance(deed, Add):
            await self._check_known(deed.users)
        elif isinstance(deed, Create):
            _, mailbox = await self._own_row(request.user_id, request.bearer)
            if mailbox.state(MEMBERSHIP, request.conversation_id) is None:
                await self._check_known([user_id for user_id in deed.members if user_id != request.user_id])

    async def change_message(self, request: ChangeMessage | React) -> GroupChanged:
        """Changes a message of a group, or how the user reacts to it; of what is answered, `version` is his own row's.

        See MailboxPort.change_message for what it raises.
        """
        conversation_id, message_id = request.conversation_id, request.message_id
        content = request.content if isinstance(request, ChangeMessage) else None
        if content is not None:
            self._check_size(content)
        async with self.lines.turn(request.user_id, conversation_id, request.routed):
            entropy = self._random.getrandbits(62)

            async def prepare() -> GroupRequest | GroupChanged:
                row, mailbox = await self._own_row(request.user_id, request.bearer)
                try:
                    by = standpoint(mailbox, conversation_id, self._time.now_us())
                except (NotAMember, GroupDeleted):
                    if not await self._is_done(request, row, mailbox):
                        raise
                    self._revocations.check_again(request.bearer)
                    return GroupChanged(0, changed=False)
                if not await self._own_copy(row, mailbox, conversation_id, message_id):
                    raise UnknownMessage("no such message in this conversation")
                self._revocations.check_again(request.bearer)
                if isinstance(request, React):
                    return MessageReaction(conversation_id, by, message_id, request.emoji, entropy)
                return MessageChange(conversation_id, by, message_id, request.content, entropy)

            changed = await self._tried(prepare)
            assert isinstance(changed, GroupChanged)
            with _done():
                await self._own_row_has(request.user_id, conversation_id, changed.version)
                row, mailbox = await self._table.loaded(request.user_id)
                version = await self._own_copy(row, mailbox, conversation_id, message_id)
                row.grant.check()
            # Retention may take the message in this moment.
            return replace(changed, version=version or mailbox.index.version_of(conversation_id))

    async def view(self, request: FetchGroup) -> GroupView:
        """What a group is. See MailboxPort.fetch_group for what it raises."""

        async def prepare() -> GroupRequest:
            _, mailbox = await self._own_row(request.user_id, request.bearer)
            standpoint(mailbox, request.conversation_id, 0)
            return ViewGroup(request.conversation_id, request.user_id)

        view = await self._tried(prepare)
        assert isinstance(view, GroupView)
        return view

    async def pending(self, user_id: str, client_message_id: str, record: DedupeCell) -> int:
        """How many members are not known to have a message that the user's own row knows.

        Where the group's row does not answer, one: nobody here knows.
        """
        query = Standpoint(user_id, 0, 0, LONG_AGO_US)
        place, known_as = record.conversation_id, (client_message_id, record.payload_hash)
        try:
            sent = await self._ask(GroupSend(place, query, "", *known_as, 0))
        except GroupMoved:
            return 0  # the group's row has forgotten the send: all members have had it for an hour
        except RowboxError:
            return 1
        assert isinstance(sent, GroupSent)
        return sent.pending

    async def receipts(self, request: FetchReceipts) -> GroupReceipts:
        """Who of a group's members has the user's messages. See MailboxPort.fetch_receipts for what it raises."""

        async def prepare() -> GroupRequest:
            _, mailbox = await self._own_row(request.user_id, request.bearer)
            standpoint(mailbox, request.conversation_id, 0)
            return ViewReceipts(request.conversation_id, request.user_id, request.message_ids)

        receipts = await self._tried(prepare)
        assert isinstance(receipts, GroupReceipts)
        return receipts

    async def _send(self, request: Send, conversation_id: bytes) -> SentTo:
        hashed = client_id_hash(request.client_message_id)
        payload = payload_hash(conversation_id, request.content)
        entropy = request.entropy or self._random.getrandbits(62)

        async def prepare() -> GroupRequest | DedupeCell:
            row, mailbox = await self._own_row(request.sender_id, request.bearer)
            record = await self._record(row, mailbox, hashed)
            self._revocations.check_again(request.bearer)
            if record is not None:
                if record.payload_hash != payload:
                    raise ClientMessageIdReused("this clientMessageId was used for another message")
                return record
            by = standpoint(mailbox, conversation_id, self._time.now_us())
            return GroupSend(conversation_id, by, request.content, request.client_message_id, payload, entropy)

        sent = await self._tried(prepare)
        assert isinstance(sent, (GroupSent, DedupeCell))
        is_its_own = counted(entropy_of(sent.message_id)) == counted(entropy)
        if isinstance(sent, DedupeCell):
            grant = self._table.grant_of(request.sender_id)
            pending = await self.pending(request.sender_id, request.client_message_id, sent)
            grant.check()
            return SentTo(sent.message_id, sent.version, pending, duplicate=not is_its_own)
        with _done():
            await self._own_row_has(request.sender_id, conversation_id, sent.version)
            row, mailbox = await self._table.loaded(request.sender_id)
            version = await self._own_version(row, mailbox, conversation_id, sent.message_id, hashed)
            row.grant.check()
        return SentTo(sent.message_id, version, sent.pending, duplicate=sent.duplicate and not is_its_own)

    def _check_size(self, content: str) -> None:
        if len(content.encode()) > self._settings.max_content_bytes:
            raise MessageTooLarge(f"a message to a group has {self._settings.max_content_bytes} bytes of UTF-8 at most")

    async def _own_copy(self, row: Row, mailbox: Mailbox, conversation_id: bytes, message_id: bytes) -> int:
        """The version of the user's own copy of a message; 0: his row has none."""
        copy = mailbox.copy_in_memory(conversation_id, message_id)
        if copy is not None:
            return copy.version
        held = await self._own_cell(row, mailbox, conversation_id, message_id)
        return held.version if held is not None else 0

    async def _is_done(self, request: ChangeMessage | React, row: Row, mailbox: Mailbox) -> bool:
        """Whether the user's own copy of a message, which takes no more changes, is as he wants it."""
        held = await self._own_cell(row, mailbox, request.conversation_id, request.message_id)
        row.grant.check()
        if held is None:
            return False
        if isinstance(request, React):
            return shows_reaction(request.emoji, held)
        return has_text(request.content, held, request.user_id)

    async def _own_cell(
        self, row: Row, mailbox: Mailbox, conversation_id: bytes, message_id: bytes
    ) -> MessageCell | None:
        """What the user's own row has of a message, and shows him."""
        view = View(row.key, mailbox, self._time.seen_us())
        try:
            cell = await self._reader.message(view, conversation_id, message_id)
        except HandoverInProgress:
            self._table.drop_replaced(row, mailbox)
            raise
        return None if cell is None or cell.came <= view.floors.get(conversation_id, 0) else cell

    def _new_group(self, request: ChangeGroup, deed: Create, entropy: int) -> NewGroup:
        settings = repr(deed.settings)
        if deed.settings.history is History.NONE:  # groups have the hashes that they got before there was this setting
            settings = settings.replace(f", history={History.NONE!r}", "")
        settings = settings.replace(", ttl_ms=0", "")  # no request that makes a group says more of it
        asked = f"({deed.name!r}, {sorted(set(deed.members))!r}, {settings})"
        creation = payload_hash(request.conversation_id, asked)
        most = self._settings.max_members
        where = request.conversation_id, request.user_id, deed.name
        return NewGroup(*where, deed.members, deed.settings, creation, most, entropy)

    async def _own_row(self, user_id: str, bearer: Bearer | None) -> tuple[Row, Mailbox]:
        """The user's own row. Raises what Table.loaded raises, and TokenRevoked."""
        self._table.admitted(user_id)
        row, mailbox = await self._table.loaded(user_id)
        self._revocations.check(mailbox, bearer)
        row.grant.check()
        return row, mailbox

    async def _record(self, row: Row, mailbox: Mailbox, hashed: bytes) -> DedupeCell | None:
        """What the own row knows of a send."""
        if not mailbox.client_ids.may_hold(hashed):
            return None
        try:
            record = await self._reader.send_record(View(row.key, mailbox, self._time.seen_us()), hashed)
        except HandoverInProgress:
            self._table.drop_replaced(row, mailbox)
            raise
        row.grant.check()
        return record

    async def _own_version(
        self, row: Row, mailbox: Mailbox, conversation_id: bytes, message_id: bytes, hashed: bytes
    ) -> int:
        """The version of the user's own copy of a message, which is there unless retention took it."""
        copy = mailbox.copy_in_memory(conversation_id, message_id)
        if copy is not None:
            return copy.version
        record = await self._record(row, mailbox, hashed)
        return record.version if record is not None else mailbox.index.version_of(conversation_id)

    async def _own_row_has(self, user_id: str, conversation_id: bytes, version: int) -> None:
        """Returns when the user's own row has taken a group's event. StoreOutcomeUnknown where that takes too long."""
        ends_s, pause_s = self._loop.time() + self._patience_s, FIRST_PAUSE_S
        while True:
            _, mailbox = await self._table.loaded(user_id)
            known = mailbox.state(MEMBERSHIP, conversation_id)
            if place_of(mailbox.index.get(conversation_id), known).chain >= version:
                return
            if self._loop.time() >= ends_s:
                raise StoreOutcomeUnknown("the group has it; the user's own mailbox does not show it yet")
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)

    async def _tried(self, prepare: Callable[[], Awaitable[GroupRequest | _Known]]) -> GroupAnswer | _Known:
        """What the group's row answers to what `prepare` makes of the own row; or what that knows by itself.

        Where nobody answers in time, HandoverInProgress if nothing was written, else StoreOutcomeUnknown. So is what
        `prepare` raises behind a try that may have been written. Before one it is raised as it is: that another owner
        has the user is for the router.
        """
        ends_s, pause_s = self._loop.time() + self._patience_s, FIRST_PAUSE_S
        written: GroupRequest | None = None  # the last try that may have been
        while True:
            try:
                prepared = await prepare()
            except RowboxError as error:
                _check_true(error, written)
                raise
            if not isinstance(prepared, _REQUESTS):
                return prepared
            try:
                return await self._ask(prepared)
            except TRIED_AGAIN as error:
                if isinstance(error, StoreOutcomeUnknown) and not isinstance(prepared, _READS):
                    written = prepared
                if self._loop.time() >= ends_s:
                    raise _told(error, may_be_written=written is not None) from error
            except RowboxError as error:
                _check_true(error, written)
                raise
            await asyncio.sleep(pause_s * self._random.uniform(0.5, 1.0))
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)


@contextmanager
def _done() -> Iterator[None]:
    """What fails behind the group's yes is no refusal, and nothing to be done by another owner as if it were new."""
    try:
        yield
    except RowboxError as error:
        raise _told(error, may_be_written=True) from error


def _check_true(error: RowboxError, written: GroupRequest | None) -> None:
    """StoreOutcomeUnknown where an error says nothing of a try before it that may have been written."""
    if written is not None and not isinstance(error, TRUE_OF_ALL.get(type(written), ())):
        raise _told(error, may_be_written=True) from error


def _told(error: RowboxError, *, may_be_written: bool) -> RowboxError:
    """What a request ends with; never that another owner has its user: that is said of the group's row here."""
    if may_be_written:
        return StoreOutcomeUnknown(f"an earlier try of this may have been written; the last one ended: {error}")
    if isinstance(error, GroupMoved):
        return error
    return HandoverInProgress(f"nobody answers for this group now: {error}", retry_after_ms=1000)

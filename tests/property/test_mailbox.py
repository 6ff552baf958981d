"""An owner against the plainest model of mailboxes, through everything that a client can do, in random orders.

After any steps: a fresh fetch shows the model; what a client holds that followed by deltas is what a fresh fetch shows;
and so is what a client holds that paged with a cursor, while others wrote, and then asked for the delta. Where the
retention is short, messages expire meanwhile: a client forgets them by itself, by their versions.
"""

import asyncio
import dataclasses
import os
from collections.abc import Collection, Coroutine, Mapping
from copy import deepcopy
from typing import Any, ClassVar, NamedTuple, TypeVar

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from msgspec.structs import replace

from rowbox.cacheserver.check.row_cells import RowCells, ignore
from rowbox.cacheserver.port import AccountResult, ChangeAccount, FetchRequests, Page, SendResult
from rowbox.cacheserver.stores.history import begin_history
from rowbox.cacheserver.stores.memory.cells import MemoryCells
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.account.deeds import (
    AccountDeed,
    CreateProfile,
    DeleteConversation,
    SetContact,
    SetConversation,
    UpdateProfile,
)
from rowbox.mailbox.check.findings import Code, Finding
from rowbox.mailbox.clocks.clock import MAX_AHEAD_US
from rowbox.mailbox.conversation import NEVER
from rowbox.mailbox.errors import (
    ClientMessageIdReused,
    MessageUnsent,
    TokenRevoked,
    TooLateToChange,
    UnknownConversation,
    UnknownMessage,
)
from rowbox.mailbox.ids import direct_conversation_id, message_id, sent_timestamp, to_text
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import ADMITTED
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import MessageSettings, Settings, StoreSettings
from rowbox.mailbox.two_states import ByKind
from tests.checking import findings_of
from tests.property.feed_client import FeedClient, drop_deleted, shown_conversations
from tests.property.model import PlainMailbox, Said, without_version
from tests.support.cluster import (
    CRAMPED,
    SHARDS,
    UNLIMITED,
    Cluster,
    Json,
    Node,
    all_conversations,
    all_messages,
    gather_all,
    parsed,
    version_of,
)
from tests.support.virtual_time import VirtualTimeLoop

USERS = ["ann", "bob", "cem", "dai"]
STRANGERS = ["x1", "x2"]
"""Senders whose mailboxes are elsewhere: their messages come late and out of order."""
_T = TypeVar("_T")
SHORT_LIVED = StoreSettings(retention_ms=5_000_000)
"""Half of the steps by which time passes: what was said an hour ago is there, two hours ago not."""
users = st.sampled_from(USERS)
sizes = st.integers(1, 7)
ages_us = st.integers(0, 3_000_000) | st.sampled_from([-1, -59_000_000, -61_000_000, -7_200_000_000, -(1 << 51)])
contents = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=120)


def _is_of_a_stranger(finding: Finding) -> bool:
    """The rows of strangers are not in this store, so what they sent is in nobody's."""
    if finding.code is Code.RECEIPTS and finding.user_id in STRANGERS:
        return True  # somebody else has what he never sent
    return finding.code is Code.COPY_UNSENT and any(f" of {stranger} " in finding.text for stranger in STRANGERS)


class Client:
    """A client that follows a mailbox: what it holds, and its tokens."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.messages: dict[str, Json] = {}
        self.conversations: dict[str, Json] = {}
        self.message_token: str | None = "0"
        self.conversation_token: str | None = "0"

    def take_messages(self, page: Page) -> None:
        if page.reset_reason is not None:
            self.messages.clear()
        for item in parsed(page):
            self.messages[item["messageId"]] = item
        self.message_token = page.token

    def take_conversations(self, page: Page) -> None:
        if page.reset_reason is not None:
            self.conversations.clear()
        for item in parsed(page):
            self.conversations[item["conversationId"]] = item
        self.conversation_token = page.token

    def expire(self, horizon: int, came: Mapping[bytes, int]) -> None:
        """`came`: with which versions messages came into the mailbox, where that is known."""
        for one, item in list(self.messages.items()):
            if came.get(bytes.fromhex(one), item["lastUpdatedTimestamp"]) <= horizon:
                del self.messages[one]


async def is_what_a_load_finds(node: Node, user: str) -> None:
    """What a warm claim has made of a user's mailbox is what a load makes of the row behind it."""
    row, warm = await node.owner.table.loaded(user)
    found = await node.owner.loader.load(user, row.key, row.grant)
    assert found is not None
    cold = found.mailbox
    assert (warm.epoch, warm.fence, warm.head, warm.born) == (cold.epoch, cold.fence, cold.head, cold.born)
    assert warm.index.packed() == cold.index.packed()
    assert warm.index.newest(0, len(warm.index)) == cold.index.newest(0, len(cold.index))
    assert warm.index.requests(None, len(warm.index)) == cold.index.requests(None, len(cold.index))
    assert list(warm.index._changes.items()) == list(cold.index._changes.items())
    assert set(warm.index.ended(NEVER - 1, 1_000)) == set(cold.index.ended(NEVER - 1, 1_000))
    assert warm.revocation == cold.revocation
    assert {kind: states for kind, states in warm.others.items() if states} == cold.others
    assert by_kind(warm.stale_epochs) == by_kind(cold.stale_epochs)


def by_kind(stale_epochs: ByKind[int]) -> ByKind[int]:
    return {kind: stale for kind, stale in stale_epochs.items() if stale}


class Copy(NamedTuple):
    """A copy of the store, and what it holds."""

    cells: MemoryCells
    model: dict[str, PlainMailbox]
    sent: list[tuple[str, str, str, str, SendResult]]
    revoked: dict[str, int]


class MailboxMachine(RuleBasedStateMachine):
    late: ClassVar[bool]
    settings_of: ClassVar[Settings]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.cluster = self.runner.run(self._made())
        self.model = {user: PlainMailbox(user) for user in USERS}
        self.clients = {user: Client(user) for user in USERS}
        self.feeds = {user: [FeedClient(user)] for user in USERS}
        """Clients of the feed as they were at some times: any may go on from there."""
        self.sent: list[tuple[str, str, str, str, SendResult]] = []
        self.paging: dict[str, tuple[Client, str | None, str | None]] = {}
        self.serial = 0
        self.asked_at_us = 0
        self.latest_us = 0
        """No version is greater, but for those of one step."""
        self.delivered: list[tuple[str, Message]] = []
        self.copy: Copy | None = None
        self.revoked: dict[str, int] = {}
        """By user: tokens that were issued before this second are refused."""
        self.lost_tokens: set[str] = set()
        """Given in a history that ended."""
        self.given_tokens: set[str] = set()

    @property
    def expires(self) -> bool:
        return self.settings_of.store.retention_ms < 86_400_000

    def _horizon(self) -> int:
        """With the runner's loop: retention has taken what has no greater version."""
        return self.cluster.clock.now_us() - self.settings_of.store.retention_ms * 1000

    async def _expire(self, user: str) -> int:
        horizon = self._horizon()
        if self.expires:
            self.model[user].expire(horizon)
        return horizon

    @invariant()
    def versions_are_known(self) -> None:
        """Those in the recipients' mailboxes are told to nobody who sends: they are looked up as soon as they are."""
        if self.expires:
            self.runner.run(self._look_up_versions())

    async def _look_up_versions(self) -> None:
        for user, model in self.model.items():
            if model.messages.keys() - model.versions.keys():
                cells = RowCells(self.cluster.store, ignore).messages(row_key(user, SHARDS))
                model.versions |= {cell.message_id: cell.came async for (cell, *_) in cells}

    async def _made(self) -> Cluster:
        made = Cluster(late=self.late, settings=self.settings_of)
        await made.start()
        return made

    def teardown(self) -> None:
        try:
            for user in USERS:
                self.runner.run(self._fresh_fetch_is_the_model(user, 3))
                self.runner.run(self._follow(user, 3))
                self.runner.run(self._follow_the_feed(self.feeds[user][0], 3, 262_144))
            self.runner.run(self._close())
        finally:
            self.runner.close()

    async def _close(self) -> None:
        await self.cluster.close()
        found = await findings_of(self.cluster.store, self.cluster.settings, self.cluster.clock.now_us())
        assert [finding for finding in found if not _is_of_a_stranger(finding)] == []

    # ------------------------------------------------------------------ what is written

    def _accept(self, sender: str, recipient: str, content: str, client_id: str, result: SendResult) -> None:
        assert result.pending_recipients == 0
        conversation = direct_conversation_id(sender, recipient)
        assert result.conversation_id == conversation
        said = Said(result.message_id, conversation, sender, frozenset({sender, recipient}), content, client_id)
        self._take_sent(said)
        self.sent.append((sender, recipient, content, client_id, result))

    def _take_sent(self, said: Said, at_once: Collection[Said] = ()) -> None:
        """It sorts after all that its sender sent there, and after what it answers unless that is dated far ahead.

        Not after what others sent at once with it.
        """
        for other in self.model[said.sender].of(said.conversation):
            is_followed = other not in at_once and sent_timestamp(other.id) <= self.asked_at_us + MAX_AHEAD_US
            if other.sender == said.sender or is_followed:
                assert said.id > other.id
        for user in said.participants & self.model.keys():
            self.model[user].take(said)

    def _ask(self, asked: Coroutine[Any, Any, _T]) -> _T:
        """What a server answers to writes; notes when they were asked for."""
        self.asked_at_us = self.runner.run(self._now_us())
        return self.runner.run(asked)

    async def _now_us(self) -> int:
        return self.cluster.clock.now_us()

    def _note_latest(self, followed_us: int = 0) -> int:
        """Notes how far versions may have come: to the time, or to a date that a mailbox's clock follows."""
        self.latest_us = max(self.latest_us, self.runner.run(self._now_us()))
        if followed_us <= self.latest_us + MAX_AHEAD_US:
            self.latest_us = max(self.latest_us, followed_us)
        return self.latest_us

    def _next_id(self) -> str:
        self.serial += 1
        return f"c{self.serial}"

    @rule(sender=users, recipient=users | st.sampled_from(STRANGERS), content=contents)
    def send(self, sender: str, recipient: str, content: str) -> None:
        client_id = self._next_id()
        result = self._ask(self.cluster.node.send(sender, recipient, content, client_id))
        assert not result.duplicate
        self._accept(sender, recipient, content, client_id, result)

    @rule(sender=users, asked=st.lists(st.tuples(users, st.booleans()), min_size=2, max_size=6))
    def send_at_once(self, sender: str, asked: list[tuple[str, bool]]) -> None:
        """Several sends of one user, some of them the same one twice, join one mutation."""
        requests: list[tuple[str, str, str]] = []
        for recipient, is_retry in asked:
            if requests and is_retry:
                requests.append(requests[-1])
            else:
                requests.append((recipient, f"joined {self.serial}", self._next_id()))

        async def run() -> list[SendResult]:
            return await asyncio.gather(*(self.cluster.node.send(sender, *request) for request in requests))

        results = self._ask(run())
        answers: dict[str, SendResult] = {}
        for (recipient, content, client_id), result in zip(requests, results, strict=True):
            known = answers.setdefault(client_id, result)
            assert (known.message_id, known.last_updated_timestamp) == (
                result.message_id,
                result.last_updated_timestamp,
            )
            if known is result:
                assert not result.duplicate
                self._accept(sender, recipient, content, client_id, result)
            else:
                assert result.duplicate

    @rule(pairs=st.lists(st.tuples(users, users), min_size=2, max_size=6))
    def send_across(self, pairs: list[tuple[str, str]]) -> None:
        """Different users at once, also to each other.

        Not where one's clock may be ahead: what he sends sorts behind what the other one sends at once with it, who
        has read it if it came first, and nobody knows whether it did.
        """
        if self._note_latest() > self.runner.run(self._now_us()) + 1_000_000:
            pairs = [(sender, recipient) for sender, recipient in pairs if sender <= recipient]

        async def run() -> list[SendResult]:
            return await asyncio.gather(
                *(
                    self.cluster.node.send(sender, recipient, f"across {n}", f"x{self.serial}-{n}")
                    for n, (sender, recipient) in enumerate(pairs)
                )
            )

        results, at_once = self._ask(run()), list[Said]()
        for n, ((sender, recipient), result) in enumerate(zip(pairs, results, strict=True)):
            said = Said(
                result.message_id,
                result.conversation_id,
                sender,
                frozenset({sender, recipient}),
                f"across {n}",
                f"x{self.serial}-{n}",
            )
            self._take_sent(said, at_once)
            at_once.append(said)
        self.serial += 1

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), other_payload=st.booleans())
    def retry(self, data: st.DataObject, other_payload: bool) -> None:
        sender, recipient, content, client_id, first = data.draw(st.sampled_from(self.sent))
        if other_payload:
            other = data.draw(st.sampled_from([(recipient, content + "!"), ("someone-else", content)]))
            with pytest.raises(ClientMessageIdReused):
                self.runner.run(self.cluster.node.send(sender, *other, client_id))
            return
        again = self.runner.run(self.cluster.node.send(sender, recipient, content, client_id))
        assert again.duplicate
        assert again.message_id == first.message_id
        assert again.last_updated_timestamp == first.last_updated_timestamp
        status = self.runner.run(self.cluster.node.status(sender, client_id))
        assert (status.message_id, status.duplicate) == (first.message_id, False)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), content=contents | st.none(), again=st.booleans())
    def change(self, data: st.DataObject, content: str | None, again: bool) -> None:
        """Its author edits a message or takes it back, perhaps twice at once."""
        sender, _, _, _, first = data.draw(st.sampled_from(self.sent))
        horizon = self.runner.run(self._expire(sender))
        said = self.model[sender].messages.get(first.message_id)

        async def run() -> list[Any]:
            node = self.cluster.node
            found = await gather_all(*(node.change(sender, first, content) for _ in range(1 + again)))
            await self.cluster.quiet()
            return found

        answers = self.runner.run(run())
        self._note_latest()
        if any(isinstance(answer, Exception) for answer in answers):
            age_us = self.runner.run(self._now_us()) - sent_timestamp(first.message_id)
            is_refused = {
                UnknownMessage: said is None
                and (sent_timestamp(first.message_id) <= horizon or first.message_id in self.model[sender].gone),
                MessageUnsent: said is not None and said.is_unsent and content is not None,
                TooLateToChange: age_us >= MessageSettings().edit_window_ms * 1000,
            }
            assert all(is_refused[type(answer)] for answer in answers)
            return
        assert said is not None
        is_new = not said.is_unsent if content is None else content != said.content
        assert [answer.changed for answer in answers] == [is_new, False][: len(answers)]
        if is_new:
            version = answers[0].last_updated_timestamp
            edited = None if content is None else version
            changed = dataclasses.replace(said, content=content or "", edited_us=edited, is_unsent=content is None)
            if changed.is_unsent:
                changed = dataclasses.replace(changed, reactions=())
            for user in said.participants & self.model.keys():
                self.model[user].change(changed)

    @rule(data=st.data(), user=users, emoji=st.sampled_from(["\U0001f44d", "\u2764\ufe0f", ""]), again=st.booleans())
    def react(self, data: st.DataObject, user: str, emoji: str, again: bool) -> None:
        """Somebody reacts to a message that he has, perhaps twice at once."""
        self.runner.run(self._expire(user))
        messages = sorted(self.model[user].messages.values(), key=lambda one: one.id)
        if not messages:
            return
        said = data.draw(st.sampled_from(messages))
        place = SendResult(said.id, said.conversation, 0, 0, 0, duplicate=False)

        async def run() -> list[Any]:
            node = self.cluster.node
            found = await gather_all(*(node.react(user, place, emoji) for _ in range(1 + again)))
            await self.cluster.quiet()
            return found

        answers = self.runner.run(run())
        self._note_latest()
        if any(isinstance(answer, Exception) for answer in answers):
            age_us = self.runner.run(self._now_us()) - sent_timestamp(said.id)
            is_refused = {
                MessageUnsent: said.is_unsent and emoji,
                TooLateToChange: age_us >= MessageSettings().reaction_window_ms * 1000,
            }
            assert all(is_refused[type(answer)] for answer in answers)
            return
        is_new = emoji != said.emoji_of(user)
        assert [answer.changed for answer in answers] == [is_new, False][: len(answers)]
        if is_new:
            reacted = said.with_reaction(user, emoji, answers[0].last_updated_timestamp)
            for one in said.participants & self.model.keys():
                self.model[one].change(reacted)

    @rule(sender=st.sampled_from(STRANGERS), user=users, age_us=ages_us, again=st.booleans())
    def deliver_late(self, sender: str, user: str, age_us: int, again: bool) -> None:
        """A message that was sent before others that are here already, or is dated ahead. Perhaps it comes twice."""
        self.serial += 1
        conversation = direct_conversation_id(sender, user)

        async def run() -> Message:
            said_at = self.cluster.clock.now_us() - age_us
            participants = tuple(sorted((sender, user)))
            message = Message(
                message_id(said_at, self.serial), conversation, sender, participants, f"late {self.serial}"
            )
            process, owner = self.cluster.node.process, self.cluster.node.owner

            async def deliver() -> None:
                await owner._deliver(user, [message])

            await process.call(deliver())
            if again:
                await gather_all(process.call(deliver()), process.call(deliver()))
            return message

        message = self.runner.run(run())
        self.delivered.append((user, message))
        self._note_latest(sent_timestamp(message.message_id))
        self.model[user].take(
            Said(message.message_id, conversation, sender, frozenset({sender, user}), message.content, None)
        )

    @precondition(lambda self: self.delivered and not self.expires)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        """What came long ago, also into a conversation that was deleted since: nothing is new."""
        user, message = data.draw(st.sampled_from(self.delivered))
        if message.message_id in self.model[user].ever:
            process, owner = self.cluster.node.process, self.cluster.node.owner

            async def deliver() -> None:
                await owner._deliver(user, [message])

            self.runner.run(process.call(deliver()))

    @rule(user=users, data=st.data())
    def mark_read(self, user: str, data: st.DataObject) -> None:
        model = self.model[user]
        if not model.ever:
            return
        said = model.ever[data.draw(st.sampled_from(sorted(model.ever)))]
        horizon = self.runner.run(self._expire(user))
        try:
            result = self.runner.run(self.cluster.node.mark_read(user, said.conversation, said.id))
        except UnknownConversation:
            assert said.conversation in model.deleted
            return
        except UnknownMessage:
            assert said.id not in model.messages
            is_early = sent_timestamp(said.id) > horizon
            assert is_early or said.id in model.gone, "it is gone before the date that it bears"
            return
        model.mark(said.conversation, said.id)
        assert result.unread_count == model.unread(said.conversation)

    @rule(user=users, data=st.data(), again=st.booleans())
    def delete_a_conversation(self, user: str, data: st.DataObject, again: bool) -> None:
        """Perhaps twice at once. What is left in the store is emptied while others go on, or by the next owner."""
        model = self.model[user]
        if not model.newest:
            return
        conversation = data.draw(st.sampled_from(sorted(model.newest)))
        self.runner.run(self._expire(user))
        first = self._do(user, DeleteConversation(conversation), again=again)
        assert first.changed == (conversation not in model.deleted)
        if first.changed:
            model.delete(conversation, first.version)

    @rule(user=users, admitted=st.sampled_from(ADMITTED), again=st.booleans())
    def choose_who_writes(self, user: str, admitted: str, again: bool) -> None:
        model = self.model[user]
        is_new = model.admits is None
        deed = CreateProfile("A", messages_from=admitted) if is_new else UpdateProfile(messages_from=admitted)
        assert self._do(user, deed, again=again).changed == (model.admits != admitted)
        model.admits = admitted

    @rule(user=users, other=st.sampled_from([*USERS, *STRANGERS]), is_removed=st.booleans(), again=st.booleans())
    def set_a_contact(self, user: str, other: str, is_removed: bool, again: bool) -> None:
        model = self.model[user]
        if user == other:
            return
        changed = self._do(user, SetContact(other, is_removed=is_removed), again=again).changed
        assert changed == (model.contacts.get(other, False) == is_removed)
        model.contacts[other] = not is_removed
        if changed and not is_removed:
            model.waiting.discard(direct_conversation_id(user, other))

    @rule(user=users, data=st.data(), again=st.booleans())
    def accept(self, user: str, data: st.DataObject, again: bool) -> None:
        """What waits, rather than what does not."""
        model = self.model[user]
        some = model.requests or sorted(model.newest)
        if not some:
            return
        conversation = data.draw(st.sampled_from(some))
        deed = SetConversation(conversation, accepts=True)
        if conversation in model.deleted:
            with pytest.raises(UnknownConversation):
                self._do(user, deed)
            return
        assert self._do(user, deed, again=again).changed == (conversation in model.waiting)
        model.waiting.discard(conversation)

    def _do(self, user: str, deed: AccountDeed, *, again: bool = False) -> AccountResult:
        """Has it done once, or twice at once: then the second time changes nothing."""

        async def run() -> list[AccountResult]:
            node = self.cluster.node
            calls = [node.process.call(node.owner.change_account(ChangeAccount(user, deed))) for _ in range(1 + again)]
            return await asyncio.gather(*calls)

        first, *others = self.runner.run(run())
        self._note_latest()
        assert not any(other.changed for other in others)
        return first

    # ------------------------------------------------------------------ what happens to the server

    @rule(user=users)
    def revoke(self, user: str) -> None:
        self.revoked[user] = self.runner.run(self.cluster.node.revoke_user(user))
        self._note_latest()

    @rule(user=users, size=sizes, age_s=st.sampled_from([-1, 0, 1, 2, 60, 3600]))
    def ask_with_a_token(self, user: str, size: int, age_s: int) -> None:
        """Issued some time ago."""

        async def run() -> None:
            bearer = Bearer(user, float(self.cluster.clock.now_us() // 1_000_000 - age_s))
            answers = await gather_all(
                self.cluster.node.messages(user, page_size=size, bearer=bearer),
                self.cluster.node.conversations(user, page_size=size, bearer=bearer),
            )
            is_revoked = bearer.issued_at_s < self.revoked.get(user, 0)
            assert [isinstance(answer, TokenRevoked) for answer in answers] == [is_revoked] * 2

        self.runner.run(run())

    @rule(seconds=st.sampled_from([0.001, 1.0, 3600.0]))
    def time_passes(self, seconds: float) -> None:
        self.runner.run(asyncio.sleep(seconds))

    @rule(seconds=st.sampled_from([-3600.0, -30.0, -0.001, 5.0]))
    def the_clock_is_set(self, seconds: float) -> None:
        if self.expires and seconds < 0:
            return  # what has expired does not come back
        self._note_latest()
        self.cluster.clock.jump(seconds)

    @rule()
    def restart(self) -> None:
        async def run() -> None:
            await self.cluster.restart()
            await self._load_all()

        self.runner.run(run())

    async def _load_all(self) -> None:
        """A load has receipts told that no row knows to be, and these change what others are shown: not while a client
        compares what it has with what there is. After this no load has any to tell until somebody writes.
        """
        for user in USERS:
            await self.cluster.node.conversations(user)
        await self.cluster.receipts_told()
        await self.cluster.quiet()

    @precondition(lambda self: self.late)
    @rule()
    def move(self) -> None:
        """Another server goes on with what this one has in memory. It has what a load would find now."""

        async def run() -> None:
            await self.cluster.quiet()
            node = await self.cluster.move()
            await self._load_all()
            for user in USERS:
                await node.process.call(is_what_a_load_finds(node, user))

        self.runner.run(run())

    @rule()
    def copy_the_store(self) -> None:
        self.copy = Copy(self.cluster.store.snapshot(), deepcopy(self.model), list(self.sent), dict(self.revoked))

    @precondition(lambda self: self.copy is not None)
    @rule()
    def put_the_copy_back(self) -> None:
        """What was written since is lost, and a new history begins. Clients know nothing of it."""
        assert self.copy is not None
        (cells, self.model, self.sent, self.revoked), self.copy = self.copy, None
        self.lost_tokens |= self.given_tokens

        async def run() -> None:
            await self.cluster.kill()
            self.cluster.store = self.cluster.store.beside(cells)
            await begin_history(self.cluster.store)
            await self.cluster.start()
            await self._load_all()

        self.runner.run(run())

    async def _receipts_are_told(self) -> None:
        """Of those too, where the cache drops rows, that the loads of the next fetches would find."""
        if self.settings_of.cache == CRAMPED.cache:
            await self._load_all()
        await self.cluster.receipts_told()

    # ------------------------------------------------------------------ what is read

    @rule(user=users, size=sizes)
    def fetch(self, user: str, size: int) -> None:
        self.runner.run(self._fresh_fetch_is_the_model(user, size))

    async def _fresh_fetch_is_the_model(self, user: str, size: int) -> None:
        node, model = self.cluster.node, self.model[user]
        await self._expire(user)
        await self.cluster.receipts_told()
        found, token = await all_conversations(node, user, size)
        assert [without_version(item) for item in found] == [
            model.conversation_view(conversation) for conversation in model.conversations
        ]
        assert await self._waiting(user, size) == [model.conversation_view(one) for one in model.requests]
        for item in found:
            self._says_no_more_than_its_reader(user, item)
        head = max((item["lastUpdatedTimestamp"] for item in found), default=0)
        is_unseen = model.floors or model.waiting or model.admits or model.contacts
        if user in self.revoked or any(model.marks.values()) or is_unseen:
            head = max(head, version_of(token))  # a revocation, or that a read was told, is a change that no list shows
        assert head == version_of(token) or self.expires, "what expired in a later page is settled after the first"
        for conversation in model.newest:
            listed, list_token = await all_messages(node, user, conversation, size)
            assert version_of(list_token) >= head
            assert [without_version(item) for item in listed] == [said.seen_by(user) for said in model.of(conversation)]
        every, _ = await all_messages(node, user, None, size)
        versions = [item["lastUpdatedTimestamp"] for item in every]
        assert versions == sorted(set(versions), reverse=True)
        shown = {item["messageId"]: without_version(item) for item in every}
        assert shown == {to_text(said.id): said.seen_by(user) for said in model.messages.values()}

    async def _waiting(self, user: str, size: int) -> list[Json]:
        node, below, found = self.cluster.node, None, list[Json]()
        while True:
            shown = await node.process.call(node.owner.fetch_requests(FetchRequests(user, below, size)))
            found += [without_version(orjson.loads(one)) for one in shown.conversations]
            below = shown.following
            if below is None:
                return found

    def _says_no_more_than_its_reader(self, user: str, item: Json) -> None:
        receipts: Json = item.get("receipts", {})
        others = [other for other in item["participants"] if other != user]
        if any(self._waits(other, item) for other in others):
            assert receipts.get("readUpTo") is receipts.get("deliveredUpTo") is None, "a stranger is told nothing"
        if receipts.get("readUpTo") is not None and others[0] in self.model:
            conversation = direct_conversation_id(user, others[0])
            assert bytes.fromhex(receipts["readUpTo"]) <= self.model[others[0]].marks[conversation]
            assert receipts["readUpTo"] <= receipts["deliveredUpTo"] <= item["lastMessageId"]

    def _waits(self, user: str, item: Json) -> bool:
        return user in self.model and bytes.fromhex(item["conversationId"]) in self.model[user].waiting

    @rule(user=users, number=st.integers(0, 4), size=sizes)
    def fetch_by_number(self, user: str, number: int, size: int) -> None:
        node, model = self.cluster.node, self.model[user]
        self.runner.run(self._expire(user))
        part = slice(number * size, number * size + size)
        page = self.runner.run(node.conversations(user, page_number=number, page_size=size))
        assert [item["conversationId"] for item in parsed(page)] == [to_text(c) for c in model.conversations[part]]
        assert (page.token is None) == (number > 0)
        assert page.has_more == (len(model.conversations) > part.stop)
        for conversation in model.conversations[:2]:
            listed = self.runner.run(node.messages(user, conversation, page_number=number, page_size=size))
            expected = [to_text(said.id) for said in model.of(conversation)]
            assert [item["messageId"] for item in parsed(listed)] == expected[part]
            assert listed.has_more == (len(expected) > part.stop)
        every = self.runner.run(node.messages(user, page_number=number, page_size=size))
        changes = sum(said.is_changed for said in model.messages.values())
        count = len(list(model.messages)[part])
        assert len(every.items) == count or changes, "places are counted by changes, and a message is at its last one"

    @rule(user=users, size=sizes)
    def follow(self, user: str, size: int) -> None:
        self.runner.run(self._follow(user, size))

    async def _follow(self, user: str, size: int) -> None:
        await self._receipts_are_told()
        await self._take_deltas(self.clients[user], size)
        await self._holds_what_a_fresh_fetch_shows(self.clients[user])

    async def _take_deltas(self, client: Client, size: int) -> None:
        node = self.cluster.node
        page = await node.conversations(client.user, token=client.conversation_token, page_size=size)
        self._is_delta_unless_lost(client.conversation_token, page)
        client.take_conversations(page)
        while page.next_cursor is not None:
            page = await node.conversations(client.user, cursor=page.next_cursor, page_size=size)
            client.take_conversations(page)
        while True:
            before = client.message_token
            page = await node.messages(client.user, token=client.message_token, page_size=size)
            self._is_delta_unless_lost(before, page)
            assert len(page.items) <= size
            client.take_messages(page)
            while page.next_cursor is not None:
                page = await node.messages(client.user, cursor=page.next_cursor, page_size=size)
                client.take_messages(page)
            self.given_tokens |= {str(client.conversation_token), str(client.message_token)}
            if not page.has_more:
                return
            assert client.message_token is not None
            assert before is not None
            assert version_of(client.message_token) > version_of(before), "a delta with more makes progress"

    def _is_delta_unless_lost(self, token: str | None, page: Page) -> None:
        """A token resets if, and only if, it was given before the store was put back."""
        reason = "restored" if token in self.lost_tokens else None
        assert (page.is_delta, page.reset_reason) == (reason is None, reason)

    @rule(user=users, size=sizes, max_bytes=st.sampled_from([0, 3_000, 4_000, 262_144]), data=st.data())
    def follow_the_feed(self, user: str, size: int, max_bytes: int, data: st.DataObject) -> None:
        """From any earlier token, in pages of any size."""
        client = data.draw(st.sampled_from(self.feeds[user])).beside()
        self.runner.run(self._follow_the_feed(client, size, max_bytes))
        self.feeds[user] = [*self.feeds[user], client][-5:]

    async def _follow_the_feed(self, client: FeedClient, size: int, max_bytes: int) -> None:
        await self._receipts_are_told()
        before = client.token
        pages = await client.follow(self.cluster.node, size, max_bytes)
        self.given_tokens |= {page.token for page in pages}
        assert [page.reset_reason for page in pages if not page.is_delta] == ["restored"] * (before in self.lost_tokens)
        reached = [version_of(page.token) for page in pages]
        assert reached == sorted(set(reached)), "a page with more makes progress"
        for page in pages:
            assert len(page.messages) <= size
            is_one_change = len(page.messages) <= 1 and len(page.conversations) <= 1
            assert is_one_change or not page.is_delta or sum(map(len, page.messages)) <= max_bytes
        await client.holds_what_a_fresh_fetch_shows(self.cluster.node, self._horizon())

    @rule(user=users, other=users, size=sizes)
    def a_token_of_another_list_resets(self, user: str, other: str, size: int) -> None:
        async def run() -> None:
            node = self.cluster.node
            of_messages, of_conversations = (await node.messages(other)).token, (await node.conversations(other)).token
            await node.conversations(user, page_size=100)  # settles what has ended, or one of those below does
            await self._receipts_are_told()  # also what the loads of both have found that was not told
            conversations = await node.conversations(user, token=of_messages, page_size=size)
            messages = await node.messages(user, token=of_conversations, page_size=size)
            fresh = await node.conversations(user, page_size=size), await node.messages(user, page_size=size)
            for page, same in zip((conversations, messages), fresh, strict=True):
                assert page == replace(same, reset_reason="foreign")

        self.runner.run(run())

    async def _holds_what_a_fresh_fetch_shows(self, client: Client) -> None:
        every, token = await all_messages(self.cluster.node, client.user, None, 50)
        client.expire(self._horizon(), self.model[client.user].versions)
        drop_deleted(client.messages, client.conversations)
        assert client.messages == {item["messageId"]: item for item in every}
        if client.message_token != token:
            left = await self.cluster.node.messages(client.user, token=client.message_token)
            self._says_that_nothing_came(left, client.message_token, token)
        listed, token = await all_conversations(self.cluster.node, client.user, 50)
        assert shown_conversations(client.conversations) == {item["conversationId"]: item for item in listed}
        if client.conversation_token != token:
            left = await self.cluster.node.conversations(client.user, token=client.conversation_token)
            self._says_that_nothing_came(left, client.conversation_token, token)

    def _says_that_nothing_came(self, delta: Page, held: str | None, token: str | None) -> None:
        """A token that is younger than the client's: where the small cache had dropped the row meanwhile, which has
        changed in a way that nobody is shown (cells of a deleted conversation were emptied).
        """
        assert self.settings_of.cache == CRAMPED.cache
        assert held is not None
        assert token is not None
        assert version_of(held) < version_of(token)
        assert (len(delta.items), delta.is_delta, delta.has_more) == (0, True, False)
        assert delta.token is not None
        assert version_of(delta.token) >= version_of(token)

    @rule(user=users, size=sizes)
    def page_on(self, user: str, size: int) -> None:
        """A client pages through both lists, a page of each at a time, while others write; then asks for the delta."""
        self.runner.run(self._page_on(user, size))

    async def _page_on(self, user: str, size: int) -> None:
        node = self.cluster.node
        if user not in self.paging:
            client = Client(user)
            conversations = await node.conversations(user, page_size=size)
            messages = await node.messages(user, page_size=size)
        else:
            client, conversation_cursor, message_cursor = self.paging[user]
            conversations = Page((), is_delta=False, token=client.conversation_token)
            messages = Page((), is_delta=False, token=client.message_token)
            if conversation_cursor is not None:
                conversations = await node.conversations(user, cursor=conversation_cursor, page_size=size)
            if message_cursor is not None:
                messages = await node.messages(user, cursor=message_cursor, page_size=size)
        client.take_conversations(conversations)
        client.take_messages(messages)
        self.given_tokens |= {str(client.conversation_token), str(client.message_token)}
        self.paging[user] = (client, conversations.next_cursor, messages.next_cursor)
        if conversations.next_cursor is None and messages.next_cursor is None:
            del self.paging[user]
            await self._receipts_are_told()
            await self._take_deltas(client, size)
            await self._holds_what_a_fresh_fetch_shows(client)


@pytest.mark.timeout(900)  # of 2,000 steps; a timeout inside one is told as generation that depends on the outside
@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
@pytest.mark.parametrize(
    "how",
    [UNLIMITED, CRAMPED, replace(UNLIMITED, store=SHORT_LIVED), replace(CRAMPED, store=SHORT_LIVED)],
    ids=["roomy", "cramped", "roomy-expiring", "cramped-expiring"],
)
def test_an_owner_is_what_the_model_says(late: bool, how: Settings) -> None:
    class Machine(MailboxMachine):
        pass

    Machine.late = late
    Machine.settings_of = replace(how, messages=MessageSettings())
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=int(os.environ.get("ROWBOX_PROPERTY_EXAMPLES", "60")),
            stateful_step_count=35,
            deadline=None,
            report_multiple_bugs=False,
            print_blob=True,
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
def test_a_mark_stands_at_a_message_that_was_dated_ahead_and_has_expired(late: bool) -> None:
    """Found by the machine: its date is no evidence that it should be there, for it expires by when it came."""

    class Machine(MailboxMachine):
        settings_of = replace(UNLIMITED, store=SHORT_LIVED)

    Machine.late = late
    machine = Machine()
    machine.deliver_late(again=False, age_us=-7_200_000_000, sender="x2", user="ann")
    machine.versions_are_known()
    machine.time_passes(seconds=3600.0)
    machine.versions_are_known()
    machine.send(content="seen", recipient="x2", sender="ann")
    machine.versions_are_known()
    machine.time_passes(seconds=3600.0)
    machine.versions_are_known()
    machine.teardown()

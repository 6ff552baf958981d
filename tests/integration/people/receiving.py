"""Users who block and unblock those who write to them, read what comes, or delete it, and whose devices are pushed."""

import asyncio
import time
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Final

from rowbox.mailbox.representation import Message
from tests.integration.conversations.insisting import Insisting
from tests.integration.people.arrivals import (
    Arrivals,
    Block,
    Deletion,
    Look,
    Pushed,
    Read,
    Sent,
    arrival_breaches,
)
from tests.integration.people.choices import pause
from tests.integration.people.push_place import PushPlace
from tests.integration.support.client import Client
from tests.integration.support.served import Served
from tests.integration.support.server_process import DEADLINE_S

RECIPIENTS: Final = 3
SENDERS: Final = 2
"""Of each recipient."""
_SEND_S: Final = 0.7
_BLOCK_S: Final = 3.0
_WAIT_S: Final = 1
_PUSHED_S: Final = 120.0
"""Within this time a newest message is pushed: after milliseconds, after 15 s where its mailbox was loaded for it, or
after a minute where the services were away.
"""


class Receiving:
    """`begin` it, `run` it in a task, `finish` it. The first recipient has a browser, the others a webhook; each second
    one reads what comes, and the others never look at anything. The last one deletes conversations, the others block
    who writes to them: so it is known how many copies the store has, as what is deleted is none and what is hidden is.
    """

    def __init__(
        self, served: Served, name: str, random: Random, place: PushPlace, patience_s: float, lands_within_s: float
    ) -> None:
        """`name`: its users' begin with that."""
        self.told = Arrivals()
        self.recipients = [f"{name}-to-{number}" for number in range(RECIPIENTS)]
        self._served = served
        self._random = random
        self._place = place
        self._patience_s = patience_s
        self._lands_within_s = lands_within_s
        self._pairs = [
            (f"{recipient}-from-{number}", recipient) for recipient in self.recipients for number in range(SENDERS)
        ]
        self._numbers: Iterator[int] = count()
        self._not_deleted = 0
        self._no_more = asyncio.Event()
        self._is_over = asyncio.Event()

    @property
    def blocks(self) -> int:
        """How often somebody was blocked."""
        return sum(map(len, self.told.blocks.values()))

    @property
    def hidden(self) -> int:
        """How many messages nobody may be shown."""
        return sum(self.told.hides(sent) is True for sent in self.told.sent)

    @property
    def deletions(self) -> int:
        """How often a conversation was deleted."""
        return sum(map(len, self.told.deletions.values()))

    @property
    def copies(self) -> int:
        """Of messages in the store, once `breaches` has asked for all."""
        kept = [sent for sent in self.told.sent if sent.recipient_id != self.recipients[-1]]
        return len(self.told.sent) + len(kept) + self._not_deleted

    async def begin(self) -> None:
        """Has a device of each recipient pushed."""
        for number, recipient in enumerate(self.recipients):
            client, way = self._served.client(recipient), self._way()
            await way.insist(lambda: client.register_device(recipient))  # noqa: B023 - it is awaited here
            if number == 0:
                await way.insist(lambda: client.set_push(recipient, self._place.browser(recipient)))  # noqa: B023
                continue
            await way.insist(lambda: client.set_push(recipient, self._place.webhook(recipient)))  # noqa: B023
            await self._place.comes_to(lambda: self._place.code_of(recipient) != "", DEADLINE_S)  # noqa: B023
            webhook = self._place.webhook(recipient, self._place.code_of(recipient))
            await way.insist(lambda: client.set_push(recipient, webhook))  # noqa: B023

    async def run(self) -> None:
        """Until `finish`, and everything that was sent has arrived: its last message is sent then, from everybody."""
        async with asyncio.TaskGroup() as following:
            for number, recipient in enumerate(self.recipients):
                following.create_task(self._follow(self._served.client(recipient), is_reader=number % 2 == 1))
            async with asyncio.TaskGroup() as tasks:
                for sender, recipient in self._pairs:
                    tasks.create_task(self._send(sender, recipient))
                for recipient in self.recipients[:-1]:
                    tasks.create_task(self._block(recipient))
                tasks.create_task(self._delete(self.recipients[-1]))
            async with asyncio.TaskGroup() as tasks:
                for pair in self._pairs:
                    tasks.create_task(self._say(*pair))
            self._is_over.set()

    def finish(self) -> None:
        """Nobody begins anything any more."""
        self._no_more.set()

    async def pushes_go_on(self) -> None:
        """Returns when somebody who never looks was told of the newest message of somebody whom he does not block.

        Not of each: what waits at an owner that gives its shard away may be told by nobody (docs/how-to/push.md).
        """
        newest = {(one.sender_id, one.recipient_id): one for one in self.told.sent}
        awaited = {
            one.message_id
            for one in newest.values()
            if one.recipient_id in self.recipients[::2] and self.told.hides(one) is False
        }
        if awaited:
            told = self._place.told
            await self._place.comes_to(
                lambda: not awaited.isdisjoint({note.get("messageId") for _, note, _ in told}), _PUSHED_S
            )

    async def breaches(self) -> list[str]:
        """Of what everybody is shown now."""
        users = [user_id for pair in self._pairs for user_id in pair]
        mailboxes: dict[str, list[Message]] = {}
        lists = {}
        for user_id in users:
            client = self._served.client(user_id)
            mailboxes[user_id], lists[user_id] = await client.all_messages(), await client.all_conversations()
        self._not_deleted = len(mailboxes[self.recipients[-1]])
        self.told.pushed = [
            Pushed(device, note["messageId"], at_s)
            for device, note, at_s in self._place.told
            if note["type"] == "message" and device in self.recipients
        ]
        return arrival_breaches(self.told, mailboxes, lists)

    # ------------------------------------------------------------------ what they do

    async def _send(self, sender: str, recipient: str) -> None:
        while not self._no_more.is_set():
            await self._say(sender, recipient)
            await pause(self._no_more, self._random.uniform(0, 2 * _SEND_S))

    async def _say(self, sender: str, recipient: str) -> None:
        """One message, until it has arrived."""
        name = f"say-{next(self._numbers):06}"
        sent = Sent(sender, recipient, f"{name} of {sender}", name, time.monotonic())
        self.told.sent.append(sent)
        client, way = self._served.client(sender), self._way()
        async with asyncio.timeout(self._patience_s):
            while sent.arrived_s == float("inf"):
                answer = await way.insist(lambda: client.send(recipient, sent.content, name), sent)
                if sent.message_id not in {"", answer.message_id}:
                    self.told.wrong_answers.append(f"{name} is {sent.message_id} and {answer.message_id}")
                sent.message_id, sent.conversation_id = answer.message_id, answer.conversation_id
                if not answer.pending_recipients:
                    sent.arrived_s = time.monotonic()

    async def _block(self, recipient: str) -> None:
        client = self._served.client(recipient)
        while not self._no_more.is_set():
            await pause(self._no_more, self._random.uniform(0, _BLOCK_S))
            sender = self._random.choice([one for one, other in self._pairs if other == recipient])
            way, block = self._way(), Block(time.monotonic())
            self.told.blocks.setdefault((recipient, sender), []).append(block)
            await way.insist(lambda: client.block(sender), block)  # noqa: B023 - it is awaited here
            block.made_s = time.monotonic()
            await pause(self._no_more, self._random.uniform(0, _BLOCK_S))
            await way.nothing_lands()
            if self._no_more.is_set() and self._random.random() < 0.5:
                return  # somebody goes on being blocked
            block.end_asked_s = time.monotonic()
            await way.insist(lambda: client.unblock(sender), block)  # noqa: B023
            block.ended_s = time.monotonic()
            await way.nothing_lands()

    async def _delete(self, recipient: str) -> None:
        client = self._served.client(recipient)
        while not self._no_more.is_set():
            await pause(self._no_more, self._random.uniform(0, 2 * _BLOCK_S))
            sender = self._random.choice([one for one, other in self._pairs if other == recipient])
            arrived = [sent for sent in self.told.sent if sent.sender_id == sender and sent.arrived_s < float("inf")]
            if not arrived:
                continue  # there is no such conversation yet
            way, deletion = self._way(), Deletion(time.monotonic())
            self.told.deletions.setdefault((recipient, sender), []).append(deletion)
            await way.insist(lambda: client.delete_conversation(arrived[0].conversation_id), deletion)  # noqa: B023
            deletion.done_s = time.monotonic()
            await way.nothing_lands()
            deletion.over_s = time.monotonic()
            page = await way.insist(lambda: client.messages(page_size=200))
            look = Look(deletion.over_s, frozenset(message.message_id for message in page.messages))
            self.told.looks.setdefault(recipient, []).append(look)

    async def _follow(self, client: Client, *, is_reader: bool) -> None:
        way, looks = self._way(), self.told.looks.setdefault(client.user_id, [])
        asked_s = time.monotonic()
        page = await way.insist(client.messages)
        while True:
            looks.append(Look(asked_s, frozenset(message.message_id for message in page.messages)))
            if is_reader:
                for message in {one.conversation_id: one for one in sorted(page.messages, key=_id)}.values():
                    await self._read(client, way, message)
            if self._is_over.is_set() and not page.messages:
                return
            token, asked_s = page.last_updated_timestamp, time.monotonic()
            page = await way.insist(lambda: client.messages(last_updated_timestamp=token, wait=_WAIT_S))  # noqa: B023

    async def _read(self, client: Client, way: Insisting, message: Message) -> None:
        await way.insist(lambda: client.mark_read(message.conversation_id, message.message_id))
        read = Read(message.sender_id, message.message_id, time.monotonic())
        self.told.reads.setdefault(client.user_id, []).append(read)

    def _way(self) -> Insisting:
        way = Insisting(self._patience_s, self._lands_within_s)
        way.is_up.set()
        return way


def _id(message: Message) -> str:
    return message.message_id

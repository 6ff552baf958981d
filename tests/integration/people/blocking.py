"""Users who block and unblock those who write to them, some of whom read, and whose devices are pushed."""

import asyncio
import time
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Final

from rowbox.mailbox.representation import Message
from tests.integration.conversations.insisting import Insisting
from tests.integration.people.arrivals import Arrivals, Block, Pushed, Read, Sent, arrival_breaches
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
_PUSHED_S: Final = 60.0
"""Within this time the newest message is pushed: after milliseconds, or 15 s where its mailbox was loaded for it."""


class Blocking:
    """`begin` it, `run` it in a task, `finish` it. The first recipient has a browser, the others a webhook; each second
    one reads what comes, and the others never look at anything.
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
                for recipient in self.recipients:
                    tasks.create_task(self._block(recipient))
            async with asyncio.TaskGroup() as tasks:
                for pair in self._pairs:
                    tasks.create_task(self._say(*pair))
            self._is_over.set()

    def finish(self) -> None:
        """Nobody begins anything any more."""
        self._no_more.set()

    async def newest_is_pushed(self) -> None:
        """Returns when who never looks was told of the newest message of everybody whom he does not block."""
        newest = {(one.sender_id, one.recipient_id): one for one in self.told.sent}
        missing = {
            one.message_id
            for one in newest.values()
            if one.recipient_id in self.recipients[::2] and self.told.hides(one) is False
        }
        told = self._place.told
        await self._place.comes_to(lambda: missing <= {note.get("messageId") for _, note, _ in told}, _PUSHED_S)

    async def breaches(self) -> list[str]:
        """Of what everybody is shown now."""
        users = [user_id for pair in self._pairs for user_id in pair]
        mailboxes: dict[str, list[Message]] = {}
        lists = {}
        for user_id in users:
            client = self._served.client(user_id)
            mailboxes[user_id], lists[user_id] = await client.all_messages(), await client.all_conversations()
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
                sent.message_id = answer.message_id
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

    async def _follow(self, client: Client, *, is_reader: bool) -> None:
        way, seen = self._way(), self.told.seen.setdefault(client.user_id, set())
        page = await way.insist(client.messages)
        while True:
            seen.update(message.message_id for message in page.messages)
            if is_reader:
                for message in {one.conversation_id: one for one in sorted(page.messages, key=_id)}.values():
                    await self._read(client, way, message)
            if self._is_over.is_set() and not page.messages:
                return
            token = page.last_updated_timestamp
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

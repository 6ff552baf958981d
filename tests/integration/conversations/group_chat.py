"""Users who make groups, add and remove one another, leave, and write to the groups, while servers come and go. What
they do to messages of groups is in group_changing.py.

Each group has a steward who made it and never leaves it; admins change it at the same time as he. A request without an
answer is made again, as clients do. What everybody was told stands in the GroupHistory of each group.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from msgspec import UNSET

from rowbox.api.v1.groups.types import FetchGroupResponse, GroupResponse
from rowbox.api.v1.responses import SendMessageResponse
from rowbox.mailbox.group import Role
from rowbox.mailbox.representation import Conversation, Message
from tests.integration.conversations.group_changing import GroupChanging
from tests.integration.conversations.group_history import OUT, Deed, GroupHistory, GroupSend, group_breaches
from tests.integration.conversations.insisting import Insisting
from tests.integration.support.client import Client, Refused
from tests.integration.support.served import Served

GROUPS: Final = 3
_FIRST_MEMBERS: Final = 4
"""Beside the steward."""
_CHANGES: Final = 0.15
"""Part of what an admin does that changes the group; the steward does nothing else."""
_LEAVES: Final = 0.03
_TAKEN_BACK: Final = 0.05
"""Part of what an admin does that takes back a message of somebody, of the newest."""
_NEWEST: Final = 5
_OUTSIDE: Final = 0.1
"""Part of the messages that go to a group in which their sender is not, as far as he knows."""
_LATE_RETRIES: Final = 0.05
_LOOKS: Final = 0.1
_ENDS: Final = 0.02
"""Part of the steward's changes that end the group; he makes another one then."""
_PACE_S: Final = 0.3
"""The longest time between two requests of one user."""
_PAGE: Final = 200
_NOTHING_COMES_S: Final = 240.0
"""What stays in an outbox is looked for every three minutes."""
_NO: Final = OUT | {"not_allowed", "unknown_member"}
"""What a change is refused with: who asks may not do that any more, or whom it is about is not in."""


class _Group:
    """A group that is not over: its history, and who is in as far as anybody was told."""

    def __init__(self, history: GroupHistory, members: Sequence[str]) -> None:
        self.history = history
        self.members = {history.steward, *members}
        self.admins = {history.steward}
        self.is_over = False


class GroupChat:
    """All groups of one test."""

    def __init__(self, server: Served, way: Insisting, users: Sequence[str], random: Random) -> None:
        self.histories: list[GroupHistory] = []
        self.looks = 0
        self._server = server
        self._way = way
        self._users = users
        self._random = random
        self._is_over = asyncio.Event()
        self._groups: list[_Group] = []
        self._changing = GroupChanging(server, way, random)

    async def talk(self) -> None:
        """Runs until `finish` was called and everybody's part of each group is what it has to be, or nothing comes any
        more: then the verdict says so.
        """
        async with asyncio.TaskGroup() as tasks:
            for steward in self._users[:GROUPS]:
                tasks.create_task(self._steward(steward))
            for user_id in self._users:
                tasks.create_task(self._write(user_id))
        await self._way.nothing_lands()
        found: list[str] = []
        ends_s = time.monotonic() + _NOTHING_COMES_S
        while (news := await self.breaches()) and time.monotonic() < ends_s:
            if news != found:
                print(f"not so yet: {news[0]}")  # noqa: T201
                found, ends_s = news, time.monotonic() + _NOTHING_COMES_S

    def finish(self) -> None:
        """Nothing new; what is not settled goes on until it is."""
        self._is_over.set()

    async def send_again(self) -> None:
        """Whatever was sent, and a sample of what was not retried before: it is still what it was."""
        for history in self.histories:
            retried = [send for send in history.sends if send.unknown_outcomes and send.message_id]
            sample = [send for send in history.sends if send.message_id]
            for send in [*retried, *self._random.sample(sample, min(20, len(sample)))]:
                await self._settle(history, send)

    async def react(self, user_id: str, message: Message) -> None:
        """Now and then a user reacts to a message of a group that came."""
        found = (one for one in self.histories if one.conversation_id == message.conversation_id)
        if (history := next(found, None)) is not None and message.event is UNSET:
            await self._changing.react(history, user_id, message)

    async def breaches(self) -> list[str]:
        """In what the mailboxes contradict the groups' logs, or these what was answered; the first of it."""
        clients = {user_id: self._server.client(user_id) for user_id in self._users}
        lists = {user_id: await self._way.insist(client.all_conversations) for user_id, client in clients.items()}
        found: list[str] = []
        for history in self.histories:
            parts: dict[str, Sequence[Message]] = {}
            listed: dict[str, Conversation | None] = {}
            views: dict[str, FetchGroupResponse | str] = {}
            for user_id, client in clients.items():
                of_user = {one.conversation_id: one for one in lists[user_id]}
                listed[user_id] = of_user.get(history.conversation_id)
                parts[user_id] = await self._part(client, history) if listed[user_id] is not None else ()
                views[user_id] = await self._view(client, history)
            found += group_breaches(history, parts, listed, views)
        return found

    @property
    def conversation_ids(self) -> set[str]:
        """Of all groups that there ever were."""
        return {history.conversation_id for history in self.histories}

    @property
    def asked(self) -> int:
        """How many messages and changes were asked for."""
        return sum(len(history.sends) + len(history.deeds) for history in self.histories)

    @property
    def changed(self) -> int:
        """How many edits, unsends and reactions were asked for."""
        return sum(len(history.message_changes) for history in self.histories)

    @property
    def unknown_outcomes(self) -> int:
        return sum(history.unknown_outcomes for history in self.histories)

    # ------------------------------------------------------------------ what one user does

    async def _steward(self, user_id: str) -> None:
        """Makes a group and changes it; where it has ended, the next one."""
        while not self._is_over.is_set():
            group = await self._make(user_id)
            while not (group.is_over or self._is_over.is_set()):
                await self._change(user_id, group)
                await self._pause()

    async def _write(self, user_id: str) -> None:
        """One message after the other, each when the one before is confirmed."""
        own: list[tuple[_Group, GroupSend]] = []
        while not self._is_over.is_set():
            await self._pause()
            groups = [one for one in self._groups if user_id in one.members or self._random.random() < _OUTSIDE]
            if not groups:
                continue
            group = self._random.choice(groups)
            if user_id != group.history.steward and user_id in group.members and self._random.random() < _LEAVES:
                await self._leave(user_id, group)
            elif user_id != group.history.steward and user_id in group.admins and self._random.random() < _CHANGES:
                await self._change_members(user_id, group)
            elif user_id in group.admins and self._random.random() < _TAKEN_BACK:
                await self._take_back(user_id, group)
            else:
                send = await self._send(user_id, group)
                if send.message_id:
                    own.append((group, send))
                    await self._changing.change(group.history, send)
            if own and self._random.random() < _LATE_RETRIES:
                again, send = self._random.choice(own)
                await self._settle(again.history, send)

    async def _make(self, steward: str) -> _Group:
        number = sum(history.steward == steward for history in self.histories)
        history = GroupHistory(steward, f"{steward}.{number}")
        self.histories.append(history)
        others = self._random.sample([one for one in self._users if one != steward], _FIRST_MEMBERS)
        name = f"The group of {steward}"
        deed = history.begin_deed(steward, "created", tuple(others), name=name)
        history.gives_earlier = self._random.random() < 0.5
        settings = {"history": "recent" if history.gives_earlier else "none"}
        fields = {"clientGroupId": history.client_group_id, "members": others, "name": name, "settings": settings}
        made = await self._done(history, deed, "createGroup", fields)
        assert made is not None
        history.conversation_id = made.conversation_id
        group = _Group(history, others)
        self._groups.append(group)
        return group

    async def _change(self, steward: str, group: _Group) -> None:
        """What only the steward does, or what admins do too."""
        history, random = group.history, self._random
        where = {"conversationId": history.conversation_id}
        if random.random() < _ENDS:
            deed = history.begin_deed(steward, "deleted")
            await self._done(history, deed, "deleteGroup", where)
            group.is_over = True
            self._groups.remove(group)
            return
        what = random.random()
        others = sorted(group.members - {steward})
        if what < 0.2 and others:
            user_id, role = random.choice(others), random.choice(("admin", "member"))
            await self._set_role(steward, group, user_id, "admin" if role == "admin" else "member")
        elif what < 0.35:
            deed = history.begin_deed(steward, "renamed", name=f"Name {len(history.deeds)}")
            await self._done(history, deed, "updateGroup", {**where, "name": deed.name})
        else:
            await self._change_members(steward, group)

    async def _set_role(self, steward: str, group: _Group, user_id: str, role: Role) -> None:
        history = group.history
        deed = history.begin_deed(steward, "role", (user_id,), role=role)
        fields = {"conversationId": history.conversation_id, "userId": user_id, "role": role}
        if await self._done(history, deed, "setRole", fields) is not None:
            (group.admins.add if role == "admin" else group.admins.discard)(user_id)

    async def _change_members(self, user_id: str, group: _Group) -> None:
        """Somebody who is out comes in, or somebody who is in goes."""
        history = group.history
        where = {"conversationId": history.conversation_id}
        out = sorted(set(self._users) - group.members)
        members = sorted(group.members - {user_id, history.steward})
        if out and (self._random.random() < 0.5 or not members):
            added = tuple(self._random.sample(out, min(len(out), self._random.randint(1, 2))))
            deed = history.begin_deed(user_id, "added", added)
            if await self._done(history, deed, "addMembers", {**where, "userIds": added}) is not None:
                group.members.update(added)
                group.admins.difference_update(added)
        elif members:
            gone = self._random.choice(members)
            deed = history.begin_deed(user_id, "removed", (gone,))
            if await self._done(history, deed, "removeMember", {**where, "userId": gone}) is not None:
                group.members.discard(gone)
                group.admins.discard(gone)

    async def _leave(self, user_id: str, group: _Group) -> None:
        history = group.history
        deed = history.begin_deed(user_id, "left", (user_id,))
        await self._done(history, deed, "leaveGroup", {"conversationId": history.conversation_id})
        group.members.discard(user_id)
        group.admins.discard(user_id)

    async def _done(
        self, history: GroupHistory, deed: Deed, call: str, fields: Mapping[str, object]
    ) -> GroupResponse | None:
        """What the call says; None where it was refused."""
        client = self._server.client(deed.actor)
        try:
            answer = await self._way.insist(lambda: client.ask_of_group(call, fields), deed)
        except Refused as refused:
            history.settle_deed(deed, None, refused.problem.code)
            if not _may_be_refused(history, deed, refused.problem.code):
                history.wrong_answers.append(f"{deed} was refused: {refused}")
            return None
        history.settle_deed(deed, answer.version if answer.changed else None)
        return answer

    async def _send(self, user_id: str, group: _Group) -> GroupSend:
        history = group.history
        text = f"{history.client_group_id} {len(history.sends)} " + "x" * self._random.randrange(200)
        send = history.begin_send(user_id, text)
        answer = await self._settle(history, send)
        if answer is None:
            group.members.discard(user_id)
        elif self._random.random() < _LOOKS:
            await self._look(user_id, history, send)
            if not answer.pending_recipients and not answer.duplicate:
                await self._look(history.steward, history, send)
        return send

    async def _take_back(self, user_id: str, group: _Group) -> None:
        sends = [send for send in group.history.sends if send.message_id][-_NEWEST:]
        if sends:
            await self._changing.unsend(group.history, user_id, self._random.choice(sends))

    async def _settle(self, history: GroupHistory, send: GroupSend) -> SendMessageResponse | None:
        """Sends until there is an answer, and enters it; None where it was refused."""
        client = self._server.client(send.user_id)
        was_settled = send.settled is not None
        what = history.conversation_id, send.content, send.client_message_id
        try:
            answer = await self._way.insist(lambda: client.send_to(*what), send)
        except Refused as refused:
            is_his = send.user_id == history.steward and not history.may_have_ended
            if is_his or refused.problem.code not in OUT:
                history.wrong_answers.append(f"{send} was refused: {refused}")
            history.settle_send(send, "")
            return None
        if was_settled and not answer.duplicate:
            history.wrong_answers.append(f"{send} was sent anew, long after its answer")
        history.settle_send(send, answer.message_id)
        return answer

    async def _look(self, user_id: str, history: GroupHistory, send: GroupSend) -> None:
        """Does the newest page hold a message that is in the user's mailbox, by an answer?"""
        client = self._server.client(user_id)
        query: dict[str, str | int | None] = {"conversation_id": history.conversation_id, "page_size": _PAGE}
        page = await self._way.insist(lambda: client.messages(**query))
        self.looks += 1
        if not page.has_more and send.message_id not in {one.message_id for one in page.messages}:
            history.wrong_answers.append(f"{user_id} had {send}, and a page of the group was without it")

    async def _part(self, client: Client, history: GroupHistory) -> Sequence[Message]:
        """What a user has of a group, the oldest first."""
        return (await self._way.insist(lambda: client.all_messages(history.conversation_id)))[::-1]

    async def _view(self, client: Client, history: GroupHistory) -> FetchGroupResponse | str:
        try:
            return await self._way.insist(lambda: client.group(history.conversation_id))
        except Refused as refused:
            return refused.problem.code

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._random.uniform(0, _PACE_S)):
                await self._is_over.wait()
        except TimeoutError:
            pass


def _may_be_refused(history: GroupHistory, deed: Deed, code: str) -> bool:
    """Whether a change may have to be refused with this code: a steward is in, and may do everything."""
    if deed.actor != history.steward:
        return code in _NO
    return code == ("unknown_member" if deed.type == "role" else "group_deleted" if deed.type == "deleted" else "")

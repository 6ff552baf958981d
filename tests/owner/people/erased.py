"""Users who are deleted, for tests: a world with one of them in it, and what a store has of him afterwards."""

import asyncio
from collections.abc import Iterator, Sequence

from rowbox.cacheserver.port import AccountResult, ChangeAccount, RegisterDevice
from rowbox.cacheserver.rows.walk import row_keys
from rowbox.cacheserver.stores.port import RowDelete, RowMutation
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import name_of, row_key
from rowbox.mailbox.account.deeds import (
    AccountDeed,
    BlockUser,
    CreateProfile,
    DeleteUser,
    SetContact,
    SetConversation,
)
from rowbox.mailbox.cells import PROFILE
from rowbox.mailbox.people.profile import CONTACTS, ErasureStep, Profile
from rowbox.mailbox.revocation import Bearer
from tests.support.cluster import SHARDS, Cluster, Node

TEXTS = (b"secret", b"Annabel", b"telephone")
"""What is in Ann's row and must not stay there: of messages, of her profile, of her device."""
A_DAY_S = 90_000.0
"""More than a day and an hour: late writes are over, and the last sweep is due."""


async def done(node: Node, user: str, deed: AccountDeed, bearer: Bearer | None = None) -> AccountResult:
    return await node.process.call(node.owner.change_account(ChangeAccount(user, deed, bearer)))


async def delete(node: Node, user: str = "ann", bearer: Bearer | None = None) -> AccountResult:
    return await done(node, user, DeleteUser(), bearer)


async def a_life(node: Node) -> bytes:
    """Ann has a profile, a device and a contact, writes, is written to, blocks somebody, lets a stranger wait, owns a
    group; the group's id.
    """
    await done(node, "ann", CreateProfile("Annabel", attributes={"x": "secret"}, messages_from=CONTACTS))
    await done(node, "ann", SetContact("bob", "secret Bob"))
    device = RegisterDevice("ann", "d1", "telephone", "web", Bearer("ann", 1.0))
    await node.process.call(node.owner.register_device(device))
    sent = await node.send("ann", "bob", "secret 1", "c1")
    answer = await node.send("bob", "ann", "secret 2", "c1")
    await node.change("ann", sent, "secret 3")
    await node.react("ann", answer, "\N{THUMBS UP SIGN}")
    await node.mark_read("ann", sent.conversation_id, answer.message_id)
    await done(node, "ann", SetConversation(sent.conversation_id, is_pinned=True))
    await done(node, "ann", BlockUser("eve"))
    await node.send("eve", "ann", "secret 4", "c1")
    await node.send("dave", "ann", "secret 4", "c1")
    made = await node.create_group("ann", "bob", "carol")
    await node.send_to("ann", made.conversation_id, "secret 5", "c2")
    return made.conversation_id


async def step_of(made: Cluster, user: str = "ann") -> ErasureStep | None:
    """How far the erasure is, as the newest node has it in memory or loads it."""
    _, mailbox = await made.node.process.call(made.node.owner.table.loaded(user))
    profile: Profile | None = mailbox.state(PROFILE)
    return profile.erasure.step if profile is not None and profile.erasure is not None else None


async def until_done(made: Cluster, user: str = "ann", *, sweep_s: float = A_DAY_S) -> None:
    """Returns when the erasure is done, and what remains of it is removed. `sweep_s`: after how long the last sweep is
    due.
    """
    for _ in range(60):
        if await step_of(made, user) is ErasureStep.DONE:
            await asyncio.sleep(400.0)  # a scan for outboxes
            return
        await asyncio.sleep(sweep_s / 20)
    raise AssertionError(f"the erasure has come to {await step_of(made, user)!r}")


async def columns_of(made: Cluster, user: str = "ann") -> list[tuple[Family, bytes, bytes]]:
    """All columns of the user's row: also those that no reader counts."""
    found = await made.store.get_row(row_key(user, SHARDS), tuple(Family))
    return [(family, *column) for family, columns in found.items() for column in columns]


async def everything(made: Cluster) -> list[tuple[str, Family, bytes, bytes]]:
    """All columns of all rows of the store: whose row, and the column."""
    found: list[tuple[str, Family, bytes, bytes]] = []
    for row in sorted(
        {row for family in Family for row in [one async for one in row_keys(made.store, range(SHARDS), family)]}
    ):
        columns = await made.store.get_row(row, tuple(Family))
        name = name_of(row, SHARDS) or row.decode()
        found += [(name, family, *column) for family, of_family in columns.items() for column in of_family]
    return found


def kinds(columns: list[tuple[Family, bytes, bytes]]) -> Iterator[str]:
    """The family of each column, with the letter of its kind where it is of the index."""
    for family, qualifier, _ in columns:
        yield f"{family}{qualifier[:1].decode() if family is Family.INDEX else ''}"


class Trap:
    """Stops a node at one of the writing calls that it makes of its store, right before or right after that is done."""

    def __init__(self, node: Node, at: int, *, after: bool) -> None:
        self.calls = 0
        self.reached = asyncio.Event()
        self._at = at
        self._after = after
        store = node.store
        self._mutate, self._delete = store.mutate, store.delete
        store.mutate = self.mutate  # type: ignore[method-assign]
        store.delete = self.delete  # type: ignore[method-assign]

    async def mutate(self, mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
        await self._before()
        await self._mutate(mutations, timestamp_ms)
        await self._behind()

    async def delete(self, deletes: Sequence[RowDelete], timestamp_ms: int) -> None:
        await self._before()
        await self._delete(deletes, timestamp_ms)
        await self._behind()

    async def _before(self) -> None:
        self.calls += 1
        if self.calls == self._at and not self._after:
            await self._stay()

    async def _behind(self) -> None:
        if self.calls == self._at and self._after:
            await self._stay()

    async def _stay(self) -> None:
        self.reached.set()
        await asyncio.get_running_loop().create_future()

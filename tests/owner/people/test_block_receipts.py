"""What somebody reads while he is blocked: whoever blocks him is shown it once that has ended, and not before."""

import asyncio

import pytest

from tests.owner.people.test_blocks import SOON_S, TOGETHER, block, both_kinds, sends, servers, summary, unblock
from tests.support.cluster import parsed
from tests.support.virtual_time import virtual_time


@both_kinds
@pytest.mark.parametrize("restarts", [False, True])
@virtual_time
async def test_what_was_read_meanwhile_is_shown_behind_the_end(late: bool, restarts: bool) -> None:
    async with servers(late=late, receipts=True) as made:
        first = await sends(made.node, "hello", "bob", "ann")
        second = await sends(made.node, "hello again", "bob", "ann")
        await block(made.node)
        for sent in (first, second):
            await made.node.mark_read("ann", TOGETHER, sent.message_id)
            await asyncio.sleep(SOON_S)
            assert "receipts" not in await summary(made.node)
        if restarts:
            await made.restart()
        token = (await made.node.conversations("bob")).token
        await unblock(made.node)
        marks = {"deliveredUpTo": second.message_id.hex(), "readUpTo": second.message_id.hex()}
        (shown,) = parsed(await made.node.conversations("bob", token=token))
        assert {name: shown["receipts"][name] for name in marks} == marks


@both_kinds
@virtual_time
async def test_what_is_older_than_what_is_shown_takes_nothing_back(late: bool) -> None:
    async with servers(late=late, receipts=True) as made:
        node = made.node
        first = await sends(node, "hello", "bob", "ann")
        await block(node)
        await node.mark_read("ann", TOGETHER, first.message_id)
        await asyncio.sleep(SOON_S)
        await unblock(node)
        second = await sends(node, "hello again", "bob", "ann")
        await node.mark_read("ann", TOGETHER, second.message_id)
        await asyncio.sleep(SOON_S)
        for _ in range(2):
            await block(node)
            await unblock(node)
        assert (await summary(node))["receipts"]["readUpTo"] == second.message_id.hex()

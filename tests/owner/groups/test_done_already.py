"""A change of a message that was done and not answered, and whose user was removed before he asked again."""

from collections.abc import Awaitable, Callable

import pytest

from rowbox.cacheserver.port import ChangeResult, SendResult
from rowbox.mailbox.errors import GroupDeleted, NotAMember, RowboxError, StoreOutcomeUnknown
from rowbox.mailbox.groups.requests import Deed, Delete, GroupAnswer, GroupRequest, Remove
from tests.owner.groups.test_group_changes import HEART, UP, group_with
from tests.owner.groups.test_groups import both_kinds, checked
from tests.support.cluster import Cluster, Node
from tests.support.virtual_time import virtual_time

Ask = Callable[[Node, SendResult], Awaitable[ChangeResult]]
ASKED: dict[str, Ask] = {
    "edit": lambda node, sent: node.change("bob", sent, "hallo"),
    "unsend": lambda node, sent: node.change("bob", sent, None),
    "react": lambda node, sent: node.react("bob", sent, UP),
}
OUT: tuple[tuple[Deed, type[RowboxError]], ...] = ((Remove("bob"), NotAMember), (Delete(), GroupDeleted))
every_way = pytest.mark.parametrize("asked", ASKED)
is_out_by = pytest.mark.parametrize(("deed", "refusal"), OUT, ids=["removed", "deleted"])


async def lost(made: Cluster, sent: SendResult, ask: Ask, before_the_second: Deed | None = None) -> ChangeResult:
    """What Bob is told, where the first try is done and its answer is lost. `before_the_second`: what Ann does when his
    owner has sent the second one.
    """
    node, door = made.node, made.node.owner.front_door
    reach, tries = door._ask, 0

    async def unheard(request: GroupRequest) -> GroupAnswer:
        nonlocal tries
        tries += 1
        if tries == 2 and before_the_second is not None:
            await node.change_group("ann", sent.conversation_id, before_the_second)
        answer = await reach(request)
        if tries == 1:
            raise StoreOutcomeUnknown("the link was lost")
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door, "_ask", unheard)
        return await ask(node, sent)


@both_kinds
@every_way
@is_out_by
@virtual_time
async def test_who_is_out_by_his_own_row_is_told_what_was_done(
    late: bool, asked: str, deed: Deed, refusal: type[RowboxError]
) -> None:
    async with checked(late=late) as made:
        node = made.node
        _, sent = await group_with(made)
        done = await ASKED[asked](node, sent)
        assert done.changed
        await node.change_group("ann", sent.conversation_id, deed)
        await made.quiet()
        again = await ASKED[asked](node, sent)
        assert (again.changed, again.last_updated_timestamp) == (False, done.last_updated_timestamp)
        with pytest.raises(refusal):
            await node.react("bob", sent, HEART)
        with pytest.raises(refusal):
            await node.change("bob", sent, "another text")


@both_kinds
@every_way
@is_out_by
@virtual_time
async def test_who_is_out_by_the_groups_row_alone_is_told_what_was_done(
    late: bool, asked: str, deed: Deed, refusal: type[RowboxError]
) -> None:
    """His own row had not heard of it when his owner asked again."""
    async with checked(late=late) as made:
        _, sent = await group_with(made)
        assert not (await lost(made, sent, ASKED[asked], deed)).changed
        await made.quiet()
        with pytest.raises(refusal):
            await made.node.react("bob", sent, HEART)


@both_kinds
@virtual_time
async def test_what_was_not_done_while_he_was_in_is_refused_by_the_groups_row(late: bool) -> None:
    """... whoever did it after he had left: his own mailbox will never show it."""
    async with checked(late=late) as made:
        node = made.node
        group, sent = await group_with(made)
        door = node.owner.front_door
        reach = door._ask

        async def after_all(request: GroupRequest) -> GroupAnswer:
            patch.setattr(door, "_ask", reach)
            await node.change_group("ann", group, Remove("bob"))
            await node.change("ann", sent, None)
            return await reach(request)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(door, "_ask", after_all)
            with pytest.raises(NotAMember):
                await node.change("bob", sent, None)

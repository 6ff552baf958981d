"""`rowbox user erase`: deletes a user, and says how far the erasure of his mailbox is."""

import asyncio
from typing import TYPE_CHECKING, Final

import click
import msgspec

from rowbox.api.operator.erase import ERASE, EraseUser, UserErased
from rowbox.cacheserver.port import ChangeAccount
from rowbox.cli.operator import NoServer
from rowbox.cli.options import with_settings
from rowbox.cli.verbs.tokens.at_the_owner import asked, by_itself
from rowbox.cli.verbs.tokens.subjects import user_meant
from rowbox.mailbox.account.deeds import DeleteUser
from rowbox.mailbox.people.profile import ErasureStep
from rowbox.mailbox.settings.config import LoadedSettings, Settings

if TYPE_CHECKING:
    from rowbox.cli.serving.backends import Backend

LOOKS: Final = 50
LOOK_EVERY_S: Final = 0.2
"""A store that no server has open is closed after so many looks: the rest is done once a server has it."""

_SAID: Final[dict[int, str]] = {
    ErasureStep.CLOSED: "he leaves his groups, and what he has sent is delivered",
    ErasureStep.WIPING: "his mailbox is being removed",
    ErasureStep.SWEEPING: "all is removed, and is looked for once more in a day",
    ErasureStep.DONE: "his mailbox is erased",
}


@click.command("erase")
@click.argument("user", metavar="USER")
@click.option("--yes", is_flag=True, help="Do not ask whether it is meant.")
@with_settings("server.data_dir", "store.url", "server.admin_host", "server.admin_port")
def erase(loaded: LoadedSettings, user: str, *, yes: bool) -> None:
    """Delete USER for ever, and erase his mailbox. Run again it says how far that is.

    It does what an administrator does by POST /v1/deleteUser: from the answer on every token of USER is refused,
    nothing comes in any more, he leaves his groups, and nobody is made known under this userId again. The server on
    this data directory does it, and goes on by itself, also after a crash; where none runs, and the store is the
    embedded one, this verb does it. Those whom USER wrote to keep their copies, and backups what they have. There is no
    way back. Reads the secret in the data directory, by which the server knows its operator; the owner of the mailbox
    writes to the store.
    """
    settings = loaded.settings
    user_id = user_meant(settings.auth, user, "USER")
    if not yes:
        click.confirm(f"Delete {user_id} for ever, and erase the mailbox?", abort=True)
    click.echo(f"{user_id} is deleted: {_SAID.get(_erased(settings, user_id), 'the work goes on')}.")


def _erased(settings: Settings, user_id: str) -> int:
    """The step to which the erasure has come."""
    body = msgspec.json.encode(EraseUser(user_id))
    try:
        answer = asked(settings, ERASE, body, "the user may be deleted or not: run this again")
        return msgspec.json.decode(answer, type=UserErased).step
    except NoServer as error:
        return by_itself(settings, error, lambda store: _erased_in(store, user_id))


async def _erased_in(store: "Backend", user_id: str) -> int:
    asked_for = ChangeAccount(user_id, DeleteUser())
    step = (await store.port.change_account(asked_for)).step
    for _ in range(LOOKS):
        if step == ErasureStep.DONE:
            break
        await asyncio.sleep(LOOK_EVERY_S)
        step = (await store.port.change_account(asked_for)).step
    return step

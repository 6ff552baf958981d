"""The operator's call that deletes a user (`rowbox user erase`)."""

from typing import Final

import msgspec

from rowbox.api.operator.calls import OperatorCall
from rowbox.cacheserver.port import ChangeAccount, MailboxPort
from rowbox.mailbox.account.deeds import DeleteUser
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.ids import is_user_id

ERASE: Final = "eraseUser"


class EraseUser(msgspec.Struct, frozen=True, rename="camel"):
    """Who is deleted."""

    user_id: str


class UserErased(msgspec.Struct, frozen=True, rename="camel"):
    """How far it is: an ErasureStep. `changed`: he was not deleted before."""

    step: int
    changed: bool


def erase_call(port: MailboxPort) -> OperatorCall:
    """The call, over the owner of this process or a router. It counts against the user's limit, as a send does."""

    async def erase(body: bytes) -> bytes:
        try:
            request = msgspec.json.decode(body, type=EraseUser)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"the body is no EraseUser: {error}") from error
        if not is_user_id(request.user_id):
            raise BadRequest("userId is none")
        done = await port.change_account(ChangeAccount(request.user_id, DeleteUser()))
        return msgspec.json.encode(UserErased(done.step, done.changed))

    return OperatorCall(ERASE, erase)

"""The operator's call that signs a user out: of one device, or of all (`rowbox user signout`)."""

from typing import Final

import msgspec

from rowbox.api.operator.calls import OperatorCall
from rowbox.cacheserver.port import MailboxPort, SignOut
from rowbox.mailbox.devices import DEVICE_ID_IS, is_device_id
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.ids import is_user_id

SIGN_OUT: Final = "signOut"


class SignOutUser(msgspec.Struct, frozen=True, rename="camel"):
    """Who is signed out, and of which device; "": of all."""

    user_id: str
    device_id: str = ""


class UserSignedOut(msgspec.Struct, frozen=True, rename="camel"):
    """The devices that were signed in until now."""

    device_ids: tuple[str, ...]


def sign_out_call(port: MailboxPort) -> OperatorCall:
    """The call, over the owner of this process or a router. It counts against the user's limit, as his own does."""

    async def sign_out(body: bytes) -> bytes:
        try:
            request = msgspec.json.decode(body, type=SignOutUser)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"the body is no SignOutUser: {error}") from error
        if not is_user_id(request.user_id):
            raise BadRequest("userId is none")
        if request.device_id and not is_device_id(request.device_id):
            raise BadRequest(f"a deviceId is {DEVICE_ID_IS}")
        done = await port.sign_out(SignOut(request.user_id, request.device_id))
        return msgspec.json.encode(UserSignedOut(tuple(done.device_ids)))

    return OperatorCall(SIGN_OUT, sign_out)

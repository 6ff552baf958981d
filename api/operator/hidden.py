"""The operator's call that shows what is hidden of those whom a user blocks (`rowbox mailbox hidden`)."""

from typing import Final

import msgspec

from rowbox.api.operator.calls import OperatorCall
from rowbox.cacheserver.port import FetchHidden, HiddenPage, MailboxPort
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.ids import is_user_id
from rowbox.mailbox.pages.page_cut import PAGE_BYTES

HIDDEN: Final = "fetchHidden"
PAGE: Final = 200
"""Messages of one answer, at most."""


class AskHidden(msgspec.Struct, frozen=True, rename="camel"):
    """Whose hidden messages are asked for, and behind which place of HiddenPage."""

    user_id: str
    behind: tuple[bytes, bytes] | None = None


def hidden_call(port: MailboxPort) -> OperatorCall:
    """The call, over the owner of this process or a router. The owner logs it, and it counts against the user's limit.

    Its answer is a HiddenPage as JSON.
    """

    async def fetch_hidden(body: bytes) -> bytes:
        try:
            request = msgspec.json.decode(body, type=AskHidden)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"the body is no AskHidden: {error}") from error
        if not is_user_id(request.user_id):
            raise BadRequest("userId is none")
        page: HiddenPage = await port.fetch_hidden(FetchHidden(request.user_id, PAGE, PAGE_BYTES, request.behind))
        return msgspec.json.encode(page)

    return OperatorCall(HIDDEN, fetch_hidden)

"""Which conversation one socket shows: a Viewer, which asks whether its user may, and tells the client who types."""

import logging
from typing import Final

from rowbox.api.realtime.frames import Types
from rowbox.api.realtime.people.carrier import Carrier
from rowbox.cacheserver.ephemeral.port import AskView, PresencePort
from rowbox.mailbox.ids import direct_conversation_id

SHOWN_MS: Final = 6_000
"""How long a client shows that somebody types: as long as it may take until the next word of it, and a little more."""
_STANDS: Final = b'"membership":"'
_STANDS_IN: Final = b'"membership":"in"'
"""In what is told of groups (mailbox/representation.py). Within a text each quotation mark has a backslash."""
_log = logging.getLogger(__name__)


class Viewing:
    """The view of one socket. `close` ends it."""

    __slots__ = ("_carrier", "_is_asking", "_presence", "_shown")

    def __init__(self, carrier: Carrier, presence: PresencePort) -> None:
        self._carrier = carrier
        self._presence = presence
        self._shown: tuple[str | None, str | None] = (None, None)
        """With whom, or of which group; of neither where nothing is shown."""
        self._is_asking = False

    def view(self, recipient_id: str | None, conversation_id: str | None) -> None:
        """The client shows this conversation from now on: with a user, or of a group. Neither: none."""
        self._shown = recipient_id, conversation_id
        self._presence.unview(self)
        self.view_again()

    def view_again(self) -> None:
        """See Viewer. One question is under way at a time, and behind it is the newest."""
        if not self._is_asking and any(self._shown):
            self._is_asking = True
            self._carrier.begin(self._ask())

    def changed(self, frame: bytes | None) -> None:
        """Something has changed in the user's mailbox: what is told of it, where that is at hand."""
        is_of_group = self._shown[1] is not None
        if is_of_group and (frame is None or frame.count(_STANDS) > frame.count(_STANDS_IN)):
            self._presence.doubt(self)

    async def _ask(self) -> None:
        asked = None
        try:
            while asked is not self._shown and any(self._shown) and self._carrier.is_open:
                asked = self._shown
                await self._presence.view(self, self._request())
        except Exception:  # noqa: BLE001 - what nobody expected ends nothing, and is logged
            _log.exception("a view of a socket failed")
        finally:
            self._is_asking = False
        if not any(self._shown):
            self._presence.unview(self)

    def _request(self) -> AskView:
        claims, (recipient_id, conversation_id) = self._carrier.claims, self._shown
        if recipient_id is not None:
            conversation = direct_conversation_id(claims.user_id, recipient_id)
            return AskView(claims.user_id, conversation, recipient_id, claims.bearer)
        assert conversation_id is not None
        return AskView(claims.user_id, bytes.fromhex(conversation_id), None, claims.bearer)

    def typed(self, conversation_id: str, user_id: str) -> bool:
        """See Viewer."""
        return self._carrier.say(Types(conversation_id=conversation_id, user_id=user_id, until_ms=SHOWN_MS))

    def close(self) -> None:
        """The socket has ended."""
        self._shown = (None, None)
        self._presence.unview(self)

"""All services of one process, as the port that owners know."""

from typing import TYPE_CHECKING

from rowbox.cacheserver.push.port import Answer, Outcome
from rowbox.cacheserver.push.services.guarded import GuardedSession
from rowbox.cacheserver.push.services.webhook import Webhooks
from rowbox.mailbox.errors import BadRequest, PushOff, StoreUnusable
from rowbox.mailbox.push.note import Note
from rowbox.mailbox.push.target import PushTarget, is_allowed
from rowbox.mailbox.settings.config import PushSettings

if TYPE_CHECKING:
    from rowbox.cacheserver.push.services.web_push import WebPush


class PushServices:
    """PushPort by Web Push and webhooks. To be made in the running loop; `close` ends it."""

    def __init__(self, settings: PushSettings, key: bytes | None, session: GuardedSession | None = None) -> None:
        """`key` is the text of push.vapid_key_file; None: no Web Push. `session` None: the public internet is called.

        StoreUnusable where the key is none, or the extra `rowbox[push]` is not installed.
        """
        self._allowed = settings.allowed_hosts
        self._session = session if session is not None else GuardedSession()
        self._webhooks = Webhooks(self._session)
        self._web = _web_push(self._session, key, settings) if key is not None else None

    @property
    def server_key(self) -> str:
        """See PushPort."""
        return self._web.server_key if self._web is not None else ""

    def check(self, target: PushTarget) -> None:
        """See PushPort."""
        if target.kind == "web" and self._web is None:
            raise PushOff("there is no Web Push on this server: push.vapid_key_file names no key")
        if not is_allowed(target.host, self._allowed):
            raise BadRequest(f"nothing is pushed to {target.host}: it is not in push.allowed_hosts")

    async def send(self, target: PushTarget, note: Note, push_id: str) -> Answer:
        """See PushPort. A target that was allowed once and is not any more is not called."""
        if not is_allowed(target.host, self._allowed):
            return Answer(Outcome.BROKEN, reason="not in push.allowed_hosts")
        if target.kind == "webhook":
            return await self._webhooks.send(target, note, push_id)
        if self._web is None:
            return Answer(Outcome.BROKEN, reason="push.vapid_key_file names no key")
        return await self._web.send(target, note, push_id)

    async def close(self) -> None:
        """Ends it."""
        if self._web is not None:
            self._web.close()
        await self._session.close()


def _web_push(session: GuardedSession, pem: bytes, settings: PushSettings) -> "WebPush":
    """Imported by servers that use it alone: it comes with an extra, and brings an HTTP library that we do not use."""
    try:
        from rowbox.cacheserver.push.services.web_push import WebPush, read_key
    except ImportError as error:
        raise StoreUnusable("push.vapid_key_file: Web Push needs an extra: pip install 'rowbox[push]'") from error
    try:
        return WebPush(session, read_key(pem), settings.contact)
    except ValueError as error:
        raise StoreUnusable(f"push.vapid_key_file: {settings.vapid_key_file} holds no key: {error}") from error

"""Webhooks, signed as Standard Webhooks has it: https://www.standardwebhooks.com, version 1.

webhook-id          the same where the same note is tried again: a receiver takes it once
webhook-timestamp   when it was sent, in seconds: a receiver refuses what is old
webhook-signature   v1,base64(HMAC-SHA256(secret, "id.timestamp.body"))
"""

import hmac
import time
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256

from rowbox.cacheserver.push.port import Answer
from rowbox.cacheserver.push.services.guarded import GuardedSession, answer_of
from rowbox.mailbox.push.note import Note, encode
from rowbox.mailbox.push.target import PushTarget


class Webhooks:
    """Tells programs. `now_s` gives seconds since 1970."""

    def __init__(self, session: GuardedSession, now_s: Callable[[], float] = time.time) -> None:
        self._session = session
        self._now_s = now_s

    async def send(self, target: PushTarget, note: Note, push_id: str) -> Answer:
        """See PushPort."""
        body, timestamp = encode(note), str(int(self._now_s()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": push_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature(target.secret, push_id, timestamp, body),
        }
        said = await self._session.post(target.url, body, headers)
        return said if isinstance(said, Answer) else answer_of(said)


def signature(secret: bytes, push_id: str, timestamp: str, body: bytes) -> str:
    """The value of webhook-signature."""
    signed = hmac.new(secret, b".".join((push_id.encode(), timestamp.encode(), body)), sha256).digest()
    return f"v1,{b64encode(signed).decode()}"

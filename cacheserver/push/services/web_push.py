"""Web Push: RFC 8030, encrypted for the browser (RFC 8291), by a server that says who it is (VAPID, RFC 8292).

pywebpush encrypts and py-vapid signs; the calls are our own, guarded as all that go to addresses of users. The JWT of a
push service counts for TOKEN_S and is made anew after half of that: a service takes 24 hours at most, and refuses what
its clock finds to be more.
"""

import asyncio
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02
from pywebpush import WebPusher

from rowbox.cacheserver.push.port import Answer, Outcome
from rowbox.cacheserver.push.services.guarded import GuardedSession, answer_of
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.push.note import MessageNote, Note, ReadNote, encode
from rowbox.mailbox.push.target import P256DH_BYTES, PushTarget

TTL_S: Final = 86_400
"""For how long at most a push service keeps what it cannot tell yet. A message is in the mailbox for longer, unless it
disappears: then it is kept until that.
"""
TOKEN_S: Final = 12 * 3600
MOST_TOKENS: Final = 1_000
"""Push services of which the JWT is kept."""


class WebPush:
    """Tells browsers; `close` ends it.

    `contact`: whom a push service writes to (mailto: or https:). `now_s`: seconds since 1970.
    """

    def __init__(
        self,
        session: GuardedSession,
        key: ec.EllipticCurvePrivateKey,
        contact: str,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._vapid = Vapid02(key)
        self._contact = contact
        self._now_s = now_s
        self._tokens: dict[str, tuple[str, float]] = {}
        """By origin: the header, and the second from which on another one is made."""
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="rowbox-push")
        self.server_key = server_key_of(key)

    async def send(self, target: PushTarget, note: Note, push_id: str) -> Answer:
        """See PushPort. To encrypt costs half a millisecond of a processor, so that is done in a thread."""
        try:
            body = await asyncio.get_running_loop().run_in_executor(self._threads, encrypted, target, encode(note))
        except ValueError:
            return Answer(Outcome.GONE, reason="its key is none")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "aes128gcm",
            "TTL": str(self._ttl_s(note)),
            "Authorization": self._token(target.url),
        }
        if isinstance(note, MessageNote | ReadNote):
            headers["Topic"] = topic_of(note.conversation_id)
            headers["Urgency"] = "high" if isinstance(note, MessageNote) else "normal"
        said = await self._session.post(target.url, body, headers)
        return said if isinstance(said, Answer) else answer_of(said)

    def close(self) -> None:
        """Ends it."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ttl_s(self, note: Note) -> int:
        if not isinstance(note, MessageNote) or not note.expires_timestamp:
            return TTL_S
        left_s = note.expires_timestamp // US_PER_S - int(self._now_s())
        return max(0, min(TTL_S, left_s))

    def _token(self, url: str) -> str:
        parts, now_s = urlsplit(url), self._now_s()
        origin = f"https://{parts.netloc.lower()}"
        known = self._tokens.get(origin)
        if known is not None and now_s < known[1]:
            return known[0]
        claims = {"aud": origin, "sub": self._contact, "exp": int(now_s) + TOKEN_S}
        header = str(self._vapid.sign(claims)["Authorization"])
        if len(self._tokens) >= MOST_TOKENS:
            self._tokens.clear()
        self._tokens[origin] = header, now_s + TOKEN_S / 2
        return header


def encrypted(target: PushTarget, text: bytes) -> bytes:
    """The body of a push: `text`, as only the browser can read it. ValueError where the browser's key is none."""
    keys = {
        "p256dh": urlsafe_b64encode(target.secret[:P256DH_BYTES]).decode(),
        "auth": urlsafe_b64encode(target.secret[P256DH_BYTES:]).decode(),
    }
    body: bytes = WebPusher({"endpoint": target.url, "keys": keys}).encode(text)["body"]
    return body


def topic_of(conversation_id: str) -> str:
    """The Topic of a conversation's pushes, 22 of at most 32 characters: a newer one replaces what was not told yet."""
    return urlsafe_b64encode(bytes.fromhex(conversation_id)).rstrip(b"=").decode()


def read_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """The server's key in a file that `made_key` has made. ValueError where there is none."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("it is encrypted, or of no known kind") from error
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise ValueError("it is no key of P-256")


def made_key() -> bytes:
    """A new key for a server, as the text of a file (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def server_key_of(key: ec.EllipticCurvePrivateKey) -> str:
    """What browsers subscribe with (applicationServerKey): the public key, in base64url without padding."""
    point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return urlsafe_b64encode(point).rstrip(b"=").decode()

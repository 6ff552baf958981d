"""What `rowbox serve` prints when it is ready: where it listens, and calls that can be pasted."""

from collections.abc import Iterable
from typing import Final

from rowbox.api.auth import issue_token
from rowbox.api.insecure import INSECURE
from rowbox.mailbox.config import Settings, is_loopback

DEMO_TTL_S: Final = 24 * 3600


def ready_lines(settings: Settings, secret: bytes, port: int, admin_port: int, now: float) -> Iterable[str]:
    """The line that says that it is ready and, on a loopback address, links to the chat as alice, as bob and as both
    side by side, a token for each of them and three calls.

    On any other address no token is printed: what a log collector reads would let anybody in.
    """
    host = settings.server.host
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    yield f"Rowbox is ready: {url} (the API in words: {url}/docs; health and metrics: port {admin_port})"
    if not _prints_tokens(settings):
        yield "Tokens: rowbox token --user USER, on this data directory"
        return
    alice, bob = (_token(settings, secret, user, now) for user in ("alice", "bob"))
    for who, link in (("both", f"token={alice}&token={bob}"), ("alice", f"token={alice}"), ("bob", f"token={bob}")):
        yield f"Chat as {who}: {url}/#{link}"
    yield f"alice's token: {alice}"
    yield f"bob's token:   {bob}"
    yield "Try it:"
    yield (
        f"  curl -H 'Authorization: Bearer {alice}' -H 'Content-Type: application/json' {url}/v1/sendMessage"
        ' -d \'{"recipientId": "bob", "messageContent": "hello", "clientMessageId": "first"}\''
    )
    yield f"  curl -H 'Authorization: Bearer {bob}' {url}/v1/fetchConversation"
    yield f"  curl -H 'Authorization: Bearer {bob}' '{url}/v1/fetchMessages?pageSize=10'"


def _prints_tokens(settings: Settings) -> bool:
    return is_loopback(settings.server.host) and not settings.auth.jwks


def _token(settings: Settings, secret: bytes, user_id: str, now: float) -> str:
    if settings.server.insecure_dev:
        return f"{INSECURE}{user_id}"
    return issue_token(secret, user_id, DEMO_TTL_S, admin=False, now=now)

"""What `rowbox serve` prints when it is ready: where it listens and, for a person, calls that can be pasted.

Whoever reads a token can use it, and what a server prints may end in a journal. So tokens are printed only on the
terminal of a server that listens on loopback, or where the settings ask for them (server.demo_tokens).
"""

import shlex
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import orjson

from rowbox.api.auth.authenticator import issue_token
from rowbox.api.auth.insecure import INSECURE
from rowbox.mailbox.settings.config import Settings, hosts_of, is_loopback

DEMO_TTL_S: Final = 24 * 3600


class Ready(NamedTuple):
    """Where a server listens, the tokens that it shows by user, and how to get a token where it shows none.

    Without `urls` it serves other servers, and no client.
    """

    urls: tuple[str, ...]
    admin_urls: tuple[str, ...]
    tokens: Mapping[str, str]
    how: str

    @property
    def line(self) -> str:
        """The line that says that the server is ready."""
        health = f"health and metrics: {' and '.join(self.admin_urls)}"
        if not self.urls:
            return f"Rowbox is ready: for the servers of the cluster ({health})"
        return f"Rowbox is ready: {' and '.join(self.urls)} (the API in words: {self.urls[0]}/docs; {health})"


def ready_of(settings: Settings, secret: bytes, port: int, admin_port: int, now: float, *, is_terminal: bool) -> Ready:
    """What a server prints that listens on these ports, at `now` in seconds since the epoch. `is_terminal` says that a
    person reads it.
    """
    server = settings.server
    tokens: dict[str, str] = {}
    admin_urls = _urls(server.admin_host, admin_port)
    if server.role == "cache":
        return Ready((), admin_urls, tokens, _how(settings))
    if _shows_tokens(settings, is_terminal=is_terminal):
        tokens = {user: _token(settings, secret, user, now) for user in ("alice", "bob")}
    return Ready(_urls(server.host, port), admin_urls, tokens, _how(settings))


def as_text(ready: Ready) -> Iterable[str]:
    """Lines for a person: links to the chat as alice, as bob and as both side by side, tokens, and calls."""
    yield ready.line
    if not ready.urls:
        return
    if not ready.tokens:
        yield f"Tokens: {ready.how}"
        return
    url, alice, bob = ready.urls[0], ready.tokens["alice"], ready.tokens["bob"]
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


def as_json(ready: Ready, now: float) -> Iterable[str]:
    """One line for a program, with the fields of a log line."""
    line: dict[str, object] = {
        "time": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": "info",
        "logger": __name__,
        "message": ready.line,
        "urls": ready.urls,
        "adminUrls": ready.admin_urls,
    }
    if ready.tokens:
        line["tokens"] = ready.tokens
    yield orjson.dumps(line).decode()


def _urls(hosts: str, port: int) -> tuple[str, ...]:
    return tuple(f"http://{f'[{host}]' if ':' in host else host}:{port}" for host in hosts_of(hosts))


def _shows_tokens(settings: Settings, *, is_terminal: bool) -> bool:
    if settings.auth.jwks:
        return False  # ours would open nothing
    is_local = all(map(is_loopback, hosts_of(settings.server.host)))
    return settings.server.demo_tokens or settings.server.insecure_dev or (is_terminal and is_local)


def _token(settings: Settings, secret: bytes, user_id: str, now: float) -> str:
    if settings.server.insecure_dev:
        return f"{INSECURE}{user_id}"
    ttl_s = min(DEMO_TTL_S, settings.auth.max_token_life_ms / 1000 or DEMO_TTL_S)
    return issue_token(secret, user_id, ttl_s, admin=False, now=now, settings=settings.auth)


def _how(settings: Settings) -> str:
    if settings.auth.jwks:
        return f"those of the issuer of {settings.auth.jwks}"
    return f"rowbox token --user USER --data-dir {shlex.quote(settings.server.data_dir)}"

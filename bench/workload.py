"""The requests: built before they are needed, byte for byte the same for every server.

Senders: SENDERS users who write in turn, each to PARTNERS others: what is in flight at a time is of different users.
Readers: READERS users whom nobody writes to meanwhile; each has one conversation, and reads it.
"""

import json
from collections.abc import Iterator
from itertools import count, cycle
from time import time

from bench.load import closed_loop, exchange
from rowbox.api.auth import issue_token

SENDERS = 1000
PARTNERS = 10
READERS = 100
PAGE = 20
CONTENT = "The ferry leaves at ten past nine, so let us meet at the pier at nine; bring the red folder, please."
TOKEN_LIFE_S = 3600
_PRIMING_IN_FLIGHT = 32


class Workload:
    """See the module's text. Made with the secret that the server under test verifies tokens with."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._now_s = time()
        self._numbers = count()
        self._send_heads = [
            self._send_head(f"user{sender:04}", f"user{(sender + SENDERS // 2 + partner) % SENDERS:04}")
            for partner in range(PARTNERS)
            for sender in range(SENDERS)
        ]
        self._pages: list[bytes] = []
        self._deltas: list[bytes] = []

    def sends(self) -> Iterator[bytes]:
        """Sends without end, no two of them with the same clientMessageId."""
        for head, number in zip(cycle(self._send_heads), self._numbers, strict=False):
            yield b'%b%016x"}' % (head, number)

    def pages(self) -> Iterator[bytes]:
        """Fetches of the newest page of a conversation."""
        return cycle(self._pages)

    def deltas(self) -> Iterator[bytes]:
        """Fetches of the conversations that changed, where none has."""
        return cycle(self._deltas)

    async def prime(self, port: int) -> None:
        """Gives every reader a conversation of more than a page, and learns what the fetches have to name."""
        readers = [f"reader{reader:04}" for reader in range(READERS)]
        heads = [self._send_head("writer", reader) for reader in readers for _ in range(PAGE + 5)]
        sends = (b'%b%016x"}' % (head, next(self._numbers)) for head in heads)
        await closed_loop(port, sends, 201, in_flight=_PRIMING_IN_FLIGHT)
        lists = await exchange(port, [self._get(reader, "/v1/fetchConversation") for reader in readers], 200)
        for reader, answer in zip(readers, map(json.loads, lists), strict=True):
            conversation_id, token = answer["conversations"][0]["conversationId"], answer["lastUpdatedTimestamp"]
            page = f"/v1/fetchMessages?conversationId={conversation_id}&pageSize={PAGE}"
            self._pages.append(self._get(reader, page))
            self._deltas.append(self._get(reader, f"/v1/fetchConversation?lastUpdatedTimestamp={token}"))

    def _send_head(self, sender: str, recipient: str) -> bytes:
        """A send up to its clientMessageId, which is 16 characters."""
        body = f'{{"recipientId":"{recipient}","messageContent":"{CONTENT}","clientMessageId":"'
        size = len(body) + len('0123456789abcdef"}')
        header = f"Content-Type: application/json\r\nContent-Length: {size}\r\n"
        return f"{self._start('POST', '/v1/sendMessage', sender)}{header}\r\n{body}".encode()

    def _get(self, user: str, target: str) -> bytes:
        return f"{self._start('GET', target, user)}\r\n".encode()

    def _start(self, method: str, target: str, user: str) -> str:
        token = issue_token(self._secret, user, TOKEN_LIFE_S, admin=False, now=self._now_s)
        return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"

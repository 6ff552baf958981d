"""The requests: built before they are needed, byte for byte the same for every server.

Senders: SENDERS users who write in turn, each to PARTNERS others, so requests in flight are of different users.
Readers: READERS users to whom nobody writes meanwhile. Each has one conversation, and reads it.
A Caller makes the requests of one user.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import count, cycle
from time import time, time_ns
from typing import NamedTuple

from bench.load.closed_loop import closed_loop, exchange
from rowbox.api.auth.authenticator import issue_token

SENDERS = 1000
PARTNERS = 10
READERS = 100
PAGE = 20
CONTENT = "The ferry leaves at ten past nine, so let us meet at the pier at nine; bring the red folder, please."
TOKEN_LIFE_S = 3600
MOST_CHANGES = 2
"""The most messages that a delta of the workload has."""
_PRIMING_IN_FLIGHT = 32


class Workload:
    """All requests of a run. Made with the secret that the server under test verifies tokens with."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._now_s = time()
        self._numbers = count(time_ns())  # another workload over the same store sends other messages
        self._send_heads = [
            self._send_head(f"user{sender:04}", f"user{(sender + SENDERS // 2 + partner) % SENDERS:04}")
            for partner in range(PARTNERS)
            for sender in range(SENDERS)
        ]
        self._pages: list[bytes] = []
        self._deltas: list[list[bytes]] = [[] for _ in range(MOST_CHANGES + 1)]

    def sends(self) -> Iterator[bytes]:
        """Sends without end, no two of them with the same clientMessageId."""
        for head, number in zip(cycle(self._send_heads), self._numbers, strict=False):
            yield b'%b%016x"}' % (head, number)

    def serials(self) -> Iterator[bytes]:
        """ClientMessageIds without end."""
        return (b"%016x" % number for number in self._numbers)

    def pages(self) -> Iterator[bytes]:
        """Fetches of the newest page of a conversation."""
        return cycle(self._pages)

    def deltas(self, changes: int = 0) -> Iterator[bytes]:
        """Fetches of deltas: of conversations, where none changed, or of `changes` messages (1 to MOST_CHANGES)."""
        return cycle(self._deltas[changes])

    async def prime(self, port: int) -> None:
        """Gives every reader a conversation of more than a page, and learns what the fetches have to name."""
        readers = [f"reader{reader:04}" for reader in range(READERS)]
        heads = [self._send_head("writer", reader) for reader in readers for _ in range(PAGE + 5)]
        sends = (b'%b%016x"}' % (head, next(self._numbers)) for head in heads)
        await closed_loop(port, sends, 201, in_flight=_PRIMING_IN_FLIGHT)
        for reader in readers:
            caller = self.caller(reader)
            talk = await caller.talk(port)
            self._pages.append(caller.page(talk.conversation_id, PAGE))
            self._deltas[0].append(caller.changed_conversations(talk.token))
            for changes in range(1, MOST_CHANGES + 1):
                self._deltas[changes].append(caller.changed_messages(talk.message_tokens[changes]))

    def caller(self, user: str) -> "Caller":
        """The Caller of `user`."""
        return Caller(self._secret, user, self._now_s)

    def send(self, sender: str, recipient: str) -> bytes:
        """One send, with a clientMessageId of its own."""
        return b'%b%016x"}' % (self._send_head(sender, recipient), next(self._numbers))

    def _send_head(self, sender: str, recipient: str) -> bytes:
        """A send up to its clientMessageId, for which 16 characters have to follow."""
        body = f'{{"recipientId":"{recipient}","messageContent":"{CONTENT}","clientMessageId":"'
        size = len(body) + len('0123456789abcdef"}')
        header = f"Content-Type: application/json\r\nContent-Length: {size}\r\n"
        start = self.caller(sender).start("POST", "/v1/sendMessage")
        return f"{start}{header}\r\n{body}".encode()


class Talk(NamedTuple):
    """A user's newest conversation. `token` is a token of the user's list of conversations, as of now.

    `message_tokens` are tokens of the conversation's messages as of each of the newest messages, the newest first.
    """

    conversation_id: str
    participants: list[str]
    token: str
    message_tokens: list[str]

    def partner_of(self, user: str) -> str:
        """The conversation's other participant."""
        return next(other for other in self.participants if other != user)


class Caller:
    """The requests of one user."""

    def __init__(self, secret: bytes, user: str, now_s: float) -> None:
        self.token = issue_token(secret, user, TOKEN_LIFE_S, admin=False, now=now_s)

    async def talk(self, port: int) -> Talk:
        """The user's newest conversation, as the server answers it. The user must have one."""
        answer = json.loads((await exchange(port, [self.conversations()], 200))[0])
        newest = answer["conversations"][0]
        page = json.loads((await exchange(port, [self.newest(PAGE)], 200))[0])
        tokens = [_token_at(page["lastUpdatedTimestamp"], item["lastUpdatedTimestamp"]) for item in page["messages"]]
        return Talk(newest["conversationId"], newest["participants"], answer["lastUpdatedTimestamp"], tokens)

    def conversations(self) -> bytes:
        """The first page of the user's conversations."""
        return self._get(f"/v1/fetchConversation?pageSize={PAGE}")

    def page(self, conversation_id: str, size: int) -> bytes:
        """The newest messages of a conversation."""
        return self._get(f"/v1/fetchMessages?conversationId={conversation_id}&pageSize={size}")

    def newest(self, size: int) -> bytes:
        """The newest messages of all conversations."""
        return self._get(f"/v1/fetchMessages?pageSize={size}")

    def changed_conversations(self, token: str) -> bytes:
        return self._get(f"/v1/fetchConversation?lastUpdatedTimestamp={token}")

    def changed_messages(self, token: str) -> bytes:
        return self._get(f"/v1/fetchMessages?lastUpdatedTimestamp={token}")

    def poll(self, wait_s: int) -> tuple[bytes, bytes]:
        """A long poll for new messages, as the bytes before its token and the bytes behind it."""
        before, _, after = self._get(f"/v1/fetchMessages?wait={wait_s}&lastUpdatedTimestamp=|").partition(b"|")
        return before, after

    def changes(self) -> bytes:
        """The beginning of all that changes."""
        return self._get("/v1/fetchChanges")

    def poll_changes(self, wait_s: int) -> tuple[bytes, bytes]:
        """A long poll for all that changes, as `poll`."""
        before, _, after = self._get(f"/v1/fetchChanges?wait={wait_s}&lastUpdatedTimestamp=|").partition(b"|")
        return before, after

    def send_to(self, recipient: str, client_message_id: bytes, content: str = CONTENT) -> bytes:
        """One send."""
        fields = {"recipientId": recipient, "messageContent": content, "clientMessageId": client_message_id.decode()}
        return self.post("/v1/sendMessage", fields)

    def post(self, target: str, fields: Mapping[str, object]) -> bytes:
        """A call with these fields."""
        body = json.dumps(fields).encode()
        header = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return f"{self.start('POST', target)}{header}".encode() + body

    def start(self, method: str, target: str) -> str:
        """The head of a request, up to its last own header."""
        return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.token}\r\n"

    def _get(self, target: str) -> bytes:
        return f"{self.start('GET', target)}\r\n".encode()


def _token_at(token: str, version: int) -> str:
    """The token that the server would have given at an earlier version. Real clients must not make tokens; here it
    saves polls.
    """
    return f"{version}.{token.partition('.')[2]}"

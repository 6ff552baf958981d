"""One client of a deployment, which may have several addresses: each request goes to the next one."""

import json
import time
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Final, NamedTuple

import aiohttp
import msgspec

from rowbox.api.auth.authenticator import issue_token
from tests.conformance.transcript import Json, Transcript, shortened

_TOKEN_LIFE_S: Final = 3600


class Answer(NamedTuple):
    """What came back: the status, and the body where that was JSON."""

    status: int
    json: Json


class Caller:
    """Makes the requests of one story and writes down what is answered."""

    def __init__(self, session: aiohttp.ClientSession, urls: Sequence[str], secret: bytes, story: str) -> None:
        """`story` makes the userIds its own: stories run over one store, beside each other's mailboxes."""
        self.transcript = Transcript()
        self.session = session
        self._urls = cycle(urls)
        self._secret = secret
        self._story = story
        self._tokens: dict[str, str] = {}

    def next_url(self) -> str:
        """The address whose turn it is."""
        return next(self._urls)

    def user(self, name: str) -> str:
        """The userId of somebody in this story."""
        return f"{name}.{self._story}"

    def token(self, name: str, *, is_admin: bool = False) -> str:
        """A token of that user, always the same."""
        key = f"{name} as admin" if is_admin else name
        if key not in self._tokens:
            user_id = self.user(name)
            self._tokens[key] = issue_token(self._secret, user_id, _TOKEN_LIFE_S, admin=is_admin, now=time.time())
        return self._tokens[key]

    async def get(self, name: str, call: str, **query: Json) -> Answer:
        """A GET as `name`; parameters that are None are left out."""
        given = {key: str(value) for key, value in query.items() if value is not None}
        words = " ".join(f"{key}={_in_words(key, value)}" for key, value in given.items())
        return await self.request(f"{name}: {call} {words}".rstrip(), "GET", f"/v1/{call}", name, params=given)

    async def post(self, name: str, call: str, /, **fields: Json) -> Answer:
        """A POST as `name`, with these fields."""
        words = json.dumps(
            {key: shortened(value) if isinstance(value, str) else value for key, value in fields.items()}
        )
        body = json.dumps(fields).encode()
        return await self.request(f"{name}: {call} {words}", "POST", f"/v1/{call}", name, body=body)

    async def send(self, name: str, to: str, text: str, client_message_id: str) -> Answer:
        """A sendMessage; `to` is a name of this story."""
        fields = {"recipientId": self.user(to), "messageContent": text, "clientMessageId": client_message_id}
        return await self.post(name, "sendMessage", **fields)

    async def request(
        self,
        words: str,
        method: str,
        path: str,
        name: str | None = None,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        is_admin: bool = False,
    ) -> Answer:
        """Any request, which the transcript calls `words`. `name` None: without a token."""
        all_headers = {"Content-Type": "application/json"} if body is not None else {}
        if name is not None:
            all_headers["Authorization"] = f"Bearer {self.token(name, is_admin=is_admin)}"
        all_headers |= headers or {}
        url = f"{self.next_url()}{path}"
        async with self.session.request(method, url, params=params, data=body, headers=all_headers) as response:
            answered = await response.read()
            seen = {key.lower(): value for key, value in response.headers.items()}
            self.transcript.add(words, response.status, seen, answered)
            is_json = answered and seen.get("content-type", "").endswith("json")
            return Answer(response.status, msgspec.json.decode(answered) if is_json else None)


def _in_words(key: str, value: str) -> str:
    if key == "messageIds" and len(value) > 1:
        return f"{1 + value.count(',')} IDS"
    return {"lastUpdatedTimestamp": "TOKEN", "cursor": "CURSOR", "before": "A TIME"}.get(key, value)

"""What a client asked and was answered, without what differs from one run to the next.

Ids, times, tokens and cursors are replaced by names in the order in which they first appear ("message 1"), so that it
still shows where two answers speak of the same thing. Times are replaced as well, and are not compared with each other:
which of them are equal is no part of the API.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

Json = Any
"""A value as JSON has it."""

_NAMED: Final = {
    "messageId": "message",
    "lastMessageId": "message",
    "conversationId": "conversation",
    "cursor": "cursor",
    "nextCursor": "cursor",
    "requestId": "request",
}
_PLAIN: Final = {
    "sentTimestamp": "a time",
    "lastSentTimestamp": "a time",
    "editedTimestamp": "a time",
    "expiresTimestamp": "a time",
    "snippetExpiresTimestamp": "a time",
    "lastUpdatedTimestamp": "a time",
    "joinedTimestamp": "a time",
    "asOf": "a time",
    "createdTimestamp": "a time",
    "sinceTimestamp": "a time",
    "deletedUpTo": "a time",
    "hiddenTimestamp": "a time",
    "lastSeenTimestamp": "a time",
    "version": "a version",
    "groupVersion": "a version",
    "retryAfterMs": "milliseconds",
}
_HEADERS: Final = ("allow", "content-type", "www-authenticate", "x-poll-client-timeout", "ratelimit-policy")
_LONGEST: Final = 100
_SHOWN: Final = 20
_ID: Final = re.compile(r"\b[0-9a-f]{32}\b")


class Names:
    """The names of one transcript. The same value has the same name throughout."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def of(self, kind: str, value: str) -> str:
        """The name of `value`, which is of a `kind` if it has none yet."""
        name = self._names.get(value)
        if name is None:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            name = self._names[value] = f"{kind} {self._counts[kind]}"
        return name

    def without_ids(self, text: str) -> str:
        """`text` with names in place of the ids that were met before."""
        return _ID.sub(lambda match: self._names.get(match[0], "an unknown id"), text)


class Transcript:
    """The entries of one story, each a request in words and its answer."""

    def __init__(self) -> None:
        self.entries: list[Json] = []
        self._names = Names()

    def add(self, request: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Takes in an answer to `request`."""
        kept = {name: headers[name] for name in _HEADERS if name in headers}
        is_json = kept.get("content-type", "").endswith("json")
        shown = self._shown(msgspec.json.decode(body)) if is_json and body else len(body)
        self.entries.append([self._names.without_ids(request), status, kept, shown])

    def note(self, *values: Json) -> None:
        """Takes in something else that a client could see."""
        self.entries.append(list(values))

    def _shown(self, value: Json, key: str = "") -> Json:
        if isinstance(value, dict):
            return {name: self._shown(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self._shown(item) for item in value]
        return (
            self._shown_text(value, key)
            if isinstance(value, str)
            else value
            if value is None
            else _PLAIN.get(key, value)
        )

    def _shown_text(self, value: str, key: str) -> str:
        if key == "lastUpdatedTimestamp":
            return "a token"
        if key in _NAMED:
            return self._names.of(_NAMED[key], value)
        return self._names.without_ids(value) if key == "detail" else shortened(value)


def shortened(text: str) -> str:
    """A long text by its beginning and its length."""
    return text if len(text) <= _LONGEST else f"{text[:_SHOWN]}... ({len(text)} characters)"

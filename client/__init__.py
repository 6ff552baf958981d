"""A client of Rowbox's HTTP API, for asyncio: `from rowbox.client import Client`.

It knows the server by its contract only (/docs of any server): nothing of the server is imported here, and nothing of
the server imports this. What a server adds to its answers later is ignored.

    async with Client("http://127.0.0.1:8080", token) as client:
        await client.send("bob", "hello")
        async for change in client.follow():
            ...
"""

from rowbox.client.access import TokenSource
from rowbox.client.answers import Conversation, Message, ReadMark, Sent
from rowbox.client.client import Client
from rowbox.client.errors import AccessDenied, CallFailed, ListReset, OutcomeUnknown, Refused
from rowbox.client.follow import Change, Follow, NewMessage, Reset
from rowbox.client.retry import RetryPolicy

__all__ = [
    "AccessDenied",
    "CallFailed",
    "Change",
    "Client",
    "Conversation",
    "Follow",
    "ListReset",
    "Message",
    "NewMessage",
    "OutcomeUnknown",
    "ReadMark",
    "Refused",
    "Reset",
    "RetryPolicy",
    "Sent",
    "TokenSource",
]

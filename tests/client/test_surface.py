"""The two clients have the same: each call, each error and each field of the one, in the other's spelling.

What is JavaScript's is read from the types that are made of it, api/web/client/rowbox.d.ts.
"""

import inspect
import re
from pathlib import Path

import msgspec
import pytest

import rowbox.client as python
from rowbox.client import Client

TYPES = (Path(__file__).parents[2] / "api" / "web" / "client" / "rowbox.d.ts").read_text()
UNITS = {"patienceMs": "patience_s", "dedupeLifeMs": "dedupe_life_s", "retryInMs": "retry_in_s"}
"""Each language counts time as its own library does. (A firstTriedAt is in milliseconds there, in seconds here.)"""
BROWSERS = {"signal", "waitForNews", "fetch", "sleep", "random", "now", "wallClock"}
"""Python cancels a task instead, has no six connections for a server, and keeps what is for tests together."""


def snake(name: str) -> str:
    return UNITS.get(name) or re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def body(head: str) -> str:
    """What stands between the braces of a declaration."""
    return TYPES.partition(f"{head} ")[2].partition("{\n")[2].partition("\n}")[0]


def fields(head: str) -> set[str]:
    """Its fields, or its options, in Python's spelling."""
    found = re.findall(r"^    (?:readonly )?(\w+)\??: ", body(head), re.MULTILINE)
    assert found, head
    return {snake(name) for name in found if name not in BROWSERS}


def test_they_have_the_same_calls() -> None:
    javascript = set(re.findall(r"^    (\w+)\(", body("export declare class Rowbox"), re.MULTILINE)) - {"constructor"}
    own = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}
    assert len(own) > 8
    assert {snake(name) for name in javascript} == own


@pytest.mark.parametrize(
    ("javascript", "of_python"),
    [
        ("Message", python.Message),
        ("Conversation", python.Conversation),
        ("ConversationTtl", python.ConversationTtl),
        ("Changes", python.Changes),
        ("Device", python.Device),
        ("PushShown", python.PushShown),
        ("Receipts", python.Receipts),
        ("FetchedReceipts", python.FetchedReceipts),
        ("MessageReceipts", python.MessageReceipts),
        ("Found", python.Found),
        ("MemberState", python.MemberState),
        ("Sent", python.Sent),
        ("ReadMark", python.ReadMark),
        ("ChangedMessage", python.ChangedMessage),
        ("ChangedUser", python.ChangedUser),
        ("DeletedUser", python.DeletedUser),
        ("ChangedConversation", python.ChangedConversation),
        ("RequestsPage", python.RequestsPage),
        ("ChangedContact", python.ChangedContact),
        ("Contact", python.Contact),
        ("ContactsPage", python.ContactsPage),
        ("ChangedBlock", python.ChangedBlock),
        ("BlockedUser", python.BlockedUser),
        ("BlocksPage", python.BlocksPage),
        ("HiddenMessage", python.HiddenMessage),
        ("HiddenPage", python.HiddenPage),
        ("Report", python.Report),
        ("Reported", python.Reported),
        ("User", python.User),
        ("FetchedUsers", python.FetchedUsers),
        ("Presence", python.Presence),
        ("FetchedPresence", python.FetchedPresence),
        ("ConversationChange", python.ConversationChange),
        ("Connection", python.Connection),
    ],
)
def test_they_give_the_same(javascript: str, of_python: type) -> None:
    own = {field.name for field in msgspec.structs.fields(of_python)}
    assert fields(f"export type {javascript} =") == own


def test_a_reset_of_theirs_is_the_same() -> None:
    own = {field.name for field in msgspec.structs.fields(python.Reset)}
    assert fields("export type Reset =") - {"type"} == own


def test_their_errors_say_the_same() -> None:
    names = set(re.findall(r"^export declare class (\w+) extends", TYPES, re.MULTILINE))
    of_python = {name for name, kind in vars(python).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert {"CallFailed" if name == "RowboxError" else name for name in names} == of_python
    error = python.CallFailed("why", code="code")
    own = {*vars(error), "retryable"}
    assert fields("export declare class RowboxError extends Error") == own


def test_their_options_are_the_same() -> None:
    own = set(inspect.signature(Client).parameters) - {"timing"}
    assert fields("export type Options =") == own
    of_send = set(inspect.signature(Client.send).parameters) - {"self", "recipient_id", "content"}
    assert fields("export type Again =") | fields("export type CallOptions =") - {"on_connection"} == of_send
    of_follow = set(inspect.signature(Client.follow_conversations).parameters) - {"self"}
    assert fields("export type FollowOptions =") == of_follow

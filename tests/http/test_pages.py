"""The pages a server carries: the chat, its client, the documentation."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import jsonschema_rs
import pytest

from rowbox.api.http.problems import KINDS, MEDIA_TYPE
from rowbox.api.v1.handlers import Handlers
from rowbox.api.v1.openapi import openapi
from rowbox.cacheserver.ephemeral.presence import NoPresence
from rowbox.mailbox.settings.config import GroupsSettings, PollSettings, UsersSettings
from tests.http.api import Api
from tests.http.scripted_port import ScriptedPort

CHAT = Path(__file__).parents[2] / "api" / "web" / "chat"
PAGES = {
    "/": "text/html; charset=utf-8",
    "/worker.js": "text/javascript; charset=utf-8",
    "/client/rowbox.js": "text/javascript; charset=utf-8",
    "/client/rowbox.d.ts": "application/typescript; charset=utf-8",
    "/client/package.json": "application/json",
    "/chat/chat.js": "text/javascript; charset=utf-8",
    "/chat/chat.css": "text/css; charset=utf-8",
    "/chat/icon.svg": "image/svg+xml",
    "/chat/icon-unread.svg": "image/svg+xml",
    "/docs": "text/html; charset=utf-8",
    "/docs/docs.js": "text/javascript; charset=utf-8",
    "/docs/docs.css": "text/css; charset=utf-8",
    "/openapi.json": "application/json",
}
OURS = [path for path in CHAT.parent.rglob("*.js") if path.parent.name != "vendor"]
PLAIN = {"Accept-Encoding": "identity"}
NO_ADDRESSES = {
    b"http://www.w3.org/2000/svg": "a namespace's name",
    b"http://127.0.0.1:8080": "the client's example",
    b"https://chat-1.example.com": "its example of an origin",
    b"//chat-1.example.com/v1/ws": "an answer's example",
    b"https://pictures.example/alice.webp": "a profile's example",
    b"https://hooks.example.com/rowbox": "a webhook's example",
    b"https://updates.push.services.mozilla.com/wpush/v2/gAAAAABn": "a browser's",
}


@pytest.mark.parametrize(("path", "content_type"), PAGES.items())
async def test_a_page_needs_no_token_and_loads_nothing_from_elsewhere(path: str, content_type: str, edge: Api) -> None:
    answer = await edge.get(path, None, headers=PLAIN)
    assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "require-trusted-types-for 'script'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    addresses = set(re.findall(rb"(?:https?:)?//[\w.-]+\.\w[\w.:/]*", answer.body.replace(b"// ", b"")))
    assert addresses <= set(NO_ADDRESSES)


@pytest.mark.parametrize(
    "path",
    ["/chat/rowbox.js", "/chat/main.js", "/chat/index.html", "/chat/vendor/LICENSE-htm.txt", "/chat/", "/client"],
)
async def test_each_file_has_one_path_and_what_is_no_page_has_none(path: str, edge: Api) -> None:
    assert (await edge.get(path, None)).status == 404


async def test_what_others_made_has_its_licence_beside_it() -> None:
    licences = {path.name: path.read_text() for path in (CHAT / "vendor").glob("LICENSE-*")}
    assert "Apache License" in licences["LICENSE-htm.txt"]
    assert "The MIT License" in licences["LICENSE-preact.txt"]


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_a_script_makes_text_and_no_markup(path: Path) -> None:
    script = path.read_text()
    for dangerous in (
        "innerHTML",
        "dangerouslySetInnerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "DOMParser",
    ):
        assert dangerous not in script


async def test_the_chat_is_one_script_of_all_its_modules(edge: Api) -> None:
    """And a browser asks for everything at once: what the page names is all that its script imports."""
    page = (await edge.get("/", None, headers=PLAIN)).body.decode()
    assert sorted(re.findall(r'(?:href|src)="(c.*?)"', page)) == [
        "chat/chat.css",
        "chat/chat.js",
        "chat/icon.svg",
        "client/rowbox.js",
    ]
    script = (await edge.get("/chat/chat.js", None, headers=PLAIN)).body.decode()
    parts = re.findall(r"^// ---- (.*)", script, re.MULTILINE)
    assert sorted(parts) == sorted(str(path.relative_to(CHAT)) for path in CHAT.rglob("*.js"))
    assert re.findall(r"^import .*", script, re.MULTILINE) == ['import * as $client_rowbox from "../client/rowbox.js";']


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_that_a_browser_has_is_not_sent_again(path: str, edge: Api) -> None:
    for coding in ("identity", "gzip"):
        asked = {"Accept-Encoding": coding}
        first = await edge.get(path, None, headers=asked)
        assert first.headers.get("Content-Encoding", "identity") == coding
        assert (first.headers["Vary"], first.headers["Cache-Control"]) == ("Accept-Encoding", "no-cache")
        again = await edge.get(path, None, headers={**asked, "If-None-Match": first.headers["ETag"]})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert "Content-Length" not in again.headers
    assert (await edge.get(path, None, headers={"If-None-Match": '"of-another-build"'})).status == 200


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_holds_no_script_and_no_style(path: str, edge: Api) -> None:
    page = (await edge.get(path, None, headers=PLAIN)).body.decode()
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", page)


def test_the_document_has_exactly_the_calls_there_are() -> None:
    documented = {(path, method.upper()) for path, item in openapi()["paths"].items() for method in item}
    port = ScriptedPort()
    handlers = Handlers(port, PollSettings(), GroupsSettings(), UsersSettings(), NoPresence(port))
    there = {(call.path, call.method) for call in handlers.operations()}
    assert documented == there


def operations() -> list[Any]:
    return [(path, method, item[method]) for path, item in openapi()["paths"].items() for method in item]


@pytest.mark.parametrize(("path", "method", "operation"), operations(), ids=lambda value: str(value)[:24])
def test_examples_fit_their_schemas(path: str, method: str, operation: dict[str, Any]) -> None:
    components = openapi()["components"]
    seen = set()
    for status, response in operation["responses"].items():
        for media in response["content"].values():
            validator = jsonschema_rs.validator_for({"components": components, **media["schema"]})
            for code, example in media.get("examples", {}).items():
                validator.validate(example["value"])
                if "code" in example["value"]:
                    assert example["value"]["code"] == code
                    assert KINDS[code].status == int(status)
                    seen.add(code)
                if int(status) < 400:
                    assert example["x-request"]["path"].partition("?")[0] == path
                    assert_is_valid(example["x-request"], operation)
    assert {"bad_request", "unauthenticated", "rate_limited", "internal", "overloaded"} <= seen


def assert_is_valid(request: dict[str, Any], operation: dict[str, Any]) -> None:
    """A request of an example, by what the document says of the call."""
    given = dict(parse_qsl(request["path"].partition("?")[2], strict_parsing=True)) if "?" in request["path"] else {}
    assert given.keys() <= {parameter["name"] for parameter in operation.get("parameters", ())}
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        jsonschema_rs.validator_for({"components": openapi()["components"], **schema}).validate(request["body"])


def test_every_code_of_a_call_is_documented() -> None:
    """A client that was generated takes no code that the document does not have: a revoked token was its crash."""
    documented = [
        {code for response in operation["responses"].values() for code in codes_of(response)}
        for _, _, operation in operations()
    ]
    assert set.union(*documented) == set(KINDS) - {"not_found", "method_not_allowed"}, "these are of no call"
    at_the_door = {"unauthenticated", "token_revoked", "forbidden", "not_local", "keys_unavailable", "rate_limited"}
    assert all(at_the_door <= codes for codes in documented)


def codes_of(response: dict[str, Any]) -> set[str]:
    schemas = openapi()["components"]["schemas"]
    names = [media["schema"]["$ref"].rpartition("/")[2] for media in response["content"].values()]
    return {code for name in names for code in schemas[name]["properties"].get("code", {}).get("enum", [])}


def test_answers_may_gain_fields_and_requests_may_not() -> None:
    schemas = openapi()["components"]["schemas"]
    closed = {name for name, schema in schemas.items() if schema.get("additionalProperties") is False}
    assert closed == {
        "SendMessage",
        "SendMessageAsOnceSpelled",
        "EditMessage",
        "UnsendMessage",
        "MarkReadUpTo",
        "ReactToMessage",
        "SendMessageToConversation",
        "CreateGroup",
        "GroupSettings",
        "AddMembers",
        "RemoveMember",
        "LeaveGroup",
        "SetRole",
        "UpdateGroup",
        "DeleteGroup",
        "RegisterDevice",
        "SetPush",
        "WebKeys",
        "WebTarget",
        "WebhookTarget",
        "SignOut",
        "CreateUser",
        "UpdateUser",
        "DeleteUser",
        "SetConversation",
        "Heartbeat",
        "SetContact",
        "Block",
        "Unblock",
        "DeleteConversation",
        "SetConversationTtl",
        "ReportMessages",
    }


@pytest.mark.parametrize(
    ("fields", "is_valid"),
    [
        ({"recipientId": "bob"}, True),
        ({"recepientId": "bob"}, True),
        ({"recipientId": "bob", "senderId": "alice"}, True),
        ({"conversationId": "0" * 32}, True),
        ({"conversationId": "0" * 32, "recipientId": "bob"}, False),
        ({"recipientId": "bob", "recepientId": "bob"}, False),
        ({}, False),
        ({"recipientId": "b ob"}, False),
        ({"recipientId": "bob", "conversation": "x"}, False),
    ],
)
def test_a_send_has_one_recipient_in_one_spelling(fields: dict[str, str], is_valid: bool) -> None:
    document = openapi()
    body = document["paths"]["/v1/sendMessage"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    validator = jsonschema_rs.validator_for({"components": document["components"], **body})
    assert validator.is_valid({"messageContent": "hello", "clientMessageId": "1", **fields}) is is_valid


def test_a_schema_of_an_error_takes_its_own_codes_and_no_other() -> None:
    """Narrowed as ever, and each whole in itself: generators of clients read no narrowing by `allOf`."""
    components = openapi()["components"]
    for _, _, operation in operations():
        for status, response in operation["responses"].items():
            for media in (of for kind, of in response["content"].items() if kind == MEDIA_TYPE):
                validator = jsonschema_rs.validator_for({"components": components, **media["schema"]})
                for code, example in media.get("examples", {}).items():
                    assert not validator.is_valid(example["value"] | {"status": int(status) + 1}), code
                    assert not validator.is_valid(example["value"] | {"code": "sent"}), code
                    assert "allOf" not in media["schema"]

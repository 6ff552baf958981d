"""What OpenAPI cannot say of valid requests, said to schemathesis (SCHEMATHESIS_HOOKS). Nothing else is bent, and
invalid requests are left as they are generated.

- a cursor is one that the server gave, a token looks like one; pageNumber and lastUpdatedTimestamp exclude each other
- pageNumber x pageSize is bounded
- a clientMessageId is used for one message only, a clientGroupId for one group
- what one reacts with is an emoji
- a ttl is an hour
- there are few devices, and they are signed out one by one: to sign out all would refuse all that is asked afterwards
- nobody blocks himself, or is his own contact; of who is removed nothing is kept
- users are deleted of whom nothing else is asked: after that nobody is asked anything more
- what one looks for has a letter in it
- a whole number is written as one: for a schema 1.0 is an integer, too
"""

import hashlib
import uuid
from typing import Any

import schemathesis

MAX_SKIPPED = 10_000
LARGEST_PAGE = 200
FEW = 10


@schemathesis.hook
def map_case(context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> schemathesis.Case[Any]:
    if case.meta is not None and case.meta.generation.mode.is_positive:
        _make_query_sensible(case)
    return case


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Last of all: the stateful phase sends again what an earlier answer or request held."""
    body = case.body
    is_valid = case.meta is not None and case.meta.generation.mode.is_positive
    name = {"/v1/sendMessage": "clientMessageId", "/v1/createGroup": "clientGroupId"}.get(case.operation.path)
    if is_valid and isinstance(body, dict):
        body.update({key: int(value) for key, value in body.items() if isinstance(value, float)})
    if is_valid and name is not None and isinstance(body, dict):
        body[name] = str(uuid.uuid4())
    if is_valid and case.operation.path == "/v1/react" and isinstance(body, dict):
        body["emoji"] = "\N{THUMBS UP SIGN}"
    if is_valid and case.operation.path == "/v1/setTtl" and isinstance(body, dict):
        body["ttlMs"] = 3_600_000  # the schema does not say that what is not 0 is an hour at least
    if is_valid and isinstance(body, dict):
        _make_people_sensible(case.operation.path, body)
    if is_valid and case.operation.path == "/v1/setPush" and isinstance(body, dict):
        body["push"] = None  # the schema does not say what a key is, or a secret; and nothing is to be called
    of_devices = {"/v1/registerDevice", "/v1/setPush", "/v1/signOut"}
    if is_valid and case.operation.path in of_devices and isinstance(body, dict):
        body["deviceId"] = f"d{len(str(body)) % FEW}"
        for name in ("all", "exceptDeviceId"):
            body.pop(name, None)


def _make_people_sensible(path: str, body: dict[str, Any]) -> None:
    """The schema does not say which characters are no part of a name, nor how many bytes there may be."""
    if path in {"/v1/createUser", "/v1/updateUser"}:
        if "name" in body:
            body["name"] = f"A{len(str(body)) % FEW}"
        if "attributes" in body:
            body["attributes"] = {"a": "b"}
    of_others = {"/v1/block": "u", "/v1/unblock": "u", "/v1/setContact": "u", "/v1/deleteUser": "gone"}
    if path in of_others:
        body["userId"] = f"{of_others[path]}{len(str(body)) % FEW}"
    if path == "/v1/setContact":
        if "alias" in body:
            body["alias"] = f"A{len(str(body)) % FEW}"
        for name in ("alias", "favourite") if body.get("remove") else ():
            body.pop(name, None)


def _make_query_sensible(case: schemathesis.Case[Any]) -> None:
    query = case.query
    query.pop("cursor", None)
    if "q" in query:
        query["q"] = f"a{query['q']}"[:64].replace("\n", "")
    too_far = int(query.get("pageNumber", 0)) * LARGEST_PAGE > MAX_SKIPPED
    if too_far or "lastUpdatedTimestamp" in query:
        query.pop("pageNumber", None)
    if "lastUpdatedTimestamp" in query:
        text = str(query["lastUpdatedTimestamp"])
        tag = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()
        query["lastUpdatedTimestamp"] = f"{len(text)}.{tag}" if len(text) % 3 else str(len(text))

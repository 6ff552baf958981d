"""Revoked tokens, as a client of the API meets them: 401 token_revoked, remembered token or not, waiting or not."""

import asyncio
import time

import msgspec
import pytest

from rowbox.api.auth.authenticator import issue_token
from rowbox.api.auth.operator import operator_token
from rowbox.api.operator.tokens import revocation_calls
from rowbox.cacheserver.owner.owner import Owner
from rowbox.mailbox.settings.config import Settings
from tests.http.api import SECRET, Answer, Api, serving, token, until

_PATHS = ("/v1/fetchConversation", "/v1/fetchMessages", "/v1/sendStatus?clientMessageId=c")


def header(user: str, *, admin: bool = False) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(user, admin=admin)}"}


async def ask(api: Api, path: str, headers: dict[str, str]) -> Answer:
    return await api.get(path, None, headers=headers)


async def send(api: Api, headers: dict[str, str]) -> Answer:
    body = msgspec.json.encode({"recipientId": "bob", "messageContent": "x" * 100_000, "clientMessageId": "late"})
    return await api.request("POST", "/v1/sendMessage", None, headers=headers, body=body)


@pytest.mark.in_process
async def test_it_is_said_before_a_body_is_read(api: Api, owner: Owner) -> None:
    stolen = header("alice")
    await owner.revoke_user("alice")
    answer = await send(api, stolen)
    answer.problem(401, "token_revoked")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


async def test_every_call_says_it_at_once_and_no_other_users_token_is_meant(api: Api, owner: Owner) -> None:
    stolen, bobs = header("alice"), header("bob")
    await api.send("c")
    assert [(await ask(api, path, stolen)).status for path in _PATHS] == [200] * 3
    await owner.revoke_user("alice")
    for path in _PATHS:
        problem = (await ask(api, path, stolen)).problem(401, "token_revoked")
        assert not problem.retryable
    assert (await ask(api, _PATHS[0], bobs)).status == 200
    assert (await ask(api, _PATHS[0], header("alice"))).status == 200, "in the second in which the answer came"


@pytest.mark.parametrize("path", _PATHS[:2])
async def test_a_poll_that_waits_ends_when_its_token_is_revoked(path: str, api: Api, owner: Owner) -> None:
    await api.send("c", sender="bob", recipient="alice")
    await until(lambda: owner.delivery.pending == 0)
    stolen = header("alice")
    head = (await ask(api, path, stolen)).json()["lastUpdatedTimestamp"]
    poll = asyncio.create_task(ask(api, f"{path}?lastUpdatedTimestamp={head}&wait=50", stolen))
    await until(lambda: owner.waiters.count == 1)
    began_s = time.monotonic()
    revoking = asyncio.create_task(owner.revoke_user("alice"))
    (await poll).problem(401, "token_revoked")
    assert time.monotonic() - began_s < 10.0  # of the 50 for which it would wait, on a busy machine
    await revoking


async def test_an_admins_token_ends_with_its_own_user(api: Api, owner: Owner) -> None:
    admin = header("root", admin=True)
    path = f"{_PATHS[0]}?userId=alice"
    await owner.revoke_user("alice")
    assert (await ask(api, path, admin)).status == 200
    await owner.revoke_user("root")
    (await ask(api, path, admin)).problem(401, "token_revoked")


async def test_an_operator_revokes_through_the_admin_port(owner: Owner, settings: Settings) -> None:
    async with serving(owner, settings, calls=revocation_calls(owner)) as api:
        alices, bobs = (
            header("alice"),
            {"Authorization": f"Bearer {issue_token(SECRET, 'bob', 60, admin=False, now=time.time())}"},
        )
        for name, body in (("revokeUser", b'{"userId":"alice"}'), ("revokeId", b'{"tokenId":"of nobody"}')):
            proof = operator_token(SECRET, time.time())
            answer = await api.admin(f"/operator/{name}", "POST", proof=proof, body=body)
            assert answer.status == 200, answer.body
        (await ask(api, _PATHS[0], alices)).problem(401, "token_revoked")
        assert (await ask(api, _PATHS[0], bobs)).status == 200


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("revokeUser", b""),
        ("revokeUser", b"{}"),
        ("revokeUser", b'{"userId":"a b"}'),
        ("revokeUser", b'"\xff"'),
        ("revokeId", b'{"tokenId":""}'),
        ("revokeId", b'{"tokenId":7}'),
    ],
)
async def test_an_operators_call_that_names_nobody_is_refused(
    name: str, body: bytes, owner: Owner, settings: Settings
) -> None:
    async with serving(owner, settings, calls=revocation_calls(owner)) as api:
        proof = operator_token(SECRET, time.time())
        answer = await api.admin(f"/operator/{name}", "POST", proof=proof, body=body)
        assert (answer.status, answer.json()["code"]) == (400, "bad_request")


async def test_the_connection_of_a_revoked_token_is_a_strangers(api: Api, owner: Owner) -> None:
    stolen, idle = header("alice"), api.connections._idle
    await ask(api, _PATHS[0], stolen)
    await until(lambda: (len(idle.known), len(idle.strangers)) == (1, 0))
    await owner.revoke_user("alice")
    (await ask(api, _PATHS[0], stolen)).problem(401, "token_revoked")
    await until(lambda: (len(idle.known), len(idle.strangers)) == (0, 1))

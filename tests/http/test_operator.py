"""What an operator's verb asks of a running server: only with the data folder's secret, and never by mistake."""

import time
from collections.abc import AsyncIterator

import jwt
import pytest

from rowbox.api.auth.authenticator import issue_token
from rowbox.api.auth.operator import AUDIENCE, LEEWAY_S, LIFE_S, operator_token, require_operator
from rowbox.api.operator.calls import MAX_BODY_BYTES, OperatorCall
from rowbox.mailbox.errors import StoreUnusable, Unauthenticated
from rowbox.mailbox.settings.config import AuthSettings
from tests.http.api import SECRET, Api, serving, token
from tests.http.scripted_port import ScriptedPort

PATH = "/operator/echo"
NOW = 1_800_000_000.0


async def _echo(body: bytes) -> bytes:
    if body == b'"break"':
        raise StoreUnusable("the folder /srv/rowbox is full")
    if body == b'"odd"':
        raise StoreUnusable("the folder /srv/\udcff is full")
    return body


@pytest.fixture
async def door(scripted: ScriptedPort) -> AsyncIterator[Api]:
    async with serving(scripted, calls=[OperatorCall("echo", _echo)]) as api:
        yield api


async def test_a_call_with_the_folders_secret_is_answered(door: Api) -> None:
    answer = await door.admin(PATH, "POST", proof=operator_token(SECRET, time.time()), body=b'{"a": 1}')
    assert (answer.status, answer.json()) == (200, {"a": 1})


async def test_an_error_may_name_a_folder_whose_name_is_no_text(door: Api) -> None:
    answer = await door.admin(PATH, "POST", proof=operator_token(SECRET, time.time()), body=b'"odd"')
    assert answer.json()["detail"] == r"the folder /srv/\udcff is full"


async def test_an_operator_reads_the_whole_error(door: Api) -> None:
    answer = await door.admin(PATH, "POST", proof=operator_token(SECRET, time.time()), body=b'"break"')
    assert (answer.status, answer.json()) == (
        409,
        {"code": "store_unusable", "detail": "the folder /srv/rowbox is full"},
    )


@pytest.mark.parametrize(
    "proof",
    [
        None,
        "",
        "x",
        token("alice", admin=True),
        operator_token(b"another secret of at least 32 bytes!", time.time()),
        jwt.encode({"aud": AUDIENCE, "exp": time.time() + LIFE_S}, "", algorithm="none"),
    ],
    ids=["none", "empty", "no token", "a user's with scope admin", "another secret's", "unsigned"],
)
async def test_nobody_else_gets_in(proof: str | None, door: Api) -> None:
    (await door.admin(PATH, "POST", proof=proof, body=b"1")).problem(401, "unauthenticated")


async def test_an_operators_token_is_no_users(door: Api) -> None:
    headers = {"Authorization": f"Bearer {operator_token(SECRET, time.time())}"}
    (await door.request("GET", "/v1/fetchConversation", None, headers=headers)).problem(401, "unauthenticated")


async def test_it_is_not_on_the_public_port(door: Api) -> None:
    (await door.post(PATH, {})).problem(404, "not_found")


async def test_a_body_has_a_bound(door: Api) -> None:
    proof = operator_token(SECRET, time.time())
    answer = await door.admin(PATH, "POST", proof=proof, body=b" " * (MAX_BODY_BYTES + 1))
    assert (answer.status, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("expires_s", [NOW - LEEWAY_S, NOW + 86_400, True, "soon", None, float("inf")])
def test_a_token_is_for_one_call_and_half_a_minute(expires_s: object) -> None:
    made = jwt.encode({"aud": AUDIENCE, "exp": expires_s}, SECRET, algorithm="HS256")
    with pytest.raises(Unauthenticated):
        require_operator(f"Bearer {made}", lambda: [SECRET], NOW)


def test_a_users_token_for_this_audience_is_no_operators() -> None:
    """`rowbox token` signs the audience that the settings name, and they may name this one."""
    settings, now = AuthSettings(audience=AUDIENCE), time.time()
    made = issue_token(SECRET, "alice", LIFE_S, admin=True, now=now, settings=settings)
    with pytest.raises(Unauthenticated):
        require_operator(f"Bearer {made}", lambda: [SECRET], now)


def test_the_clocks_of_two_machines_may_differ_by_the_leeway() -> None:
    for off_s in (-LEEWAY_S, LIFE_S + LEEWAY_S - 1):
        require_operator(f"Bearer {operator_token(SECRET, NOW + off_s)}", lambda: [SECRET], NOW + max(0.0, off_s))


def test_each_secret_that_counts_now_will_do() -> None:
    made = operator_token(SECRET, NOW)
    require_operator(f"Bearer {made}", lambda: [b"another secret of at least 32 bytes!", SECRET], NOW)

"""Lines of the log about requests: what is refused, bounded, and on request each; never a token or what was written."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from msgspec.structs import replace

from rowbox.api.http.request_id import REQUEST_ID
from rowbox.api.operator.calls import OperatorCall
from rowbox.api.telemetry import access_log, refusal_log
from rowbox.api.telemetry.refusal_log import MOST_OF_CALLERS, RefusalLog
from rowbox.cacheserver.owner.owner import Owner
from rowbox.mailbox import errors
from rowbox.mailbox.settings.config import RateLimitSettings, Settings
from rowbox.mailbox.timing.rarely import EVERY_S
from tests.http.api import SETTINGS, Api, serving, token, until
from tests.http.scripted_port import ScriptedPort
from tests.support.virtual_time import virtual_time

SECRET_TEXT = "only for bob's eyes"
_LOGGERS = (access_log.__name__, refusal_log.__name__)


@pytest.fixture
def settings() -> Settings:
    limits = RateLimitSettings(send_burst=1, send_per_second=0.001, fetch_burst=0)
    server = replace(SETTINGS.server, access_log=True, max_body_bytes=2048)
    return replace(SETTINGS, server=server, rate_limits=limits)


@pytest.fixture(autouse=True)
def records(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.INFO)
    yield caplog
    logging.getLogger(access_log.__name__).setLevel(logging.NOTSET)


@pytest.fixture
async def quiet(scripted: ScriptedPort) -> AsyncIterator[Api]:
    async with serving(scripted) as api:
        yield api


async def echo(body: bytes) -> bytes:
    return body


def fields(caplog: pytest.LogCaptureFixture, module: Any) -> list[dict[str, Any]]:
    return [record.__dict__["fields"] for record in caplog.records if record.name == module.__name__]


def texts(caplog: pytest.LogCaptureFixture, module: Any) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == module.__name__]


async def test_what_is_refused_is_told_of_with_who_and_why(
    api: Api, owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    stolen = {"Authorization": f"Bearer {token('alice')}"}
    await api.send("c1", SECRET_TEXT)
    (await api.get("/v1/fetchMessages", None)).problem(401, "unauthenticated")
    (await api.get("/v1/fetchMessages", None, headers={"Authorization": "Bearer a.b.c"})).problem(
        401, "unauthenticated"
    )
    (await api.get("/v1/fetchMessages?userId=bob")).problem(403, "forbidden")
    (await api.send("c2", SECRET_TEXT)).problem(429, "rate_limited")
    (await api.send("c3", SECRET_TEXT * 200, sender="carol")).problem(413, "message_too_large")
    (await api.get("/v1/nothing")).problem(404, "not_found")
    await owner.revoke_user("alice")
    (await api.get("/v1/fetchMessages", None, headers=stolen)).problem(401, "token_revoked")
    assert [text.partition(" refused: ")[2] for text in texts(caplog, refusal_log)] == [
        "401 unauthenticated, nobody known from 127.0.0.1: the Authorization header is missing",
        "401 unauthenticated, nobody known from 127.0.0.1: the token does not verify",
        "403 forbidden, alice from 127.0.0.1: the token is another user's, and without the scope admin",
        "429 rate_limited, alice from 127.0.0.1: too many requests of this user",
        "413 message_too_large, carol from 127.0.0.1: the body is more than 2048 bytes",
        "401 token_revoked, alice from 127.0.0.1: the token was revoked",
    ]
    assert texts(caplog, refusal_log)[0].startswith("GET /v1/fetchMessages refused: ")


async def test_each_request_has_a_line_when_it_ends(api: Api, owner: Owner, caplog: pytest.LogCaptureFixture) -> None:
    await api.send("c1", SECRET_TEXT)
    answer = await api.get("/v1/fetchMessages?pageSize=7")
    await api.get("/v1/fetchMessages?userId=bob")
    await api.get("/v1/nothing?x=y")
    await api.get("/client/rowbox.js", None)
    head = answer.json()["lastUpdatedTimestamp"]
    poll = asyncio.create_task(api.get(f"/v1/fetchMessages?lastUpdatedTimestamp={head}&wait=30"))
    await until(lambda: owner.waiters.count == 1)
    poll.cancel()
    await until(lambda: owner.waiters.count == 0 and len(fields(caplog, access_log)) == 6)
    lines = fields(caplog, access_log)
    shown = [(line["method"], line["route"], line["status"], line["userId"], line["peer"]) for line in lines]
    assert shown == [
        ("POST", "/v1/sendMessage", 201, "alice", "127.0.0.1"),
        ("GET", "/v1/fetchMessages", 200, "alice", "127.0.0.1"),
        ("GET", "/v1/fetchMessages", 403, "alice", "127.0.0.1"),
        ("GET", "other", 404, None, "127.0.0.1"),
        ("GET", "static", 200, None, "127.0.0.1"),
        ("GET", "/v1/fetchMessages", 499, None, "127.0.0.1"),
    ]
    assert lines[1]["bytes"] == len(answer.body)
    assert all(line["durationMs"] >= 0 for line in lines)


async def test_no_line_holds_a_token_a_query_or_what_was_written(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    secret = token("alice")
    for headers in ({"Authorization": f"Bearer {secret}"}, {"Authorization": f"Bearer {secret}x"}):
        await api.get("/v1/fetchMessages?userId=bob&cursor=hidden", None, headers=headers)
        await api.request("POST", "/v1/sendMessage?hidden", None, headers=headers, body=SECRET_TEXT.encode())
    written = "\n".join(f"{record.getMessage()} {record.__dict__.get('fields')}" for record in caplog.records)
    assert written.count("/v1/") >= 4
    for hidden in (secret, secret.split(".")[2], "hidden", SECRET_TEXT):
        assert hidden not in written


async def test_without_the_setting_no_request_has_a_line(quiet: Api, caplog: pytest.LogCaptureFixture) -> None:
    await quiet.send("c")
    assert texts(caplog, access_log) == []


async def test_an_operators_refused_proof_is_told_of_and_no_probe(quiet: Api, caplog: pytest.LogCaptureFixture) -> None:
    await quiet.admin("/operator/nothing", "POST", proof="x")
    await quiet.admin("/healthz")
    assert texts(caplog, refusal_log) == []
    async with serving(ScriptedPort(), calls=[OperatorCall("echo", echo)]) as api:
        await api.admin("/operator/echo", "POST", proof="x")
    (line,) = texts(caplog, refusal_log)
    assert line.startswith("POST /operator/echo refused: 401 unauthenticated, nobody known from 127.0.0.1")


@virtual_time
async def test_a_flood_of_refusals_is_bounded_and_counted() -> None:
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        ids: list[str | None] = []

        def info(text: str, *values: object, **_: object) -> None:
            said.append(text % values)
            ids.append(REQUEST_ID.get())

        patch.setattr(refusal_log._log, "info", info)
        REQUEST_ID.set("r-1")
        log = RefusalLog(asyncio.get_running_loop().time)
        request = make_mocked_request("GET", "/v1/fetchMessages")
        for _ in range(1000):
            log.note(errors.Unauthenticated("no"), request, "/v1/fetchMessages")
        log.note(errors.Forbidden("no"), request, "/v1/fetchMessages")
        assert len(said) == MOST_OF_CALLERS + 1
        await asyncio.sleep(EVERY_S + 0.1)
        assert said[MOST_OF_CALLERS + 1 :] == ["990 more requests were refused with 401 unauthenticated in 10 s"]
        assert ids[-2:] == ["r-1", None]
        log.note(errors.Unauthenticated("again"), request, "/v1/fetchMessages")
        assert said[-1].endswith(": again")
        await asyncio.sleep(EVERY_S + 0.1)
        assert len(said) == MOST_OF_CALLERS + 3

"""Every error, as a client sees it."""

import logging
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator

import pytest
from aiohttp.test_utils import make_mocked_request

from rowbox.api.auth.keys import KeysUnavailable
from rowbox.api.http.problems import KINDS, MethodNotAllowed, NotFound, NotLocal, UnsupportedMediaType, is_of_ours
from rowbox.api.http.request_id import REQUEST_ID
from rowbox.api.telemetry.refusal_log import RefusalLog
from rowbox.mailbox import errors
from tests.http.api import Api
from tests.http.scripted_port import ScriptedPort

RAISED: list[tuple[errors.RowboxError, int, bool]] = [
    (errors.BadRequest("x"), 400, False),
    (errors.UnknownParameter("x"), 400, False),
    (errors.PageTooLarge("x", page_number=6, page_size=25, cursor="c"), 400, False),
    (errors.Unauthenticated("x"), 401, False),
    (errors.TokenRevoked("x"), 401, False),
    (errors.SignedOut("x"), 401, False),
    (errors.UnknownDevice("x"), 404, False),
    (errors.TooManyDevices("x"), 422, False),
    (errors.TooManyPinned("x"), 422, False),
    (errors.Forbidden("x"), 403, False),
    (NotLocal("x"), 403, False),
    (errors.UnknownConversation("x"), 404, False),
    (errors.UnknownMessage("x"), 404, False),
    (errors.UnknownClientMessageId("x"), 404, False),
    (errors.NotAnEmoji("x"), 400, False),
    (errors.NotTheAuthor("x"), 403, False),
    (errors.MessageUnsent("x"), 409, False),
    (errors.TooLateToChange("x"), 409, False),
    (errors.NotAMember("x"), 403, False),
    (errors.NotAllowed("x"), 403, False),
    (errors.GroupDeleted("x"), 403, False),
    (errors.UnknownMember("x"), 404, False),
    (errors.BlockedByYou("x"), 403, False),
    (errors.TooManyBlocks("x"), 422, False),
    (errors.ReportsOff("x"), 404, False),
    (errors.TooManyContacts("x"), 422, False),
    (errors.FeatureOff("x"), 503, True),
    (errors.UnknownUser("x"), 404, False),
    (errors.UserExists("x"), 409, False),
    (errors.UserDeleted("x"), 409, False),
    (errors.ClientGroupIdReused("x"), 422, False),
    (errors.GroupFull("x"), 422, False),
    (errors.TooManyReactions("x"), 422, False),
    (errors.GroupMoved("x"), 503, True),
    (errors.SearchOff("x"), 404, False),
    (errors.PushOff("x"), 404, False),
    (errors.SearchUnavailable("x"), 503, True),
    (NotFound("x"), 404, False),
    (MethodNotAllowed("x", ("GET",)), 405, False),
    (errors.MessageTooLarge("x"), 413, False),
    (UnsupportedMediaType("x"), 415, False),
    (errors.ClientMessageIdReused("x"), 422, False),
    (errors.RateLimited("x"), 429, True),
    (errors.RowboxError("x"), 500, True),
    (errors.Overloaded("x"), 503, True),
    (errors.PeerTooOld("x"), 503, True),
    (errors.HandoverInProgress("x"), 503, True),
    (KeysUnavailable("x"), 503, True),
    (errors.StoreUnavailable("x"), 503, True),
    (errors.StoreFull("x"), 503, True),
    (errors.StoreOutcomeUnknown("x"), 503, True),
]


def of_a_port(error: errors.RowboxError) -> bool:
    """Whether a port may raise it, so that it travels over links: the API has some of its own."""
    return type(error).__module__ == errors.__name__


@pytest.mark.parametrize(
    ("error", "status", "retryable"),
    [pytest.param(*one, marks=() if of_a_port(one[0]) else pytest.mark.in_process) for one in RAISED],
    ids=lambda value: type(value).__name__,
)
async def test_each_error_has_its_status_and_a_body(
    error: errors.RowboxError, status: int, retryable: bool, edge: Api, scripted: ScriptedPort
) -> None:
    scripted.error = error
    answer = await edge.get("/v1/fetchMessages")
    problem = answer.problem(status, error.code)
    assert problem.detail == ("x" if status < 500 else error.told)
    assert problem.title == KINDS[error.code].title
    assert problem.type == f"/docs#{error.code}"
    assert problem.retryable is retryable
    assert ("Retry-After" in answer.headers) == (status in {429, 503})


async def test_what_an_error_quotes_may_be_no_text(edge: Api, scripted: ScriptedPort) -> None:
    scripted.error = errors.BadRequest("no such thing: \ud800")
    assert (await edge.get("/v1/fetchMessages")).problem(400, "bad_request").detail == r"no such thing: \ud800"


async def test_a_token_that_quotes_what_is_no_text_is_refused_as_any_other(edge: Api) -> None:
    header = urlsafe_b64encode(rb'{"alg": "HS256", "crit": ["\ud800"]}').rstrip(b"=").decode()
    answer = await edge.get("/v1/fetchMessages", None, headers={"Authorization": f"Bearer {header}.e30.eA"})
    answer.problem(401, "unauthenticated")


def test_every_code_is_raised_by_one_of_these_cases() -> None:
    assert {error.code for error, _, _ in RAISED} == set(KINDS)


SECRETS = "[Errno 28] No space left: '/srv/rowbox/store' of hbase-1.internal:9090 has 67108864 bytes"


def every_class(kind: type[errors.RowboxError] = errors.RowboxError) -> Iterator[type[errors.RowboxError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from every_class(below)


def made(kind: type[errors.RowboxError]) -> errors.RowboxError:
    """One of a class whose constructor may want more."""
    error = kind.__new__(kind)
    errors.RowboxError.__init__(error, SECRETS)
    return error


OURS = [kind for kind in every_class() if is_of_ours(made(kind))]


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=() if of_a_port(made(kind)) else pytest.mark.in_process) for kind in OURS],
    ids=lambda kind: kind.__name__,
)
async def test_no_error_of_ours_names_files_hosts_sizes_or_the_systems_errors(
    kind: type[errors.RowboxError], edge: Api, scripted: ScriptedPort, caplog: pytest.LogCaptureFixture
) -> None:
    """At 80c87b5 a full disk told every client the store's path and the device's free bytes, and the log nothing."""
    caplog.set_level(logging.INFO)
    scripted.error = made(kind)
    answer = await edge.send("1")
    assert answer.status >= 500
    assert answer.json()["detail"] == kind.told
    assert not re.search(r"\d|/|Errno|internal\b", kind.told)
    assert SECRETS in caplog.text


def test_those_are_more_than_the_ones_that_are_listed() -> None:
    assert {errors.StoreUnavailable, errors.StoreFull, errors.Overloaded, errors.StoreDamaged} <= set(OURS)


async def test_the_log_has_one_line_of_a_kind_in_ten_seconds_and_how_many_there_were(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    now_s = 0.0
    log = RefusalLog(lambda: now_s)
    request = make_mocked_request("GET", "/v1/fetchMessages")
    for at in range(30):
        now_s = at / 2
        log.note(errors.StoreUnavailable(f"number {at}"), request, "/v1/fetchMessages")
        log.note(errors.Overloaded("queue"), request, "/v1/fetchMessages")
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.INFO] * 2
    assert caplog.messages[::2] == [
        "GET /v1/fetchMessages refused: store_unavailable: number 0 (1 such since the last line)",
        "GET /v1/fetchMessages refused: store_unavailable: number 20 (20 such since the last line)",
    ]


@pytest.mark.parametrize(
    ("retry_after_ms", "in_body", "in_header"),
    [(None, 1000, "1"), (0, 0, "1"), (1, 1, "1"), (1000, 1000, "1"), (1001, 1001, "2"), (59_999, 59_999, "60")],
)
async def test_retry_after_is_whole_seconds_rounded_up(
    retry_after_ms: int | None, in_body: int, in_header: str, edge: Api, scripted: ScriptedPort
) -> None:
    scripted.error = errors.Overloaded("x", retry_after_ms=retry_after_ms)
    answer = await edge.send("1")
    assert answer.problem(503, "overloaded").retry_after_ms == in_body
    assert answer.headers["Retry-After"] == in_header


@pytest.mark.in_process
async def test_an_unexpected_exception_is_logged_with_its_request_id_and_tells_the_client_nothing(
    edge: Api, scripted: ScriptedPort, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.error = KeyError("a secret")
    ids: list[str | None] = []

    def note(_: logging.LogRecord) -> bool:
        ids.append(REQUEST_ID.get())
        return True

    caplog.handler.addFilter(note)
    with caplog.at_level(logging.ERROR, logger="rowbox.api.edge.endpoint"):
        answer = await edge.get("/v1/fetchMessages", headers={"X-Request-Id": "mine"})
    assert answer.problem(500, "internal").request_id == "mine"
    assert b"secret" not in answer.body
    logged = [(record.getMessage(), type(record.exc_info[1])) for record in caplog.records if record.exc_info]
    assert logged == [("GET /v1/fetchMessages failed", KeyError)]
    assert ids == ["mine"]


async def test_an_error_that_only_stops_a_start_is_internal_to_a_client(edge: Api, scripted: ScriptedPort) -> None:
    scripted.error = errors.StoreDamaged("the file x")
    answer = await edge.get("/v1/fetchMessages")
    assert "file" not in answer.problem(500, "internal").detail


async def test_a_missing_token_is_asked_for_and_a_wrong_one_is_called_so(edge: Api) -> None:
    answer = await edge.get("/v1/fetchMessages", None)
    answer.problem(401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="rowbox"'
    answer = await edge.get("/v1/fetchMessages", None, headers={"Authorization": "Bearer nonsense"})
    answer.problem(401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="rowbox", error="invalid_token"'

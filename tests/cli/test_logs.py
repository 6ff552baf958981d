import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest

from rowbox.cli import logs

log = logging.getLogger("rowbox.test")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root, asyncio_log = logging.getLogger(), logging.getLogger("asyncio")
    before = root.handlers[:], root.level, asyncio_log.level
    yield
    root.handlers[:], level, asyncio_level = before
    root.setLevel(level)
    asyncio_log.setLevel(asyncio_level)
    logging.captureWarnings(capture=False)


def started(log_format: Literal["text", "json"], request_id: str | None = None) -> io.StringIO:
    current: ContextVar[str | None] = ContextVar("current", default=request_id)
    stream = io.StringIO()
    logs.set_up(log_format, current.get, stream=stream)
    return stream


def only_line(stream: io.StringIO) -> Any:
    (line,) = stream.getvalue().splitlines()
    return orjson.loads(line)


def test_json_is_one_object_a_line() -> None:
    stream = started("json", "r-1")
    log.info("took %d ms\nand more", 7)
    line = only_line(stream)
    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "logger": "rowbox.test", "message": "took 7 ms\nand more", "requestId": "r-1"}


def test_json_is_a_line_of_json_whatever_is_quoted() -> None:
    stream = started("json")
    log.info("%s is closed", "/data/\udcff", extra={"fields": {"folder": Path("/data")}})
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["message"] == "/data/\udcff is closed"


def test_json_holds_no_request_id_outside_a_request_and_nothing_extra() -> None:
    stream = started("json")
    log.warning("started", extra={"messageContent": "secret"})
    assert only_line(stream).keys() == {"time", "level", "logger", "message"}


def test_json_holds_a_traceback_in_its_line() -> None:
    stream = started("json")
    try:
        raise ValueError("broken")  # noqa: TRY301 -- the traceback is what is tested
    except ValueError:
        log.exception("failed")
    line = only_line(stream)
    assert line["message"] == "failed"
    assert line["error"].endswith("ValueError: broken")


def test_text_names_the_request() -> None:
    stream = started("text", "r-1")
    log.warning("slow")
    assert stream.getvalue().endswith(" WARNING rowbox.test [r-1]: slow\n")


def test_text_cannot_be_forged_by_a_line_break() -> None:
    stream = started("text")
    log.info("user %s", "eve\n2026-01-01T00:00:00Z INFO rowbox: all is well")
    assert len(stream.getvalue().splitlines()) == 1


def test_text_puts_a_traceback_below() -> None:
    stream = started("text")
    log.error("failed", exc_info=ValueError("broken"))
    assert stream.getvalue().splitlines()[1:] == ["ValueError: broken"]


def test_setting_up_again_replaces_the_handler() -> None:
    first, second = started("text"), started("text")
    log.info("once")
    assert not first.getvalue()
    assert len(second.getvalue().splitlines()) == 1


def test_warnings_and_asyncio_complaints_are_log_lines_and_asyncio_chatter_is_not() -> None:
    stream = started("json")
    logging.getLogger("asyncio").info("chatter")
    assert not stream.getvalue()
    logging.getLogger("asyncio").error("Task exception was never retrieved")
    assert only_line(stream)["logger"] == "asyncio"


def test_a_warning_is_a_log_line() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        stream = started("json")
        warnings.warn("odd", stacklevel=1)
        assert only_line(stream)["logger"] == "py.warnings"


def test_text_cannot_move_a_terminals_cursor_or_hide_itself() -> None:
    stream = started("text")
    log.info("path %s", "/\x1b[2K\x9b1A\u2028\x00")
    assert stream.getvalue().endswith(": path /\\x1b[2K\\x9b1A\\u2028\\x00\n")


def test_json_has_the_fields_of_a_request_beside_its_own() -> None:
    stream = started("json")
    log.info("refused", extra={"fields": {"status": 401, "peer": "127.0.0.1"}})
    line = only_line(stream)
    assert (line["message"], line["status"], line["peer"]) == ("refused", 401, "127.0.0.1")


@pytest.mark.parametrize(("level", "shown"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_what_matters_less_than_the_level_is_left_out(level: str, shown: int) -> None:
    stream = io.StringIO()
    logs.set_up("text", stream=stream, level=logs.LEVELS[level])
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        log.log(number, "x")
    assert len(stream.getvalue().splitlines()) == shown


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_line_names_its_process_where_there_are_several(log_format: Literal["text", "json"]) -> None:
    stream = io.StringIO()
    logs.set_up(log_format, process="api-2", stream=stream)
    log.info("hello")
    if log_format == "json":
        assert only_line(stream)["process"] == "api-2"
    else:
        assert stream.getvalue().endswith(" INFO    api-2 rowbox.test: hello\n")

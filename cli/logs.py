"""Logging of a process to stderr: lines of text for a person, or one JSON object a line. A line that is written for a
request has the request's id.

A log line names ids, counts and codes, never what somebody wrote: the content of messages must not outlive its
retention in a log store. Only the fields below are written, so nothing slips in by `extra=`. The one exception is
`extra={"fields": ...}`, with which lines about requests (api/telemetry/access_log.py, refusal_log.py) have their parts
as JSON too.
"""

import json
import logging
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

import orjson

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
"""The levels, by the names that server.log_level has."""
_UNSHOWN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Characters that move a terminal's cursor, hide text or begin another line."""
CurrentRequestId = Callable[[], str | None]
"""Returns the id of the request that is being handled, or None. It is an argument, because this module must not know
HTTP."""


def set_up(
    log_format: Literal["text", "json"],
    current_request_id: CurrentRequestId = lambda: None,
    *,
    level: int = logging.INFO,
    process: str | None = None,
    stream: TextIO | None = None,
) -> None:
    """Makes one handler on the root logger the only one of the process. Call it once, before the first task starts.

    `process` stands in each line, where several processes write into one log.

    Python's warnings become log lines. asyncio's own complaints (a task's exception nobody fetched, a slow callback)
    come through its logger as they are; its debug lines do not.
    """
    formatter = (JsonFormatter if log_format == "json" else TextFormatter)(current_request_id, process)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    logging.getLogger("asyncio").setLevel(max(level, logging.WARNING))


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message; process, requestId and error where there are any; and
    the record's own fields.
    """

    def __init__(self, current_request_id: CurrentRequestId, process: str | None = None) -> None:
        super().__init__()
        self._current_request_id = current_request_id
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": self._process,
            "message": record.getMessage(),
            "requestId": self._current_request_id(),
            "error": _traceback(self, record),
            **getattr(record, "fields", {}),
        }
        said = {name: value for name, value in line.items() if value is not None}
        try:
            return orjson.dumps(said).decode()
        except orjson.JSONEncodeError:  # a lone surrogate, from a path that is no UTF-8 or from what somebody sent
            return json.dumps(said, default=repr)


class TextFormatter(logging.Formatter):
    """A record as one line for a person; a traceback follows on lines of its own."""

    def __init__(self, current_request_id: CurrentRequestId, process: str | None = None) -> None:
        super().__init__()
        self._current_request_id = current_request_id
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        request_id = self._current_request_id()
        who = f"{self._process} " if self._process else ""
        where = f"{who}{record.name} [{request_id}]" if request_id else f"{who}{record.name}"
        # Text from outside could hold characters with which a caller writes log lines of his own, or over others'.
        message = _UNSHOWN.sub(_escaped, record.getMessage())
        line = f"{_time(record)} {record.levelname:<7} {where}: {message}"
        traceback = _traceback(self, record)
        return f"{line}\n{traceback}" if traceback else line


def _escaped(unshown: re.Match[str]) -> str:
    return unshown[0].encode("unicode_escape").decode("ascii")


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str | None:
    return formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else None

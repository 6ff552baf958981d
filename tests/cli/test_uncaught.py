"""What ends a server, and what nobody caught, as lines of its log."""

import json
import logging
import sys
import threading
from types import SimpleNamespace

import pytest

from rowbox.cli.serving.uncaught import ends_logged, log_uncaught
from rowbox.mailbox.errors import StoreUnusable
from rowbox.mailbox.settings.config import ConfigError

REFUSED = StoreUnusable("the store is open in process 12")
WRONG = ConfigError("server.port", 1, "flag --port", "another")


@pytest.mark.parametrize(("error", "code"), [(REFUSED, 1), (WRONG, 2)])
def test_a_refusal_is_a_line_of_the_log_where_that_is_json(
    error: Exception, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SystemExit) as ended, ends_logged("json"):
        raise error
    assert ended.value.code == code
    assert caplog.messages == [str(error)]


@pytest.mark.parametrize("error", [REFUSED, WRONG])
def test_as_text_the_command_says_it(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(type(error)), ends_logged("text"):
        raise error
    assert caplog.messages == []


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_defect_is_a_line_with_its_traceback(log_format: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended, ends_logged(log_format):  # type: ignore[arg-type]
        raise ZeroDivisionError
    assert ended.value.code == 1
    assert "ZeroDivisionError" in caplog.text


def test_what_a_thread_or_a_finalizer_lets_through(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module, hook in ((sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(module, hook, getattr(module, hook))  # put back in the end
    log_uncaught()
    thread = threading.Thread(target=lambda: json.loads("{"), name="reads")
    thread.start()
    thread.join()
    what = SimpleNamespace(exc_value=ZeroDivisionError("late"), err_msg=None, object="a generator")
    sys.unraisablehook(what)
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.ERROR, "uncaught in reads"),
        (logging.ERROR, "exception ignored in: 'a generator'"),
    ]
    assert "JSONDecodeError" in caplog.text
    assert "late" in caplog.text

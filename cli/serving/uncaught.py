"""Writes errors that end a server, or that nobody in it catches, as lines of its log. So a collector that reads JSON
lines meets nothing else on stderr.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.settings.config import ConfigError

_log = logging.getLogger(__name__)


def log_uncaught() -> None:
    """Sends exceptions that leave a thread or a finalizer to the log. To be called once in a process."""
    threading.excepthook = _of_thread
    sys.unraisablehook = _unraisable


@contextmanager
def ends_logged(log_format: Literal["text", "json"]) -> Iterator[None]:
    """Goes around all that a server does. An unexpected exception becomes a line of the log, and exit code 1.

    An error that a verb raises on purpose becomes a line of the log where `log_format` is "json"; its exit code is the
    one of cli/main.py, as it is where the log is text.
    """
    try:
        yield
    except (RowboxError, ConfigError) as error:
        if log_format == "text":
            raise
        _log.critical("%s", error)
        raise SystemExit(2 if isinstance(error, ConfigError) else 1) from error
    except Exception as error:
        _log.critical("ended by a defect", exc_info=error)
        raise SystemExit(1) from error


def _of_thread(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread is not None else "a thread"
    _log.error("uncaught in %s", name, exc_info=args.exc_value)


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    _log.error("%s: %r", args.err_msg or "exception ignored in", args.object, exc_info=args.exc_value)

"""What ends a server, or is caught by nobody in it, as lines of its log: a collector that reads JSON lines gets nothing
else.
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
    """Sends what a thread or a finalizer lets through to the log, once for the process."""
    threading.excepthook = _of_thread
    sys.unraisablehook = _unraisable


@contextmanager
def ends_logged(log_format: Literal["text", "json"]) -> Iterator[None]:
    """Around all that a server does. A refusal becomes a line of the log where those are JSON, with the exit code that
    it has as text (main.py); a defect becomes one everywhere, and exit code 1.
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

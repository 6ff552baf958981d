import signal
import sys
from types import ModuleType

import click
import pytest
from click.testing import CliRunner, Result

import rowbox
from rowbox.cli.main import VERBS, main
from rowbox.mailbox.errors import StoreLocked
from rowbox.mailbox.settings.config import ConfigError


def run(*args: str) -> Result:
    return CliRunner().invoke(main, args)


@pytest.fixture
def failing_verb(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """Makes `rowbox stats` raise what the test puts into the list."""
    errors: list[Exception] = []

    @click.command()
    def command() -> None:
        raise errors[0]

    module = ModuleType("rowbox.cli.verbs.mail.stats")
    vars(module)["command"] = command
    monkeypatch.setitem(sys.modules, "rowbox.cli.verbs.mail.stats", module)
    return errors


def test_version() -> None:
    assert run("--version").output == f"rowbox, version {rowbox.__version__}\n"


def test_help_names_every_verb_and_imports_none() -> None:
    imported = {name for name in sys.modules if name.startswith("rowbox.cli.")}
    result = run("--help")
    assert result.exit_code == 0
    assert all(verb in result.output for verb in VERBS)
    assert {name for name in sys.modules if name.startswith("rowbox.cli.")} == imported


def test_an_unknown_verb_is_an_error_of_usage() -> None:
    result = run("serv")
    assert result.exit_code == 2
    assert "serv" in result.stderr


def test_an_error_of_ours_is_one_line_and_exit_1(failing_verb: list[Exception]) -> None:
    failing_verb.append(StoreLocked("another process uses this folder"))
    result = run("stats")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: another process uses this folder\n"


def test_a_wrong_setting_is_one_line_and_exit_2(failing_verb: list[Exception]) -> None:
    failing_verb.append(ConfigError("server.port", 0, "file", "another one"))
    result = run("stats")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: server.port = 0 (file): expected another one\n"


def test_a_bug_keeps_its_traceback(failing_verb: list[Exception]) -> None:
    failing_verb.append(KeyError("bug"))
    assert isinstance(run("stats").exception, KeyError)


def test_a_server_that_is_still_being_imported_is_not_ended_by_a_reload() -> None:
    """Restart and reload in a row: SIGHUP ended it in its first second (129), which systemd calls clean."""
    before = signal.getsignal(signal.SIGHUP)
    try:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        assert run("token", "--help").exit_code == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
        assert run("serve", "--help").exit_code == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)

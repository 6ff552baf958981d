import errno
import os
import tomllib
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from rowbox.cli.main import main
from rowbox.mailbox.settings.config import SETTINGS, load


@pytest.fixture
def rowbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Rowbox":
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith("ROWBOX_")]:
        monkeypatch.delenv(variable)
    return Rowbox(tmp_path)


class Rowbox:
    """The command, in an empty folder and an environment without settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *args: str, **environment: str) -> Result:
        return CliRunner().invoke(main, ["config", *args], env=environment)

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)


def origin(result: Result, key: str) -> object:
    assert result.exit_code == 0, result.output
    setting = orjson.loads(result.stdout)[key]
    return setting["value"], setting["origin"]


def test_show_tells_each_value_and_where_it_comes_from(rowbox: Rowbox) -> None:
    file = rowbox.write("some.toml", "[store]\nretention_ms = '30d'")
    result = rowbox("show", "--json", "--config", file, "--port", "9000", ROWBOX_SERVER_HOST="::1")
    assert origin(result, "store.retention_ms") == (2_592_000_000, "file")
    assert origin(result, "server.port") == (9000, "flag --port")
    assert origin(result, "server.host") == ("::1", "environment ROWBOX_SERVER_HOST")
    assert origin(result, "server.admin_port") == (8081, "default")
    assert orjson.loads(result.stdout).keys() == SETTINGS.keys()


def test_show_is_a_file_that_sets_the_same(rowbox: Rowbox) -> None:
    flags = ("--port", "9000", "--rate-limits", "off", "--data-dir", 'a "b" \\ ü')
    shown = rowbox("show", *flags, ROWBOX_SERVER_CORS_ORIGINS="https://a.example,https://b.example").stdout
    again = rowbox("show", "--json", "--config", rowbox.write("shown.toml", shown))
    assert origin(again, "server.data_dir") == ('a "b" \\ ü', "file")
    assert origin(again, "server.cors_origins") == (["https://a.example", "https://b.example"], "file")
    assert origin(again, "rate_limits.enabled") == (False, "file")


def test_the_data_directory_holds_the_file_by_default(rowbox: Rowbox) -> None:
    rowbox.write("rowbox-data/rowbox.toml", "[server]\nport = 1")
    rowbox.write("other/rowbox.toml", "[server]\nport = 2")
    assert origin(rowbox("show", "--json"), "server.port") == (1, "file")
    assert origin(rowbox("show", "--json", "--data-dir", "other"), "server.port") == (2, "file")
    assert origin(rowbox("show", "--json", ROWBOX_SERVER_DATA_DIR="other"), "server.port") == (2, "file")
    assert origin(rowbox("show", "--json", ROWBOX_CONFIG="other/rowbox.toml"), "server.port") == (2, "file")


def test_a_bare_switch_needs_no_value(rowbox: Rowbox) -> None:
    assert origin(rowbox("show", "--json", "--insecure-dev"), "server.insecure_dev") == (True, "flag --insecure-dev")
    assert origin(rowbox("show", "--json"), "server.insecure_dev") == (False, "default")


def test_check_counts_what_was_given(rowbox: Rowbox) -> None:
    result = rowbox("check", "--port", "9000")
    assert result.exit_code == 0
    assert result.stdout == f"The settings are usable: 1 given, {len(SETTINGS) - 1} by default.\n"


def test_a_wrong_value_is_one_line_and_exit_2(rowbox: Rowbox) -> None:
    file = rowbox.write("wrong.toml", "[poll]\nmax_wait_ms = '60s'")
    result = rowbox("check", "--config", file)
    assert result.exit_code == 2
    assert result.stderr == f"Error: poll.max_wait_ms = '60s' (file {file}): expected a duration from 0 to 55s\n"
    assert not result.stdout


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_one_line_and_exit_2(rowbox: Rowbox, name: str) -> None:
    result = rowbox("check", "--config", name)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: --config = '{name}' (file): expected a text file that can be read (")
    assert result.stderr.count("\n") == 1


def test_default_sets_nothing_and_names_everything(rowbox: Rowbox) -> None:
    text = rowbox("default").stdout
    tables = tomllib.loads(text)
    assert not any(tables.values())
    given = "\n".join(line.removeprefix("#") for line in text.splitlines() if not line.startswith("# "))
    loaded = load({}, {}, given)
    assert loaded.settings == load({}, {}, None).settings
    assert {loaded.origin(key) for key in SETTINGS} == {"file"}


def test_a_data_folder_that_may_not_be_looked_into_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **_: object) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refuse)
    result = CliRunner().invoke(main, ["config", "show", "--data-dir", str(tmp_path)])
    assert result.exit_code == 2
    expected = "expected a folder that this account may look into (Permission denied): run this as"
    assert f"server.data_dir = '{tmp_path}' (flag --data-dir): {expected}" in result.stderr

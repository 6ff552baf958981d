"""Who can read what a server keeps on its machine: the data directory, the store's files and the secret."""

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from stat import S_IMODE
from tempfile import mkdtemp

import pytest
from click.testing import CliRunner, Result

from rowbox.cli import data_dir
from rowbox.cli.data_dir import prepare_data_dir
from rowbox.cli.main import main
from rowbox.cli.secret import load_or_create
from rowbox.mailbox.errors import StoreUnusable
from tests.cli.stores.store_folder import in_store, nothing, three_messages

NOBODY = 65534


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """As most accounts have it: what is made is open unless somebody sees to it. `rowbox` sets another one."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return S_IMODE(path.stat().st_mode)


def rowbox(data_dir: Path, *verb: str) -> Result:
    return CliRunner().invoke(main, [*verb, "--data-dir", str(data_dir)])


def the_one_line(result: Result) -> str:
    """What a verb said that refused: one line on stderr, and nothing else."""
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


class TestDataDirectory:
    def test_is_made_for_its_owner_alone(self, tmp_path: Path) -> None:
        prepare_data_dir(tmp_path / "data")
        assert mode(tmp_path / "data") == 0o700

    def test_of_an_earlier_build_is_closed(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        load_or_create(tmp_path)
        (tmp_path / "store").mkdir()
        (tmp_path / "rowbox.toml").touch()
        tmp_path.chmod(0o755)
        prepare_data_dir(tmp_path)
        assert mode(tmp_path) == 0o700
        assert "was open to other accounts of this machine (mode 0755): closed" in caplog.text

    def test_that_holds_other_things_too_is_left_and_said(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "somebody's notes").touch()
        tmp_path.chmod(0o755)
        prepare_data_dir(tmp_path)
        assert mode(tmp_path) == 0o755
        assert f"if Rowbox alone uses it: chmod 700 {tmp_path}" in caplog.text

    def test_that_cannot_be_made_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StoreUnusable, match="give --data-dir a folder of your own"):
            prepare_data_dir(tmp_path / "file")


class TestStore:
    def test_a_folder_is_made_for_its_owner_alone(self, tmp_path: Path) -> None:
        in_store(tmp_path, nothing)
        assert mode(tmp_path / "store") == 0o700

    @pytest.mark.parametrize(("of_folder", "of_files"), [(0o755, 0o644), (0o750, 0o640)])
    def test_files_of_an_earlier_build_are_closed_when_they_are_opened(
        self, of_folder: int, of_files: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        in_store(tmp_path, three_messages)
        store = tmp_path / "store"
        store.chmod(of_folder)
        for path in store.iterdir():
            path.chmod(of_files)
        before = set(store.iterdir())
        os.umask(0o077)  # as the command has it: RocksDB makes new ones
        caplog.set_level(logging.INFO)
        in_store(tmp_path, nothing)
        assert {path: mode(path) for path in store.iterdir()} == dict.fromkeys(store.iterdir(), 0o600)
        assert before & set(store.iterdir())
        assert mode(store) == 0o700
        assert caplog.text.count("could be read by other accounts of this machine: closed") == 1

    def test_one_that_is_closed_says_nothing(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        os.umask(0o077)
        in_store(tmp_path, nothing)
        caplog.set_level(logging.INFO)
        in_store(tmp_path, nothing)
        assert "accounts" not in caplog.text


class TestSecret:
    def test_of_another_mode_is_refused_with_what_mends_it(self, tmp_path: Path) -> None:
        load_or_create(tmp_path)
        secret = tmp_path / "token-secret"
        for wrong in (0o640, 0o604, 0o644, 0o660, 0o620):
            secret.chmod(wrong)
            with pytest.raises(StoreUnusable, match=f"mode {wrong:04o}.*: chmod 600 {secret};"):
                load_or_create(tmp_path)
            assert f"chmod 600 {secret}" in the_one_line(rowbox(tmp_path, "token", "--user", "alice"))
        secret.chmod(0o400)
        assert rowbox(tmp_path, "token", "--user", "alice").exit_code == 0

    @pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
    def test_that_root_lets_the_servers_group_read_is_taken(self, elsewhere: Path) -> None:
        """A mounted secret of a container belongs to root and to the group of the process."""
        secret = elsewhere / "token-secret"
        secret.write_bytes(bytes(32))
        os.chown(secret, 0, NOBODY)
        group = os.getegid()
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            for taken in (0o440, 0o640):
                _as_root(secret.chmod, taken)
                assert load_or_create(elsewhere) == bytes(32)
            for refused in (0o444, 0o660):
                _as_root(secret.chmod, refused)
                with pytest.raises(StoreUnusable, match="chmod 600"):
                    load_or_create(elsewhere)
        finally:
            os.seteuid(0)
            os.setegid(group)


class TestVerbsThatAreAskedAbout:
    def test_a_token_where_no_server_made_a_secret(self, tmp_path: Path) -> None:
        for folder in (tmp_path, tmp_path / "nowhere"):
            line = the_one_line(rowbox(folder, "token", "--user", "alice"))
            assert f"no server's secret is in {folder}: name the folder of the server with --data-dir" in line
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("setting", "says"),
        [('[auth]\njwks = "keys.json"', "auth.jwks is keys.json"), ("[server]\ninsecure_dev = true", "insecure:")],
        ids=["keys_of_others", "insecure"],
    )
    def test_a_token_that_the_server_would_not_take(self, tmp_path: Path, setting: str, says: str) -> None:
        load_or_create(tmp_path)
        (tmp_path / "rowbox.toml").write_text(setting)
        assert says in the_one_line(rowbox(tmp_path, "token", "--user", "alice"))

    @pytest.mark.parametrize(
        "verb",
        [("check",), ("stats",), ("restored", "--yes"), ("clock", "show"), ("clock", "accept")],
        ids=lambda verb: verb[0] + verb[-1],
    )
    def test_a_store_that_is_not_there(self, tmp_path: Path, verb: tuple[str, ...]) -> None:
        assert "there is no store in" in the_one_line(rowbox(tmp_path / "nowhere", *verb))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "verb",
        [("check",), ("stats",), ("restored", "--yes"), ("clock", "show"), ("doctor",), ("backup", "/nowhere/backup")],
        ids=lambda verb: verb[0],
    )
    def test_a_store_that_this_account_may_not_look_into(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...]
    ) -> None:
        """In a data folder that it may: one that holds other things as well stays open."""
        exists = Path.exists

        def refuse(path: Path) -> bool:
            if path.parent == tmp_path / "store":
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return exists(path)

        monkeypatch.setattr(Path, "exists", refuse)
        line = the_one_line(rowbox(tmp_path, *verb))
        assert f"cannot look into {tmp_path / 'store'} (Permission denied): run this as the account" in line


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder of another account, which it can reach (pytest's own are root's alone)."""
    folder = Path(mkdtemp(prefix="rowbox-test-"))
    os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


def _as_root(call: Callable[[int], None], argument: int) -> None:
    os.seteuid(0)
    try:
        call(argument)
    finally:
        os.seteuid(NOBODY)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
@pytest.mark.parametrize("verb", [("restored", "--yes"), ("clock", "accept")], ids=["restored", "accept"])
def test_root_leaves_the_servers_store_to_the_server(elsewhere: Path, verb: tuple[str, ...]) -> None:
    """`sudo rowbox restored`: what root makes for itself alone, the server could not open again."""
    (elsewhere / "rowbox.toml").write_text("[store]\nshards = 64")
    in_store(elsewhere, nothing)
    for path in (elsewhere / "store", *(elsewhere / "store").iterdir()):
        os.chown(path, NOBODY, NOBODY)
    result = rowbox(elsewhere, *verb)
    assert result.exit_code == 0, result.output
    assert {path.stat().st_uid for path in (elsewhere / "store").iterdir()} == {NOBODY}
    assert os.geteuid() == 0


@pytest.mark.parametrize("there", ["store/CURRENT", "store", "."])
def test_root_acts_as_the_account_of_whatever_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    """A damaged store has no CURRENT, and after an interrupted restore there is no store at all."""
    taken: list[int] = []
    found = tmp_path / there
    monkeypatch.setattr(data_dir, "_account_of", lambda path: (7, 70) if path in {found, *found.parents} else None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "setegid", lambda _: None)
    monkeypatch.setattr(os, "seteuid", taken.append)
    with data_dir.as_the_server(tmp_path / "store"):
        assert taken == [7]
    assert taken == [7, 0]

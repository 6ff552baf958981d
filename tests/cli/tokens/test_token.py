"""`rowbox token`: what it signs is what the server of the same settings takes, and the secrets change step by step."""

import fcntl
import os
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path
from stat import S_IMODE

import pytest
from click.testing import CliRunner, Result

from rowbox.api.auth.authenticator import make_authenticator
from rowbox.api.auth.claims import Claims
from rowbox.cli import secret_rotation
from rowbox.cli.data_dir import prepare_data_dir
from rowbox.cli.main import main
from rowbox.cli.options import load_settings
from rowbox.cli.secret import drafted_secret, load, load_all, load_or_create
from rowbox.cli.secret_rotation import RotationRefused
from rowbox.mailbox.errors import StoreUnusable, Unauthenticated
from tests.http.clock import claims_of


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A folder on which a server was started."""
    load_or_create(tmp_path)
    return tmp_path


def rowbox(data_dir: Path, *verb: str) -> Result:
    return CliRunner().invoke(main, ["token", *verb, "--data-dir", str(data_dir)])


def token(data_dir: Path, *options: str) -> str:
    result = rowbox(data_dir, *options)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout.strip()


def the_one_line(result: Result) -> str:
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


async def taken(data_dir: Path, token: str) -> Claims:
    """What the server on the folder, with the settings in its file, gets to know of the token's holder."""
    settings = load_settings({"server.data_dir": str(data_dir)}, None).settings
    authenticator = make_authenticator(settings.auth, lambda: load_all(data_dir), time.time, time.monotonic)
    return await claims_of(authenticator, f"Bearer {token}")


class TestIssue:
    async def test_it_needs_no_verb_of_its_own(self, data_dir: Path) -> None:
        for options in (("--user", "alice"), ("issue", "--user", "alice", "--admin")):
            claims = await taken(data_dir, token(data_dir, *options))
            assert (claims.user_id, claims.is_admin) == ("alice", "--admin" in options)

    @pytest.mark.parametrize(
        "auth",
        [
            'audience = "rowbox"\nissuer = "https://issuer.example"',
            'user_id_claim = "uid"\nscope_claim = "scp"',
            "max_token_life_ms = '10m'\nleeway_ms = 0",
            "escape_user_ids = true",
        ],
    )
    async def test_the_server_with_these_settings_takes_it(self, auth: str, data_dir: Path) -> None:
        """Its tokens had no `aud` and no `iss`, whatever the server asked for."""
        (data_dir / "rowbox.toml").write_text(f"[auth]\n{auth}\n")
        claims = await taken(data_dir, token(data_dir, "--user", "alice", "--admin"))
        assert (claims.user_id, claims.is_admin) == ("alice", True)

    @pytest.mark.parametrize("named", ["auth0|123", "auth0@@7C123"])
    async def test_a_user_may_be_named_by_his_subject_or_by_his_user_id(self, named: str, data_dir: Path) -> None:
        (data_dir / "rowbox.toml").write_text("[auth]\nescape_user_ids = true\n")
        assert (await taken(data_dir, token(data_dir, "--user", named))).user_id == "auth0@@7C123"

    def test_without_the_setting_a_subject_is_no_user(self, data_dir: Path) -> None:
        assert "--user is 1 to 128 characters" in the_one_line(rowbox(data_dir, "--user", "auth0|123"))

    def test_a_life_that_the_server_would_refuse_is_refused(self, data_dir: Path) -> None:
        (data_dir / "rowbox.toml").write_text("[auth]\nmax_token_life_ms = '2h'\n")
        assert "2h at most (auth.max_token_life_ms)" in the_one_line(rowbox(data_dir, "--user", "a", "--ttl", "121m"))
        token(data_dir, "--user", "a", "--ttl", "2h")


class TestRotation:
    async def test_both_secrets_count_until_the_previous_one_is_retired(self, data_dir: Path) -> None:
        old = token(data_dir, "--user", "old")
        assert "A new secret signs" in token(data_dir, "rotate")
        new = token(data_dir, "--user", "new")
        assert [(await taken(data_dir, one)).user_id for one in (old, new)] == ["old", "new"]
        assert "The previous secret is gone" in token(data_dir, "retire")
        assert (await taken(data_dir, new)).user_id == "new"
        with pytest.raises(Unauthenticated):
            await taken(data_dir, old)

    def test_files_are_for_their_owner_alone_and_nothing_else_is_left(self, data_dir: Path) -> None:
        rowbox(data_dir, "rotate")
        assert {path.name: S_IMODE(path.stat().st_mode) for path in data_dir.iterdir()} == {
            "token-secret": 0o600,
            "token-secret.previous": 0o600,
        }
        data_dir.chmod(0o755)
        prepare_data_dir(data_dir)
        assert S_IMODE(data_dir.stat().st_mode) == 0o700, "the previous secret makes it no folder of others' things"

    def test_one_rotates_at_a_time(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of two at once the second would replace the first one's new secret, which may have signed by then."""
        drafted = drafted_secret

        def another_tries(path: Path) -> AbstractContextManager[Path]:
            folder = os.open(data_dir, os.O_RDONLY)
            with pytest.raises(BlockingIOError):
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(folder)
            return drafted(path)

        monkeypatch.setattr(secret_rotation, "drafted_secret", another_tries)
        secret_rotation.rotate(data_dir)

    def test_modes_and_owner_stay_who_ever_rotates(self, data_dir: Path) -> None:
        """What root makes for itself, the server could not read."""
        path = data_dir / "token-secret"
        path.chmod(0o400)
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
        before = path.stat()
        secret_rotation.rotate(data_dir)
        after = path.stat()
        assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)

    def test_a_second_rotation_would_end_tokens_and_is_refused(self, data_dir: Path) -> None:
        rowbox(data_dir, "rotate")
        before = load_all(data_dir)
        assert "end it with `rowbox token retire`, then rotate again" in the_one_line(rowbox(data_dir, "rotate"))
        assert load_all(data_dir) == before

    def test_there_may_be_nothing_to_retire(self, data_dir: Path) -> None:
        assert "`rowbox token rotate` makes one" in the_one_line(rowbox(data_dir, "retire"))

    @pytest.mark.parametrize("verb", ["rotate", "retire", "secrets"])
    def test_where_no_server_made_a_secret(self, verb: str, tmp_path: Path) -> None:
        for folder in (tmp_path, tmp_path / "nowhere"):
            assert "no server's secret is in" in the_one_line(rowbox(folder, verb))
        assert list(tmp_path.iterdir()) == []

    def test_one_that_was_interrupted_is_finished_by_the_next(self, data_dir: Path) -> None:
        old = load(data_dir)
        os.link(data_dir / "token-secret", data_dir / "token-secret.previous")
        assert load_all(data_dir) == [old]
        secret_rotation.rotate(data_dir)
        new = load(data_dir)
        assert new != old
        assert load_all(data_dir) == [new, old]

    def test_of_two_at_once_one_is_refused(self, data_dir: Path) -> None:
        old, refused = load(data_dir), []

        def rotate() -> None:
            try:
                secret_rotation.rotate(data_dir)
            except RotationRefused as error:
                refused.append(error)

        threads = [threading.Thread(target=rotate) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) == 3
        assert load_all(data_dir)[1] == old

    @pytest.mark.parametrize("wrong", [0o644, 0o640])
    def test_a_previous_secret_that_others_can_read_is_refused(self, wrong: int, data_dir: Path) -> None:
        secret_rotation.rotate(data_dir)
        (data_dir / "token-secret.previous").chmod(wrong)
        with pytest.raises(StoreUnusable, match=r"chmod 600 .*token-secret\.previous"):
            load_all(data_dir)

    def test_secrets_are_listed_without_being_told(self, data_dir: Path) -> None:
        secret_rotation.rotate(data_dir)
        listed = token(data_dir, "secrets")
        assert [line.split("  ")[1] for line in listed.splitlines()] == ["signs and verifies", "verifies"]
        for secret in load_all(data_dir):
            assert secret.hex()[:8] not in listed


class TestSubjects:
    @pytest.mark.parametrize(("subject", "user_id"), [("auth0|123", "auth0@@7C123"), ("alice", "alice")])
    def test_both_ways(self, subject: str, user_id: str) -> None:
        for verb, given, printed in (("user-id", subject, user_id), ("subject", user_id, subject)):
            assert CliRunner().invoke(main, ["token", verb, given]).stdout == f"{printed}\n"

    @pytest.mark.parametrize(
        ("verb", "given", "says"),
        [
            ("user-id", "|" * 33, "132 characters once escaped; a userId has 128 at most"),
            ("user-id", "", "not empty"),
            ("subject", "auth0|123", "no subject has this userId"),
            ("subject", "a@@61", "no subject has this userId"),
            ("subject", "a@@C3", "a@@C3: no subject has this userId"),
        ],
    )
    def test_what_is_neither(self, verb: str, given: str, says: str) -> None:
        assert says in the_one_line(CliRunner().invoke(main, ["token", verb, given]))

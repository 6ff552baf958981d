"""`rowbox token revoke`: through the server that runs, or in the store that none has open; never silently not."""

import asyncio
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from rowbox.api.operator.calls import OperatorCall
from rowbox.api.operator.tokens import revocation_calls
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import FetchConversations
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.cli.main import main
from rowbox.cli.secret import FILE, load_or_create
from rowbox.mailbox.errors import HandoverInProgress, RowboxError, StoreUnavailable, TokenRevoked
from rowbox.mailbox.revocation import Bearer, token_hash
from rowbox.mailbox.settings.config import Settings
from tests.cli.beside_server import put_secret, silent_port
from tests.cli.stores.store_folder import in_store, three_messages
from tests.http.api import ANY_PORT, serving
from tests.http.scripted_port import ScriptedPort


class Revoking:
    """A server's owner, as far as this verb asks it; `error` is raised where one is set."""

    def __init__(self, error: RowboxError | None = None) -> None:
        self.error = error
        self.asked: list[str] = []

    async def revoke_user(self, user_id: str) -> int:
        self._ask(user_id)
        return 1_800_000_000

    async def revoke_id(self, token_id: str) -> None:
        self._ask(token_id)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """With a store in it, and the secret that `serving` goes by."""
    put_secret(tmp_path)
    (tmp_path / "rowbox.toml").write_text("[store]\nshards = 64\n")
    in_store(tmp_path, three_messages)
    return tmp_path


def revoke(data_dir: Path, port: int, *options: str) -> Result:
    arguments = ["token", "revoke", "--data-dir", str(data_dir), "--admin-port", str(port), *options]
    return CliRunner().invoke(main, arguments)


async def revoked_by(owner: Revoking, data_dir: Path, *options: str) -> Result:
    """What the verb says beside a server with this owner."""
    async with serving(ScriptedPort(), calls=revocation_calls(owner)) as api:
        return await asyncio.to_thread(revoke, data_dir, api.server.admin_port, *options)


def no_server(data_dir: Path, *options: str) -> Result:
    return revoke(data_dir, silent_port(), *options)


def the_one_line(result: Result, code: int = 1) -> str:
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    return result.stderr.splitlines()[-1]


def is_refused(data_dir: Path, bearer: Bearer) -> bool:
    """What a server that is started on the folder says to a token."""
    found: list[bool] = []

    async def ask(store: RocksStore, settings: Settings) -> None:
        owner = Owner(store, settings)
        await owner.start()
        try:
            await owner.fetch_conversations(FetchConversations(bearer.user_id, bearer=bearer))
            found.append(False)
        except TokenRevoked:
            found.append(True)
        await owner.close()

    in_store(data_dir, ask)
    return found == [True]


async def test_the_server_on_the_folder_revokes(data_dir: Path) -> None:
    owner = Revoking()
    result = await revoked_by(owner, data_dir, "--user", "alice")
    assert result.output == "Tokens of alice that were issued before 2027-01-15T08:00:00Z are refused.\n"
    result = await revoked_by(owner, data_dir, "--id", "5f0c2c1e")
    assert result.output == "The token with this id is refused.\n"
    assert owner.asked == ["alice", "5f0c2c1e"]


async def test_a_server_whose_admin_port_is_at_another_address_revokes(data_dir: Path) -> None:
    owner = Revoking()
    server = replace(ANY_PORT, admin_host="127.0.0.2")
    async with serving(ScriptedPort(), Settings(server=server), calls=revocation_calls(owner)) as api:
        arguments = ("--admin-host", "127.0.0.2", "--user", "alice")
        result = await asyncio.to_thread(revoke, data_dir, api.server.admin_port, *arguments)
    assert (result.exit_code, owner.asked) == (0, ["alice"]), result.output


@pytest.mark.parametrize("options", [("--user", "alice"), ("--id", "x")])
async def test_a_standby_names_the_owner(data_dir: Path, options: tuple[str, ...]) -> None:
    standby = Revoking(HandoverInProgress("the server at db-1, process 7 owns the mailboxes"))
    line = the_one_line(await revoked_by(standby, data_dir, *options))
    assert line == (
        "Error: the server at db-1, process 7 owns the mailboxes: "
        "revoke there, or again when this server owns the mailboxes"
    )


async def test_a_server_that_cannot_says_why(data_dir: Path) -> None:
    line = the_one_line(await revoked_by(Revoking(StoreUnavailable("the device is full")), data_dir, "--user", "alice"))
    assert line == "Error: the device is full"


async def test_a_server_of_before_does_not_know_the_call(data_dir: Path) -> None:
    calls: list[OperatorCall] = []
    async with serving(ScriptedPort(), calls=calls) as api:
        result = await asyncio.to_thread(revoke, data_dir, api.server.admin_port, "--user", "alice")
    assert "nothing at this path" in the_one_line(result)


def test_where_no_server_runs_it_is_written_into_the_embedded_store(data_dir: Path) -> None:
    alice, bob = (Bearer(user, time.time() - 1) for user in ("alice", "bob"))
    assert "Tokens of alice" in no_server(data_dir, "--user", "alice").output
    assert (is_refused(data_dir, alice), is_refused(data_dir, bob)) == (True, False)
    new = Bearer("alice", float(int(time.time())))
    assert not is_refused(data_dir, new), "issued in the second in which the verb ended"
    assert no_server(data_dir, "--id", "one").exit_code == 0
    one = Bearer("bob", new.issued_at_s, token_hash("one"))
    assert is_refused(data_dir, one)


def test_a_server_that_has_the_store_open_and_is_not_found_is_told_of(data_dir: Path) -> None:
    async def meanwhile(_store: RocksStore, _settings: Settings) -> None:
        result = await asyncio.to_thread(no_server, data_dir, "--user", "alice")
        line = the_one_line(result)
        assert "has the store in" in line
        assert "name it with --admin-host and --admin-port" in line

    in_store(data_dir, meanwhile)


def test_over_hbase_the_owner_has_to_do_it(data_dir: Path) -> None:
    result = no_server(data_dir, "--user", "alice", "--store", "hbase://127.0.0.1:1/rowbox")
    assert the_one_line(result).endswith("the owner of the mailboxes has to do it: run this beside it")


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ((), 2, "give one of --user and --id"),
        (("--user", "alice", "--id", "x"), 2, "give one of --user and --id"),
        (("--user", "a b"), 1, "--user is 1 to 128 characters"),
        (("--id", ""), 1, "--id is the jti of a token"),
        (("--id", "x" * 257), 1, "--id is the jti of a token"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(data_dir: Path, options: tuple[str, ...], code: int, says: str) -> None:
    assert says in the_one_line(no_server(data_dir, *options), code)


def test_a_folder_without_a_store_gets_none(tmp_path: Path) -> None:
    load_or_create(tmp_path)
    assert "there is no store in" in the_one_line(no_server(tmp_path, "--user", "alice"))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_without_authentication_there_is_nothing_to_revoke(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWBOX_SERVER_INSECURE_DEV", "on")
    assert "takes no tokens" in the_one_line(no_server(data_dir, "--user", "alice"))

"""`rowbox user erase`: through the server that runs, or in the store that none has open; never unasked."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rowbox.api.operator.erase import erase_call
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import AccountResult, ChangeAccount, Send
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.cli.main import main
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.account.deeds import DeleteUser
from rowbox.mailbox.errors import FeatureOff, RowboxError
from rowbox.mailbox.people.profile import ErasureStep
from rowbox.mailbox.settings.config import Settings
from tests.cli.beside_server import put_secret, silent_port
from tests.cli.stores.store_folder import in_store
from tests.http.api import serving
from tests.http.scripted_port import ScriptedPort


class Erasing(ScriptedPort):
    """A server's port, as far as this verb asks it; `error` is raised where one is set."""

    def __init__(self, step: int, error: RowboxError | None = None) -> None:
        super().__init__()
        self.step = step
        self.refusal = error
        self.asked: list[ChangeAccount] = []

    async def change_account(self, request: ChangeAccount) -> AccountResult:
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        return AccountResult(7, changed=True, step=self.step)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """With the secret that `serving` goes by."""
    put_secret(tmp_path)
    return tmp_path


def erase(data_dir: Path, port: int, *options: str, answer: str = "") -> Result:
    arguments = ["user", "erase", "--data-dir", str(data_dir), "--admin-port", str(port), *options]
    return CliRunner().invoke(main, arguments, input=answer)


async def test_the_server_on_the_folder_does_it(data_dir: Path) -> None:
    port = Erasing(ErasureStep.CLOSED)
    async with serving(port, calls=[erase_call(port)]) as api:
        for step, says in (
            (ErasureStep.CLOSED, "alice is deleted: he leaves his groups, and what he has sent is delivered.\n"),
            (ErasureStep.DONE, "alice is deleted: his mailbox is erased.\n"),
            (99, "alice is deleted: the work goes on.\n"),
        ):
            port.step = step
            result = await asyncio.to_thread(erase, data_dir, api.server.admin_port, "alice", "--yes")
            assert (result.exit_code, result.output) == (0, says)
        port.refusal = FeatureOff("users are deleted once all servers know how")
        result = await asyncio.to_thread(erase, data_dir, api.server.admin_port, "alice", "--yes")
        assert (result.exit_code, result.stderr) == (1, "Error: users are deleted once all servers know how\n")
    assert {(one.user_id, one.deed, one.bearer) for one in port.asked} == {("alice", DeleteUser(), None)}


def test_where_no_server_runs_the_embedded_store_is_opened_for_it(data_dir: Path) -> None:
    (data_dir / "rowbox.toml").write_text("[store]\nshards = 64\n")

    async def make(store: RocksStore, settings: Settings) -> None:
        owner = Owner(store, settings)
        await owner.start()
        await owner.send(Send("alice", "bob", "hello", "c1"))
        await owner.close()

    in_store(data_dir, make)
    for _ in range(2):
        assert no_server(data_dir, "alice", "--yes").output == "alice is deleted: his mailbox is erased.\n"
    left: list[dict[Family, list[tuple[bytes, bytes]]]] = []

    async def look(store: RocksStore, _settings: Settings) -> None:
        left.append(await store.get_row(row_key("alice", 64), tuple(Family)))

    in_store(data_dir, look)
    assert {family for family, columns in left[0].items() if columns} == {Family.INDEX}
    assert sorted(qualifier[:1] for qualifier, _ in left[0][Family.INDEX]) == [b"p", b"t"]


@pytest.mark.parametrize(
    ("options", "answer", "says"),
    [
        (("alice",), "n\n", "Aborted!"),
        (("a b", "--yes"), "", "USER is 1 to 128 characters"),
        (("alice", "--yes", "--store", "hbase://127.0.0.1:1/rowbox"), "", "run this beside it"),
    ],
)
def test_what_is_not_meant_changes_nothing(data_dir: Path, options: tuple[str, ...], answer: str, says: str) -> None:
    result = no_server(data_dir, *options, answer=answer)
    assert result.exit_code == 1
    assert says in result.stderr


def no_server(data_dir: Path, *options: str, answer: str = "") -> Result:
    return erase(data_dir, silent_port(), *options, answer=answer)


async def test_a_body_that_means_nothing_is_refused() -> None:
    call = erase_call(Erasing(1))
    for body in (b"", b"{}", b'{"userId":"a b"}', b"\xff"):
        with pytest.raises(RowboxError):
            await call.handle(body)

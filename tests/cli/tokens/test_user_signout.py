"""`rowbox user signout`: through the server that runs, or in the store that none has open; never silently not."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rowbox.api.operator.sign_out import sign_out_call
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import FetchDevices, RegisterDevice, SignOut, SignOutResult
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.cli.main import main
from rowbox.mailbox.errors import RowboxError, SignedOut, UnknownDevice
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import Settings
from tests.cli.beside_server import put_secret, silent_port
from tests.cli.stores.store_folder import in_store
from tests.http.api import serving
from tests.http.scripted_port import ScriptedPort


class SigningOut(ScriptedPort):
    """A server's port, as far as this verb asks it; `error` is raised where one is set."""

    def __init__(self, *gone: str, error: RowboxError | None = None) -> None:
        super().__init__()
        self.gone = gone
        self.refusal = error
        self.asked: list[SignOut] = []

    async def sign_out(self, request: SignOut) -> SignOutResult:
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        return SignOutResult(self.gone)


async def two_devices(store: RocksStore, settings: Settings) -> None:
    owner = Owner(store, settings)
    await owner.start()
    for device_id in ("phone", "laptop"):
        await owner.register_device(RegisterDevice("alice", device_id, "", ""))
    await owner.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """With a store in which alice has a phone and a laptop, and the secret that `serving` goes by."""
    put_secret(tmp_path)
    (tmp_path / "rowbox.toml").write_text("[store]\nshards = 64\n")
    in_store(tmp_path, two_devices)
    return tmp_path


def signout(data_dir: Path, port: int, *options: str) -> Result:
    arguments = ["user", "signout", "--data-dir", str(data_dir), "--admin-port", str(port), *options]
    return CliRunner().invoke(main, arguments)


def no_server(data_dir: Path, *options: str) -> Result:
    return signout(data_dir, silent_port(), *options)


def devices_of(data_dir: Path, bearer: Bearer) -> list[str] | None:
    """As a server that is started on the folder says it to a token; None: it has to sign in again."""
    found: list[list[str] | None] = []

    async def ask(store: RocksStore, settings: Settings) -> None:
        owner = Owner(store, settings)
        await owner.start()
        try:
            shown = await owner.fetch_devices(FetchDevices("alice", bearer))
            found.append([one.device_id for one in shown.devices])
        except SignedOut:
            found.append(None)
        await owner.close()

    in_store(data_dir, ask)
    return found[0]


async def test_the_server_on_the_folder_does_it(data_dir: Path) -> None:
    port = SigningOut("phone")
    async with serving(port, calls=[sign_out_call(port)]) as api:
        for options, says in (
            (("--device", "phone"), "alice is signed out of phone.\n"),
            (("--all",), "alice is signed out everywhere, of 1 devices: phone.\n"),
        ):
            result = await asyncio.to_thread(signout, data_dir, api.server.admin_port, "alice", *options)
            assert (result.exit_code, result.output) == (0, says)
        port.gone = ()
        result = await asyncio.to_thread(signout, data_dir, api.server.admin_port, "alice", "--device", "phone")
        assert result.output == "alice was signed out of it before.\n"
        port.refusal = UnknownDevice("no such device")
        result = await asyncio.to_thread(signout, data_dir, api.server.admin_port, "alice", "--device", "other")
        assert (result.exit_code, result.stderr) == (1, "Error: no such device\n")
    assert [one.device_id for one in port.asked] == ["phone", "", "phone", "other"]
    assert {(one.user_id, one.spared, one.bearer) for one in port.asked} == {("alice", "", None)}


def test_where_no_server_runs_it_is_written_into_the_embedded_store(data_dir: Path) -> None:
    phone, laptop = (Bearer("alice", 0.0, b"", device_id) for device_id in ("phone", "laptop"))
    assert no_server(data_dir, "alice", "--device", "phone").output == "alice is signed out of phone.\n"
    assert devices_of(data_dir, phone) is None
    assert devices_of(data_dir, laptop) == ["laptop"]
    assert no_server(data_dir, "alice", "--all").output == "alice is signed out everywhere, of 1 devices: laptop.\n"
    assert devices_of(data_dir, laptop) is None


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("alice",), 2, "give one of --device and --all"),
        (("alice", "--all", "--device", "phone"), 2, "give one of --device and --all"),
        (("alice", "--device", "a b"), 1, "--device is a deviceId"),
        (("a b", "--all"), 1, "USER is 1 to 128 characters"),
        (("alice", "--all", "--store", "hbase://127.0.0.1:1/rowbox"), 1, "run this beside it"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(data_dir: Path, options: tuple[str, ...], code: int, says: str) -> None:
    result = no_server(data_dir, *options)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr.splitlines()[-1]


async def test_a_body_that_means_nothing_is_refused() -> None:
    call = sign_out_call(SigningOut())
    for body in (b"", b"{}", b'{"userId":"a b"}', b'{"userId":"alice","deviceId":"a b"}', b"\xff"):
        with pytest.raises(RowboxError):
            await call.handle(body)

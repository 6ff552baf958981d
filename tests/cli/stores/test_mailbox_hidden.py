"""`rowbox mailbox hidden`: by the server that runs, or in the store that none has open; a line for each."""

import asyncio
import json
import logging
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rowbox.api.operator.hidden import hidden_call
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.people import hidden_reads
from rowbox.cacheserver.port import ChangeAccount, FetchHidden, HiddenPage, HiddenShown, Send
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.cli.main import main
from rowbox.mailbox.account.deeds import BlockUser
from rowbox.mailbox.errors import RateLimited, RowboxError
from rowbox.mailbox.message import Change
from rowbox.mailbox.reactions import Reaction
from rowbox.mailbox.settings.config import Settings
from tests.cli.beside_server import put_secret, silent_port
from tests.cli.stores.store_folder import in_store
from tests.http.api import serving
from tests.http.scripted_port import ScriptedPort

ONE, TWO = bytes.fromhex("0192f5a0c0de7abc8123456789abcdef"), bytes.fromhex("0192f5a0c0de7abc8123456789abcdee")
PLACE = b"c" * 16
NOW_US = 1_700_000_000_000_000
SHOWN = (
    HiddenShown(ONE, PLACE, "mallory", "you fool\n\x1b[2J", NOW_US),
    HiddenShown(ONE, PLACE, "mallory", "my friend", NOW_US + 1, Change(NOW_US), (Reaction("mallory", "!", 1),)),
    HiddenShown(TWO, PLACE, "mallory", "", NOW_US + 2, Change(NOW_US, is_unsent=True)),
)


class Hiding(ScriptedPort):
    """A server's port, as far as this verb asks it: a page of two, and one behind it."""

    async def fetch_hidden(self, request: FetchHidden) -> HiddenPage:
        self._called(request)
        return HiddenPage(SHOWN[:2], (PLACE, ONE)) if request.behind is None else HiddenPage(SHOWN[2:])


async def an_insult(store: RocksStore, settings: Settings) -> None:
    owner = Owner(store, settings)
    await owner.start()
    await owner.change_account(ChangeAccount("alice", BlockUser("mallory")))
    await owner.send(Send("mallory", "alice", "you fool", "1"))
    await owner.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """With a store in which something is hidden from alice, and the secret that `serving` goes by."""
    put_secret(tmp_path)
    (tmp_path / "rowbox.toml").write_text("[store]\nshards = 64\n")
    in_store(tmp_path, an_insult)
    return tmp_path


def hidden(data_dir: Path, port: int, *options: str) -> Result:
    arguments = ["mailbox", "hidden", "--data-dir", str(data_dir), "--admin-port", str(port), *options]
    return CliRunner().invoke(main, arguments)


def no_server(data_dir: Path, *options: str) -> Result:
    return hidden(data_dir, silent_port(), *options)


async def test_the_server_on_the_folder_is_asked_page_by_page(data_dir: Path) -> None:
    port = Hiding()
    async with serving(port, calls=[hidden_call(port)]) as api:
        result = await asyncio.to_thread(hidden, data_dir, api.server.admin_port, "alice")
        assert result.exit_code == 0, result.output
        first, second, third = result.stdout.splitlines()
        assert first.endswith(f'{ONE.hex()} mallory: "you fool\\n\\u001b[2J"'), "one line, whatever somebody wrote"
        assert second.endswith(f"{ONE.hex()} mallory (edited, mallory reacts !): my friend")
        assert third.endswith(f"{TWO.hex()} mallory (taken back): ")
        result = await asyncio.to_thread(hidden, data_dir, api.server.admin_port, "alice", "--json")
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert [line["messageContent"] for line in lines] == [one.content for one in SHOWN]
        assert [(line["unsent"], line["editedTimestamp"]) for line in lines] == [
            (False, None),
            (False, NOW_US),
            (True, None),
        ]
        port.error = RateLimited("too many requests of this user", retry_after_ms=1000)
        result = await asyncio.to_thread(hidden, data_dir, api.server.admin_port, "alice")
        assert (result.exit_code, result.stderr) == (1, "Error: too many requests of this user\n")
    assert [one.behind for one in port.calls] == [None, (PLACE, ONE)] * 2 + [None]
    assert {(one.user_id, one.bearer) for one in port.calls} == {("alice", None)}


def test_where_no_server_runs_it_is_read_in_the_embedded_store(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = no_server(data_dir, "alice")
    assert (result.exit_code, result.stdout.splitlines()[0].endswith(" mallory: you fool")) == (0, True)
    looks = [one.getMessage() for one in caplog.records if one.name == hidden_reads.log.name]
    assert looks == ["an operator looked at what is hidden from alice: 1 entries"]
    assert [one.levelno for one in caplog.records if one.name == hidden_reads.log.name] == [logging.INFO]
    assert no_server(data_dir, "mallory").output == "Nothing is hidden from mallory.\n"
    assert no_server(data_dir, "mallory", "--json").output == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("a b",), "USER is 1 to 128 characters"),
        (("alice", "--store", "hbase://127.0.0.1:1/rowbox"), "run this beside it"),
    ],
)
def test_what_cannot_be_asked_shows_nothing(data_dir: Path, options: tuple[str, ...], says: str) -> None:
    result = no_server(data_dir, *options)
    assert (result.exit_code, result.stdout) == (1, "")
    assert says in result.stderr.splitlines()[-1]


async def test_a_body_that_means_nothing_is_refused() -> None:
    call = hidden_call(Hiding())
    for body in (b"", b"{}", b'{"userId":"a b"}', b'{"userId":"alice","behind":[1,2]}', b"\xff"):
        with pytest.raises(RowboxError):
            await call.handle(body)

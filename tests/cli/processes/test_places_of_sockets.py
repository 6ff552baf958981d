"""The port that all API processes share, and the folder of the owner's socket."""

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from rowbox.api.http.listeners import bound
from rowbox.cli.serving.processes.owner_socket import owner_socket
from rowbox.cli.serving.processes.shared_port import HeldPort
from rowbox.mailbox.errors import StoreUnusable

LOOPBACK = "127.0.0.1"


async def test_a_held_port_is_one_for_all_its_processes_and_for_nobody_else() -> None:
    with HeldPort() as held:
        port = await held.hold([LOOPBACK], 0)
        ours = [one for _ in range(2) for one in await bound([LOOPBACK], port, shared=True)]
        for one in ours:
            one.listen()
        with HeldPort() as other, pytest.raises(OSError, match="Address already in use"):
            await other.hold([LOOPBACK], port)
        with pytest.raises(OSError, match="Address already in use"):
            await bound([LOOPBACK], port)
        for one in ours:
            one.close()


async def test_a_port_that_is_held_takes_no_connection_and_is_free_in_the_end() -> None:
    with HeldPort() as held:
        port = await held.hold([LOOPBACK], 0)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, port), 1)
    with socket.create_server((LOOPBACK, port)):
        pass


async def test_a_port_that_somebody_has_is_refused() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken, HeldPort() as held:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="Address already in use") as caught:
            await held.hold([LOOPBACK], port)
        assert caught.value.filename == f"{LOOPBACK} port {port}"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_is_closed_to_others_and_gone_in_the_end(temporary: Path) -> None:
    with owner_socket() as path:
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert path.parent.parent == temporary
        assert len(os.fsencode(Path("/tmp") / path.relative_to(temporary))) < 108
    assert list(temporary.iterdir()) == []


def test_a_folder_that_a_killed_server_left_is_removed_and_that_of_a_living_one_is_not(temporary: Path) -> None:
    left = temporary / "rowbox-owner-killed"
    left.mkdir(0o700)
    (left / "owner.sock").touch()
    beginning = temporary / "rowbox-owner-beginning"
    beginning.mkdir(0o700)  # its server has not come to its socket
    with owner_socket() as living:
        living.touch()
        with owner_socket() as other:
            other.touch()
            assert living.exists()
            assert beginning.exists()
            assert not left.exists()


def test_without_a_place_for_it_the_line_says_what_to_do(temporary: Path) -> None:
    temporary.rmdir()
    with pytest.raises(StoreUnusable, match="TMPDIR"), owner_socket():
        pass

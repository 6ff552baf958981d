"""`rowbox push keys`, and what a server does with its file."""

import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rowbox.cacheserver.push.services.services import PushServices
from rowbox.cacheserver.push.services.web_push import read_key, server_key_of
from rowbox.cli.main import main
from rowbox.cli.serving.pushing import push_services
from rowbox.mailbox.errors import BadRequest, PushOff, StoreUnusable
from rowbox.mailbox.push.note import CodeNote
from rowbox.mailbox.push.target import PushTarget
from rowbox.mailbox.settings.config import PushSettings


def keys(path: Path) -> Result:
    return CliRunner().invoke(main, ["push", "keys", str(path)])


async def test_a_key_is_made_once_and_is_what_the_printed_settings_use(tmp_path: Path) -> None:
    path = tmp_path / "push.pem"
    done = keys(path)
    assert done.exit_code == 0, done.output
    assert path.stat().st_mode & 0o777 == 0o600
    printed = tomllib.loads(done.stdout)["push"]
    services = push_services(PushSettings(**printed))
    assert services.server_key == server_key_of(read_key(path.read_bytes()))
    assert services.server_key in done.stdout
    assert re.fullmatch(r"[A-Za-z0-9_-]{87}", services.server_key)
    await services.close()
    before = path.read_bytes()
    again = keys(path)
    assert again.exit_code == 1
    assert "a key that is in use is not replaced" in again.stderr
    assert path.read_bytes() == before


async def test_a_key_that_is_of_no_use_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "push.pem"
    settings = PushSettings(vapid_key_file=str(path), contact="mailto:ops@example.com")
    with pytest.raises(StoreUnusable, match="`rowbox push keys` makes one"):
        push_services(settings)
    path.write_bytes(b"no key")
    path.chmod(0o600)
    with pytest.raises(StoreUnusable, match="holds no key"):
        push_services(settings)
    path.chmod(0o644)
    with pytest.raises(StoreUnusable, match=f"chmod 600 {path}"):
        push_services(settings)


async def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rowbox.cacheserver.push.services.web_push", None)
    path = tmp_path / "push.pem"
    path.write_bytes(b"a key")
    path.chmod(0o600)
    for refused in (
        lambda: push_services(PushSettings(vapid_key_file=str(path))),
        lambda: main(["push", "keys", str(path)], standalone_mode=False),
    ):
        with pytest.raises(Exception, match=r"pip install 'rowbox\[push\]'"):
            refused()


async def test_without_a_key_there_are_webhooks_and_no_web_push() -> None:
    services = PushServices(PushSettings(allowed_hosts=("hooks.example.com",)), None)
    assert services.server_key == ""
    with pytest.raises(PushOff):
        services.check(PushTarget("web", "https://fcm.googleapis.com/a", b""))
    services.check(PushTarget("webhook", "https://hooks.example.com/a", b""))
    with pytest.raises(BadRequest, match=r"evil\.example\.com"):
        services.check(PushTarget("webhook", "https://evil.example.com/a", b""))
    once_allowed = PushTarget("webhook", "https://evil.example.com/a", b"")
    assert (await services.send(once_allowed, CodeNote("00"), "1")).reason == "not in push.allowed_hosts"
    await services.close()

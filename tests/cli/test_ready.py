"""What `rowbox serve` says when it is ready, and to whom it shows tokens."""

import json

import pytest

from rowbox.cli.serving.ready import as_json, as_text, ready_of
from rowbox.mailbox.settings.config import AuthSettings, ServerSettings, Settings

SECRET = b"a secret of at least 32 bytes, for tests"
HEADER = "eyJ"
"""How a token begins."""
EVERYWHERE = Settings(server=ServerSettings(host="0.0.0.0"))
KEYS_OF_OTHERS = Settings(auth=AuthSettings(jwks="keys.json"), server=ServerSettings(demo_tokens=True))


def printed(settings: Settings, *, is_terminal: bool = True) -> list[str]:
    return list(as_text(ready_of(settings, SECRET, 8080, 9090, 0, is_terminal=is_terminal)))


def test_links_carry_the_tokens_behind_the_hash_where_no_server_sees_them() -> None:
    lines = printed(Settings(server=ServerSettings(insecure_dev=True)))
    assert [line for line in lines if line.startswith("Chat as ")] == [
        "Chat as both: http://127.0.0.1:8080/#token=insecure:alice&token=insecure:bob",
        "Chat as alice: http://127.0.0.1:8080/#token=insecure:alice",
        "Chat as bob: http://127.0.0.1:8080/#token=insecure:bob",
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.1,::1"])
def test_a_person_at_a_loopback_server_gets_tokens(host: str) -> None:
    assert HEADER in "".join(printed(Settings(server=ServerSettings(host=host))))


@pytest.mark.parametrize("server", [ServerSettings(), ServerSettings(host="0.0.0.0")])
def test_a_journal_gets_some_only_where_they_were_asked_for(server: ServerSettings) -> None:
    """At 80c87b5 a server behind a proxy wrote tokens of 24 hours into its journal at each start and each takeover."""
    assert len(printed(Settings(server=server), is_terminal=False)) == 2
    asked = Settings(server=ServerSettings(host=server.host, demo_tokens=True))
    assert HEADER in "".join(printed(asked, is_terminal=False))


@pytest.mark.parametrize(
    ("settings", "how"),
    [
        (EVERYWHERE, "rowbox token --user USER --data-dir ./rowbox-data"),
        (Settings(server=ServerSettings(host="127.0.0.1,::", data_dir="/my data")), "--data-dir '/my data'"),
        (KEYS_OF_OTHERS, "those of the issuer of keys.json"),
    ],
    ids=["any_address", "one_of_them_is_any", "keys_of_others"],
)
def test_where_there_are_none_it_says_how_to_come_by_one(settings: Settings, how: str) -> None:
    first, second = printed(settings)
    assert first.startswith("Rowbox is ready: ")
    assert second.startswith("Tokens: ")
    assert how in second


def test_each_address_is_named() -> None:
    server = ServerSettings(host="127.0.0.1, ::1,127.0.0.1", admin_host="::")
    assert printed(Settings(server=server))[0] == (
        "Rowbox is ready: http://127.0.0.1:8080 and http://[::1]:8080"
        " (the API in words: http://127.0.0.1:8080/docs; health and metrics: http://[::]:9090)"
    )


@pytest.mark.parametrize("is_terminal", [True, False])
def test_as_json_it_is_one_line(*, is_terminal: bool) -> None:
    (line,) = as_json(ready_of(Settings(), SECRET, 8080, 9090, 0, is_terminal=is_terminal), now=0)
    said = json.loads(line)
    assert (said["time"], said["level"]) == ("1970-01-01T00:00:00.000Z", "info")
    assert said["message"].startswith("Rowbox is ready: http://127.0.0.1:8080 ")
    assert (said["urls"], said["adminUrls"]) == (["http://127.0.0.1:8080"], ["http://127.0.0.1:9090"])
    assert sorted(said.get("tokens", {})) == (["alice", "bob"] if is_terminal else [])

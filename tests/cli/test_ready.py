"""What `rowbox serve` prints when it is ready, and where it prints no tokens."""

import pytest

from rowbox.cli.ready import ready_lines
from rowbox.mailbox.config import AuthSettings, ServerSettings, Settings

SECRET = b"a secret of at least 32 bytes, for tests"
HEADER = "eyJ"
"""How a token begins."""


def printed(settings: Settings) -> list[str]:
    return list(ready_lines(settings, SECRET, 8080, 9090, now=0))


def test_links_carry_the_tokens_behind_the_hash_where_no_server_sees_them() -> None:
    lines = printed(Settings(server=ServerSettings(insecure_dev=True)))
    assert [line for line in lines if line.startswith("Chat as ")] == [
        "Chat as both: http://127.0.0.1:8080/#token=insecure:alice&token=insecure:bob",
        "Chat as alice: http://127.0.0.1:8080/#token=insecure:alice",
        "Chat as bob: http://127.0.0.1:8080/#token=insecure:bob",
    ]


def test_on_a_loopback_address_there_are_tokens() -> None:
    assert HEADER in "".join(printed(Settings()))


@pytest.mark.parametrize(
    "settings",
    [Settings(server=ServerSettings(host="0.0.0.0")), Settings(auth=AuthSettings(jwks="keys.json"))],
    ids=["any_address", "keys_of_others"],
)
def test_elsewhere_there_are_none(settings: Settings) -> None:
    first, second = printed(settings)
    assert first.startswith("Rowbox is ready: ")
    assert second.startswith("Tokens: rowbox token --user USER")

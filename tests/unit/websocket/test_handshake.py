"""The handshake: the example of RFC 6455, and what is none."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from rowbox.api.websocket.handshake import accept_of, offers, switch
from rowbox.mailbox.errors import BadRequest

EXAMPLE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "chat, superchat",
}


def headers(**changed: str) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(EXAMPLE | {name.replace("_", "-"): value for name, value in changed.items()}))


def test_the_answer_of_the_standard() -> None:
    """Section 1.3 has this key, and what answers it."""
    accept = accept_of(headers())
    assert accept == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    head = switch(accept, "chat")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert set(head.decode().split("\r\n")[1:]) >= {
        "Upgrade: websocket",
        "Connection: upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "Sec-WebSocket-Protocol: chat",
    }


def test_names_are_words_of_lists_in_any_case() -> None:
    """As Firefox and proxies write them."""
    found = accept_of(headers(Connection="keep-alive, UPGRADE", Upgrade="h2c, WebSocket"))
    assert found == accept_of(headers())


@pytest.mark.parametrize(
    "changed",
    [
        {"Upgrade": "h2c"},
        {"Connection": "keep-alive"},
        {"Connection": "not-upgrade"},
        {"Sec_WebSocket_Version": "8"},
        {"Sec_WebSocket_Version": "130"},
        {"Sec_WebSocket_Key": "c2hvcnQ="},
        {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="[:-1]},
        {"Sec_WebSocket_Key": "\u00e9" * 24},
        {"Sec_WebSocket_Key": "dGhlIHNhb\tXBsZSBub25jZQ=="},
    ],
)
def test_what_is_no_handshake(changed: dict[str, str]) -> None:
    with pytest.raises(BadRequest, match="no handshake"):
        accept_of(headers(**changed))


@pytest.mark.parametrize("left_out", ["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"])
def test_each_header_is_needed(left_out: str) -> None:
    some = CIMultiDict(EXAMPLE)
    del some[left_out]
    with pytest.raises(BadRequest):
        accept_of(CIMultiDictProxy(some))


def test_the_subprotocol_is_one_of_those_that_are_offered() -> None:
    assert offers(headers(), "superchat")
    assert not offers(headers(), "super")
    assert not offers(headers(), "Chat")
    twice = CIMultiDict(EXAMPLE)
    twice.add("Sec-WebSocket-Protocol", "rowbox.v1")
    assert offers(CIMultiDictProxy(twice), "rowbox.v1")

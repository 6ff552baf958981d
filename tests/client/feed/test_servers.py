"""To which servers a client says its token: servers.json, which both clients are told."""

import json
from pathlib import Path
from typing import Any

import pytest

from rowbox.client.calls.servers import Servers

TABLE: dict[str, Any] = json.loads(Path(__file__).with_name("servers.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", TABLE["allows"], ids=lambda case: f"{case['own']} {case['trusted']}")
def test_what_is_allowed(case: dict[str, Any]) -> None:
    servers = Servers(case["own"], case["trusted"])
    assert servers.has_others == bool(case["trusted"])
    assert [url for url in case["yes"] if not servers.allows(url)] == []
    assert [url for url in case["no"] if servers.allows(url)] == []


@pytest.mark.parametrize("text", TABLE["no_origins"])
def test_what_is_no_origin(text: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        Servers("https://chat.example.com", [text])


def test_one_text_is_no_list() -> None:
    with pytest.raises(TypeError):
        Servers("https://chat.example.com", "https://chat-1.example.com")
    with pytest.raises(TypeError):
        Servers("https://chat.example.com", [443])  # type: ignore[list-item]  # what a program may pass

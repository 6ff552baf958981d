"""The how-tos name defaults in their sentences: each is the code's; and so do numbers that are no settings."""

from pathlib import Path
from typing import Final

import pytest

from rowbox.api.edge.server import KEEP_ALIVE_S
from rowbox.api.v1.handlers import POLL_MARGIN_S
from rowbox.api.v1.request_types import MAX_CONTENT_BYTES
from rowbox.cacheserver.cache.waiters import DRAIN_SPREAD_MS
from rowbox.mailbox.pages.conversation_pages import MAX_DELTA
from rowbox.mailbox.pages.cursor import ResetReason
from rowbox.mailbox.pages.page_cut import PAGE_BYTES
from rowbox.mailbox.settings.config import SETTINGS

DOCS: Final = Path(__file__).parents[3] / "docs"
FOLDER: Final = DOCS / "how-to"
WEEK_MS: Final = 7 * 24 * 60 * 60 * 1000


def default(key: str) -> float:
    value = SETTINGS[key].default
    assert isinstance(value, int | float)
    return value


def test_each_reason_of_a_reset_is_explained_to_who_writes_a_client() -> None:
    lines = (FOLDER / "write-a-client.md").read_text().splitlines()
    explained = [line.split("`")[1] for line in lines if line.startswith("| `") and "resetReason" not in line]
    assert sorted(explained) == sorted(ResetReason)


@pytest.mark.parametrize(
    ("page", "sentence", "values"),
    [
        ("write-a-client.md", "A user has eight polls at once (`poll.max_per_user`)", {"poll.max_per_user": 8}),
        (
            "write-a-client.md",
            "By default 60 sends at once and 5 more a second, 120 fetches and 20, 10 searches and 1.",
            {
                "rate_limits.send_burst": 60,
                "rate_limits.send_per_second": 5,
                "rate_limits.fetch_burst": 120,
                "rate_limits.fetch_per_second": 20,
                "rate_limits.search_burst": 10,
                "rate_limits.search_per_second": 1,
            },
        ),
        ("tls.md", "held for up to 55 seconds (`poll.max_wait_ms`)", {"poll.max_wait_ms": 55_000}),
        ("upgrade.md", "at most `server.drain_ms` (10 s)", {"server.drain_ms": 10_000}),
        ("sizing.md", "`server.bodies_bytes` + `server.held_bytes` | at most 192 MiB", {}),
        ("login.md", "after `auth.jwks_max_age_ms` (10 minutes)", {"auth.jwks_max_age_ms": 600_000}),
        ("hbase.md", "`lease.ttl_ms` + `lease.margin_ms` (4.5 s)", {"lease.ttl_ms": 4_000, "lease.margin_ms": 500}),
    ],
)
def test_a_sentence_names_the_default(page: str, sentence: str, values: dict[str, int]) -> None:
    assert sentence in " ".join((FOLDER / page).read_text().split())
    assert {key: default(key) for key in values} == values


@pytest.mark.parametrize(
    ("sentence", "holds"),
    [
        ("`X-Poll-Client-Timeout` says** (`wait` and 15 s)", POLL_MARGIN_S == 15),
        ("more than 200 conversations changed", MAX_DELTA == 200),
        ("away for longer than `store.token_life_ms` (a week)", default("store.token_life_ms") == WEEK_MS),
        ("until one has come, take a week", default("store.dedupe_life_ms") == WEEK_MS),
        ("A page holds at most 1 MiB", PAGE_BYTES == 1 << 20),
        ("`retryAfterMs` spread over three seconds", DRAIN_SPREAD_MS == 3_000),
        ("idle for 75 s is closed by the server", KEEP_ALIVE_S == 75),
        ("1 to 65,535 bytes in UTF-8", MAX_CONTENT_BYTES == 65_535),
    ],
)
def test_a_number_that_a_client_is_told_is_the_servers(sentence: str, holds: bool) -> None:
    assert sentence in " ".join((FOLDER / "write-a-client.md").read_text().split())
    assert holds


def test_the_memory_that_sizing_adds_up() -> None:
    data = sum(map(default, ("cache.bytes", "store.block_cache_bytes", "store.memtable_bytes")))
    requests = 2 * (default("server.bodies_bytes") + default("server.held_bytes"))
    assert (data, requests) == (256 << 20, 192 << 20)


def test_what_sizing_says_of_the_cpu_and_of_memory_was_measured() -> None:
    """After another `make bench` the page has to be looked at again."""
    measured, said = (" ".join(page.read_text().split()) for page in (DOCS / "benchmarks.md", FOLDER / "sizing.md"))
    rows = {
        "durable send | rowbox | 4,105 |": "| durable send | 4,105 |",
        "newest page of 20 | rowbox | 8,155 |": "| newest page of 20 messages | 8,155 |",
        "empty delta | rowbox | 13,351 |": "| empty delta | 13,351 |",
        "delta of 1 message | rowbox | 6,631 |": "| delta of 1 message | 6,631 |",
        "| 10,000 | 2.70 |": "10,000 took 2.7 seconds",
        "in the cache were 41,733 of them": "41,733 small mailboxes",
        "RSS at most 469 MB": "469 MB at most",
    }
    assert {row: sentence for row, sentence in rows.items() if row not in measured or sentence not in said} == {}

"""The invariant checker at the end of a stateful test: the one that `rowbox check` offers."""

from rowbox.cacheserver.check.checker import SLACK_US, Checker
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.mailbox.check.findings import Finding
from rowbox.mailbox.settings.config import Settings


async def findings_of(
    store: StoreReader, settings: Settings, now_us: int, *, slack_us: int = SLACK_US
) -> list[Finding]:
    """Every finding. Nobody writes meanwhile; `now_us` is the time by which the store's cells expire."""
    checker = Checker(store, settings.store, lambda: now_us, slack_us=slack_us, is_live=False)
    return [item async for item in checker.run() if isinstance(item, Finding)]


async def assert_no_findings(store: StoreReader, settings: Settings, now_us: int, *, slack_us: int = SLACK_US) -> None:
    """Fails with the findings, one a line.

    What is older than its life less `slack_us` may be missing: give a smaller one where a test's lives are short.
    """
    found = await findings_of(store, settings, now_us, slack_us=slack_us)
    assert not found, "\n" + "\n".join(f"{code} of {user_id}: {text}" for code, user_id, text in found)

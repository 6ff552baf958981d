"""Has small rows read in parts, as only very large ones are."""

import pytest

from rowbox.cacheserver.rows import loader, sent_ids


def in_small_parts(patch: pytest.MonkeyPatch) -> None:
    """Has every row of more than one column read in parts of three columns each (outboxes: two)."""
    patch.setattr(loader, "WHOLE_COLUMNS", 1)
    patch.setattr(loader, "OUTBOX_COLUMNS", 2)
    for module in (loader, sent_ids):
        patch.setattr(module, "PART_COLUMNS", 3)

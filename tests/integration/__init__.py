"""Real processes and a real HBase, killed and paused."""

import pytest

for folder in ("support", "people"):  # a verdict that fails says what differs
    pytest.register_assert_rewrite(f"tests.integration.{folder}")

"""Real processes and a real HBase, killed and paused."""

import pytest

pytest.register_assert_rewrite("tests.integration.support")  # a verdict that fails says what differs

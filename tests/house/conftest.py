"""What several tests of this layer look at."""

import pytest

from tests.house.reference.metrics import Families, exposed


@pytest.fixture(scope="session")
def families(tmp_path_factory: pytest.TempPathFactory) -> Families:
    """Every metric, as servers expose it. Starts two of them."""
    return exposed(tmp_path_factory.mktemp("metrics"))

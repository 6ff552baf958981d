import ssl

import pytest

from tests.push.services import tls_of


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server, and of who calls it."""
    return tls_of(tmp_path_factory.mktemp("push-tls"))

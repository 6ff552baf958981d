"""The fixtures `hbase` and `hbase_cluster`. Both start at their first use and end with the session, without a hand."""

import shutil
from collections.abc import Iterator

import pytest

from tests.support.hbase_cluster import STARTS_S, HBase, HBaseCluster, resolve_jars, running_cluster, shared_hbase

_FIXTURES = {"hbase", "hbase_cluster"}


@pytest.fixture(scope="session")
def hbase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HBase]:
    """One HBase for all tests, never restarted: take a prefix of your own, and drop its table if it holds much."""
    with shared_hbase(tmp_path_factory.mktemp("hbase")) as shared:
        yield shared


@pytest.fixture(scope="session")
def _breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HBaseCluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster"), region_servers=2, gateways=2) as cluster:
        yield cluster


@pytest.fixture
def hbase_cluster(_breakable: HBaseCluster) -> HBaseCluster:
    """Two region servers and two gateways, whose processes the test may kill and pause; whole when it begins."""
    _breakable.heal()
    return _breakable


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first one's time holds the start of all these JVMs, which takes a busy machine minutes."""
    for item in items:
        if _FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.timeout(STARTS_S + float(item.config.getini("timeout"))))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Before any test's time runs: on an empty machine Maven needs a minute or more."""
    needed = any(_FIXTURES.intersection(getattr(item, "fixturenames", ())) for item in session.items)
    if needed and not session.config.option.collectonly and shutil.which("mvn"):
        resolve_jars()

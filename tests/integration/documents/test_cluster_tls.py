"""docs/how-to/cluster.md, "TLS among the servers": its certificates are made, and servers take them."""

import subprocess
import time
import tomllib
from pathlib import Path
from typing import Final

import msgspec
import pytest

from rowbox.cli.serving.cluster.peers import cluster_tls
from rowbox.cli.verbs.cluster.doctor import examine_certificate
from rowbox.hbase_schema.doctor.diagnosis import State
from rowbox.mailbox.settings.config import ClusterSettings
from tests.conftest import require
from tests.integration.documents.fenced import block

pytestmark = [pytest.mark.integration, pytest.mark.tools("openssl")]

PAGE: Final = Path(__file__).parents[3] / "docs" / "how-to" / "cluster.md"
FOLDER: Final = "/etc/rowbox/tls"


def typed(folder: Path, name: str) -> None:
    """Types one of the page's blocks into a shell."""
    require("openssl")
    done = subprocess.run(["sh", "-euc", block(PAGE, name)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def settings(folder: Path) -> ClusterSettings:
    """The page's."""
    text = block(PAGE, "tls.toml")
    assert text.count(FOLDER) == 3
    return msgspec.convert(tomllib.loads(text.replace(FOLDER, str(folder)))["cluster"], ClusterSettings)


def test_certificates_that_were_made_as_the_page_says_are_taken_by_other_servers(tmp_path: Path) -> None:
    typed(tmp_path, "authority.sh")
    typed(tmp_path, "certificate.sh")
    assert (tmp_path / "cache-1.key").stat().st_mode & 0o077 == 0, "openssl closes keys to others"
    cluster = settings(tmp_path)
    tls = cluster_tls(cluster)
    assert tls is not None
    found = examine_certificate(tls, cluster, time.time())
    assert (found.state, "ends in 36" in found.finding) == (State.OK, True), found.finding
    typed(tmp_path, "authority.sh")  # another authority of the same name
    other = cluster_tls(cluster)
    assert other is not None
    assert examine_certificate(other, cluster, time.time()).state is State.WRONG

import mailbox as standard_mailbox  # noqa: TID251 -- that it is still there is what is tested
import sysconfig
from pathlib import Path

import pytest

import rowbox.mailbox
from tests.house.layering import MAY_IMPORT, breaches

ROOT = Path(__file__).parents[2]


def test_no_module_imports_what_its_folder_may_not_know() -> None:
    modules = [path for folder in MAY_IMPORT for path in (ROOT / folder).rglob("*.py")]
    assert len(modules) > len(MAY_IMPORT)
    found = [line for path in modules for line in breaches(path.relative_to(ROOT).as_posix(), path.read_text())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("mailbox/x.py", "import rowbox.cacheserver.port"),
        ("mailbox/x.py", "from rowbox.hbase_schema import codec"),
        ("mailbox/x.py", "from rowbox import api"),
        ("mailbox/x.py", "from ..cacheserver import port"),
        ("mailbox/x.py", "import time"),
        ("mailbox/x.py", "import os.path"),
        ("mailbox/x.py", "from asyncio import Lock"),
        ("mailbox/x.py", "def f():\n    import socket"),
        ("mailbox/x.py", "import aiohttp"),
        ("mailbox/x.py", "from datetime import datetime\ndatetime.now()"),
        ("mailbox/x.py", "import datetime\ndatetime.datetime.now(datetime.UTC)"),
        ("mailbox/x.py", "open('x')"),
        ("hbase_schema/x.py", "from rowbox.cacheserver.store import Store"),
        ("cacheserver/x.py", "from rowbox.api import app"),
        ("cacheserver/x.py", "if TYPE_CHECKING:\n    from rowbox.cli import serve"),
        ("cacheserver/x.py", "import rocksdict"),
        ("cacheserver/stores/memory.py", "from rocksdict import Rdict"),
        ("cacheserver/x.py", "import happybase"),
        ("api/x.py", "from rowbox.cacheserver import owner"),
        ("api/x.py", "from rowbox.cacheserver import portal"),
        ("api/x.py", "import rowbox.cacheserver"),
        ("api/x.py", "from rowbox.hbase_schema.codec import key"),
        ("api/x.py", "import jwt"),
        ("api/x.py", "from prometheus_client import Counter"),
        ("api/x.py", "import click"),
        ("client/x.py", "from rowbox.api.responses import Message"),
        ("client/x.py", "import rowbox.mailbox.ids"),
        ("client/x.py", "import orjson"),
        ("cli/x.py", "from rowbox.client import Client"),
        ("api/x.py", "import rowbox.client"),
    ],
)
def test_a_breach_is_found(path: str, source: str) -> None:
    assert len(breaches(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("mailbox/x.py", "from rowbox.mailbox.errors import RowboxError"),
        ("mailbox/x.py", "from .errors import RowboxError"),
        ("mailbox/x.py", "import hashlib\nimport msgspec\nfrom datetime import datetime\ndatetime.fromisoformat('x')"),
        ("hbase_schema/x.py", "import rowbox.mailbox.ids"),
        ("cacheserver/x.py", "import asyncio, time\nfrom rowbox.hbase_schema import codec"),
        ("cacheserver/stores/rocksdb_purge.py", "import rocksdict"),
        ("cacheserver/stores/hbase.py", "import happybase"),
        ("api/x.py", "from rowbox import __version__\nfrom rowbox.cacheserver import port"),
        ("api/x.py", "from rowbox.cacheserver.port import Port"),
        ("api/auth_keys.py", "import jwt"),
        ("api/metrics.py", "import prometheus_client.core"),
        ("client/x.py", "import asyncio, aiohttp\nfrom msgspec import Struct\nfrom rowbox import __version__"),
        ("client/x.py", "from rowbox.client.errors import CallFailed"),
        (
            "cli/x.py",
            "import click, rich.progress\nfrom rowbox.cacheserver.stores import memory\nimport rowbox.api.app",
        ),
    ],
)
def test_what_is_allowed_is_no_breach(path: str, source: str) -> None:
    assert not breaches(path, source)


def test_the_import_root_is_ours_and_the_standard_mailbox_is_untouched() -> None:
    ours = Path(rowbox.mailbox.__file__).resolve()
    assert ours == ROOT / "mailbox" / "__init__.py"
    assert Path(standard_mailbox.__file__) == Path(sysconfig.get_path("stdlib")) / "mailbox.py"

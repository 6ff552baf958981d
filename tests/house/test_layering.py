import mailbox as standard_mailbox  # noqa: TID251 -- that it is still there is what is tested
import re
import sysconfig
from collections import Counter
from pathlib import Path

import pytest

import rowbox.mailbox
from tests.house import layering
from tests.house.documents.test_links import listed
from tests.house.layering import BELOW, MOST_MODULES, breaches, folders, room_of, rooms_below

ROOT = Path(__file__).parents[2]


def modules(suffix: str = ".py") -> list[str]:
    """All modules of the product, by their paths from the root."""
    found = [path.relative_to(ROOT).as_posix() for folder in folders() for path in (ROOT / folder).rglob(f"*{suffix}")]
    assert len(found) > len(folders())
    return found


def test_no_module_imports_what_its_room_may_not_know() -> None:
    found = [line for path in modules() for line in breaches(path, (ROOT / path).read_text())]
    assert not found, "\n".join(found)


def test_every_module_is_in_a_room_and_every_room_holds_one() -> None:
    room_and_init = {room_of(path) for path in modules() if not path.endswith("__init__.py")}
    # api/ holds one module of its own, which is a room: what composes all others.
    assert room_and_init == set(BELOW)


def test_every_folder_with_python_holds_rooms_or_is_not_shipped() -> None:
    holding = {name.partition("/")[0] for name in listed("*.py")} - {"src"}
    assert holding == folders() | (layering.NOT_SHIPPED - {"src"})
    assert {path.name for path in (ROOT / "src" / "rowbox").iterdir() if path.is_symlink()} == folders()


def test_no_room_is_above_one_that_is_above_it() -> None:
    for room in BELOW:
        assert room not in rooms_below(room)


def test_no_folder_has_so_many_modules_that_nobody_takes_them_in() -> None:
    paths = [Path(name) for name in listed("*.py", "*.js", "*.mjs", "*.ts")]
    assert len(paths) > 700
    of_folder = Counter(path.parent for path in paths if path.name != "__init__.py")
    assert {str(folder): number for folder, number in of_folder.items() if number > MOST_MODULES} == {}


def test_the_architecture_page_shows_the_rooms_as_they_are() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    shown = re.findall(r"^\| `([\w/.]+)` \| .+ \|(.*)\|$", page, re.MULTILINE)
    rows = [(room, re.findall(r"`(.+?)`", below)) for room, below in shown]
    assert rows == [(room, list(below)) for room, below in BELOW.items()]


def test_the_ways_on_the_architecture_page_lead_through_modules_that_are_there() -> None:
    """`api/http/acceptor, connection` names two modules; below cacheserver/ its name is left out."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    steps = re.findall(r"^ +(?:(?:->|or) )?((?:\w+/)+\w+(?:, [\w/]+)*)(?= )", page, re.MULTILINE)
    steps += re.findall(r"^ +.*\w -> ((?:\w+/)+\w+)(?= )", page, re.MULTILINE)  # the second of two on a line
    assert len(steps) > 40
    lost = [step for step in steps for name in step.split(", ") if not _is_there(step, name)]
    assert lost == []


def _is_there(step: str, name: str) -> bool:
    folder = "" if "/" in name else step.rpartition(",")[0].partition(",")[0].rpartition("/")[0] + "/"
    paths = [f"{above}{folder}{name}" for above in ("", "cacheserver/")]
    return any((ROOT / path).is_dir() or (ROOT / f"{path}.py").is_file() for path in paths)


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
        ("mailbox/x.py", "from rowbox.mailbox.aggregate.plan import Plan"),
        ("mailbox/clocks/x.py", "from rowbox.mailbox.ids import UserId"),
        ("mailbox/clocks/x.py", "from ..ids import UserId"),
        ("mailbox/aggregate/x.py", "from rowbox.mailbox.pages import cursor"),
        ("mailbox/settings/x.py", "from rowbox.mailbox import errors"),
        ("mailbox/check/x.py", "from rowbox.mailbox.aggregate.mailbox import Mailbox"),
        ("hbase_schema/x.py", "from rowbox.cacheserver.stores.port import Store"),
        ("hbase_schema/x.py", "from rowbox.hbase_schema.thrift import thrift1"),
        ("hbase_schema/thrift/x.py", "from rowbox.hbase_schema.migrate.table_admin import TableAdmin"),
        ("cacheserver/x.py", "from rowbox.api import app"),
        ("cacheserver/x.py", "if TYPE_CHECKING:\n    from rowbox.cli import serve"),
        ("cacheserver/x.py", "from rowbox.cacheserver.stores.port import Store"),
        ("cacheserver/x.py", "from rowbox.cacheserver.node.lease import Lease"),
        ("cacheserver/x.py", "import rocksdict"),
        ("cacheserver/port.py", "from rowbox.cacheserver.ownership import Ownership"),
        ("cacheserver/stores/x.py", "from rowbox.cacheserver.stores.memory.store import MemoryStore"),
        ("cacheserver/stores/memory/store.py", "from rocksdict import Rdict"),
        ("cacheserver/stores/memory/x.py", "from rowbox.cacheserver.stores.rocksdb import errors"),
        ("cacheserver/stores/hbase/x.py", "from ..files import disk"),
        ("cacheserver/stores/hbase/pool.py", "import happybase"),
        ("cacheserver/stores/hbase/pool.py", "from thriftpy2.transport import TSocket"),
        ("hbase_schema/thrift/thrift1.py", "from happybase.batch import Mutation"),
        ("hbase_schema/thrift/calls.py", "import thriftpy2"),
        ("cacheserver/rows/x.py", "from rowbox.cacheserver.cache.table import Table"),
        ("cacheserver/commit/x.py", "from rowbox.cacheserver.delivery.delivery import Delivery"),
        ("cacheserver/commit/x.py", "from rowbox.cacheserver.fetch import fetches"),
        ("cacheserver/delivery/x.py", "from rowbox.cacheserver.commit.pipeline import Pipeline"),
        ("cacheserver/fetch/x.py", "from rowbox.cacheserver.owner.owner import Owner"),
        ("cacheserver/owner/x.py", "from rowbox.cacheserver.node.node import Node"),
        ("cacheserver/shardmap/x.py", "from rowbox.cacheserver.owner.owner import Owner"),
        ("cacheserver/x.py", "import happybase"),
        ("api/auth/x.py", "from rowbox.api.http.problems import NotFound"),
        ("api/http/x.py", "from rowbox.api.v1 import handlers"),
        ("api/http/x.py", "from rowbox.api.edge.endpoint import Edge"),
        ("api/v1/x.py", "from rowbox.api.edge import router"),
        ("api/v1/x.py", "from rowbox.cacheserver.owner import owner"),
        ("api/v1/x.py", "from rowbox.cacheserver import portal"),
        ("api/v1/x.py", "import rowbox.cacheserver"),
        ("api/v1/x.py", "from rowbox.hbase_schema.codec import key"),
        ("api/v1/x.py", "import jwt"),
        ("api/web/x.py", "from rowbox.api import app"),
        ("api/app.py", "from prometheus_client import Counter"),
        ("api/app.py", "import click"),
        ("client/x.py", "from rowbox.api.v1.responses import Message"),
        ("client/x.py", "import rowbox.mailbox.ids"),
        ("client/x.py", "import orjson"),
        ("cli/x.py", "from rowbox.cli.verbs import serve"),
        ("cli/x.py", "from rowbox.client import Client"),
        ("cli/serving/x.py", "from rowbox.cli.verbs.token import command"),
        ("api/app.py", "import rowbox.client"),
        ("api/v1/x.py", "import rowbox.tests.house"),
        ("cacheserver/rows/x.py", "import rowbox.cacheserver as ours\nours.owner.Owner"),
        ("cacheserver/rows/x.py", "import rowbox\nrowbox.cacheserver.owner.owner.Owner()"),
        ("cacheserver/rows/x.py", "import rowbox.hbase_schema.codec\ndef f(x: rowbox.cacheserver.fetch): ..."),
        ("cacheserver/rows/x.py", "from rowbox import cacheserver, hbase_schema\ncacheserver.owner.owner.Owner"),
        ("cacheserver/rows/x.py", "from rowbox import cacheserver\nfrom rowbox import hbase_schema\ncacheserver.fetch"),
        ("api/http/x.py", "import rowbox.cacheserver.port\nrowbox.api.app.make()"),
        ("client/x.py", "import rowbox as server\nserver.mailbox"),
        ("cacheserver/rows/x.py", "import importlib"),
        ("cacheserver/rows/x.py", "from importlib import import_module"),
        ("cacheserver/rows/x.py", "import pkgutil"),
        ("cacheserver/rows/x.py", "import runpy"),
        ("cacheserver/rows/x.py", "__import__('rowbox.cacheserver.owner')"),
        ("cacheserver/rows/x.py", "exec('import rowbox.cacheserver.owner')"),
        ("cacheserver/rows/x.py", "load = eval"),
        ("cacheserver/rows/x.py", "from tests.house import layering"),
        ("cacheserver/rows/x.py", "import bench.rounds"),
        ("mailbox/x.py", "read = open"),
        ("mailbox/x.py", "breakpoint()"),
        ("mailbox/x.py", "import datetime\nnow = datetime.datetime.now"),
        ("mailbox/x.py", "import codecs"),
        ("mailbox/x.py", "import _socket"),
        ("mailbox/x.py", "import builtins"),
        ("mailbox/x.py", "import sched"),
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
        ("mailbox/x.py", "from .clocks.clock import HybridClock"),
        (
            "mailbox/pages/x.py",
            "from rowbox.mailbox.clocks import clock\nfrom rowbox.mailbox import errors",
        ),
        ("hbase_schema/x.py", "import rowbox.mailbox.ids"),
        ("cacheserver/x.py", "import asyncio, time\nfrom rowbox.cacheserver.port import MailboxPort"),
        ("cacheserver/rows/x.py", "from rowbox.hbase_schema import codec"),
        ("cacheserver/node/x.py", "from rowbox.cacheserver.stores.port import Store"),
        ("cacheserver/stores/rocksdb/purge.py", "import rocksdict"),
        ("hbase_schema/thrift/thrift1_client.py", "import happybase"),
        ("hbase_schema/thrift/connection.py", "import thriftpy2.transport"),
        ("api/v1/x.py", "from rowbox import __version__\nfrom rowbox.cacheserver import port"),
        ("api/http/x.py", "from rowbox.cacheserver.port import Port"),
        ("api/auth/keys.py", "import jwt"),
        ("api/telemetry/metrics.py", "import prometheus_client.core"),
        ("client/x.py", "import asyncio, aiohttp\nfrom msgspec import Struct\nfrom rowbox import __version__"),
        ("client/x.py", "from rowbox.client.calls.errors import CallFailed"),
        ("cli/x.py", "import click, rich.progress\nfrom rowbox.cacheserver.stores import port\nimport rowbox.api.app"),
        ("cli/main.py", "import importlib\nimportlib.import_module('rowbox.cli.verbs.serve')"),
        ("api/v1/x.py", "from importlib.resources import files"),
        ("cacheserver/rows/x.py", "import rowbox.cacheserver.stores as s\ns.port.Store\nself.owner.fetch.mailbox"),
        ("cli/verbs/x.py", "import rowbox.cli.verbs.tokens.issue\nfrom rowbox.cli.options import Options"),
    ],
)
def test_what_is_allowed_is_no_breach(path: str, source: str) -> None:
    assert not breaches(path, source)


def test_a_module_in_a_folder_that_is_no_room_is_found() -> None:
    with pytest.raises(KeyError):
        room_of("cacheserver/attic/x.py")


def test_a_room_above_itself_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layering, "BELOW", {**BELOW, "mailbox/clocks": ("mailbox/pages",)})
    with pytest.raises(ValueError, match="is below itself"):
        rooms_below("mailbox")


def test_the_import_root_is_ours_and_the_standard_mailbox_is_untouched() -> None:
    ours = Path(rowbox.mailbox.__file__).resolve()
    assert ours == ROOT / "mailbox" / "__init__.py"
    assert Path(standard_mailbox.__file__) == Path(sysconfig.get_path("stdlib")) / "mailbox.py"

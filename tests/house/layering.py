"""Which room may import what (docs/architecture.md), and the search for a breach in one module's source.

A room is a folder, or a single module that stands above or below the rest of its folder. Imports are read, not run: a
breach inside a function or under TYPE_CHECKING counts as well, because a type that is named is known.
"""

import ast
import fnmatch
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

BELOW: Mapping[str, Sequence[str]] = {
    "mailbox/clocks": (),
    "mailbox/settings": (),
    "mailbox/timing": (),
    "mailbox/people": (),
    "mailbox/push": (),
    "mailbox/expiry": ("mailbox/clocks",),
    "mailbox": ("mailbox/expiry", "mailbox/people", "mailbox/push"),
    "mailbox/aggregate": ("mailbox",),
    "mailbox/ttls": ("mailbox/aggregate",),
    "mailbox/account": ("mailbox/ttls",),
    "mailbox/groups": ("mailbox/aggregate",),
    "mailbox/pages": ("mailbox/aggregate",),
    "mailbox/search": ("mailbox",),
    "mailbox/check/findings.py": ("mailbox",),
    "mailbox/check/states": ("mailbox/check/findings.py",),
    "mailbox/check": ("mailbox/check/states",),
    "hbase_schema": ("mailbox/aggregate", "mailbox/settings"),
    "hbase_schema/thrift": ("hbase_schema",),
    "hbase_schema/migrate": ("hbase_schema/thrift",),
    "hbase_schema/doctor": ("hbase_schema/migrate",),
    "cacheserver/port.py": (
        "mailbox/account",
        "mailbox/groups",
        "mailbox/pages",
        "mailbox/search",
        "mailbox/settings",
    ),
    "cacheserver/ephemeral/port.py": ("cacheserver/port.py",),
    "cacheserver": ("cacheserver/port.py", "mailbox/timing"),
    "cacheserver/rpc": ("cacheserver",),
    "cacheserver/ephemeral": ("cacheserver", "cacheserver/ephemeral/port.py"),
    "cacheserver/remote": ("cacheserver/ephemeral", "cacheserver/rpc"),
    "cacheserver/stores": ("cacheserver", "hbase_schema"),
    "cacheserver/stores/memory": ("cacheserver/stores",),
    "cacheserver/stores/files": ("cacheserver/stores",),
    "cacheserver/stores/rocksdb": ("cacheserver/stores/files", "hbase_schema/doctor"),
    "cacheserver/stores/hbase": ("cacheserver/stores", "hbase_schema/thrift"),
    "cacheserver/rows": ("cacheserver/stores",),
    "cacheserver/cache": ("cacheserver/rows",),
    "cacheserver/access": ("cacheserver/cache",),
    "cacheserver/commit": ("cacheserver/cache",),
    "cacheserver/fetch": ("cacheserver/access",),
    "cacheserver/search": ("cacheserver/fetch",),
    "cacheserver/delivery": ("cacheserver/cache",),
    "cacheserver/groups": ("cacheserver/access", "cacheserver/delivery"),
    "cacheserver/receipts": ("cacheserver/cache",),
    "cacheserver/people": ("cacheserver/access",),
    "cacheserver/push": ("cacheserver/access",),
    "cacheserver/push/services": ("cacheserver/push",),
    "cacheserver/owner": (
        "cacheserver/commit",
        "cacheserver/groups",
        "cacheserver/people",
        "cacheserver/push",
        "cacheserver/receipts",
        "cacheserver/search",
    ),
    "cacheserver/check": ("cacheserver/rows", "mailbox/check"),
    "cacheserver/shardmap": ("cacheserver/stores",),
    "cacheserver/routing": ("cacheserver/shardmap",),
    "cacheserver/node": ("cacheserver/owner", "cacheserver/shardmap"),
    "api/auth": ("mailbox", "mailbox/settings"),
    "api/http": ("api/auth", "cacheserver/ephemeral/port.py", "mailbox/timing"),
    "api/telemetry": ("api/http",),
    "api/edge": ("api/telemetry",),
    "api/v1/reading": ("api/http",),
    "api/v1/groups": ("api/v1/reading",),
    "api/v1/devices": ("api/v1/reading",),
    "api/v1/users": ("api/v1/reading",),
    "api/v1/conversations": ("api/v1/reading",),
    "api/v1/presence": ("api/v1/reading",),
    "api/v1": ("api/v1/conversations", "api/v1/groups", "api/v1/devices", "api/v1/users", "api/v1/presence"),
    "api/web": ("api/v1",),
    "api/operator": ("api/http",),
    "api/websocket": ("mailbox",),
    "api/realtime/frames.py": ("api/v1",),
    "api/realtime/people": ("api/realtime/frames.py",),
    "api/realtime": ("api/edge", "api/realtime/people", "api/websocket"),
    "api/app.py": ("api/realtime", "api/operator", "api/web"),
    "cli": (
        "api/app.py",
        "cacheserver/check",
        "cacheserver/node",
        "cacheserver/push/services",
        "cacheserver/remote",
        "cacheserver/routing",
        "cacheserver/stores/hbase",
        "cacheserver/stores/rocksdb",
        "hbase_schema/doctor",
    ),
    "cli/serving/cluster": ("cli", "cacheserver/remote", "cacheserver/routing"),
    "cli/serving": ("cli/serving/cluster",),
    "cli/serving/processes": ("cli/serving",),
    "cli/verbs/tokens": ("cli/serving",),
    "cli/verbs/mail": ("cli/verbs/tokens",),
    "cli/verbs/cluster": ("cli/verbs/tokens", "cacheserver/shardmap"),
    "cli/verbs": ("cli/verbs/mail", "cli/verbs/cluster", "cli/serving/processes"),
    "client/calls": (),
    "client/following": ("client/calls",),
    "client": ("client/following",),
}
"""Each room with the rooms right below it. It may import what these may, and nothing else of ours.

The client knows the server by its contract only, and no part of the server knows the client. The API reaches the
mailboxes through one module, the port.
"""

MOST_MODULES = 14
"""In one folder, beside its rooms and its `__init__.py`: more are no longer taken in at one look."""

ONLY_IN: Mapping[str, Sequence[str]] = {
    "rocksdict": ("cacheserver/stores/rocksdb/*.py",),
    "happybase": ("hbase_schema/thrift/thrift1_client.py",),
    "thriftpy2": (
        "hbase_schema/thrift/connection.py",
        "hbase_schema/thrift/deadline_socket.py",
        "hbase_schema/thrift/errors.py",
        "hbase_schema/thrift/sequenced.py",
        "hbase_schema/thrift/thrift1_client.py",
        "hbase_schema/thrift/thrift2.py",
        "hbase_schema/thrift/wire.py",
    ),
    "uhashring": ("cacheserver/shardmap/placement.py",),
    "jwt": ("api/auth/*.py",),
    "regex": ("api/v1/emoji.py",),
    "py_vapid": ("cacheserver/push/services/web_push.py",),
    "pywebpush": ("cacheserver/push/services/web_push.py",),
    "prometheus_client": ("api/telemetry/metrics.py",),
    "click": ("cli/*.py",),
    "redis": (
        "cacheserver/ephemeral/redis_signals.py",
        "cacheserver/ephemeral/redis_store.py",
        "cacheserver/routing/redis_hints.py",
    ),
    "sqlite3": ("cacheserver/search/index_file.py",),
    "rich": ("cli/*.py",),
}
"""Libraries that stay behind one adapter: none of their types or exceptions leaves it, so each can be replaced."""

PURE = frozenset(
    """
    __future__ abc array base64 binascii bisect collections contextvars copy dataclasses datetime difflib enum fractions
    functools hashlib heapq hmac ipaddress itertools json math operator re string struct tomllib types typing
    unicodedata zlib
    """.split()
)
"""Standard modules of the core. Others reach outside the process, or hold what the core gets as an argument: time,
chance, a loop."""

NOT_SHIPPED = frozenset({"bench", "deploy", "examples", "src", "tests"})
"""Top-level folders with Python that no module of a room may import. (ruff forbids a room's bare name: TID251.)"""

DYNAMIC = frozenset({"importlib", "pkgutil", "runpy", "zipimport"})
"""They import what is named by a text, which no search of the source can judge."""
DYNAMIC_CALLS = frozenset({"__import__", "eval", "exec"})
MAY_IMPORT_BY_NAME = frozenset({"cli/main.py"})
"""A verb is imported when it is asked for, so that `rowbox --help` is quick."""

CORE_LIBRARIES = frozenset({"msgspec", "orjson"})
CLIENT_LIBRARIES = frozenset({"aiohttp", "msgspec"})
"""A program that only sends and follows must not need a database."""
OUTSIDE_CALLS = frozenset({"date.today", "datetime.now", "datetime.today", "datetime.utcnow"})
OUTSIDE_NAMES = frozenset({"breakpoint", "input", "open", "print"})
"""Built in, so no import tells of them: the core does not even name them."""


def folders() -> frozenset[str]:
    """The top-level folders that hold rooms."""
    return frozenset(room.partition("/")[0] for room in BELOW)


def rooms_below(room: str) -> frozenset[str]:
    """All rooms that `room` may import beside itself. ValueError where one of them is above it as well."""
    found: set[str] = set()
    ahead = list(BELOW[room])
    while ahead:
        below = ahead.pop()
        if below == room:
            raise ValueError(f"{room} is below itself")
        if below not in found:
            found.add(below)
            ahead += BELOW[below]
    return frozenset(found)


def room_of(path: str) -> str:
    """The room of a module or folder, by its path from the repository's root. KeyError where it is in none.

    A module in a folder that is no room is in none: a folder below a room becomes one by being named above.
    """
    if path in BELOW:
        return path
    folder = path if not path.endswith(".py") else str(PurePosixPath(path).parent)
    if folder not in BELOW:
        raise KeyError(path)
    return folder


def breaches(path: str, source: str) -> list[str]:
    """What the module at `path` (from the repository's root) may not do but does: one line each."""
    tree = ast.parse(source, path)
    folder = PurePosixPath(path).parts[0]
    named = [*_imports(tree, path), *_reached(tree, path)]
    found = [reason for line, name in named if (reason := _import_breach(path, line, name))]
    by_name = [(line, name) for line, name in _names(tree) if name in DYNAMIC_CALLS]
    found += [f"{path}:{line}: names {name}, and what that imports is not seen" for line, name in by_name]
    if folder == "mailbox":
        found += [f"{path}:{line}: names {name}, which reaches outside the core" for line, name in _outside(tree)]
    return found


def _import_breach(path: str, line: int, name: str) -> str | None:
    where = f"{path}:{line}"
    root, _, rest = name.partition(".")
    if root == "rowbox":
        target = _imported_room(rest)
        room = room_of(path)
        is_root = rest in {"", "__version__"}
        allowed = is_root or target == room or (target is not None and target in rooms_below(room))
        return None if allowed else f"{where}: imports {name}, which is not below {room}"
    if root in NOT_SHIPPED:
        return f"{where}: imports {name}, which is not shipped"
    if root in DYNAMIC and not name.startswith("importlib.resources.") and path not in MAY_IMPORT_BY_NAME:
        return f"{where}: imports {root}, and what that imports is not seen"
    if root in ONLY_IN and not any(fnmatch.fnmatch(path, pattern) for pattern in ONLY_IN[root]):
        return f"{where}: imports {root}, which belongs into {' or '.join(ONLY_IN[root])}"
    folder = PurePosixPath(path).parts[0]
    if folder == "mailbox" and not _is_pure(root):
        return f"{where}: imports {root} into the core"
    if folder == "client" and root not in sys.stdlib_module_names | CLIENT_LIBRARIES:
        return f"{where}: imports {root} into the client"
    return None


def _imported_room(name: str) -> str | None:
    """The room of what is imported as rowbox.`name`: the deepest that its beginning names. None: it is in no room."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        path = "/".join(parts[:end])
        for room in (f"{path}.py", path):
            if room in BELOW:
                return room
    return None


def _is_pure(root: str) -> bool:
    return root in CORE_LIBRARIES | PURE


def _imports(tree: ast.AST, path: str) -> Iterator[tuple[int, str]]:
    """Each imported module with its line. `from a import b` is a.b: a module or a name in one, judged alike."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{_source(node, path)}.{alias.name}") for alias in node.names)


def _source(node: ast.ImportFrom, path: str) -> str:
    if not node.level:
        return node.module or ""
    package = ("rowbox", *PurePosixPath(path).parts)[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def _reached(tree: ast.AST, path: str) -> Iterator[tuple[int, str]]:
    """What is reached through a package that was imported: `import rowbox.mailbox as m; m.pages.cursor`."""
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                bound[alias.asname or name] = name
        elif isinstance(node, ast.ImportFrom):
            bound |= {alias.asname or alias.name: f"{_source(node, path)}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            whole = f"{bound.get(first)}.{rest}"
            if whole.startswith("rowbox.") and _is_room(whole.removeprefix("rowbox.")):
                yield node.lineno, whole


def _is_room(name: str) -> bool:
    path = name.replace(".", "/")
    return path in BELOW or f"{path}.py" in BELOW


def _names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Each name that is read, called or not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.lineno, node.id


def _outside(tree: ast.AST) -> Iterator[tuple[int, str]]:
    yield from ((line, name) for line, name in _names(tree) if name in OUTSIDE_NAMES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name = ".".join(ast.unparse(node).split(".")[-2:])
            if name in OUTSIDE_CALLS:
                yield node.lineno, name

"""Which folder may import what (design, section 3), and the search for a breach in one module's source.

Imports are read, not run: a breach inside a function or under TYPE_CHECKING counts as well, because a type that is
named is known.
"""

import ast
import fnmatch
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

MAY_IMPORT: Mapping[str, Sequence[str]] = {
    "mailbox": (),
    "hbase_schema": ("mailbox",),
    "cacheserver": ("mailbox", "hbase_schema"),
    "api": ("mailbox", "cacheserver.port"),
    "cli": ("mailbox", "hbase_schema", "cacheserver", "api"),
    "client": (),
}
"""Parts of `rowbox` that each folder may import beside its own.

The client knows the server by its contract only, and no part of the server knows the client.
"""

ONLY_IN: Mapping[str, Sequence[str]] = {
    "rocksdict": ("cacheserver/stores/rocksdb*.py",),
    "happybase": ("cacheserver/stores/hbase*.py", "hbase_schema/thrift*.py"),
    "thriftpy2": ("cacheserver/stores/hbase*.py", "hbase_schema/thrift*.py"),
    "jwt": ("api/auth*.py",),
    "prometheus_client": ("api/metrics*.py",),
    "click": ("cli/*.py",),
    "rich": ("cli/*.py",),
}
"""Libraries that stay behind one adapter: none of their types or exceptions leaves it, so each can be replaced."""

OUTSIDE = frozenset(
    """
    asyncio concurrent ctypes fcntl glob http importlib io logging mmap multiprocessing os pathlib queue random secrets
    select selectors shutil signal socket socketserver sqlite3 ssl subprocess sys tempfile threading time urllib uuid
    """.split()
)
"""Standard modules that reach outside the process, or hold what the core gets as an argument: time, chance, a loop."""

CORE_LIBRARIES = frozenset({"msgspec", "orjson"})
CLIENT_LIBRARIES = frozenset({"aiohttp", "msgspec"})
"""A program that only sends and follows must not need a database."""
OUTSIDE_CALLS = frozenset(
    {"__import__", "date.today", "datetime.now", "datetime.today", "datetime.utcnow", "exec", "input", "open", "print"}
)


def breaches(path: str, source: str) -> list[str]:
    """What the module at `path` (from the repository's root) may not do but does: one line each."""
    tree = ast.parse(source, path)
    folder = PurePosixPath(path).parts[0]
    found = [reason for line, name in _imports(tree, path) if (reason := _import_breach(folder, path, line, name))]
    if folder == "mailbox":
        found += [f"{path}:{line}: calls {name}, which reaches outside the core" for line, name in _outside_calls(tree)]
    return found


def _import_breach(folder: str, path: str, line: int, name: str) -> str | None:
    where = f"{path}:{line}"
    root, _, rest = name.partition(".")
    if root == "rowbox":
        allowed = (folder, *MAY_IMPORT[folder])
        is_part = rest.partition(".")[0] in MAY_IMPORT
        return f"{where}: imports {name}" if is_part and not any(_is_within(rest, part) for part in allowed) else None
    if root in ONLY_IN and not any(fnmatch.fnmatch(path, pattern) for pattern in ONLY_IN[root]):
        return f"{where}: imports {root}, which belongs into {' or '.join(ONLY_IN[root])}"
    if folder == "mailbox" and not _is_pure(root):
        return f"{where}: imports {root} into the core"
    if folder == "client" and root not in sys.stdlib_module_names | CLIENT_LIBRARIES:
        return f"{where}: imports {root} into the client"
    return None


def _is_within(name: str, part: str) -> bool:
    return name == part or name.startswith(part + ".")


def _is_pure(root: str) -> bool:
    return root in CORE_LIBRARIES or (root in sys.stdlib_module_names and root not in OUTSIDE)


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


def _outside_calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ".".join(ast.unparse(node.func).split(".")[-2:])
            if name in OUTSIDE_CALLS:
                yield node.lineno, name

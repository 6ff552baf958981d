"""Joins many JavaScript modules into one, so that a page needs few requests. No compiler and no tool is needed: each
module becomes a function, in the order of imports, and its text stays as it stands in its file, comments included.

Only the imports and exports that the page's modules use are understood: named imports at the beginning of a line;
`export` before a class, a function or one constant; and one list of exports at the end of a vendored module. Anything
else raises UnknownSyntax. Modules must not import each other in a circle, nor change what they export, because an
importer gets the value and not a live binding.
"""

import posixpath
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

_IMPORT: Final = re.compile(r'^import\s*\{([^}]*)\}\s*from\s*"([^"]+)";[ ]*\n?', re.MULTILINE)
_DECLARED: Final = re.compile(r"^export (?=(?:class|const|function\*?|async function\*?) ([\w$]+))", re.MULTILINE)
_LISTED: Final = re.compile(r"(?<![\w$.])export\s*\{([^}]*)\};?\s*\Z")
_LEFT: Final = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


class UnknownSyntax(ValueError):
    """A module imports or exports in a way that `joined` does not understand."""


class _Module(NamedTuple):
    body: str
    imports: list[tuple[str, dict[str, str]]]
    """Each imported module's path, with a map from the name that it exports to the name used here."""
    exports: dict[str, str]
    """From the exported name to the name inside the module."""


def joined(entry: str, sources: Mapping[str, str]) -> str:
    """The text of one module that does what `entry` does, and exports what that exports. `sources` has the text of each
    module by its path, `entry`'s too.

    Imports of modules that are not in `sources` stay imports, by the path that `entry` would use. Modules that nobody
    imports are left out. UnknownSyntax; ValueError for modules that import each other in a circle.
    """
    modules = {path: _parsed(path, text) for path, text in sources.items()}
    outside: dict[str, str] = {}
    parts: list[str] = []
    done: set[str] = set()

    def add(path: str, above: tuple[str, ...]) -> None:
        if path in above:
            raise ValueError(f"modules import each other: {' -> '.join([*above, path])}")
        if path in done:
            return
        taken: list[str] = []
        for target, names in modules[path].imports:
            if target in modules:
                add(target, (*above, path))
            else:
                outside.setdefault(_name(target), posixpath.relpath(target, posixpath.dirname(entry) or "."))
            taken.append(f"const {{ {_pairs(names)} }} = {_name(target)};\n")
        done.add(path)
        parts.append(_as_function(path, modules[path], taken))

    add(entry, ())
    imports = [f'import * as {name} from "{path}";\n' for name, path in outside.items()]
    exported = modules[entry].exports
    exports = [f"\nexport const {{ {', '.join(exported)} }} = {_name(entry)};\n"] if exported else []
    return "".join([*imports, *parts, *exports])


def _parsed(path: str, text: str) -> _Module:
    imports = [
        (posixpath.normpath(posixpath.join(posixpath.dirname(path), target)), _renamed(names))
        for names, target in _IMPORT.findall(text)
    ]
    body = _IMPORT.sub("", text)
    exports = {name: name for name in _DECLARED.findall(body)}
    body = _DECLARED.sub("", body)
    if listed := _LISTED.search(body):
        exports |= {outer: inner for inner, outer in _renamed(listed[1]).items()}
        body = body[: listed.start()]
    if left := _LEFT.search(body):
        raise UnknownSyntax(f"{path}: {left[0][:80]}")
    return _Module(body.strip("\n"), imports, exports)


def _renamed(names: str) -> dict[str, str]:
    """`a, b as c` as {a: a, b: c}."""
    pairs = [re.split(r"\s+as\s+", name.strip()) for name in names.split(",") if name.strip()]
    return {pair[0]: pair[-1] for pair in pairs}


def _pairs(names: Mapping[str, str]) -> str:
    return ", ".join(name if name == other else f"{name}: {other}" for name, other in names.items())


def _name(path: str) -> str:
    return "$" + re.sub(r"\W", "_", path.removesuffix(".js").removeprefix("../"))


def _as_function(path: str, module: _Module, taken: list[str]) -> str:
    body = (
        f"{''.join(taken)}{module.body}\nreturn {{ {_pairs(module.exports)} }};\n"
        if module.exports
        else (f"{''.join(taken)}{module.body}\n")
    )
    return f"\n// ---- {path}\nconst {_name(path)} = (() => {{\n{body}}})();\n"

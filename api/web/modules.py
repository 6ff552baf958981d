"""Many JavaScript modules as one, so that a page is there after few requests. Nothing is compiled, no tool is needed:
each module becomes a function in the order of imports, its text otherwise as it stands in its file, comments included.

What the modules of the page use of the language's imports and exports is all that this knows, and it says so where it
meets more: named imports at the beginning of a line; `export` before a class, a function or one constant; and the one
list of exports at the end of what others made. Modules must not import each other in a circle, nor change what they
export: an importer gets the value, and not a live binding.
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
    """A module imports or exports in a way that this does not know."""


class _Module(NamedTuple):
    body: str
    imports: list[tuple[str, dict[str, str]]]
    """Of which module: its name there -> the name here."""
    exports: dict[str, str]
    """The name outside -> the name inside."""


def joined(entry: str, sources: Mapping[str, str]) -> str:
    """One module that does what `entry` does. `sources` has the text of each module by its path, `entry` among them.

    What is imported of others stays an import, by the path that `entry` would name it with. A module that is
    imported by nobody is left out. UnknownSyntax; ValueError for modules that import each other in a circle.
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
    return "".join([*imports, *parts])


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

"""command-line.md: every verb with its options, as click knows them."""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator

import click

from rowbox.cli.main import EXIT_CODES, VERBS, main, module_of
from tests.house.reference.page import code, table

_EXTRA = re.compile(r"^(?P<help>.*?)(?:  \[(?P<extra>.*)\])?$", re.DOTALL)
"""What click adds to the help of an option stands in brackets behind two spaces: its default, its range."""


def parts() -> dict[str, str]:
    verbs = list(_verbs())
    overview = [(f"[{code(path)}](#{path.replace(' ', '-')})", _first_sentence(of.command)) for path, of in verbs]
    return {
        "overview": table(("verb", "what it does"), overview),
        "exit codes": table(("exit code", "meaning"), [(code(name), text) for name, text in EXIT_CODES.items()]),
        "verbs": "\n".join("\n".join(_section(path, of)) for path, of in verbs),
    }


def verbs() -> dict[str, str]:
    """Each verb that does something, and its help."""
    return {path: _help(of.command) for path, of in _verbs()}


def functions() -> dict[str, Callable[..., object]]:
    """What each of them calls."""
    found = {path: of.command.callback for path, of in _verbs()}
    return {path: inspect.unwrap(function) for path, function in found.items() if function is not None}


def contexts() -> dict[tuple[str, ...], click.Context]:
    """Each verb that does something, by its words behind `rowbox`."""
    return {tuple(path.split()[1:]): of for path, of in _verbs()}


def _verbs() -> Iterator[tuple[str, click.Context]]:
    """Each verb that does something, in the order in which `--help` lists them.

    Imported by their modules: the command itself would ignore SIGHUP from the moment it is asked for `serve`.
    """
    root = click.Context(main, info_name="rowbox", **main.context_settings)
    for name in VERBS:
        command: click.Command = importlib.import_module(module_of(name)).command
        yield from _below(click.Context(command, info_name=name, parent=root))


def _below(context: click.Context) -> Iterator[tuple[str, click.Context]]:
    command = context.command
    if not isinstance(command, click.Group):
        yield context.command_path, context
        return
    for name, verb in command.commands.items():
        yield from _below(click.Context(verb, info_name=name, parent=context))


def _section(path: str, context: click.Context) -> Iterator[str]:
    command = context.command
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield f"## {path}\n\n    {usage}\n\n{_help(command)}\n"
    options = [record for option in command.get_params(context) if (record := option.get_help_record(context))]
    yield table(("option", "meaning", "default"), [_option_row(*record) for record in options])


def _option_row(names: str, text: str) -> tuple[str, ...]:
    match = _EXTRA.match(text)
    assert match is not None
    return code(names), match["help"], (match["extra"] or "").removeprefix("default: ")


def _help(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "")


def _first_sentence(command: click.Command) -> str:
    return re.split(r"(?<=[.;]) |\n\n", " ".join(_help(command).split("\n\n")[0].split()))[0].rstrip(";.") + "."

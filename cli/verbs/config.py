"""`rowbox config`: which settings are in force and why, whether they are usable, and a file to start from."""

import json
import textwrap
from itertools import groupby

import click
import orjson

from rowbox.cli.options import with_settings
from rowbox.mailbox.settings.config import SETTINGS, LoadedSettings
from rowbox.mailbox.settings.setting import Kind, Setting


@click.group()
def command() -> None:
    """Show, check or print the settings (docs/reference/settings.md)."""


@command.command()
@with_settings()
@click.option("--json", "as_json", is_flag=True, help="One JSON object; durations in ms and sizes in bytes.")
def show(loaded: LoadedSettings, *, as_json: bool) -> None:
    """Print each setting in force and where its value comes from. Without --json this is a TOML file.

    Reads the settings from wherever they come, and writes nothing.
    """
    if as_json:
        values = {key: {"value": loaded.value(key), "origin": loaded.origin(key)} for key in SETTINGS}
        click.echo(orjson.dumps(values, option=orjson.OPT_INDENT_2))
        return
    for table, settings in _tables():
        click.echo(f"[{table}]")
        for setting in settings:
            line = f"{_name(setting)} = {to_toml(setting, loaded.value(setting.key))}"
            click.echo(f"{line:<48}  # {loaded.origin(setting.key)}")
        click.echo()


@command.command()
@with_settings()
def check(loaded: LoadedSettings) -> None:
    """Say whether the settings are usable; exit 2 and name the first that is not.

    Reads them from wherever they come, and writes nothing. A server checks more: whether it can open its store, say.
    """
    given = sum(loaded.origin(key) != "default" for key in SETTINGS)
    click.echo(f"The settings are usable: {given} given, {len(SETTINGS) - given} by default.")


@command.command()
def default() -> None:
    """Print a TOML file that sets nothing: every setting with its meaning, range and default, commented out.

    Reads nothing, and writes nothing but the terminal.
    """
    click.echo("# Settings of Rowbox. Flags and ROWBOX_* variables come before this file, defaults after it.")
    for table, settings in _tables():
        click.echo(f"\n[{table}]")
        for setting in settings:
            meaning = f"{setting.description} Expected: {setting.expected()}."
            click.echo(textwrap.fill(meaning, 110, initial_indent="# ", subsequent_indent="# "))
            click.echo(f"#{_name(setting)} = {to_toml(setting, setting.default)}")


def to_toml(setting: Setting, value: object) -> str:
    """`value` as it stands in a TOML file, in the unit a person would choose."""
    if setting.kind is Kind.SWITCH:
        return "true" if value else "false"
    if setting.kind in {Kind.INTEGER, Kind.NUMBER}:
        return setting.write(value)
    # TOML's basic strings and lists of them are JSON's.
    return json.dumps(value if setting.kind is Kind.LIST else setting.write(value), ensure_ascii=False)


def _tables() -> list[tuple[str, list[Setting]]]:
    by_table = groupby(SETTINGS.values(), key=lambda setting: setting.key.partition(".")[0])
    return [(table, list(settings)) for table, settings in by_table]


def _name(setting: Setting) -> str:
    return setting.key.partition(".")[2]

"""The options that verbs share. The environment and the TOML file are read here and nowhere else;
mailbox/settings/config.py decides what they mean.
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, get_args

import click

from rowbox.mailbox.settings.config import CONFIG_FILE_VARIABLE, SETTINGS, ConfigError, LoadedSettings, load
from rowbox.mailbox.settings.setting import Kind, Setting

DEFAULT_FILE: Final = "rowbox.toml"
"""The file of settings, in the data directory, so that a store and its settings move together."""

_BARE: Final = frozenset({"server.insecure_dev", "server.demo_tokens"})
"""The settings whose flag takes no value, because nobody types `--insecure-dev off`."""
FLAGGED: Final = tuple(key for key, setting in SETTINGS.items() if setting.flag)


def with_settings(*keys: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a verb `--config` and the flags of `keys` (all flags by default), and passes it `loaded`, the settings.

    ConfigError, before the verb's body begins, where a setting is wrong.
    """
    shown = keys or FLAGGED

    def decorate(verb: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(verb)
        def run(*args: Any, config_file: Path | None, **options: Any) -> Any:
            flags = {key: options.pop(_parameter(SETTINGS[key])) for key in shown}
            return verb(*args, loaded=load_settings(flags, config_file), **options)

        command: Callable[..., Any] = run
        for key in reversed(shown):  # click lists the option that was added last first
            command = _option(SETTINGS[key])(command)
        return _config_option(command)

    return decorate


def load_settings(flags: dict[str, object], config_file: Path | None) -> LoadedSettings:
    """The settings from `flags`, this process's environment, and `config_file` or else the data directory's file.

    ConfigError as of `load`; where the file is at fault or cannot be read, it names the file.
    """
    path = config_file or _default_file(flags)
    text = _read(path) if path else None
    try:
        return load(flags, os.environ, text)
    except ConfigError as error:
        if error.origin != "file":
            raise
        raise ConfigError(error.key, error.value, f"file {path}", error.expected) from error


def _default_file(flags: dict[str, object]) -> Path | None:
    loaded = load(flags, os.environ, None)
    path = Path(loaded.settings.server.data_dir) / DEFAULT_FILE
    try:
        return path if path.exists() else None
    except PermissionError as error:
        expected = f"a folder that this account may look into ({error.strerror}): run this as the account of the server"
        raise ConfigError("server.data_dir", str(path.parent), loaded.origin("server.data_dir"), expected) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError("--config", str(path), "file", f"a text file that can be read ({reason})") from error


def _config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        envvar=CONFIG_FILE_VARIABLE,
        metavar="FILE",
        help=f"TOML file of settings  [default: {DEFAULT_FILE} in the data directory, if it is there]",
    )(command)


def _option(setting: Setting) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The flag of `setting`. Its value stays text, so that config.py reads it and reports errors as of any source."""
    if setting.flag is None:
        msg = f"{setting.key} has no flag"
        raise ValueError(msg)
    if setting.key in _BARE:
        return click.option(setting.flag, _parameter(setting), is_flag=True, default=None, help=setting.description)
    help_text = f"{setting.description}  [default: {setting.write(setting.default)}]"
    return click.option(setting.flag, _parameter(setting), metavar=_metavar(setting), help=help_text)


def _metavar(setting: Setting) -> str:
    match setting.kind:
        case Kind.SWITCH:
            return "on|off"
        case Kind.CHOICE:
            return "|".join(get_args(setting.type))
        case Kind.INTEGER:
            return "N"
        case _:
            return setting.key.partition(".")[2].upper()


def _parameter(setting: Setting) -> str:
    return setting.key.replace(".", "_")

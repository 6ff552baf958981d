"""settings.md: a table of settings for each table of the file."""

from itertools import groupby

from rowbox.cli.verbs.config import to_toml
from rowbox.mailbox.settings.config import SETTINGS
from rowbox.mailbox.settings.setting import Setting
from tests.house.reference.page import code, table

HEAD = ("key", "default", "expected", "meaning", "flag", "environment")


def parts() -> dict[str, str]:
    by_table = groupby(SETTINGS.values(), key=lambda setting: setting.key.partition(".")[0])
    return {f"[{name}]": table(HEAD, map(_row, settings)) for name, settings in by_table}


def _row(setting: Setting) -> tuple[str, ...]:
    return (
        code(setting.key.partition(".")[2]),
        code(to_toml(setting, setting.default)),
        setting.expected(),
        setting.description,
        code(setting.flag or ""),
        code(setting.environment),
    )

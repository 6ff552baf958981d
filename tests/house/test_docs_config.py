"""docs/configuration.md has a row for every setting, and it says what the code does."""

from itertools import groupby
from pathlib import Path

from rowbox.cli.verbs.config import to_toml
from rowbox.mailbox.settings.config import SETTINGS
from rowbox.mailbox.settings.setting import Setting

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
HEADER = "| key | default | expected | meaning | flag | environment |\n|---|---|---|---|---|---|\n"


def row(setting: Setting) -> str:
    flag = f"`{setting.flag}`" if setting.flag else ""
    cells = (
        f"`{setting.key.partition('.')[2]}`",
        f"`{to_toml(setting, setting.default)}`",
        setting.expected(),
        setting.description,
        flag,
        f"`{setting.environment}`",
    )
    return f"| {' | '.join(cells)} |\n"


def reference() -> dict[str, str]:
    """The tables as they have to stand in the page, by the name of the table."""
    by_table = groupby(SETTINGS.values(), key=lambda setting: setting.key.partition(".")[0])
    return {table: HEADER + "".join(map(row, settings)) for table, settings in by_table}


def test_each_table_of_the_page_is_the_codes() -> None:
    page = PAGE.read_text()
    wrong = [f"## [{table}]\n\n{rows}" for table, rows in reference().items() if f"## [{table}]\n\n{rows}" not in page]
    assert not wrong, "docs/configuration.md has to say:\n\n" + "\n".join(wrong)


def test_the_page_has_no_setting_that_the_code_has_not() -> None:
    rows = [line for line in PAGE.read_text().splitlines(keepends=True) if line.startswith("| `")]
    assert set(rows) == {row(setting) for setting in SETTINGS.values()}

"""Whether mailboxes may be served from a table with the server's settings. A server asks this when it opens its store.

A family that forgets sooner than the settings say breaks promises silently: without its dedupe record a retry becomes a
second message, and with a log that is cut short a delta leaves messages out. A family that keeps cells for longer shows
messages that retention should have taken.
"""

from collections.abc import Mapping

from rowbox.hbase_schema.table_diff import LiveTable, differences
from rowbox.hbase_schema.table_plan import Attributes, plan_table
from rowbox.mailbox.errors import StoreSettingsMismatch
from rowbox.mailbox.settings.config import StoreSettings


def require_servable(table: str, settings: StoreSettings, families: Mapping[str, Attributes]) -> None:
    """StoreSettingsMismatch where `families` of `table` do not keep cells for as long as `settings` say.

    Its message has the differences and, for each, the line for HBase's shell that ends it.
    """
    found = differences(plan_table(table, settings), LiveTable(families, ()))
    wrong = [difference for difference in found if difference.is_essential]
    if wrong:
        remedies = [difference.remedy for difference in wrong if difference.remedy]
        raise StoreSettingsMismatch(
            f"table {table} contradicts the settings: {'; '.join(map(str, wrong))}. Set store.retention_ms, "
            f"store.token_life_ms and store.dedupe_life_ms to what the table keeps, or change it in HBase's shell: "
            f"{'; '.join(remedies) or 'nothing there helps'} (see: rowbox schema plan)"
        )

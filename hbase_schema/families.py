"""The schema as data: one table, five families (docs/architecture.md, "The data").

<shard:4 hex>/<userId>
  i  index     c conversationId epoch          state of a conversation, twice        kept
               f epoch                         the fence                             kept
               t epoch                         which tokens are revoked, twice       kept
  m  messages  conversationId ~messageId epoch version   one message                 retention
  l  log       version epoch                   what changed                          tokens' life + 1 day
  d  dedupe    hash of clientMessageId, epoch  what became of a send                 dedupe life
  o  outbox    messageId epoch                 a message not yet with all recipients kept
"""

from collections.abc import Mapping
from enum import StrEnum

from rowbox.mailbox.settings.config import StoreSettings

SCHEMA_VERSION = 1
LOG_MARGIN_MS = 24 * 3600 * 1000
"""The log outlives the tokens it serves by a day, so that a token is refused by its age and never by a missing cell."""


class Family(StrEnum):
    """A column family, named by its one letter."""

    INDEX = "i"
    MESSAGES = "m"
    LOG = "l"
    DEDUPE = "d"
    OUTBOX = "o"


TtlMs = Mapping[Family, int]
"""For how many milliseconds after its timestamp each family keeps a cell. A family that is not named keeps it for
ever."""


def ttl_ms(settings: StoreSettings) -> TtlMs:
    """The TTLs that `settings` ask for."""
    return {
        Family.MESSAGES: settings.retention_ms,
        Family.LOG: settings.token_life_ms + LOG_MARGIN_MS,
        Family.DEDUPE: settings.dedupe_life_ms,
    }

"""Secrets as the keys that verify tokens (HS256): the one that signs, and one before it while a rotation lasts."""

import asyncio
import math
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final

from rowbox.api.auth.kept_keys import Ages, KeptKeys
from rowbox.api.auth.keys import KeySet, VerifyKey

ALGORITHM: Final = "HS256"
ReadSecrets = Callable[[], Sequence[bytes]]
"""The secrets that count now, 32 bytes or more each. RowboxError where they cannot be read. Called in a thread."""
AGES: Final = Ages(max_age_s=60.0, keep_s=math.inf, retry_s=1.0)
"""When the secret's files are read. A secret that was ended goes on counting for up to a minute, unless a verb tells
the server; a new one counts from its first token on. Secrets that were read go on counting where their file is gone:
only an operator's verb ends one."""


def secret_keys(read: ReadSecrets, monotonic: Callable[[], float]) -> KeptKeys:
    """The keys that `read` gives. A token may name them as it likes."""

    async def fetch() -> KeySet:
        secrets = await asyncio.to_thread(read)
        return KeySet([_verify_key(secret) for secret in secrets], has_names=False)

    return KeptKeys("token_secrets", fetch, AGES, monotonic)


def _verify_key(secret: bytes) -> VerifyKey:
    return VerifyKey(None, (ALGORITHM,), (blake2b(secret).digest(),), secret)

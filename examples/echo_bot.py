"""A bot that answers every message with its own text, once, whatever restarts: the bot, the server, or both.

    export ECHO_BOT_ACCESS_TOKEN=$(.venv/bin/rowbox token --user echo --ttl 7d)
    .venv/bin/python examples/echo_bot.py http://127.0.0.1:8080 echo-bot.token

The file holds the token up to which it has answered; without one it begins with what comes from now on. The bot may be
killed at any moment: it then answers again, under the same clientMessageId, and to the server that is the same message.
"""

import asyncio
import contextlib
import logging
import os
import sys
from pathlib import Path

from rowbox.client import AccessDenied, CallFailed, Client, Message, Reset

log = logging.getLogger("echo-bot")


async def answer(client: Client, asked: Message) -> None:
    """Returns when the answer is stored, or when the server will never take it."""
    answer_id = f"echo-{asked.message_id}"
    earliest_s = (
        asked.sent_timestamp / 1_000_000
    )  # a bot that was killed has forgotten when it tried; never before this
    while True:
        try:
            await client.send(
                asked.sender_id, asked.message_content, client_message_id=answer_id, first_tried_at=earliest_s
            )
            return
        except CallFailed as error:
            log.warning("no answer to %s yet: %s", asked.message_id, error)
            if isinstance(error, AccessDenied):
                raise
            if not error.retryable:
                return
        await asyncio.sleep(1)


def save(file: Path, token: str) -> None:
    """At once: half a token would be none."""
    unfinished = file.with_suffix(".new")
    unfinished.write_text(token)
    unfinished.replace(file)


async def run(url: str, access_token: str, file: Path, token: str | None) -> None:
    async with Client(url, access_token) as client:
        async for change in client.follow(token):
            if isinstance(change, Reset):
                log.info("begins with what comes now (%s)", change.reason or "first start")
            elif not change.is_own:
                await answer(client, change)
            save(file, change.token)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    state = Path(sys.argv[2])
    start = state.read_text().strip() if state.exists() else None
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(sys.argv[1], os.environ["ECHO_BOT_ACCESS_TOKEN"], state, start))

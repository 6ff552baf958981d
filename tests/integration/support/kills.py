"""kill -9 of a server, over and over, while people chat through it."""

from random import Random
from typing import Final

from tests.integration.support.chat import Chat
from tests.integration.support.server_process import ServerProcess

_LONGEST_LIFE_S: Final = 0.8
_LONGEST_START_S: Final = 0.5


async def kill_again_and_again(
    server: ServerProcess, chat: Chat, random: Random, *, kills: int, killed_starts: int
) -> None:
    """Each time at a random moment; after `killed_starts` of them the next start is killed before it is ready."""
    unlucky = set(random.sample(range(kills), killed_starts))
    chat.is_up.set()
    for number in range(kills):
        await server.stays_up(random.uniform(0, _LONGEST_LIFE_S))
        chat.is_up.clear()
        server.kill()
        await server.ended()
        if number in unlucky:
            await server.launch()
            await server.stays_up(random.uniform(0, _LONGEST_START_S))
            server.kill()
            await server.ended()
        await server.start()
        chat.is_up.set()
    chat.finish()

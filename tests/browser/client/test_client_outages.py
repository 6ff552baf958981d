"""The JavaScript client alone, in two pages, while its server is killed and started again: all once and in order."""

import asyncio
from random import Random
from typing import Final

import pytest

from tests.browser.windows import SERVER_AWAY, Windows
from tests.integration.support.server_process import ServerProcess, rowbox

pytestmark = pytest.mark.integration

MESSAGES: Final = 40
KILLS: Final = 4
DEADLINE_S: Final = 120.0

CHATTER: Final = """
    async ({ token, peer, messages }) => {
      const { Rowbox } = await import("/client/rowbox.js");
      const client = new Rowbox({ url: location.origin, token });
      const end = new AbortController();
      const heard = [];
      const following = (async () => {
        for await (const change of client.follow({ signal: end.signal, token: "0" })) {
          if (change.type === "reset") throw new Error(`nothing expires here: ${change.reason}`);
          heard.push(change.message.messageContent);
          tell(heard.length);
          if (heard.length >= 2 * messages) end.abort();
        }
      })();
      const sendUntilConfirmed = async (text) => {
        for (let clientMessageId; ; ) {
          try {
            return await client.send(peer, text, { clientMessageId });
          } catch (error) {
            if (!error.clientMessageId) throw error;
            clientMessageId = error.clientMessageId;
          }
        }
      };
      for (let at = 0; at < messages; at++) {
        await sendUntilConfirmed(`to ${peer} ${at}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      await following;
      return heard;
    }
"""


async def test_everything_arrives_once_and_in_order(windows: Windows, server: ServerProcess) -> None:
    windows.expected = SERVER_AWAY
    random = Random(5)
    alice, bob = await windows.open(), await windows.open()

    progress: asyncio.Queue[int] = asyncio.Queue()
    await alice.expose_function("tell", progress.put_nowait)
    await bob.expose_function("tell", lambda _: None)

    async def kill_again_and_again() -> None:
        for kill in range(1, KILLS + 1):
            while await progress.get() < kill * MESSAGES // KILLS:
                pass
            await server.stays_up(random.random() / 10)
            server.kill()
            await server.ended()
            await server.start()

    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        heard = [
            tasks.create_task(
                page.evaluate(CHATTER, {"token": windows.token(user), "peer": peer, "messages": MESSAGES})
            )
            for page, user, peer in ((alice, "alice", "bob"), (bob, "bob", "alice"))
        ]
        tasks.create_task(kill_again_and_again())
    expected = {peer: [f"to {peer} {at}" for at in range(MESSAGES)] for peer in ("alice", "bob")}
    for texts in (task.result() for task in heard):
        assert len(texts) == 2 * MESSAGES
        for peer, sent in expected.items():
            assert [text for text in texts if text.startswith(f"to {peer} ")] == sent
    await server.stop()
    checked = await rowbox("check", "--data-dir", server.data_dir)
    assert checked.code == 0, checked

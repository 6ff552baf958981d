"""Removals and sends at the same moment, over HTTP: who is outside gets nothing, and who is inside misses nothing.

ROWBOX_GROUP_RACES asks for more rounds; 10,000 were played before this was landed.
"""

import asyncio
import os
import time

from rowbox.api.v1.responses import SendMessageResponse
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.hbase_schema.families import ttl_ms
from tests.checking import assert_no_findings
from tests.http.api import SETTINGS, Answer, Api, serving

ROUNDS = int(os.environ.get("ROWBOX_GROUP_RACES", "100"))
SHARDS = 64


async def test_a_removal_and_sends_at_once() -> None:
    store = MemoryStore(SHARDS, ttl_ms(SETTINGS.store), late_writes=False, now_ms=lambda: time.time_ns() // 1_000_000)
    owner = Owner(store, SETTINGS)
    await owner.start()
    confirmed: dict[str, set[str]] = {"bob": set(), "cid": set()}
    refused: set[str] = set()
    outcomes: set[int] = set()
    async with serving(owner) as api:
        fields: dict[str, object] = {"clientGroupId": "g", "members": ["bob", "cid"]}
        made = await api.post("/v1/createGroup", fields, "ann")
        group = made.json()["conversationId"]
        for number in range(ROUNDS):
            texts = {user: f"{user} {number}" for user in ("bob", "cid")}
            race = [_send(api, group, user, text) for user, text in texts.items()]
            removal = api.post("/v1/removeMember", {"conversationId": group, "userId": "bob"}, "ann")
            by_bob, by_cid, removed = await asyncio.gather(*race, removal)
            assert removed.status == 200, removed.body
            assert by_cid.status == 201, by_cid.body
            confirmed["cid"].add(texts["cid"])
            outcomes.add(by_bob.status)
            if by_bob.status == 201:
                by_bob.decode(SendMessageResponse, 201)
                confirmed["bob"].add(texts["bob"])
            else:
                by_bob.problem(403, "not_a_member")
                refused.add(texts["bob"])
            back = await api.post("/v1/addMembers", {"conversationId": group, "userIds": ["bob"]}, "ann")
            assert back.json()["changed"], back.body
        for user in ("ann", "cid", "bob"):
            shown = await _texts(api, group, user)
            assert len(shown) == len(set(shown))
            assert confirmed["bob"] <= set(shown)
            assert not refused & set(shown)
            if user != "bob":
                assert set(shown) == confirmed["bob"] | confirmed["cid"]
        await owner.pipeline.idle()
        await assert_no_findings(store, SETTINGS, time.time_ns() // 1000, slack_us=0)
    await owner.close()
    assert outcomes <= {201, 403}


async def _send(api: Api, group: str, user: str, text: str) -> Answer:
    fields = {"conversationId": group, "messageContent": text, "clientMessageId": text.replace(" ", "-")}
    return await api.post("/v1/sendMessage", fields, user)


async def _texts(api: Api, group: str, user: str) -> list[str]:
    """The messages of a group that people wrote, by all its pages."""
    found: list[str] = []
    cursor = ""
    while True:
        page = (await api.get(f"/v1/fetchMessages?conversationId={group}&pageSize=200{cursor}", user)).json()
        found += [item["messageContent"] for item in page["messages"] if "kind" not in item]
        if page["nextCursor"] is None:
            return found
        cursor = f"&cursor={page['nextCursor']}"

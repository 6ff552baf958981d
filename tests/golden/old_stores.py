"""Stores that older Rowboxes wrote, and what they answered from them.

`stores/embedded.jsonl` and `cluster.jsonl` are of the first formats: the store's shards and the time of the answers,
every column, every answer. Among the cluster's columns are the fences of two owners, and what the first of them wrote
too late. `embedded-folder.tar.xz` is the other one as a RocksDB folder, copied while its server ran: its last writes
are in the write-ahead log alone.

`embedded-2` and `cluster-2` have what came until there were revocations: fences that name incarnations, states that say
whose the newest message is, revoked tokens of two owners and one that was written too late, an outbox that its owner
left. What was answered to requests with tokens is in them as well.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import FetchConversations, FetchMessages, Page
from rowbox.cacheserver.stores.port import Put, RowMutation, Store
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.errors import TokenRevoked
from rowbox.mailbox.pages.cursor import ListKind
from rowbox.mailbox.revocation import Bearer
from tests.support.cluster import version_of

STORES = Path(__file__).with_name("stores")
_PARTS = ("column", "answer", "bearer")


class OldStore(NamedTuple):
    """One such store."""

    shards: int
    now_us: int
    map_version: int
    columns: list[Any]
    """row, family, qualifier, value, timestamp in ms"""
    answers: list[Any]
    bearers: list[Any]
    """Of tokens: whose, issued when, whether they were refused."""

    async def write_to(self, store: Store, timestamp_ms: int | None = None) -> None:
        """Writes the columns as they were written, or all at one later time."""
        rows: dict[tuple[int, bytes], list[Put]] = defaultdict(list)
        for row, family, qualifier, value, written_ms in self.columns:
            put = Put(Family(family), bytes.fromhex(qualifier), bytes.fromhex(value))
            rows[timestamp_ms or written_ms, row.encode()].append(put)
        for (written_ms, row_key), puts in sorted(rows.items()):
            await store.mutate([RowMutation(row_key, puts)], written_ms)


def old_store(name: str) -> OldStore:
    """One of those named in the module's text."""
    lines = [json.loads(line) for line in (STORES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    columns, answers, bearers = ([line[name] for line in lines if name in line] for name in _PARTS)
    return OldStore(**lines[0], columns=columns, answers=answers, bearers=bearers)


async def answer_again(owner: Owner, answer: Any) -> Any:
    """What `owner` answers to the question of a recorded answer, in the same form: tokens stand there as versions."""
    user, version, size = answer["user"], answer["token"], answer["size"] or 50
    of, conversation = owner.fetches.bookmarker.of, answer["conversation"] and bytes.fromhex(answer["conversation"])
    if answer["call"] == "conversations":
        token = None if version is None else of(user, ListKind.CONVERSATIONS).token(version)
        page = await owner.fetch_conversations(FetchConversations(user, page_size=size, token=token))
    else:
        kind = ListKind.ALL_MESSAGES if conversation is None else ListKind.MESSAGES
        token = None if version is None else of(user, kind, conversation).token(version)
        page = await owner.fetch_messages(FetchMessages(user, conversation, page_size=size, token=token))
    asked = {name: answer[name] for name in ("user", "call", "conversation", "token", "size")}
    return asked | _said(page, answer)


async def is_refused(owner: Owner, bearer: Any) -> bool:
    """Whether `owner` refuses the token that a recorded line tells of."""
    user = bearer["user"]
    try:
        await owner.fetch_conversations(FetchConversations(user, bearer=Bearer(user, bearer["issued_at_s"])))
    except TokenRevoked:
        return True
    return False


def _said(page: Page, answer: Any) -> dict[str, Any]:
    """Fields that came later are left out of the items."""
    items = [orjson.loads(item) for item in page.items]
    if len(items) == len(answer["items"]):
        items = [{name: item[name] for name in old} for item, old in zip(items, answer["items"], strict=True)]
    return {
        "items": items,
        "isDelta": page.is_delta,
        "hasMore": page.has_more,
        "head": version_of(page.token),
        "reset": page.reset_reason,
    }

"""Owners that search, in virtual time: what threads do is done at once, in a turn of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson

from rowbox.cacheserver.port import Found
from rowbox.cacheserver.search.searches import SearchPlace
from rowbox.mailbox.search.query import Query
from rowbox.mailbox.settings.config import Settings
from tests.support.cluster import UNLIMITED, Cluster, Json, Node, all_messages, cluster

_T = TypeVar("_T")

TEXTS = (
    "Wir gehen über die Straße",
    "a quick brown fox, again and again",
    "we meet at 10:30 in room_7",
    "see https://example.com/a-b?q=1 and report.pdf",
    "мы встретимся завтра у метро",
    "θα συναντηθούμε αύριο στο μετρό",
    "सुबह हम स्टेशन पर मिलेंगे",
    "نلتقي غدا في المحطة",
    "ניפגש מחר בתחנה",
    "明天我们在车站见面",
    "明日、駅で会いましょう。カフェで",
    "내일 역에서 만나요",
    "พรุ่งนี้เจอกันที่สถานี",
    "ვხვდებით ხვალ სადგურზე",
    "ወደ ጣቢያው ነገ እንመጣለን",
    "நாளை நிலையத்தில் சந்திப்போம்",
    "ok 👍🏽 ❤️ 🎉",
    "ＦＵＬＬ width ﬁne İstanbul",
    "don't can’t won't",
    "C++ and C# and .env, #tag @bob",
    "x" * 100 + " longword",
)
"""In a dozen writing systems and more."""
QUERIES = (
    "strasse", "str", "again", "quick fox", "10:30", "room_7", "room", "example.com", "report.pdf", "pdf", "завтра",
    "МЕТРО", "αύριο", "सुबह", "स्टे", "غدا", "מחר", "车站", "明", "我们 车站", "駅", "カフェ", "ｶﾌｪ", "역에서", "만나",
    "สถานี", "เจอ", "ხვალ", "ነገ", "நாளை", "👍", "❤", "🎉", "full", "fine", "don't", "can't", "c++", "c#", ".env", "#tag",
    "@bob", "x" * 80, "longw", "edited", "a", "nowhere", "and a", "t",
)  # fmt: skip


class AtOnce:
    """Workers of a test: no threads, and whoever waits for them waits for one turn of the loop."""

    async def _done(self, work: Callable[[], _T]) -> _T:
        await asyncio.sleep(0)
        return work()

    def run(self, work: Callable[[], _T]) -> Awaitable[_T]:
        return self._done(work)

    def begin(self, work: Callable[[], object]) -> None:
        work()

    async def close(self, last: Callable[[], object]) -> None:
        last()


@asynccontextmanager
async def searching(folder: Path, *, late: bool, settings: Settings = UNLIMITED) -> AsyncIterator[Cluster]:
    """A cluster whose nodes search, below a folder. A node that is closed leaves nothing there."""
    async with cluster(late=late, settings=settings) as made:
        made.search = lambda: SearchPlace(folder, AtOnce())
        await made.restart()
        yield made
    left = indexes_in(folder)
    for node in made.nodes[:-1]:  # which were killed: the kernel would close what they have open
        if node.owner.searches is not None:
            node.owner.searches.indexes.drop_all()
            node.owner.searches._folder.remove()
    assert not left or len(made.nodes) > 2


def indexes_in(folder: Path) -> list[Path]:
    """The files of indexes below a folder."""
    return sorted(folder.rglob("*.db"))


def texts(found: Found) -> list[str]:
    return [orjson.loads(one)["messageContent"] for one in found.messages]


def contents(found: Found) -> list[Json]:
    return [orjson.loads(one) for one in found.messages]


async def whole(node: Node, user: str, text: str, **how: Any) -> list[Json]:
    """All that a search finds, once the index is complete, over all its pages."""
    while True:
        found = await node.search(user, text, **how)
        if found.complete:
            break
        await asyncio.sleep(1)
    items = contents(found)
    while found.next_cursor is not None:
        found = await node.search(user, text, cursor=found.next_cursor, **how)
        items += contents(found)
    return items


async def scanned(node: Node, user: str, text: str) -> list[Json]:
    """The same by reading the whole mailbox."""
    query = Query(text)
    found: list[Json] = []
    for item in await conversations_of(node, user):
        messages, _ = await all_messages(node, user, bytes.fromhex(item["conversationId"]), 50)
        found += [one for one in messages if query.is_in(one["messageContent"])]
    return sorted(found, key=lambda one: one["messageId"], reverse=True)


async def conversations_of(node: Node, user: str) -> list[Json]:
    page = await node.conversations(user, page_size=100)
    return [orjson.loads(item) for item in page.items]

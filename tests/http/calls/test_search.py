"""GET /v1/search: what it answers with, and what it refuses."""

import asyncio
from urllib.parse import quote

import pytest

from rowbox.api.v1.responses import SearchResponse
from rowbox.cacheserver.port import Found, Search
from rowbox.mailbox.errors import SearchOff, SearchUnavailable
from tests.http.api import Api
from tests.http.calls.test_calls import UNKNOWN_ID, sent
from tests.http.scripted_port import ScriptedPort


async def complete(api: Api, query: str, user: str = "alice") -> SearchResponse:
    """The answer once the index has everything."""
    while True:
        found = (await api.get(f"/v1/search?{query}", user)).decode(SearchResponse)
        if found.complete:
            return found
        await asyncio.sleep(0)


async def test_messages_are_found_newest_first_and_page_by_page(api: Api) -> None:
    one, two = await sent(api, "1"), await sent(api, "2")
    found = await complete(api, "q=hello&pageSize=1")
    assert [each.message_id for each in found.messages] == [two.message_id]
    assert found.last_updated_timestamp >= two.last_updated_timestamp
    assert found.next_cursor is not None
    rest = await complete(api, f"q=hello&pageSize=1&cursor={quote(found.next_cursor)}")
    assert [each.message_id for each in rest.messages] == [one.message_id]
    assert (await complete(api, "q=nothing+of+it")).messages == []
    of_it = f"conversationId={one.conversation_id}&senderId=alice&after=0&before={two.sent_timestamp}"
    assert [each.message_id for each in (await complete(api, f"q=hel&{of_it}", "bob")).messages] == [one.message_id]


async def test_what_is_refused(api: Api) -> None:
    one = await sent(api, "1")
    call = "/v1/search"
    for query in ("", "q=", "q=%3F", f"q={'x' * 257}", "q=a&conversationId=x", "q=a&senderId=%20", "q=a&after=-1"):
        (await api.get(f"{call}?{query}")).problem(400, "bad_request")
    (await api.get(f"{call}?q=a&cursor=x")).problem(400, "bad_request")
    (await api.get(f"{call}?q=a&wait=1")).problem(400, "unknown_parameter")
    (await api.get(f"{call}?q=a&userId=bob")).problem(403, "forbidden")
    (await api.get(f"{call}?q=a&conversationId={UNKNOWN_ID}")).problem(404, "unknown_conversation")
    (await api.get(f"{call}?q=a&conversationId={one.conversation_id}", "carol")).problem(404, "unknown_conversation")


async def test_it_is_asked_as_the_request_says(edge: Api, scripted: ScriptedPort) -> None:
    scripted.found = Found((b"{}",), complete=False, as_of=7, next_cursor="c")
    answer = await edge.get("/v1/search?q=Foo+bar&pageSize=1000&userId=alice")
    assert answer.json() == {"messages": [{}], "nextCursor": "c", "complete": False, "lastUpdatedTimestamp": 7}
    (asked,) = [call for call in scripted.calls if isinstance(call, Search)]
    assert (asked.text, asked.page_size, asked.user_id) == ("Foo bar", 100, "alice")


@pytest.mark.parametrize(
    ("error", "status"),
    [(SearchOff("off"), 404), (SearchUnavailable("the file /x is broken", retry_after_ms=60_000), 503)],
)
async def test_where_nobody_can_search(edge: Api, scripted: ScriptedPort, error: Exception, status: int) -> None:
    scripted.error = error
    problem = (await edge.get("/v1/search?q=a")).problem(status, error.code)  # type: ignore[attr-defined]
    assert "/x" not in str(problem)

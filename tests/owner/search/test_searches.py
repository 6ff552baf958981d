"""Searches, as an owner answers them: what is found, what is not, and that an index is never more than a cache."""

import asyncio
import os
import random
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from rowbox.cacheserver.port import ChangeAccount, Search, SendResult
from rowbox.cacheserver.search import index_file, indexes, searches, upkeep
from rowbox.mailbox.account.deeds import DeleteConversation
from rowbox.mailbox.errors import (
    BadRequest,
    Overloaded,
    RateLimited,
    SearchOff,
    SearchUnavailable,
    UnknownConversation,
    UnknownMessage,
)
from rowbox.mailbox.group import GroupSettings, History
from rowbox.mailbox.groups.requests import Add, Leave, Remove
from rowbox.mailbox.ids import direct_conversation_id
from rowbox.mailbox.search.query import Query
from rowbox.mailbox.settings.config import RateLimitSettings, SearchSettings, StoreSettings
from tests.checking import assert_no_findings
from tests.owner.search.searching import QUERIES, TEXTS, indexes_in, scanned, searching, texts, whole
from tests.support.cluster import UNLIMITED, Cluster, Node, cluster
from tests.support.virtual_time import virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
WORLDS = int(os.environ.get("ROWBOX_SEARCH_WORLDS", "9"))
"""Of each kind of store; a world has a dozen mailboxes."""
USERS = tuple(f"user-{number}" for number in range(12))
DAY_S = 86_400.0


@both_kinds
@pytest.mark.parametrize("seed", range(WORLDS))
@virtual_time
async def test_a_search_finds_what_reading_the_whole_mailbox_finds(tmp_path: Path, seed: int, *, late: bool) -> None:
    chance = random.Random(seed)
    settings = replace(UNLIMITED, store=StoreSettings(retention_ms=600_000, token_life_ms=300_000))
    async with searching(tmp_path, late=late, settings=settings) as made:
        world = _World(made, chance)
        for step in range(160):
            await world.act(step)
            if chance.random() < 0.05:
                await world.compare(chance.choice(USERS))
        for user in USERS:
            await world.compare(user)
        assert made.node.owner.searches is not None
        assert made.node.owner.searches.upkeep.loop.failures == 0
        await made.quiet()
        await assert_no_findings(made.store, settings, made.clock.now_us(), slack_us=60_000_000)


class _World:
    """What users do at random, and the search that is held against reading."""

    def __init__(self, made: Cluster, chance: random.Random) -> None:
        self._made = made
        self._chance = chance
        self._sent: list[tuple[str, SendResult]] = []
        self._groups: list[tuple[bytes, list[str]]] = []

    async def act(self, step: int) -> None:
        chance, node = self._chance, self._made.node
        deed = chance.random()
        if deed < 0.5 or not self._sent:
            one, other = chance.choice(USERS), chance.choice(USERS)
            sent = await node.send(one, other, self._text(), f"c{step}")
            self._sent.append((one, sent))
        elif deed < 0.58:
            await self._change(self._text())
        elif deed < 0.64:
            await self._change(None)
        elif deed < 0.70:
            user, sent = chance.choice(self._sent)
            with suppress(UnknownMessage):  # which retention may have taken
                await node.react(user, sent, chance.choice(("👍", "")))
        elif deed < 0.74:
            members = chance.sample(USERS, 4)
            settings = GroupSettings()
            made = await node.create_group(members[0], *members[1:], named=f"g{step}", name="n", settings=settings)
            self._groups.append((made.conversation_id, members))
        elif deed < 0.90 and self._groups:
            group, members = chance.choice(self._groups)
            if members:
                await node.send_to(chance.choice(members), group, self._text(), f"c{step}")
        elif deed < 0.94 and self._groups:
            group, members = chance.choice(self._groups)
            if len(members) > 2:
                await node.change_group(members.pop(), group, Leave())
        elif deed < 0.96:
            await asyncio.sleep(chance.choice((1, 60, 200)))
            self._sent = self._sent[-5:]
        elif deed < 0.97:
            await self._made.quiet()
            await self._made.restart()
        await self._made.quiet()

    async def _change(self, text: str | None) -> None:
        user, sent = self._sent.pop(self._chance.randrange(len(self._sent)))
        with suppress(UnknownMessage):
            await self._made.node.change(user, sent, text)

    def _text(self) -> str:
        chosen = self._chance.sample(TEXTS, self._chance.randrange(1, 4))
        return " ".join(chosen) + self._chance.choice(("", "", " edited"))

    async def compare(self, user: str) -> None:
        node, chance = self._made.node, self._chance
        for text in chance.sample(QUERIES, 3):
            expected = await scanned(node, user, text)
            found = await whole(node, user, text, page_size=chance.choice((1, 3, 50)))
            assert found == expected, (user, text)


@virtual_time
async def test_every_word_of_every_writing_system_is_found(tmp_path: Path) -> None:
    async with searching(tmp_path, late=False) as made:
        for number, text in enumerate(TEXTS):
            await made.node.send("ann", "bob", text, f"c{number}")
        for text in TEXTS:
            for word in text.split():
                if any(character.isalnum() or ord(character) > 0x2000 for character in word):
                    assert text in [one["messageContent"] for one in await whole(made.node, "ann", word)], word
        found = {query for query in QUERIES if await whole(made.node, "ann", query)}
        assert set(QUERIES) - found == {"edited", "nowhere"}


@virtual_time
async def test_filters_and_pages(tmp_path: Path) -> None:
    async with searching(tmp_path, late=True) as made:
        node = made.node
        sent = [await node.send("ann", "bob" if n % 2 else "eve", f"word {n}", f"c{n}") for n in range(9)]
        sent.append(await node.send("bob", "ann", "word of bob", "b"))
        await made.quiet()
        with_bob = direct_conversation_id("ann", "bob")
        assert texts(await node.search("ann", "word", page_size=3)) == ["word of bob", "word 8", "word 7"]
        (only,) = await whole(node, "ann", "word", sender_id="bob")
        assert only["messageContent"] == "word of bob"
        of_bob = await whole(node, "ann", "word", conversation_id=with_bob, page_size=2)
        assert [one["messageContent"] for one in of_bob] == ["word of bob", *(f"word {n}" for n in (7, 5, 3, 1))]
        after, before = sent[2].sent_timestamp, sent[6].sent_timestamp
        between = await whole(node, "ann", "word", after=after, before=before)
        assert [one["messageContent"] for one in between] == ["word 5", "word 4", "word 3"]
        first = await node.search("ann", "word", page_size=3)
        with pytest.raises(BadRequest, match="another"):
            await node.search("ann", "wor", cursor=first.next_cursor)
        with pytest.raises(BadRequest, match="another user"):
            await node.search("bob", "word", cursor=first.next_cursor)
        with pytest.raises(UnknownConversation):
            await node.search("ann", "word", conversation_id=direct_conversation_id("ann", "zoe"))
        for nothing in ("", " ", "...", "x" * 257):
            with pytest.raises(BadRequest):
                await node.search("ann", nothing)
        assert (await node.search("nobody", "word")).messages == []


@virtual_time
async def test_syntax_of_queries_is_text(tmp_path: Path) -> None:
    async with searching(tmp_path, late=False) as made:
        node = made.node
        for number, text in enumerate(
            ('say "x" OR y*', "NEAR(a b)", "a AND NOT b", "terms: c", "x' UNION SELECT 1 --")
        ):
            await node.send("ann", "bob", text, f"c{number}")
        for query in ('"x"', "OR y*", "NEAR(a b)", "AND NOT", "terms: c", "' UNION SELECT", "b) OR (a", "-a", "^a"):
            assert await whole(node, "ann", query) == await scanned(node, "ann", query), query


@both_kinds
@virtual_time
async def test_what_was_unsent_edited_or_expired_is_not_found_and_leaves_the_device(
    tmp_path: Path, *, late: bool
) -> None:
    settings = replace(UNLIMITED, store=StoreSettings(retention_ms=int(3 * DAY_S * 1000)))
    async with searching(tmp_path, late=late, settings=settings) as made:
        node = made.node
        gone = await node.send("ann", "bob", "secretword one", "c1")
        edited = await node.send("ann", "bob", "secretword two", "c2")
        await node.send("ann", "bob", "stays", "c3")
        await made.quiet()
        assert len(await whole(node, "bob", "secretword")) == 2
        await node.change("ann", gone, None)
        await node.change("ann", edited, "public")
        await made.quiet()
        assert await whole(node, "bob", "secretword") == []
        assert [one["messageContent"] for one in await whole(node, "bob", "public")] == ["public"]
        assert _holds(tmp_path, b"secretword")
        await asyncio.sleep(DAY_S)
        assert not _holds(tmp_path, b"secretword"), "a day later its words are in no file"
        assert len(await whole(node, "bob", "stays")) == 1
        await asyncio.sleep(2 * DAY_S + 1)
        assert await whole(node, "bob", "stays") == [], "retention took it"
        await asyncio.sleep(DAY_S)
        assert not _holds(tmp_path, b"stays")


@virtual_time
async def test_what_was_deleted_with_its_conversation_leaves_the_device(tmp_path: Path) -> None:
    async with searching(tmp_path, late=True) as made:
        node = made.node
        conversation = (await node.send("ann", "bob", "secretword one", "c1")).conversation_id
        assert len(await whole(node, "bob", "secretword")) == 1
        await node.process.call(node.owner.change_account(ChangeAccount("bob", DeleteConversation(conversation))))
        assert _holds(tmp_path, b"secretword")
        await asyncio.sleep(DAY_S)
        assert not _holds(tmp_path, b"secretword"), "a day later its words are in no file"


@virtual_time
async def test_what_has_come_to_an_end_of_its_own_leaves_the_device(tmp_path: Path) -> None:
    """Also where nothing else in the mailbox was changed, and retention is far."""
    async with searching(tmp_path, late=True) as made:
        node = made.node
        sent = await node.send("ann", "bob", "stays", "c1")
        await node.set_ttl("ann", sent.conversation_id, 3_600_000)
        await node.send("ann", "bob", "secretword one", "c2")
        await made.quiet()
        assert len(await whole(node, "bob", "secretword")) == 1
        await asyncio.sleep(DAY_S)
        assert _holds(tmp_path, b"secretword")
        await asyncio.sleep(3_700)
        assert not _holds(tmp_path, b"secretword"), "a day after its end its words are in no file"
        assert len(await whole(node, "bob", "stays")) == 1


def _holds(folder: Path, word: bytes) -> bool:
    """Whether the bytes of a word, as an index has them, are in any file; its first half: terms share beginnings."""
    term = word.hex().encode()[: len(word)]
    return any(term in path.read_bytes() for path in indexes_in(folder))


@both_kinds
@virtual_time
async def test_who_left_a_group_finds_what_he_has(tmp_path: Path, *, late: bool) -> None:
    async with searching(tmp_path, late=late) as made:
        node = made.node
        group = (await node.create_group("ann", "bob", "eve", name="talk of words")).conversation_id
        await made.quiet()
        await node.send_to("ann", group, "word before", "c1")
        await made.quiet()
        assert len(await whole(node, "bob", "word")) == 1
        await node.change_group("bob", group, Leave())
        await node.change_group("ann", group, Remove("eve"))
        await made.quiet()
        await node.send_to("ann", group, "word behind", "c2")
        await made.quiet()
        for user, count in (("ann", 2), ("bob", 1), ("eve", 1)):
            found = await whole(node, user, "word")
            assert len(found) == count
            assert found == await scanned(node, user, "word")


@both_kinds
@virtual_time
async def test_who_joins_a_group_finds_what_he_is_given_of_before(tmp_path: Path, *, late: bool) -> None:
    """Also by an index that was made before he joined."""
    async with searching(tmp_path, late=late) as made:
        node, recent = made.node, GroupSettings(history=History.RECENT)
        group = (await node.create_group("ann", "bob", settings=recent)).conversation_id
        await node.send("eve", "eve", "word of her own", "c0")
        assert len(await whole(node, "eve", "word")) == 1
        sent = await node.send_to("ann", group, "word before", "c1")
        edited = await node.send_to("ann", group, "a slip", "c2")
        unsent = await node.send_to("ann", group, "word that was taken back", "c3")
        await made.quiet()
        await node.change("ann", edited, "word after an edit")
        await node.change("ann", unsent, None)
        await node.react("bob", sent, "\N{THUMBS UP SIGN}")
        await made.quiet()
        await node.change_group("ann", group, Add(("eve",), 100))
        await made.quiet()
        found = await whole(node, "eve", "word")
        texts = [one["messageContent"] for one in found]
        assert texts == ["word after an edit", "word before", "word of her own"]
        for query in ("word", "slip", "taken"):
            assert await whole(node, "eve", query) == await scanned(node, "eve", query)


@both_kinds
@virtual_time
async def test_what_was_changed_before_it_came_is_found_where_memory_has_it_no_more(
    tmp_path: Path, *, late: bool
) -> None:
    """Its key says that it was changed, by the version with which it came."""
    async with searching(tmp_path, late=late) as made:
        node = made.node
        group = (await node.create_group("ann", "bob", settings=GroupSettings(history=History.RECENT))).conversation_id
        sent = await node.send_to("ann", group, "a slip", "c1")
        await made.quiet()
        await node.change("ann", sent, "a word")
        await made.quiet()
        await node.change_group("ann", group, Add(("eve",), 100))
        await made.quiet()
        for _ in range(2):
            assert [one["messageContent"] for one in await whole(node, "eve", "word")] == ["a word"]
            node = await made.restart()


@virtual_time
async def test_an_index_that_lies_shows_nothing_wrong(tmp_path: Path) -> None:
    async with searching(tmp_path, late=True) as made:
        node = made.node
        for number in range(5):
            await node.send("ann", "bob", f"true {number}", f"c{number}")
        await node.send("eve", "ann", "other", "d")
        await made.quiet()
        expected = await whole(node, "ann", "true")
        index = await _index(node, "ann")
        database = index.file._opened()
        places = [row[0] for row in database.execute("SELECT place FROM messages")]
        for place in places:  # every message is said to have the words
            terms = index_file._of_word("true"), index_file._of_word("false")
            database.execute("INSERT INTO words (rowid, terms) VALUES (?, ?)", (place, " ".join(terms)))
        database.execute("INSERT INTO conversations (id) VALUES (?)", (bytes(16),))
        database.execute(
            "INSERT INTO messages SELECT place, randomblob(16), (SELECT max(number) FROM conversations), "
            "epoch, version, came, ends FROM messages"
        )
        assert await whole(node, "ann", "true") == expected
        assert await whole(node, "ann", "false") == []


async def _index(node: Node, user: str) -> Any:
    """The index of a user's mailbox, which is there."""
    assert node.owner.searches is not None
    return node.owner.searches.indexes._indexes[user]


@pytest.mark.parametrize("harm", ["overwritten", "removed", "of another", "emptied"])
@virtual_time
async def test_a_damaged_file_costs_a_search_its_time_and_nothing_else(tmp_path: Path, harm: str) -> None:
    async with searching(tmp_path, late=False) as made:
        node = made.node
        for number in range(300):
            await node.send("ann", "bob", f"word{number} common " + " ".join(TEXTS[:8]), f"c{number}")
        before = await whole(node, "ann", "common", page_size=100)
        assert len(before) == 300
        index = await _index(node, "ann")
        index.file.close()
        (path,) = indexes_in(tmp_path)
        if harm == "overwritten":
            path.write_bytes(b"\xff" * path.stat().st_size)
        elif harm == "removed":
            path.unlink()
        elif harm == "emptied":
            path.write_bytes(b"")
        else:
            with sqlite3.connect(path) as database:
                database.execute("UPDATE about SET user = 'bob'")
            database.close()
        assert await whole(node, "ann", "common", page_size=100) == before
        assert node.owner.searches is not None
        assert node.owner.searches.indexes.lost == 1
        assert await _index(node, "ann") is not index


@virtual_time
async def test_a_device_that_fails_costs_searches_and_never_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with searching(tmp_path, late=False) as made:
        node = made.node
        await node.send("ann", "bob", "word one", "c1")
        assert len(await whole(node, "ann", "word")) == 1

        def full(_: str) -> SimpleNamespace:
            return SimpleNamespace(free=SearchSettings().min_free_bytes - 1)

        with monkeypatch.context() as patched:
            patched.setattr(shutil, "disk_usage", full)
            await node.send("ann", "bob", "word two", "c2")
            with pytest.raises(SearchUnavailable) as caught:
                await node.search("ann", "word")
            assert caught.value.retry_after_ms == 60_000
            assert not indexes_in(tmp_path), "what the indexes took is for the messages"
            with pytest.raises(SearchUnavailable):
                await node.search("bob", "word")
        assert len(await whole(node, "ann", "word")) == 2

        def broken(*_: object, **__: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        with monkeypatch.context() as patched:
            patched.setattr(sqlite3, "connect", broken)
            await node.send("ann", "bob", "word three", "c3")
            with pytest.raises(SearchUnavailable):
                await node.search("bob", "word")
            assert texts(await node.search("ann", "word"))[0] == "word three", "its file is open"
        assert len(await whole(node, "bob", "word")) == 3


@both_kinds
@virtual_time
async def test_a_build_that_was_killed_is_begun_anew_by_the_next_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, late: bool
) -> None:
    monkeypatch.setattr(upkeep, "STEP_MESSAGES", 4)
    monkeypatch.setattr(searches, "PATIENCE_S", 0.0)
    async with searching(tmp_path, late=late) as made:
        for number in range(40):
            await made.node.send("ann", f"p{number % 7}", f"word {number}", f"c{number}")
        await made.quiet()
        first = await made.node.search("ann", "word", page_size=100)
        assert not first.complete
        await made.restart()
        if late:  # the one before it lives on, and does not know
            assert indexes_in(tmp_path)
        found = await whole(made.node, "ann", "word", page_size=100)
        assert [one["messageContent"] for one in found] == [f"word {number}" for number in reversed(range(40))]


@virtual_time
async def test_the_newest_are_found_first_and_the_rest_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "STEP_MESSAGES", 5)
    monkeypatch.setattr(searches, "PATIENCE_S", 0.0)
    async with searching(tmp_path, late=False) as made:
        node = made.node
        for number in range(60):
            await node.send("ann", f"p{number % 6}", f"word {number}", f"c{number}")
        monkeypatch.setattr(upkeep, "PAUSE_SHARE", 0.0)
        seen = await node.search("ann", "word", page_size=100)
        assert not seen.complete
        for _ in range(1000):
            seen = await node.search("ann", "word", page_size=100)
            if not seen.complete and 5 <= len(seen.messages) < 60:
                assert texts(seen)[0] == "word 59", "the newest are there first"
            if seen.complete:
                break
            await asyncio.sleep(0.01)
        assert texts(seen) == [f"word {number}" for number in reversed(range(60))]


@virtual_time
async def test_what_the_background_takes_in_leaves_few_files_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a user each for every file that a process may have open would end it."""
    monkeypatch.setattr(upkeep, "STEP_MESSAGES", 2)
    monkeypatch.setattr(searches, "PATIENCE_S", 0.0)
    monkeypatch.setattr(indexes, "MOST_OPEN", 3)
    async with searching(tmp_path, late=False) as made:
        node = made.node
        for number in range(80):
            await node.send(f"u{number % 8}", f"u{number % 8}", f"word {number}", f"c{number}")
        seen = [await node.search(f"u{number}", "word") for number in range(8)]
        assert not any(one.complete for one in seen)
        assert node.owner.searches is not None
        kept = node.owner.searches.indexes
        most_open = 0
        while kept.unfinished():
            await asyncio.sleep(0.01)
            most_open = max(most_open, sum(one.file._database is not None for one in kept._indexes.values()))
        assert len(kept) == 8
        assert 0 < most_open <= 3


@virtual_time
async def test_what_comes_while_an_index_is_made_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "STEP_MESSAGES", 3)
    monkeypatch.setattr(searches, "PATIENCE_S", 0.0)
    async with searching(tmp_path, late=True) as made:
        node = made.node
        sent = [await node.send("ann", f"p{n % 5}", f"word {n}", f"c{n}") for n in range(30)]
        await made.quiet()
        await node.search("ann", "word")
        await node.change("ann", sent[3], "word edited")
        await node.change("ann", sent[4], None)
        await node.react("ann", sent[5], "👍")
        await node.send("p1", "ann", "word of p1", "d")
        await made.quiet()
        assert await whole(node, "ann", "word", page_size=7) == await scanned(node, "ann", "word")
        assert len(await whole(node, "ann", "edited")) == 1


@virtual_time
async def test_two_searches_at_once_share_an_index_and_cancelling_one_harms_neither(tmp_path: Path) -> None:
    async with searching(tmp_path, late=False) as made:
        node = made.node
        for number in range(200):
            await node.send("ann", f"p{number % 9}", f"word {number}", f"c{number}")
        owner = node.owner
        begun = [asyncio.create_task(owner.search(Search("ann", "word", page_size=100))) for _ in range(4)]
        for turns in range(1, 6):
            for _ in range(turns):
                await asyncio.sleep(0)
            late_one = asyncio.create_task(owner.search(Search("ann", "word")))
            await asyncio.sleep(0)
            late_one.cancel()
        begun[1].cancel()
        await asyncio.gather(*begun, return_exceptions=True)
        assert owner.searches is not None
        assert owner.searches.indexes.made == 1
        found = await whole(node, "ann", "word", page_size=100)
        assert [one["messageContent"] for one in found] == [f"word {number}" for number in reversed(range(200))]


@virtual_time
async def test_indexes_take_no_more_than_their_room_and_the_one_used_last_stays(tmp_path: Path) -> None:
    settings = replace(UNLIMITED, search=SearchSettings(bytes=150_000, min_free_bytes=0))
    async with searching(tmp_path, late=False, settings=settings) as made:
        node = made.node
        users = [f"u{number}" for number in range(12)]
        for user in users:
            for number in range(3):
                await node.send(user, user, f"word {number}", f"c{number}")
        for user in users:
            assert len(await whole(node, user, "word")) == 3
            assert sum(path.stat().st_size for path in indexes_in(tmp_path)) <= 150_000
        kept = [*node.owner.searches.indexes._indexes] if node.owner.searches is not None else []
        assert kept == users[-len(kept) :]
        assert 1 < len(kept) < 12
        for user in users:
            assert len(await whole(node, user, "word")) == 3


@virtual_time
async def test_an_index_that_outgrows_all_room_by_news_is_made_anew(tmp_path: Path) -> None:
    settings = replace(UNLIMITED, search=SearchSettings(bytes=400_000, min_free_bytes=0))
    async with searching(tmp_path, late=False, settings=settings) as made:
        node = made.node
        for number in range(600):
            await node.send(
                "ann", "ann", f"word {number} " + " ".join(f"w{number}x{n}" for n in range(60)), f"{number}"
            )
            if number % 50 == 49:
                newest = (await node.search("ann", "word", page_size=1)).messages
                assert orjson.loads(newest[0])["messageContent"].startswith(f"word {number} ")
                assert 100_000 * (number > 200) < sum(path.stat().st_size for path in indexes_in(tmp_path)) <= 400_000
        assert node.owner.searches is not None
        assert node.owner.searches.indexes.made > 1


@virtual_time
async def test_an_index_has_the_newest_messages_up_to_its_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "STEP_MESSAGES", 10)
    monkeypatch.setattr(upkeep, "MOST_MESSAGES", 25)
    async with searching(tmp_path, late=False) as made:
        for number in range(60):
            await made.node.send("ann", f"p{number % 3}", f"word {number}", f"c{number}")
        found = [one["messageContent"] for one in await whole(made.node, "ann", "word", page_size=100)]
        assert 25 <= len(found) <= 35
        assert set(found) >= {f"word {number}" for number in range(40, 60)}


@virtual_time
async def test_a_page_ends_behind_its_candidates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searches, "MOST_CANDIDATES", 10)
    async with searching(tmp_path, late=False) as made:
        await made.node.send("ann", "bob", "one two", "first")
        for number in range(40):
            await made.node.send("ann", "bob", f"two one {number}", f"c{number}")
        page = await made.node.search("ann", "one-two")
        assert page.messages == []
        assert page.next_cursor is not None
        assert await whole(made.node, "ann", "one-two") == []
        assert len(await whole(made.node, "ann", "one two", page_size=100)) == 41


@virtual_time
async def test_a_page_ends_where_its_candidates_are_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand messages of 65 KB would take the loop, and everybody with it, for many seconds."""
    monkeypatch.setattr(searches, "LOOK_AT_BYTES", 3_000)
    monkeypatch.setattr(searches, "MOST_BYTES", 10_000)
    async with searching(tmp_path, late=False) as made:
        for number in range(40):
            await made.node.send("ann", "bob", f"two one {number} " + "é" * 500, f"c{number}")
        await whole(made.node, "ann", "two")
        looked_at: list[str] = []

        def noted(_: Query, text: str) -> bool:
            looked_at.append(text)
            return False

        monkeypatch.setattr(Query, "is_in", noted)
        page = await made.node.search("ann", "one-two")
        assert page.messages == []
        assert page.next_cursor is not None
        assert sum(len(text.encode()) for text in looked_at) < 13_000
        assert await whole(made.node, "ann", "one-two") == []
        monkeypatch.undo()
        monkeypatch.setattr(searches, "MOST_BYTES", 10_000)
        found = [one["messageContent"].split()[2] for one in await whole(made.node, "ann", "one two", page_size=100)]
        assert found == [str(number) for number in reversed(range(40))]


@virtual_time
async def test_who_searches_too_often_waits_and_others_do_not(tmp_path: Path) -> None:
    settings = replace(UNLIMITED, rate_limits=RateLimitSettings(search_burst=3, search_per_second=1.0))
    async with searching(tmp_path, late=False, settings=settings) as made:
        for left in (2, 1, 0):
            found = await made.node.search("ann", "word")
            assert found.quota is not None
            assert found.quota.remaining == left
        with pytest.raises(RateLimited):
            await made.node.search("ann", "word")
        await made.node.search("bob", "word")
        await asyncio.sleep(1)
        await made.node.search("ann", "word")


@virtual_time
async def test_long_messages_that_are_looked_at_cost_more_than_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searches, "BYTES_PER_TOKEN", 3_000)
    settings = replace(UNLIMITED, rate_limits=RateLimitSettings(search_burst=30, search_per_second=0.001))
    async with searching(tmp_path, late=False, settings=settings) as made:
        for number in range(10):
            await made.node.send("ann", "bob", f"word {number} " + "x" * 900, f"c{number}")
        short = await made.node.search("ann", "nowhere")
        long = await made.node.search("ann", "word")
        assert short.quota is not None
        assert long.quota is not None
        assert short.quota.remaining == 29
        assert short.quota.remaining - long.quota.remaining in range(4, 6), "10 messages of 1.1 to 1.2 KB"


@virtual_time
async def test_the_searches_of_one_user_leave_room_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searches, "MOST_AT_ONCE", 16)
    async with searching(tmp_path, late=False) as made:
        await made.node.send("ann", "bob", "word", "c")
        users = ["ann"] * 20 + ["bob", "cem", "ann"]
        asked = [made.node.owner.search(Search(user, "word")) for user in users]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        refused = [user for user, one in zip(users, answers, strict=True) if isinstance(one, Overloaded)]
        assert refused == ["ann"] * 13
        assert len((await made.node.search("ann", "word")).messages) == 1, "which are over by now"


@virtual_time
async def test_too_many_searches_at_once_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searches, "MOST_AT_ONCE", 2)
    async with searching(tmp_path, late=False) as made:
        await made.node.send("ann", "bob", "word", "c")
        asked = [made.node.owner.search(Search(user, "word")) for user in ("ann", "bob", "cem", "dai")]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(one, Overloaded) for one in answers) == 2
        assert sum(not isinstance(one, BaseException) for one in answers) == 2


@virtual_time
async def test_without_a_place_or_without_fts5_nobody_searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with cluster(late=False) as made:
        with pytest.raises(SearchOff):
            await made.node.search("ann", "word")
    monkeypatch.setattr(searches, "what_is_missing", lambda: "SQLite 3.1: no such module: fts5")
    async with searching(tmp_path, late=False) as made:
        with pytest.raises(SearchOff):
            await made.node.search("ann", "word")
        await made.node.send("ann", "bob", "word", "c")


@virtual_time
async def test_another_owner_makes_an_index_of_its_own_and_the_first_forgets_its(tmp_path: Path) -> None:
    async with searching(tmp_path, late=True) as made:
        for number in range(10):
            await made.node.send("ann", "bob", f"word {number}", f"c{number}")
        await made.quiet()
        giver = made.node
        assert len(await whole(giver, "ann", "word")) == 10
        taker = await made.move()
        assert giver.owner.searches is not None
        assert len(giver.owner.searches.indexes) == 0
        await taker.send("ann", "bob", "word of the taker", "d")
        found = await whole(taker, "ann", "word")
        assert found[0]["messageContent"] == "word of the taker"
        assert len(found) == 11


@virtual_time
async def test_an_index_older_than_the_log_is_made_anew(tmp_path: Path) -> None:
    settings = replace(UNLIMITED, store=StoreSettings(token_life_ms=60_000))
    async with searching(tmp_path, late=False, settings=settings) as made:
        node = made.node
        await node.send("ann", "bob", "word 0", "c0")
        assert len(await whole(node, "ann", "word")) == 1
        for number in range(1, 400):  # more than memory keeps of the log
            await node.send("ann", "bob", f"word {number}", f"c{number}")
        await asyncio.sleep(120)
        await node.send("ann", "bob", "word last", "last")
        assert node.owner.searches is not None
        made_before = node.owner.searches.indexes.made
        assert len(await whole(node, "ann", "word", page_size=100)) == 401
        assert node.owner.searches.indexes.made == made_before + 1


@virtual_time
async def test_a_search_that_is_cancelled_at_any_turn_leaves_no_hole_in_its_index(tmp_path: Path) -> None:
    async with searching(tmp_path, late=False) as made:
        node = made.node
        for turns in range(1, 25):
            user = f"u{turns}"
            for number in range(4):
                await node.send(user, f"p{number}", f"word {number}", f"c{number}")
            asked = asyncio.create_task(node.owner.search(Search(user, "word")))
            for _ in range(turns):
                await asyncio.sleep(0)
            asked.cancel()
            found = await whole(node, user, "word")
            assert [one["messageContent"] for one in found] == [f"word {number}" for number in (3, 2, 1, 0)], turns

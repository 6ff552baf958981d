"""Rules of the chat page that need no page: what happened to a group in words, who may what, faces, and peers."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.javascript.program import program

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

Ask = Callable[..., Awaitable[Any]]
GROUP = "!0192f5a0c0de7abc8123456789abcdef"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ask() -> AsyncIterator[Ask]:
    """Calls one of the rules of page.js."""
    async with program("page/rules.js") as page:

        async def ask(rule: str, *values: object) -> Any:
            await page.hear(json.dumps([rule, *values]))
            return (await page.until(lambda line: "value" in line))["value"]

        yield ask


def event(kind: str, actor: str, *users: str, **more: str) -> dict[str, object]:
    return {"type": kind, "actor": actor, "users": users, **more}


SENTENCES = [
    (event("created", "alice", "bob", name="Hiking"), "You created the group “Hiking”"),
    (event("created", "bob", "alice"), "bob created the group"),
    (event("added", "bob", "alice"), "bob added you"),
    (event("added", "alice", "bob", "carol", "dave"), "You added bob, carol and dave"),
    (event("added", "bob", "c", "d", "e", "f", "alice"), "bob added c, d, e, f, you …"),
    (event("added", "erin", "frank", "bob"), "Erin Novak added \u2068דוד\u2069 and bob"),
    (event("left", "erin", "erin", owner="frank"), "Erin Novak left; \u2068דוד\u2069 is the owner now"),
    (event("removed", "bob", "carol"), "bob removed carol"),
    (event("left", "alice", "alice"), "You left"),
    (event("left", "bob", "bob", owner="alice"), "bob left; you are the owner now"),
    (event("left", "alice", "alice", owner="bob"), "You left; bob is the owner now"),
    (event("declined", "bob", "bob", owner="carol"), "bob could not be added; carol is the owner now"),
    (event("declined", "carol", "carol"), "carol could not be added"),
    (event("declined", "alice", "alice"), "You could not be added"),
    (event("renamed", "bob", name="Hiking"), "bob named the group “Hiking”"),
    (event("renamed", "bob", name=""), "bob took the group’s name away"),
    (event("role", "bob", "alice", role="owner"), "bob made you the owner"),
    (event("role", "alice", "bob", role="admin"), "You made bob an admin"),
    (event("role", "bob", "carol", role="member"), "bob made carol an ordinary member"),
    (event("role", "bob", "alice", role="of a later version"), "bob changed your role"),
    (event("role", "alice", "bob"), "You changed bob’s role"),
    (event("settings", "bob"), "bob changed the group’s settings"),
    (event("deleted", "bob"), "bob deleted the group"),
    (event("of a later version", "bob"), None),
]


@pytest.mark.parametrize(("told", "sentence"), SENTENCES)
async def test_what_happened_in_words(ask: Ask, told: object, sentence: str | None) -> None:
    assert await ask("sentenceOf", told, "alice") == sentence


@pytest.mark.parametrize(
    ("sender", "unsent_by", "words"),
    [
        ("bob", None, "This message was taken back"),
        ("bob", "bob", "bob took this message back"),
        ("erin", "erin", "Erin Novak took this message back"),
        ("alice", "alice", "You took this message back"),
        ("bob", "carol", "An admin removed this message"),
        ("alice", "carol", "An admin removed this message"),
        ("bob", "alice", "You removed this message"),
    ],
)
async def test_who_took_a_message_back_in_words(ask: Ask, sender: str, unsent_by: str | None, words: str) -> None:
    message = {"senderId": sender} | ({} if unsent_by is None else {"unsentBy": unsent_by})
    assert await ask("takenBack", message, "alice") == words


ALL = {"whoCanSend": "all", "whoCanAdd": "all", "whoCanEditInfo": "all"}
ADMINS = {"whoCanSend": "admins", "whoCanAdd": "admins", "whoCanEditInfo": "admins"}


@pytest.mark.parametrize(
    ("role", "settings", "offered"),
    [
        ("owner", ADMINS, {"mayWrite", "mayAdd", "mayRename", "mayDelete", "isAdmin"}),
        ("admin", ADMINS, {"mayWrite", "mayAdd", "mayRename", "isAdmin"}),
        ("member", ADMINS, set()),
        ("member", ALL, {"mayWrite", "mayAdd", "mayRename"}),
        ("member", None, {"mayWrite"}),  # not known yet: who may not is refused
    ],
)
async def test_what_is_offered_of_a_group(ask: Ask, role: str, settings: object, offered: set[str]) -> None:
    answer = await ask("offers", role, settings, "member")
    assert {name for name, value in answer.items() if value is True} == offered


TO_ADMIN, TO_MEMBER, TO_OWNER, REMOVE = (
    "Make an admin",
    "Make an ordinary member",
    "Make the owner",
    "Remove from the group",
)


@pytest.mark.parametrize(
    ("role", "other", "deeds"),
    [
        ("owner", "member", [TO_ADMIN, TO_OWNER, REMOVE]),
        ("owner", "admin", [TO_MEMBER, TO_OWNER, REMOVE]),
        ("admin", "member", [REMOVE]),
        ("admin", "admin", []),
        ("admin", "owner", []),
        ("member", "member", []),
    ],
)
async def test_what_is_offered_for_a_member(ask: Ask, role: str, other: str, deeds: list[str]) -> None:
    answer = await ask("offers", role, ALL, other)
    assert answer["deeds"] == deeds
    assert answer["asked"] == [deed for deed in deeds if deed in (TO_OWNER, REMOVE)]  # there is no way back


async def test_initials(ask: Ask) -> None:
    for title, initials in {
        "alice": "A",
        "ann.smith": "AS",
        "Hiking on Sunday": "HO",
        "🏔️ Berge": "B",
        "🏔️": "🏔",
        "東京 旅行": "東旅",
        "4th floor": "4F",
        "+": "+",
    }.items():
        assert await ask("initialsOf", title) == initials


async def test_a_name_turns_nothing_but_itself_and_is_never_mistaken_for_an_id(ask: Ask) -> None:
    assert await ask("shownName", "  Zoë\u202e \u2066 von\u200f  Ende\u2069 ") == "Zoë von Ende"
    assert await ask("shownName", "\u202e\u2066") == ""
    assert await ask("fullName", "erin") == "Erin Novak (erin)"
    assert await ask("fullName", "bob") == "bob"


@pytest.mark.parametrize(
    ("update", "create", "calls", "words"),
    [
        ("", "", ["update"], None),
        ("unknown_user", "", ["update", "create"], None),
        (
            "unknown_user",
            "user_exists",
            ["update", "create"],
            "Your name was changed somewhere else just now. Try again",
        ),
        ("bad_request", "", ["update"], "Not allowed"),
        (
            "unknown_user",
            "forbidden",
            ["update", "create"],
            "Only an administrator of this server can give you a name. Once you have one you can change it here",
        ),
    ],
)
async def test_who_has_no_profile_is_made_known_where_the_server_lets_him(
    ask: Ask, update: str, create: str, calls: list[str], words: str | None
) -> None:
    assert await ask("giveName", update, create) == {"calls": calls, "words": words}


async def test_what_is_no_name(ask: Ask) -> None:
    assert await ask("problemOfName", "") == "A name has at least one character"
    assert await ask("problemOfName", "🏔" * 100) is None
    assert await ask("problemOfName", "x" * 101) == "Too long by 1 characters"


async def test_a_user_has_always_the_same_colour_and_neighbours_have_others(ask: Ask) -> None:
    colours = [await ask("colourOf", name) for name in ("alice", "bob", "carol", "dave", "erin", "frank")]
    assert len(set(colours)) == 6
    assert [await ask("colourOf", f"user-{number}") for number in range(500)].count(colours[0]) in range(20, 70)
    assert await ask("colourOf", GROUP) in range(12)


async def test_a_peer_is_a_user_or_a_group(ask: Ask) -> None:
    assert await ask("groupIdOf", GROUP) == GROUP[1:]
    assert await ask("groupPeer", GROUP[1:]) == GROUP
    assert await ask("groupIdOf", "bob") is None
    for peer, is_one in (
        (GROUP, True),
        ("bob", True),
        (GROUP[:-1], False),
        (f"{GROUP}0", False),
        ("", False),
        (1, False),
    ):
        assert await ask("isPeer", peer) is is_one


async def test_a_name_is_counted_in_characters(ask: Ask) -> None:
    assert await ask("excessOfName", "🏔" * 100) == 0
    assert await ask("excessOfName", "x" * 101) == 1


@pytest.mark.parametrize(
    ("text", "users", "left", "problem"),
    [
        ("bob", ["bob"], "", None),
        (" bob, carol;dave\nerin bob ", ["bob", "carol", "dave", "erin"], "", None),
        ("bob, alice, carol", ["bob"], "alice", "It is you"),
        ("bob! carol", [], "bob!", "A user id has letters, digits and . _ @ + : -"),
        ("", [], "", None),
    ],
)
async def test_whom_a_text_picks(ask: Ask, text: str, users: list[str], left: str, problem: str | None) -> None:
    assert await ask("withWritten", text, "alice") == {"users": users, "text": left, "problem": problem}


@pytest.mark.parametrize(
    ("text", "query", "marked"),
    [
        ("The report of Friday", "friday report", "The [report] of [Friday]"),
        ("The reporter reports", "rep", "The [rep]orter [rep]orts"),  # the last one may still be being typed
        ("The reporter reports", "rep fri", "The reporter reports"),
        ("Straße, STRASSE", "strasse", "[Straße], [STRASSE]"),
        ("Zoe\u0301 and Zoé", "zoé", "[Zoe\u0301] and [Zoé]"),
        ("cafés", "cafe", "cafés"),  # the server does not find it either
        ("ΟΔΟΣ οδος οδός", "οδος", "[ΟΔΟΣ] [οδος] οδός"),
        ("ﬁle ＡＢＣ don’t", "file abc don't", "[ﬁle] [ＡＢＣ] [don’t]"),
        ("co\u00adope\u200brate", "cooperate", "[co\u00adope\u200brate]"),  # what is not seen parts no word
        ("明日は東京都庁へ行く", "東京", "明日は[東京]都庁へ行く"),
        ("see report.pdf, not report", "(report.pdf)", "see [report.pdf], not report"),
        ("he said hello", "\u201chello\u201d", "he said [hello]"),
        ("he said hello", "-hello-", "he said [hello]"),
        ("😀 and 😀😀", "😀", "[😀] and [😀][😀]"),
        ("<b>bold</b>", "bold", "<b>[bold]</b>"),
        ("a b", "", "a b"),
        ("aa aaa", "aa a", "[aa] [a]aa"),
        ("東京都庁", "東京都 京都 都庁", "[東京都][庁]"),  # of places that overlap each character is marked once
        ("x " * 50 + "needle " + "y" * 300, "needle", "…" + "x " * 14 + "[needle] " + "y" * 165 + "…"),
    ],
)
async def test_found_words_are_marked_where_they_stand(ask: Ask, text: str, query: str, marked: str) -> None:
    pieces = await ask("excerptOf", text, query)
    assert "".join(f"[{piece['text']}]" if piece["isFound"] else piece["text"] for piece in pieces) == marked


async def test_an_excerpt_divides_no_character(ask: Ask) -> None:
    for shift in range(3):
        pieces = await ask("excerptOf", "a" * shift + "😀" * 300 + " needle", "needle")
        "".join(piece["text"] for piece in pieces).encode()  # half of one has no UTF-8


@pytest.mark.parametrize(
    ("agent", "name", "platform"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36",
            "Chrome",
            "Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36 Edg/130.0",
            "Edge",
            "Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile/15E148 Safari/604.1",
            "Safari",
            "iPhone",
        ),
        ("Mozilla/5.0 (Android 14; Mobile; rv:130.0) Gecko/130.0 Firefox/130.0", "Firefox", "Android"),
        ("something else", "Browser", ""),
    ],
)
async def test_what_a_person_calls_a_browser(ask: Ask, agent: str, name: str, platform: str) -> None:
    assert await ask("thisBrowser", agent) == {"name": name, "platform": platform}

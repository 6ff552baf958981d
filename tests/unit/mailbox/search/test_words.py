"""What is looked for and what a text has: whatever has a query has every term of it, in any writing system."""

import re
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.search.query import MAX_PHRASES, MAX_QUERY, MAX_TERMS, Query, Term
from rowbox.mailbox.search.words import MAX_WORD, MOST_MARKS, _patterns, fold, words_of

SCRIPTS = "abzÀéßſﬁŒİı_09٣ΣσςЖяअािกขุ้漢字かナｶﾞ한글ﷺ👍🏽❤️#+.-'’ \u200d\u00ad\u0301日本語"
texts = st.one_of(st.text(SCRIPTS, max_size=24), st.text(max_size=24))


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("strasse", "Über die Straße"),
        ("ÜBER", "über uns"),
        ("ﬁne", "a fine day"),
        ("full", "ＦＵＬＬ"),
        ("ｶﾌｪ", "駅のカフェ"),
        ("カ", "駅のカフェ"),
        ("京都", "東京都"),
        ("手机", "iPhone手机"),
        ("iphone", "iPhone手机"),
        ("สถานี", "พรุ่งนี้เจอกันที่สถานี"),
        ("हिन्द", "हिन्दी में"),
        ("σ", "ΣΙΣΥΦΟΣ"),
        ("don't", "I don’t know"),
        ("report.pdf", "see report.pdf, please"),
        ("example.com", "https://example.com/a?b=c"),
        ("example com", "https://example.com/a?b=c"),
        ("a?b=c", "https://example.com/a?b=c"),
        ("c++", "C++ or Rust"),
        ("❤", "I ❤️ it"),
        ("👍", "ok👍🏽"),
        ("co\u00adoperate", "cooperate"),
        ("to be or", "or be to"),
        ('"hello"', "he said hello."),
        ("\u201chello\u201d", "he said hello."),
        ("\u201ehello\u201c", "he said hello."),
        ("hello \u2013 world", "hello, world"),
        ("hello - world", "hello, world"),
        ("\u300e東京\u300f", "東京都"),
        ("the", "the the"),
    ],
)
def test_a_query_is_in_a_text(query: str, text: str) -> None:
    asked = Query(query)
    assert asked.is_in(text)
    assert _has_all(text, asked.terms)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("phone", "iPhone"),
        ("hell yes", "hello yes"),
        ("c++", "C or Rust"),
        ("report.pdf", "report pdf"),
        ("京 都", "東京"),
        ("北京", "北 京"),
        ("ab", "a b"),
        ("strasse nein", "Straße"),
    ],
)
def test_a_query_is_not_in_a_text(query: str, text: str) -> None:
    assert not Query(query).is_in(text)


@pytest.mark.parametrize("text", ["", " \n", "...", "?!", "«»", "+", "\u200d", "x" * (MAX_QUERY + 1)])
def test_what_is_no_query(text: str) -> None:
    with pytest.raises(BadRequest):
        Query(text)


def test_how_much_a_query_may_hold() -> None:
    with pytest.raises(BadRequest, match="words"):
        Query("a " * (MAX_PHRASES + 1))
    assert len(Query("字" * MAX_QUERY).terms) == MAX_TERMS
    assert Query("字" * 80).is_in("字" * 80)
    assert not Query("字" * 80).is_in("字" * 79)
    long = Query("x" * 200)
    assert repr(long.terms) == "[" + "x" * MAX_WORD + "*]"
    assert long.is_in("x" * 200)
    assert not long.is_in("x" * 199)


@given(texts, texts)
def test_whatever_has_a_query_has_every_term_of_it(text: str, said: str) -> None:
    try:
        query = Query(text[:MAX_QUERY])
    except BadRequest:
        assume(condition=False)
    for candidate in (said, text, said + " " + text, text + said, said + text + said):
        if query.is_in(candidate):
            assert _has_all(candidate, query.terms)


@given(texts)
def test_a_text_is_found_by_each_of_its_words(text: str) -> None:
    for word in text.split():
        try:
            query = Query(word)
        except BadRequest:
            continue  # there is nothing in it but punctuation
        assert query.is_in(text), word
        assert _has_all(text, query.terms), word


@given(st.text(st.characters(max_codepoint=127), max_size=40))
def test_plain_texts_have_the_words_that_they_have_beside_others(text: str) -> None:
    assert words_of(fold(text)) == words_of(fold(f"{text} é")) - {"é"}


def test_marks_of_all_planes_are_known() -> None:
    marks = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)).startswith("M")]
    unknown = [mark for mark in marks if fold(mark) != "" and not re.match(_patterns().run, mark)]
    assert [f"{ord(mark):x}" for mark in unknown if ord(mark) < 0xE0000] == []


@pytest.mark.parametrize("marks", ["\u0323\u0301", "\u0344\u0f73", "\uff9e\u0334", "\u3099\uff9f\u0301\u0323"])
def test_a_text_of_nothing_but_marks_is_cut(marks: str) -> None:
    """To normalize takes the square of how many marks follow each other: seconds, for a text as long as one may be."""
    folded = fold("a" + marks * 500 + "b")
    assert len(folded) <= 3 * MOST_MARKS + 2
    assert folded[-1] == "b"


def test_as_many_marks_as_a_language_needs_stay_and_so_does_what_only_looks_alike() -> None:
    for text in ("a" + "\u0323" * MOST_MARKS, "。" * 100, "…—" * 50, "👍🏽" * 40, "हिन्दी" * 40, "ﾊﾞ" * 40):
        seen = text.replace("\u200d", "")
        assert fold(text) == unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())


def test_to_read_a_query_compiles_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class of all combining marks takes milliseconds: for each word of a query it would hold up everybody."""
    Query("é")
    compiled: list[str] = []
    compile_pattern = re.compile

    def noted(pattern: str, flags: int = 0) -> re.Pattern[str]:
        compiled.append(pattern)
        return compile_pattern(pattern, flags)

    monkeypatch.setattr(re, "compile", noted)
    Query(" ".join(f"wörd{number}" for number in range(MAX_PHRASES)))
    assert len(compiled) == MAX_PHRASES
    assert max(map(len, compiled)) < 100


@pytest.mark.parametrize(
    ("query", "text", "is_there"),
    [
        ("a-a b", "éa-a-a b", True),
        ("a-a b", "éa-aé b", False),
        ("b a", "b ba", False),
        ("a b", "a\u0323\u0316 b", False),
        ("a b", "字a字 b", True),
        ("éa b", "ééa éa b", True),
    ],
)
def test_a_phrase_is_looked_for_at_every_place(query: str, text: str, *, is_there: bool) -> None:
    assert Query(query).is_in(text) is is_there


def _has_all(text: str, terms: list[Term]) -> bool:
    words = words_of(fold(text))
    return all(
        any(word.startswith(term.word) for word in words) if term.is_beginning else term.word in words for term in terms
    )

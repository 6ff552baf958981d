"""What is looked for: read from what somebody typed, and held against texts.

It is cut at white space into phrases. A text has it when it has every phrase, each where a word begins, to where a word
ends; the last phrase may be the beginning of a word, because it may still be being typed. Nothing in it is syntax.
"""

from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.search.words import MAX_WORD, Occurrence, fold, runs

MAX_QUERY = 256
"""Characters."""
MAX_PHRASES = 16
MAX_TERMS = 32
"""Of a query: what an index is asked for. A text is held against the whole query anyway."""
_AROUND = " -\"'`()[]{}<>,;:!?.\u00a1\u00ab\u00bb\u00bf\u2026\u3001\u3002\u300c\u300d\u300e\u300f" + "".join(
    map(chr, range(0x2010, 0x2020))  # dashes, and quotation marks as phones type them
)
"""Stripped from both ends of a phrase: people put it around words and mean the words."""


class Term:
    """A word, or a character, or two, that a text has to have: whole, or as the beginning of a word."""

    __slots__ = ("is_beginning", "word")

    def __init__(self, word: str, *, is_beginning: bool = False) -> None:
        self.word = word
        self.is_beginning = is_beginning

    def __repr__(self) -> str:
        return self.word + ("*" if self.is_beginning else "")


class Query:
    """What is looked for."""

    __slots__ = ("_occurrences", "spelled", "terms")

    def __init__(self, text: str) -> None:
        """BadRequest where there is nothing to look for in `text`, or more than a query may hold."""
        if len(text) > MAX_QUERY:
            raise BadRequest(f"q is longer than {MAX_QUERY} characters")
        phrases = [stripped for part in fold(text).split() if (stripped := part.strip(_AROUND))]
        if len(phrases) > MAX_PHRASES:
            raise BadRequest(f"q is more than {MAX_PHRASES} words")
        self.spelled = " ".join(phrases)
        """One spelling of all queries that look for the same."""
        self.terms = _terms(phrases)[:MAX_TERMS]
        """What an index is asked for: every text that has the query has all of these."""
        if not self.terms:
            raise BadRequest("q has no letter, digit or symbol to look for")
        last = len(phrases) - 1
        self._occurrences = [Occurrence(one, is_open=place == last) for place, one in enumerate(phrases)]

    def is_in(self, text: str) -> bool:
        """Whether a text has what is looked for."""
        folded = fold(text)
        return all(one.is_in(folded) for one in self._occurrences)


def _terms(phrases: list[str]) -> list[Term]:
    terms: list[Term] = []
    for place, phrase in enumerate(phrases):
        for run, is_of_characters, end in runs(phrase):
            if not is_of_characters:
                is_beginning = place == len(phrases) - 1 and end == len(phrase)
                terms.append(Term(run[:MAX_WORD], is_beginning=is_beginning))
            elif len(run) == 1:
                terms.append(Term(run))
            else:
                terms += [Term(run[at : at + 2]) for at in range(len(run) - 1)]
    return terms

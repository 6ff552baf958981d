"""Words: what of a text is put into an index, and the spelling in which texts and what is looked for are compared.

A spelling (`fold`) forgets what people do not see or do not type: upper and lower case, full and half width, ligatures,
joiners. Of a text so spelled there are two kinds of runs:

words       Letters, digits, marks and underscores, of scripts that put something between words. A name of a file or a
            URL is several of them.
characters  Scripts that put nothing between words (Chinese, Japanese, Thai and others; Korean, where particles are
            part of a word), and symbols such as emoji. Each character is looked for alone and each with its next one:
            so what is asked for is found wherever it stands, without a dictionary.

All else divides runs. No stem is guessed and no word is too common: what is written is found.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from unicodedata import category, normalize

MAX_WORD = 64
"""Characters of a word that an index holds: a longer one is found by these, and its text says whether it is right."""

_CHARACTERS = (
    "\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf"  # Thai to Tibetan, Myanmar, Khmer
    "\u2190-\u2bff\U0001f000-\U0001faff"  # symbols, emoji
    "\u3005-\u3007\u3040-\u318f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\ua4cf\ua960-\ua97f\ua9e0-\ua9ff\uaa60-\uaa7f"
    "\uac00-\ud7ff\uf900-\ufaff\U0001b000-\U0001b2ff\U00020000-\U0003ffff"
)
_UNSEEN = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff]")
_APOSTROPHES = re.compile("[\u2018\u2019\u02bc]")
_PLAIN = "[a-z0-9_]"
_PLAIN_WORD = re.compile(f"{_PLAIN}+")
_LAST_MARK = 0x1F000
"""Behind it, and before the unseen selectors of the last planes, there are no combining marks."""
_VOICED = "\uff9e\uff9f"
"""Letters that NFKC makes combining marks."""
MOST_MARKS = 30
"""On one character; more are forgotten. To normalize takes the square of their number, and whoever writes to somebody
chooses it: 65 KB of them would keep the process busy for seconds. UAX 15 (13, the Stream-Safe Text Format) has the
same bound: no language needs more.
"""
_MAY_BE_MARKS = re.compile(rf"(?:[^\w\x00-\x7f]|[{_VOICED}]){{{MOST_MARKS + 1},}}")
"""Costs less than to look for marks themselves, of which texts rarely have so many."""


def fold(text: str) -> str:
    """The spelling of a text in which it is compared."""
    if text.isascii():
        return text.lower()
    seen = _MAY_BE_MARKS.sub(_without_most_marks, _UNSEEN.sub("", text))
    folded = normalize("NFKC", normalize("NFKC", seen).casefold())
    return _APOSTROPHES.sub("'", folded)


def _without_most_marks(match: re.Match[str]) -> str:
    return _patterns().too_many_marks.sub(r"\1", match[0])


def runs(folded: str) -> Iterator[tuple[str, bool, int]]:
    """The runs of a text in its spelling, in their order: each with whether it is of characters, and where it ends."""
    if folded.isascii():
        for match in _PLAIN_WORD.finditer(folded):
            yield match[0], False, match.end()
        return
    for match in _patterns().run.finditer(folded):
        yield match[0], match.lastgroup == "characters", match.end()


def words_of(folded: str) -> set[str]:
    """What an index holds of a text: its words, and of each run of characters each of them alone and with its next."""
    if folded.isascii():
        return {word[:MAX_WORD] for word in _PLAIN_WORD.findall(folded)}
    found: set[str] = set()
    for run, is_of_characters, _ in runs(folded):
        if is_of_characters:
            found.update(run)
            found.update(map("".join, pairwise(run)))
        else:
            found.add(run[:MAX_WORD])
    return found


class Occurrence:
    """Finds a phrase in a text, both in their spelling, where it begins with a word's beginning and ends with a word's
    end; where it `is_open`, it may end within a word.
    """

    __slots__ = ("_begins_word", "_ends_word", "_found", "_length")

    def __init__(self, phrase: str, *, is_open: bool) -> None:
        is_of_word = _patterns().in_word.match
        self._begins_word = is_of_word(phrase[0]) is not None
        self._ends_word = not is_open and is_of_word(phrase[-1]) is not None
        self._length = len(phrase)
        # Only what is cheap to compile: a class of all combining marks takes milliseconds for each phrase.
        before = f"(?<!{_PLAIN})" if self._begins_word else ""
        after = f"(?!{_PLAIN})" if self._ends_word else ""
        self._found = re.compile(f"{before}(?={re.escape(phrase)}{after})")

    def is_in(self, folded: str) -> bool:
        """Whether a text has it."""
        is_of_word = _patterns().in_word.match
        for match in self._found.finditer(folded):
            begin, end = match.start(), match.start() + self._length
            if self._begins_word and begin and is_of_word(folded, begin - 1):
                continue
            if not (self._ends_word and is_of_word(folded, end)):
                return True
        return False


class _Patterns:
    """What needs all combining marks, which are looked for once, at the first text that is no ASCII."""

    def __init__(self) -> None:
        marks = re.escape("".join(chr(code) for code in range(_LAST_MARK) if category(chr(code)).startswith("M")))
        of_word = f"(?![{_CHARACTERS}])[\\w{marks}]"
        self.in_word = re.compile(of_word)
        self.run = re.compile(f"(?P<characters>[{_CHARACTERS}]+)|(?:{of_word})+")
        self.too_many_marks = re.compile(f"([{marks}{_VOICED}]{{{MOST_MARKS}}})[{marks}{_VOICED}]+")


@lru_cache(1)
def _patterns() -> _Patterns:
    return _Patterns()

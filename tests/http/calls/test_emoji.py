"""What is taken for an emoji, and how it is spelled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.api.v1.emoji import emoji_of
from rowbox.api.v1.request_types import MAX_EMOJI_BYTES
from rowbox.mailbox.errors import NotAnEmoji

AS_EMOJI, AS_TEXT, JOINER = "\ufe0f", "\ufe0e", "\u200d"
MAN, WOMAN, GIRL, HEART, KISS = "\U0001f468", "\U0001f469", "\U0001f467", "\u2764", "\U0001f48b"
LIGHT, DARK = "\U0001f3fb", "\U0001f3ff"
FLAG = "\U0001f3f4"
ENGLAND = FLAG + "".join(chr(0xE0000 + ord(one)) for one in "gbeng") + "\U000e007f"
GERMANY = "\U0001f1e9\U0001f1ea"
UP = "\U0001f44d"

SPELLED = {
    "one": (UP, UP),
    "of a skin tone": (UP + DARK, UP + DARK),
    "one that is a sign by itself": (HEART, HEART + AS_EMOJI),
    "the same, as an emoji": (HEART + AS_EMOJI, HEART + AS_EMOJI),
    "one that needs no selector": (UP + AS_EMOJI, UP),
    "a keycap": ("1\u20e3", f"1{AS_EMOJI}\u20e3"),
    "a flag": (GERMANY, GERMANY),
    "the flag of a part of a country": (ENGLAND, ENGLAND),
    "a family": (JOINER.join((MAN, WOMAN, GIRL)), JOINER.join((MAN, WOMAN, GIRL))),
    "the longest": (
        JOINER.join((MAN + LIGHT, HEART, KISS, MAN + DARK)),
        JOINER.join((MAN + LIGHT, HEART + AS_EMOJI, KISS, MAN + DARK)),
    ),
    "a person of a skin tone at work": (f"\u26f9{DARK}{JOINER}\u2642", f"\u26f9{DARK}{JOINER}\u2642{AS_EMOJI}"),
    "one that Unicode may name some day": ("\U0001fc00", "\U0001fc00"),
}
NONE = {
    "nothing": "",
    "a letter": "a",
    "a word": "yes",
    "a digit": "1",
    "a name": ":+1:",
    "a sign": "\u2605",
    "a tile of a game": "\U0001f000",
    "two": UP + UP,
    "one and a space": UP + " ",
    "one and a line break": UP + "\n",
    "a sign as a text": HEART + AS_TEXT,
    "half a flag": GERMANY[0],
    "a skin tone": DARK,
    "a selector": AS_EMOJI,
    "a joiner": JOINER,
    "one that is joined to nothing": UP + JOINER,
    "a region of nothing": ENGLAND[1:],
    "half a surrogate pair": "\ud83d",
    "too many that are joined": JOINER.join([MAN] * 10),
    "too many as they are spelled": JOINER.join([HEART] * 10),
}


@pytest.mark.parametrize("case", SPELLED)
def test_an_emoji_has_one_spelling(case: str) -> None:
    text, spelled = SPELLED[case]
    assert emoji_of(text) == spelled
    assert emoji_of(spelled) == spelled


@pytest.mark.parametrize("case", NONE)
def test_what_is_not_one_emoji_is_refused(case: str) -> None:
    with pytest.raises(NotAnEmoji):
        emoji_of(NONE[case])


@given(st.text(alphabet=st.sampled_from([*GERMANY, UP, HEART, DARK, AS_EMOJI, JOINER, "1", "\u20e3", "a"]), max_size=8))
def test_a_spelling_is_its_own_and_bounded(text: str) -> None:
    try:
        spelled = emoji_of(text)
    except NotAnEmoji:
        return
    assert emoji_of(spelled) == spelled
    assert len(spelled.encode()) <= MAX_EMOJI_BYTES

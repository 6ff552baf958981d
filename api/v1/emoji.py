"""What an emoji is, and its one spelling. The only module that knows the library regex.

Of Unicode's emoji (UTS 51) all forms are taken: single ones, with a skin tone, flags, keycaps, and several that are
joined to one. Of a sign that is an emoji only with a variation selector behind it (a heart, a keycap) the selector may
be left out. Which sequences anybody has a picture of is not asked: that changes each year, and a server that is older
than a telephone would refuse its newest emoji. Those of years to come are taken as well: their places are set aside in
Unicode (Extended_Pictographic). Digits, letters, other signs and texts are none.
"""

from typing import Final

import regex

from rowbox.api.v1.request_types import MAX_EMOJI_BYTES
from rowbox.mailbox.errors import NotAnEmoji

_AS_EMOJI: Final = "\ufe0f"
_ELEMENT: Final = r"""
    (?: \p{Regional_Indicator}{2}                                           # a flag
    | [0-9#*] \uFE0F? \u20E3                                                # a keycap
    | \U0001F3F4 [\U000E0020-\U000E007E]+ \U000E007F                        # the flag of a part of a country
    | (?=\p{Extended_Pictographic}) [\p{Emoji}\p{Unassigned}] (?: \p{Emoji_Modifier} | \uFE0F )?
    )"""
_EMOJI: Final = regex.compile(rf"{_ELEMENT} (?: \u200D {_ELEMENT} )*", regex.VERBOSE)
_NEEDS_SELECTOR: Final = regex.compile(
    r"""[0-9#*] (?=\u20E3)
    | (?=\p{Extended_Pictographic}) (?=\p{Emoji}) \P{Emoji_Presentation} (?!\p{Emoji_Modifier})""",
    regex.VERBOSE,
)
"""What is an emoji only where the selector stands behind it; Unicode calls a sequence that has it everywhere there
fully qualified."""


def emoji_of(text: str) -> str:
    """The one spelling of the emoji that `text` is. NotAnEmoji where it is none, or more than one.

    Two clients that mean one emoji say the same then, also where one of them leaves out a variation selector.
    """
    if len(text) > MAX_EMOJI_BYTES or _EMOJI.fullmatch(text) is None:
        raise NotAnEmoji("emoji is not one emoji")
    emoji: str = _NEEDS_SELECTOR.sub(lambda found: found[0] + _AS_EMOJI, text.replace(_AS_EMOJI, ""))
    if len(emoji.encode()) > MAX_EMOJI_BYTES:
        raise NotAnEmoji(f"emoji is more than {MAX_EMOJI_BYTES} bytes of UTF-8")
    return emoji

"""With which codes a socket is closed, what each means, and what a client does then. docs/reference/sockets.md
has this table.
"""

from typing import Final, NamedTuple

from rowbox.cacheserver import port


class CloseCode(NamedTuple):
    """One code. `comes_back`: whether a client connects again by itself."""

    code: int
    meaning: str
    advice: str
    comes_back: bool


def _code(code: int, meaning: str, advice: str, *, comes_back: bool) -> CloseCode:
    return CloseCode(code, meaning, advice, comes_back)


GOING: Final = 1012
TOO_SLOW: Final = 4008
BAD_FRAME: Final = 4400
UNAUTHENTICATED: Final = 4401
FORBIDDEN: Final = 4403
NO_HELLO: Final = 4408
ELSEWHERE: Final = 4409
SIGNED_OUT: Final = 4410
TOO_MANY: Final = 4429
OVERLOADED: Final = 4503
UNHEARD: Final = 1006
"""Never sent: RFC 6455 reserves it for a connection that ended without a close frame, and it is counted under it."""
INTERNAL: Final = 1011

CODES: Final = (
    _code(
        GOING,
        "The server is stopping; the reason is `retryAfterMs=n`.",
        "Connect again after n milliseconds, and follow from the own token.",
        comes_back=True,
    ),
    _code(INTERNAL, "Something went wrong here.", "Connect again after a pause.", comes_back=True),
    _code(
        TOO_SLOW,
        "The client took nothing of what was sent (server.write_ms), or acknowledged no delta for 60 s.",
        "Connect again, and follow from the own token.",
        comes_back=True,
    ),
    _code(
        BAD_FRAME,
        "A frame is no JSON object or has wrong fields, the first one is no `hello`, or there is a second `hello`.",
        "Mend the program: the same frames fail again.",
        comes_back=False,
    ),
    _code(
        UNAUTHENTICATED,
        "The token is missing, wrong or revoked, or has expired and was not renewed.",
        "Get another token first, then connect; never again with this one.",
        comes_back=False,
    ),
    _code(
        FORBIDDEN,
        "The page is of an origin that is not listed (server.cors_origins), or `auth` had another user's token.",
        "Stop.",
        comes_back=False,
    ),
    _code(NO_HELLO, "No `hello` came within 10 s.", "Connect again.", comes_back=True),
    _code(
        ELSEWHERE,
        "This device has connected elsewhere, or the user has more than sockets.max_per_user: the oldest goes.",
        "Stop, and let the person choose where to go on.",
        comes_back=False,
    ),
    _code(
        SIGNED_OUT,
        "The user has signed out this device, or all.",
        "Forget what is kept here of the user, and let the person sign in again, under another deviceId.",
        comes_back=False,
    ),
    _code(TOO_MANY, "More than 100 frames a second.", "Connect again after 30 s or later.", comes_back=True),
    _code(
        OVERLOADED,
        "The server has no room, or cannot verify tokens now.",
        "Connect again after a pause.",
        comes_back=True,
    ),
)
"""Every code that the server closes with, beside 1000, 1001, 1007 and 1009 as RFC 6455 has them."""

REFUSED: Final = {
    port.REVOKED: (UNAUTHENTICATED, "the token was revoked"),
    port.SIGNED_OUT: (SIGNED_OUT, "this device was signed out"),
}
"""With which code, and with which words, a connection ends whose token is refused for good; by the error's code."""

"""Subjects: what an issuer of tokens calls its users, and the userIds that they have here.

A userId has an alphabet (ids.py), because it stands in keys, URLs and logs. Issuers know no such bounds: `auth0|5f7c`,
base64 with `/` and `=`, names in any script. `user_id_of` maps every subject to a userId of its own:

- each byte of UTF-8 outside the alphabet becomes `@@` and two hexadecimal digits: `auth0|5f7c` is `auth0@@7C5f7c`;
- an `@` becomes `@@40` where another `@` or such a byte follows it: so `@@` in a userId always begins two digits;
- all else stays as it is. So does every id of the alphabet that has no two `@` in a row.

No escape of one character would do: each of the alphabet's own is common in ids (`+` in telephone numbers and mail
addresses, `:` and `-` before digits), and ids of the alphabet should stay as they are. Two `@` in a row are not.

Two subjects never have one userId, and `subject_of` gives the subject back.
"""

import re

from rowbox.mailbox.ids import MAX_USER_ID, is_user_id

_ESCAPE = "@@"
_TO_ESCAPE = re.compile(r"[^A-Za-z0-9._@+:\-]|@(?=[^A-Za-z0-9._+:\-])")
_ESCAPED = re.compile(r"(?:@@[0-9A-F]{2})+")


class SubjectTooLong(ValueError):
    """The userId of a subject would be longer than a userId may be; `length` is how long."""

    def __init__(self, length: int) -> None:
        super().__init__(f"{length} characters once escaped; a userId has {MAX_USER_ID} at most")
        self.length = length


def user_id_of(subject: str) -> str:
    """The userId of a subject. SubjectTooLong; ValueError for the empty text and for one that is no Unicode."""
    if not subject:
        raise ValueError("a subject is not empty")
    user_id = subject if is_user_id(subject) and _ESCAPE not in subject else _TO_ESCAPE.sub(_escape, subject)
    if len(user_id) > MAX_USER_ID:
        raise SubjectTooLong(len(user_id))
    return user_id


def subject_of(user_id: str) -> str:
    """The subject of a userId. ValueError where no subject has this userId."""
    try:
        subject = _ESCAPED.sub(_unescape, user_id)
        if is_user_id(user_id) and user_id_of(subject) == user_id:
            return subject
    except UnicodeDecodeError:
        pass  # told as any other
    raise ValueError("no subject has this userId")


def _escape(match: re.Match[str]) -> str:
    return "".join(f"{_ESCAPE}{byte:02X}" for byte in match[0].encode())


def _unescape(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace(_ESCAPE, "")).decode()

"""The invariants of what a group's row keeps of one member's marks; group_check.py holds them against the member's."""

from itertools import pairwise

from rowbox.mailbox.check.findings import Code, Report
from rowbox.mailbox.group import person_key
from rowbox.mailbox.receipts import MOST_MOVES, MemberMarks


def check_member_marks(key: bytes, marks: MemberMarks, newest: bytes | None, report: Report) -> None:
    """Checks the marks under `key`. `newest` is the newest message of the group; None: it is no group's row."""

    def find(text: str) -> None:
        report(Code.RECEIPTS, f"what {marks.user_id} has and has read {text}")

    if newest is None:
        find("is in a row of no group")
        return
    if person_key(marks.user_id) != key:
        find(f"is under the key {key.hex()}, which is another one's")
    if len(marks.moves) > MOST_MOVES or not all(one.up_to < other.up_to for one, other in pairwise(marks.moves)):
        find(f"moved {len(marks.moves)} times, and not always on")
    if max(marks.read, marks.delivered) > newest:
        find(f"is up to {max(marks.read, marks.delivered).hex()}, behind the newest message")

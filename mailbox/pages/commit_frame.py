"""The fast path of the feed: the page that a pull would give of one commit, made of what the commit has encoded.

The pull is the truth; a property test holds both to the same bytes. Of a commit that is too large for one page of the
usual size there is no frame: whoever follows pulls.
"""

from typing import Final

from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import LogCell
from rowbox.mailbox.pages.changes_body import ChangesTail, encode_changes
from rowbox.mailbox.pages.cursor import Bookmarks
from rowbox.mailbox.pages.feed import FeedCut, tells_of_a_message

FRAME_MESSAGES: Final = 100
FRAME_BYTES: Final = 65_536
"""At most in a frame: it is held for each follower who does not read as fast as others write."""


def frame_of(mailbox: Mailbox, plan: Plan, bookmarks: Bookmarks) -> bytes | None:
    """The body of the page from the head before a plan to its head, which `mailbox` has just applied; None: too large.

    `bookmarks` are of the user's feed.
    """
    newest = {copy.message_id: copy for _, copy, _ in plan.copies}
    if plan.changed:
        newest |= {copy.message_id: copy for _, copy in plan.changed}
    index, horizon = mailbox.index, mailbox.horizon(plan.seen_us)

    def conversation_at(entry: LogCell) -> bytes | None:
        conversation_id = entry.conversation_id
        is_newest = index.version_of(conversation_id) == entry.version
        return index.json_of(conversation_id, horizon) if is_newest else None

    cut = FeedCut(plan.log, conversation_at, size=FRAME_MESSAGES, max_bytes=FRAME_BYTES)
    for entry in plan.log:
        copy = newest.get(entry.message_id)
        if copy is not None and copy.version == entry.version and tells_of_a_message(entry, horizon):
            cut.take(copy)
    cut.finish()
    if cut.has_more or cut.room_bytes < 0:
        return None
    tail = ChangesTail(
        account=False,
        is_delta_update=True,
        last_updated_timestamp=bookmarks.token(plan.head),
        has_more=False,
        reset_reason=None,
        next_cursor=None,
    )
    return encode_changes(cut.messages, cut.conversations, tail)

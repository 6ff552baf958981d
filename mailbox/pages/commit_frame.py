"""The fast path of the feed: the page that a pull would give of one commit, made of what the commit has encoded.

The pull is the truth; a property test holds both to the same bytes. Of a commit that is too large for one page of the
usual size there is no frame: whoever follows pulls.
"""

from typing import Final

from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import ChangeKind
from rowbox.mailbox.pages.changes_body import encode_commit
from rowbox.mailbox.pages.feed import MOST_CONVERSATIONS, tells_of_a_message
from rowbox.mailbox.pages.page_cut import TAIL_BYTES

FRAME_MESSAGES: Final = 100
FRAME_BYTES: Final = 65_536
"""At most in a frame: it is held for each follower who does not read as fast as others write."""
MOST_ENTRIES: Final = MOST_CONVERSATIONS
"""Of the log, of a commit that is looked at."""


def frame_of(mailbox: Mailbox, plan: Plan, token: str) -> bytes | None:
    """The body of the page from the head before a plan to its head, which `mailbox` has just applied; None: too large.

    `token` is the feed's, of the plan's head.
    """
    if len(plan.log) > MOST_ENTRIES:
        return None
    newest = {copy.message_id: copy for _, copy, _ in plan.copies}
    if plan.changed:
        newest |= {copy.message_id: copy for _, copy in plan.changed}
    index, horizon = mailbox.index, mailbox.horizon(plan.seen_us)
    messages: list[bytes] = []
    conversations: list[bytes] = []
    account = False
    for entry in plan.log:
        copy = newest.get(entry.message_id)
        if (
            copy is not None
            and copy.version == entry.version
            and tells_of_a_message(entry, horizon, plan.seen_us, index.floors)
        ):
            messages.append(copy.json)
        if index.version_of(entry.conversation_id) == entry.version:
            conversations.append(index.json_of(entry.conversation_id, horizon))
        elif entry.kind is ChangeKind.ACCOUNT:
            account = True
    size_bytes = sum([len(json) + 1 for json in messages]) + sum([len(json) + 1 for json in conversations])
    if len(messages) > FRAME_MESSAGES or size_bytes > FRAME_BYTES - TAIL_BYTES:
        return None
    return encode_commit(messages, conversations, token, account=account)

"""Which page is asked for: of which list, from where on, and of what size."""

import msgspec

from rowbox.mailbox.pages.cursor import Bookmarks, ResetReason, Start
from rowbox.mailbox.pages.page_cut import PAGE_BYTES


class PageRequest(msgspec.Struct, frozen=True, gc=False):
    """One page of one list of one user.

    `number` is the page's, None where the page was not asked for by its number: then it may end early. It is None
    wherever `start` says where to begin, or why that cannot be. `max_bytes`: of the body of a page of messages.
    """

    bookmarks: Bookmarks
    start: Start | ResetReason
    number: int | None
    size: int
    max_bytes: int = PAGE_BYTES

    def behind(self, token: int) -> "PageRequest":
        """The same list, from a later token on."""
        return PageRequest(self.bookmarks, token, None, self.size, self.max_bytes)

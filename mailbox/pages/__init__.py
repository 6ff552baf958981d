"""The part of a fetch that memory decides: tokens, cursors, pages of conversations, and where a page ends."""

"""What a fetch answers with, as far as memory decides it: tokens, cursors, where a page ends."""

"""Walks over a whole store: `rowbox check` and `rowbox stats`."""

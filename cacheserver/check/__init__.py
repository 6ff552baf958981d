"""Walks over a whole store, for `rowbox check` and `rowbox stats`."""

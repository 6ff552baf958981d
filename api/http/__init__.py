"""HTTP, one connection and one message at a time."""

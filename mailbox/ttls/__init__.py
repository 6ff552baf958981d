"""The rules of disappearing messages: what a row makes of a ttl that is set, here or by another user. Pure."""

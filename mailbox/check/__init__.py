"""The invariants of a mailbox, as `rowbox check` and every stateful test look for them."""

"""The memory store: both kinds of store, faults on demand. For tests and simulations."""

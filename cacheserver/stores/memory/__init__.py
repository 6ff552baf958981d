"""The memory store, for tests and simulations: it acts as either kind of store, with faults on demand."""
